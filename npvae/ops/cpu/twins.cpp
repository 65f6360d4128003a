// The kernels of ops/*.cu for a processor, and the little that lets Python call them.
//
// A kernel is a C++ function of pointers and numbers. Its parameters' types say what to ask of each
// Python argument: a pointer wants a C-contiguous buffer of its type, const or writable. What does
// not fit is not an error: ``run`` answers False, and the op's NumPy body does the work.
//
// A call with its arguments is a Task. The tasks of a training step can be written down, in a
// Recording, and then be done again and again without Python.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "math.h"
#include "pool.h"
#include "products.h"

namespace npvae {

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
    Buffer() = default;
    Buffer(Buffer&& from) noexcept : view(from.view), held(std::exchange(from.held, false)) {}
    ~Buffer() { if (held) PyBuffer_Release(&view); }
};
template <class T> bool holds(const Buffer& buffer)
{
    const char* format = buffer.view.format;
    return format[0] && !format[1] && std::strchr(Letter<T>::LETTERS, format[0]);
}

template <class T> bool get(PyObject* object, Buffer& buffer, T*& to)
{
    typedef std::remove_const_t<T> Element;
    const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
                      | (std::is_const_v<T> ? 0 : PyBUF_WRITABLE);
    if (!PyObject_CheckBuffer(object)) return false;
    if (PyObject_GetBuffer(object, &buffer.view, flags)) return false;
    buffer.held = true;
    to = static_cast<T*>(buffer.view.buf);
    return holds<Element>(buffer);
}
// A matrix to be read may be a transposed view; one to be written has its rows in order.
template <class T> bool get(PyObject* object, Buffer& buffer, Matrix<T>& to)
{
    typedef std::remove_const_t<T> Element;
    const int flags = std::is_const_v<T> ? PyBUF_STRIDES : PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE;
    if (!PyObject_CheckBuffer(object)) return false;
    if (PyObject_GetBuffer(object, &buffer.view, flags | PyBUF_FORMAT)) return false;
    buffer.held = true;
    const Py_buffer& view = buffer.view;
    if (view.ndim != 2 || !holds<Element>(buffer)) return false;
    const Index down = view.strides[0], across = view.strides[1], size = sizeof(T);
    to = {static_cast<T*>(view.buf), view.shape[0], view.shape[1], down / size, across / size};
    return down > 0 && across > 0 && down % size == 0 && across % size == 0
           && (to.down == 1 || to.across == 1);
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

// What else must hold of a kernel's parameters: of a product, that its matrices fit, and that it
// does not write where it reads.
template <class... P> bool fit(const Buffer*, const P&...) { return true; }
template <class T>
bool fit(const Buffer* buffers, const Matrix<const T>& a, const Matrix<const T>& b,
         const Matrix<T>& out)
{
    const auto apart = [&](const Matrix<const T>& m) {
        const T* end = m(m.rows - 1, m.columns - 1) + 1;
        return end <= out.at || out.at + out.rows * out.columns <= m.at;
    };
    return a.columns == b.rows && out.rows == a.rows && out.columns == b.columns
           && a.rows > 0 && a.columns > 0 && b.columns > 0 && buffers && apart(a) && apart(b);
}

// --- calls ----------------------------------------------------------------------------------------

constexpr Py_ssize_t LONG = 1 << 15;  // bytes worth letting go of the interpreter for

struct Task {
    virtual ~Task() = default;
    virtual bool run() const = 0;  // whether the step goes on
};

// A kernel and its arguments.
template <class... P> struct Call : Task {
    void (*kernel)(P...);
    Index most;  // parts that are worth a thread each, and do not depend on one another
    std::tuple<std::remove_const_t<P>...> parameters;
    Buffer buffers[sizeof...(P)];
    Py_ssize_t bytes = 0;

    // Whether the arguments fit.
    template <size_t... I> bool take(PyObject* const* arguments, std::index_sequence<I...>)
    {
        if (!(get(arguments[I], buffers[I], std::get<I>(parameters)) && ...)) return false;
        for (const Buffer& buffer : buffers) bytes += buffer.held ? buffer.view.len : 0;
        return fit(buffers, std::get<I>(parameters)...);
    }
    bool run() const override
    {
        const Index parts = std::min<Index>(most, Pool::threads);
        Pool::each(parts, bytes > 16 * LONG, [this, parts](Index p) {
            this_part = {p, parts};
            std::apply(kernel, parameters);
        });
        this_part = {};
        return true;
    }
};

// The tasks of a step, in their order.
typedef std::vector<std::unique_ptr<Task>> Recording;
thread_local std::unique_ptr<Recording> recording;  // where this thread writes them, if it does

// Work without the interpreter; -1, and an error set, if there is no memory for it.
template <class Work> int without_interpreter(bool let_go, Work work)
{
    PyThreadState* others = let_go ? PyEval_SaveThread() : nullptr;
    bool room = true;
    try {
        work();
    } catch (const std::bad_alloc&) {
        room = false;
    }
    if (others) PyEval_RestoreThread(others);
    if (!room) PyErr_NoMemory();
    return room ? 1 : -1;
}

// Whether the arguments fit; if they do, the kernel has run, or is written down.
template <class... P>
int call(void (*kernel)(), Index share, Index blocks, PyObject* const* arguments, Py_ssize_t n)
{
    if (n != sizeof...(P)) {
        PyErr_Format(PyExc_TypeError, "%zd arguments for %zu parameters", n, sizeof...(P));
        return -1;
    }
    Call<P...> made;
    made.kernel = reinterpret_cast<void (*)(P...)>(kernel);
    if (!made.take(arguments, std::index_sequence_for<P...>())) return 0;
    made.most = std::min(at_least(made.bytes / share, 1), blocks);  // a GPU's blocks
    if (!recording) return without_interpreter(made.bytes > LONG, [&] { made.run(); });
    recording->push_back(std::make_unique<Call<P...>>(std::move(made)));
    return 1;
}

struct Entry {
    void (*kernel)();
    Index share;
    int (*call)(void (*)(), Index, Index, PyObject* const*, Py_ssize_t);
};
std::map<std::string, Entry> entries;

// A kernel says that it serves here: TWIN(name) in its .cu file.
struct Registered {
    template <class... P>
    Registered(const char* name, size_t size, Index share, void (*kernel)(P...))
    {
        const std::string key = std::string(name) + (size == 4 ? " float32" : " float64");
        entries[key] = {reinterpret_cast<void (*)()>(kernel), share, call<P...>};
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
    const Index blocks = PyLong_AsLongLong(arguments[1]);
    const int done = entry->call(entry->kernel, entry->share, blocks, arguments + 2, n - 2);
    if (done < 0) return nullptr;
    if (!done) PyErr_Clear();
    return PyBool_FromLong(done);
}

// A step that goes on only while an array's numbers are finite.
struct Halt : Task {
    Buffer buffer;
    bool run() const override
    {
        const auto first = static_cast<const double*>(buffer.view.buf);
        const auto finite = [](double x) { return std::isfinite(x); };
        return std::all_of(first, first + buffer.view.len / sizeof(double), finite);
    }
};
PyObject* halt(PyObject*, PyObject* array)
{
    auto made = std::make_unique<Halt>();
    const double* numbers;
    if (!get(array, made->buffer, numbers)) return PyErr_Format(PyExc_TypeError, "no float64");
    if (recording) recording->push_back(std::move(made));
    Py_RETURN_NONE;
}

PyObject* record(PyObject*, PyObject*)
{
    recording = std::make_unique<Recording>();
    Py_RETURN_NONE;
}

PyObject* recorded(PyObject*, PyObject*)
{
    if (!recording) Py_RETURN_NONE;
    return PyCapsule_New(recording.release(), nullptr, [](PyObject* capsule) {
        delete static_cast<Recording*>(PyCapsule_GetPointer(capsule, nullptr));
    });
}

PyObject* replay(PyObject*, PyObject* capsule)
{
    const auto tasks = static_cast<const Recording*>(PyCapsule_GetPointer(capsule, nullptr));
    if (!tasks) return nullptr;
    bool whole = false;
    const auto one_by_one = [&] {
        whole = std::all_of(tasks->begin(), tasks->end(), [](auto& task) { return task->run(); });
    };
    return without_interpreter(true, one_by_one) < 0 ? nullptr : PyBool_FromLong(whole);
}

PyObject* threads(PyObject*, PyObject* number)
{
    const long before = Pool::threads, n = PyLong_AsLong(number);
    if (PyErr_Occurred()) return nullptr;
    Pool::threads = int(n);
    return PyLong_FromLong(before);
}

PyMethodDef methods[] = {
    {"find", find, METH_O, "The kernel called 'op dtype', or None."},
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(run)), METH_FASTCALL,
     "Run a kernel in so many blocks, on its arguments and sizes; False, and nothing done, if they "
     "do not fit."},
    {"record", record, METH_NOARGS, "Write down what this thread runs from now on, and run nothing."},
    {"recorded", recorded, METH_NOARGS, "What was written down since then, and no more is."},
    {"halt", halt, METH_O, "A replay goes on from here only while a float64 array is finite."},
    {"replay", replay, METH_O, "Repeat a recording; whether it came to its end."},
    {"threads", threads, METH_O, "How many threads share a kernel from now on; and until now."},
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
