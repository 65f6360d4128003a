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
template <> struct Letter<u64> { static constexpr const char* LETTERS = "LQ"; };
template <> struct Letter<bool> { static constexpr const char* LETTERS = "?"; };
template <> struct Letter<unsigned char> { static constexpr const char* LETTERS = "B"; };

inline bool convert(PyObject* object, double& to)
{
    to = PyFloat_AsDouble(object);
    return !PyErr_Occurred();
}
inline bool convert(PyObject* object, Index& to)
{
    to = PyLong_AsLongLong(object);
    return !PyErr_Occurred();
}
inline bool convert(PyObject* object, u64& to)
{
    to = PyLong_AsUnsignedLongLong(object);
    return !PyErr_Occurred();
}
inline bool convert(PyObject* object, bool& to)
{
    const int truth = PyObject_IsTrue(object);
    to = truth > 0;
    return truth >= 0;
}

// What a parameter is given, and what of it is model s's: of an argument that is stacked, the s-th
// along its first axis, in C order; of another the same for all.
template <class T, class = void> struct Argument {  // a number
    T value{};
    Argument<const T*> each;
    bool get(PyObject* object, bool stacked)
    {
        return stacked ? each.get(object, true) : convert(object, value);
    }
    T of(Py_ssize_t s) const { return each.held ? *each.of(s) : value; }
    Py_ssize_t bytes() const { return 0; }
};
template <class T> struct Argument<T*> {  // an array, let go of at the end
    Py_buffer view;
    bool held = false;
    Py_ssize_t step = 0;  // bytes from one model to the next
    ~Argument() { if (held) PyBuffer_Release(&view); }
    bool get(PyObject* object, bool stacked)
    {
        typedef std::remove_const_t<T> Element;
        const int flags = PyBUF_FORMAT | (stacked ? PyBUF_STRIDES : PyBUF_C_CONTIGUOUS)
                          | (std::is_const_v<T> ? 0 : PyBUF_WRITABLE);
        if (!PyObject_CheckBuffer(object)) return false;
        if (PyObject_GetBuffer(object, &view, flags)) return false;
        held = true;
        if (stacked) {
            Py_ssize_t next = view.itemsize;
            for (int axis = view.ndim - 1; axis > 0; next *= view.shape[axis--])
                if (view.shape[axis] != 1 && view.strides[axis] != next) return false;
            step = view.strides[0];
        }
        const char* format = view.format;
        return format[0] && !format[1] && std::strchr(Letter<Element>::LETTERS, format[0]);
    }
    T* of(Py_ssize_t s) const
    {
        return reinterpret_cast<T*>(static_cast<char*>(view.buf) + s * step);
    }
    Py_ssize_t bytes() const { return held ? view.len : 0; }
};
// A number, or an array of one or one for each element: Number of common.h.
template <class N> struct Argument<N, std::void_t<decltype(N::array)>> {
    double value = 0;
    Argument<decltype(N::array)> array;
    bool get(PyObject* object, bool stacked)
    {
        const bool is_array = PyObject_CheckBuffer(object) && !PyFloat_Check(object);
        return is_array ? array.get(object, stacked) : convert(object, value);
    }
    N of(Py_ssize_t s) const { return {value, array.held ? array.of(s) : nullptr}; }
    Py_ssize_t bytes() const { return array.bytes(); }
};

// How many models there are, and which of the arguments are stacked.
struct Models {
    Py_ssize_t count;
    unsigned long stacked;  // bit i: argument i
};
typedef int (*Call)(void (*)(), Models, PyObject* const*, Py_ssize_t);

constexpr Py_ssize_t LONG = 1 << 15;  // bytes worth letting go of the interpreter for

// Whether the arguments fit; if they do, the kernel has run, model by model.
template <class... P, size_t... I>
int unpack(void (*kernel)(P...), Models models, PyObject* const* objects, std::index_sequence<I...>)
{
    std::tuple<Argument<std::remove_const_t<P>>...> arguments;
    if (!(std::get<I>(arguments).get(objects[I], models.stacked >> I & 1) && ...)) return 0;
    const Py_ssize_t bytes = (std::get<I>(arguments).bytes() + ... + 0);
    PyThreadState* others = bytes > LONG ? PyEval_SaveThread() : nullptr;
    bool room = true;
    try {
        for (Py_ssize_t s = 0; s < models.count; s++) kernel(std::get<I>(arguments).of(s)...);
    } catch (const std::bad_alloc&) {
        room = false;
    }
    if (others) PyEval_RestoreThread(others);
    if (!room) PyErr_NoMemory();
    return room ? 1 : -1;
}
template <class... P>
int call(void (*kernel)(), Models models, PyObject* const* arguments, Py_ssize_t n)
{
    if (n != sizeof...(P)) {
        PyErr_Format(PyExc_TypeError, "%zd arguments for %zu parameters", n, sizeof...(P));
        return -1;
    }
    return unpack(reinterpret_cast<void (*)(P...)>(kernel), models, arguments,
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

PyObject* run_on(Models models, PyObject* capsule, PyObject* const* arguments, Py_ssize_t n)
{
    const auto entry = static_cast<Entry*>(PyCapsule_GetPointer(capsule, nullptr));
    if (!entry) return nullptr;
    const int done = entry->call(entry->kernel, models, arguments, n);
    if (done < 0) return nullptr;
    if (!done) PyErr_Clear();
    return PyBool_FromLong(done);
}

PyObject* run(PyObject*, PyObject* const* arguments, Py_ssize_t n)
{
    return run_on({1, 0}, arguments[0], arguments + 1, n - 1);
}

PyObject* run_each(PyObject*, PyObject* const* arguments, Py_ssize_t n)
{
    const Models models{PyLong_AsSsize_t(arguments[1]), PyLong_AsUnsignedLong(arguments[2])};
    if (PyErr_Occurred()) return nullptr;
    return run_on(models, arguments[0], arguments + 3, n - 3);
}

PyMethodDef methods[] = {
    {"find", find, METH_O, "The kernel called 'op dtype', or None."},
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(run)), METH_FASTCALL,
     "Run a kernel on its arguments and sizes; False, and nothing done, if they do not fit."},
    {"run_each", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(run_each)),
     METH_FASTCALL, "The same for S models, by kernel, S and a bit for each argument that has S."},
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
