// The kernels of ops/*.cu for a processor, and the little that lets Python call them.
//
// A kernel is a C++ function of pointers and numbers. Its parameters' types say what to ask of each
// Python argument: a pointer wants a C-contiguous buffer of its type, const or writable. What does
// not fit is not an error: ``call`` answers False, and the op's NumPy body does the work.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstring>
#include <map>
#include <new>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "math.h"

namespace npvae {

typedef long long Index;  // sizes and what is computed from them
typedef unsigned long long u64;

INLINE u64 __umul64hi(u64 a, u64 b) { return u64((unsigned __int128)a * b >> 64); }

// --- from Python's arguments to a kernel's parameters ---------------------------------------------

// The letter of a type in a buffer's format.
template <class T> struct Letter;
template <> struct Letter<float> { static constexpr const char* LETTERS = "f"; };
template <> struct Letter<double> { static constexpr const char* LETTERS = "d"; };
template <> struct Letter<Index> { static constexpr const char* LETTERS = "lq"; };
template <> struct Letter<unsigned char> { static constexpr const char* LETTERS = "B"; };

// A buffer that is let go of at the end.
struct Buffer {
    Py_buffer view;
    bool held = false;
    ~Buffer() { if (held) PyBuffer_Release(&view); }
};

template <class T> bool get(PyObject* object, Buffer& buffer, T*& to)
{
    typedef std::remove_const_t<T> Element;
    const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
                      | (std::is_const_v<T> ? 0 : PyBUF_WRITABLE);
    if (!PyObject_CheckBuffer(object)) return false;
    if (PyObject_GetBuffer(object, &buffer.view, flags)) return false;
    buffer.held = true;
    const char* format = buffer.view.format;
    to = static_cast<T*>(buffer.view.buf);
    return format[0] && !format[1] && std::strchr(Letter<Element>::LETTERS, format[0]);
}
inline bool get(PyObject* object, Buffer&, double& to)
{
    to = PyFloat_AsDouble(object);
    return !PyErr_Occurred();
}
inline bool get(PyObject* object, Buffer&, Index& to)
{
    to = PyLong_AsLongLong(object);
    return !PyErr_Occurred();
}
inline bool get(PyObject* object, Buffer&, u64& to)
{
    to = PyLong_AsUnsignedLongLong(object);
    return !PyErr_Occurred();
}
inline bool get(PyObject* object, Buffer&, bool& to)
{
    const int truth = PyObject_IsTrue(object);
    to = truth > 0;
    return truth >= 0;
}
// A number, or an array of one or one for each element: Number of common.h.
template <class N, class = decltype(N::array)> bool get(PyObject* object, Buffer& buffer, N& to)
{
    to = {};
    return PyObject_CheckBuffer(object) && !PyFloat_Check(object) ? get(object, buffer, to.array)
                                         : get(object, buffer, to.value);
}

typedef int (*Call)(void (*)(), PyObject* const*, Py_ssize_t);

constexpr Py_ssize_t LONG = 1 << 15;  // bytes worth letting go of the interpreter for

// Whether the arguments fit; if they do, the kernel has run.
template <class... P, size_t... I>
int unpack(void (*kernel)(P...), PyObject* const* arguments, std::index_sequence<I...>)
{
    Buffer buffers[sizeof...(P)];
    std::tuple<std::remove_const_t<P>...> parameters;
    if (!(get(arguments[I], buffers[I], std::get<I>(parameters)) && ...)) return 0;
    Py_ssize_t bytes = 0;
    for (const Buffer& buffer : buffers) bytes += buffer.held ? buffer.view.len : 0;
    PyThreadState* others = bytes > LONG ? PyEval_SaveThread() : nullptr;
    bool room = true;
    try {
        kernel(std::get<I>(parameters)...);
    } catch (const std::bad_alloc&) {
        room = false;
    }
    if (others) PyEval_RestoreThread(others);
    if (!room) PyErr_NoMemory();
    return room ? 1 : -1;
}
template <class... P> int call(void (*kernel)(), PyObject* const* arguments, Py_ssize_t n)
{
    if (n != sizeof...(P)) {
        PyErr_Format(PyExc_TypeError, "%zd arguments for %zu parameters", n, sizeof...(P));
        return -1;
    }
    return unpack(reinterpret_cast<void (*)(P...)>(kernel), arguments,
                  std::index_sequence_for<P...>());
}

struct Entry {
    void (*kernel)();
    Call call;
};
std::map<std::string, Entry> entries;

// A kernel says that it serves here: TWIN(name) in its .cu file.
struct Registered {
    template <class... P> Registered(const char* name, size_t size, void (*kernel)(P...))
    {
        const std::string key = std::string(name) + (size == 4 ? " float32" : " float64");
        entries[key] = {reinterpret_cast<void (*)()>(kernel), call<P...>};
    }
};

// --- the kernels, for each dtype ------------------------------------------------------------------

namespace float32 {
#define REAL float
#include "kernels.h"
#undef REAL
}
namespace float64 {
#define REAL double
#include "kernels.h"
#undef REAL
}

// --- the module -----------------------------------------------------------------------------------

PyObject* find(PyObject*, PyObject* key)
{
    const char* text = PyUnicode_AsUTF8(key);
    if (!text) return nullptr;
    const auto found = entries.find(text);
    if (found == entries.end()) Py_RETURN_NONE;
    return PyCapsule_New(&found->second, nullptr, nullptr);
}

PyObject* run(PyObject*, PyObject* const* arguments, Py_ssize_t n)
{
    const auto entry = static_cast<Entry*>(PyCapsule_GetPointer(arguments[0], nullptr));
    if (!entry) return nullptr;
    const int done = entry->call(entry->kernel, arguments + 1, n - 1);
    if (done < 0) return nullptr;
    if (!done) PyErr_Clear();
    return PyBool_FromLong(done);
}

PyMethodDef methods[] = {
    {"find", find, METH_O, "The kernel called 'op dtype', or None."},
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(run)), METH_FASTCALL,
     "Run a kernel on its arguments and sizes; False, and nothing done, if they do not fit."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "twins", nullptr, -1, methods,
                          nullptr, nullptr, nullptr, nullptr};

}  // namespace npvae

#define INIT(name) PyInit_##name
#define INIT_OF(name) INIT(name)
PyMODINIT_FUNC INIT_OF(MODULE)()
{
    PyObject* module = PyModule_Create(&npvae::definition);
    if (module && PyModule_AddIntConstant(module, "CHECKSUM", CHECKSUM)) Py_CLEAR(module);
    return module;
}
