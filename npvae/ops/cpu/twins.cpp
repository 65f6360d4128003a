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
template <> struct Letter<u64> { static constexpr const char* LETTERS = "LQ"; };
template <> struct Letter<bool> { static constexpr const char* LETTERS = "?"; };
template <> struct Letter<unsigned char> { static constexpr const char* LETTERS = "B"; };

template <class T> bool has_format(const Py_buffer& view)
{
    return view.format[0] && !view.format[1] && std::strchr(Letter<T>::LETTERS, view.format[0]);
}

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
    Argument() = default;
    Argument(Argument&& from) noexcept
        : view(from.view), held(std::exchange(from.held, false)), step(from.step) {}
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
        return has_format<Element>(view);
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
// A matrix of a product: to be read it may be a transposed view, to be written its rows lie in
// order.
template <class T> struct Argument<Matrix<T>> {
    Argument<T*> array;
    Matrix<T> first{};
    bool get(PyObject* object, bool stacked)
    {
        Py_buffer& view = array.view;
        const int flags = PyBUF_FORMAT | PyBUF_STRIDES | (std::is_const_v<T> ? 0 : PyBUF_WRITABLE);
        if (!PyObject_CheckBuffer(object) || PyObject_GetBuffer(object, &view, flags)) return false;
        array.held = true;
        if (view.ndim != 2 + stacked || !has_format<std::remove_const_t<T>>(view)) return false;
        const Py_ssize_t *shape = view.shape + stacked, *strides = view.strides + stacked;
        const Index size = sizeof(T), down = strides[0] / size, across = strides[1] / size;
        array.step = stacked ? view.strides[0] : 0;
        first = {static_cast<T*>(view.buf), shape[0], shape[1], down, across};
        const bool whole = strides[0] % size == 0 && strides[1] % size == 0 && down > 0;
        return whole && (across == 1 || (std::is_const_v<T> && down == 1 && across > 0))
               && (std::is_const_v<T> || down == shape[1]);
    }
    Matrix<T> of(Py_ssize_t s) const
    {
        Matrix<T> matrix = first;
        matrix.at = array.of(s);
        return matrix;
    }
    Py_ssize_t bytes() const { return array.bytes(); }
};

// What else must hold of a kernel's parameters: of a product, that its matrices fit, and that it
// does not write where it reads.
template <class... P> bool fit(const P&...) { return true; }
template <class T>
bool fit(const Matrix<const T>& a, const Matrix<const T>& b, const Matrix<T>& out)
{
    const auto apart = [&](const Matrix<const T>& m) {
        const T* end = m(m.rows - 1, m.columns - 1) + 1;
        return end <= out.at || out.at + out.rows * out.columns <= m.at;
    };
    return a.columns == b.rows && out.rows == a.rows && out.columns == b.columns
           && a.rows > 0 && a.columns > 0 && b.columns > 0 && apart(a) && apart(b);
}

// --- calls ----------------------------------------------------------------------------------------

constexpr Py_ssize_t LONG = 1 << 15;  // bytes worth letting go of the interpreter for

// How a kernel is to be called: for how many models, which of the arguments are stacked, and in how
// many parts at most, which do not depend on one another.
struct Models {
    Py_ssize_t count;
    unsigned long stacked;  // bit i: argument i
    Index blocks;
};

struct Task {
    virtual ~Task() = default;
    virtual bool run() const = 0;  // whether the step goes on
};

// A kernel and its arguments.
template <class... P> struct Call : Task {
    void (*kernel)(P...);
    Py_ssize_t models = 1, bytes = 0;
    Index parts = 1;  // of one model's work that are worth a thread each
    std::tuple<Argument<std::remove_const_t<P>>...> arguments;

    // Whether the arguments fit.
    template <size_t... I>
    bool take(Models given, Index share, PyObject* const* objects, std::index_sequence<I...>)
    {
        if (!(std::get<I>(arguments).get(objects[I], given.stacked >> I & 1) && ...)) return false;
        models = given.count;
        bytes = (std::get<I>(arguments).bytes() + ... + 0);
        parts = std::min(at_least(bytes / share, 1), given.blocks);
        for (Py_ssize_t s = 0; s < models; s++)
            if (!fit(std::get<I>(arguments).of(s)...)) return false;
        return true;
    }
    bool run() const override
    {
        const Index each = models > 1 ? 1 : std::min<Index>(parts, Pool::threads);
        const Index pieces = parts > 1 || models == 1 ? models * each : 1;
        Pool::each(pieces, bytes > 16 * LONG, [this, each, pieces](Index p) {
            this_part = {p % each, each};
            const Py_ssize_t first = pieces > 1 ? p / each : 0;
            const Py_ssize_t last = pieces > 1 ? first + 1 : models;
            for (Py_ssize_t s = first; s < last; s++)
                std::apply([&](const auto&... a) { kernel(a.of(s)...); }, arguments);
            this_part = {};
        });
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
int call(void (*kernel)(), Index share, Models models, PyObject* const* arguments, Py_ssize_t n)
{
    if (n != sizeof...(P)) {
        PyErr_Format(PyExc_TypeError, "%zd arguments for %zu parameters", n, sizeof...(P));
        return -1;
    }
    Call<P...> made;
    made.kernel = reinterpret_cast<void (*)(P...)>(kernel);
    if (!made.take(models, share, arguments, std::index_sequence_for<P...>())) return 0;
    if (!recording) return without_interpreter(made.bytes > LONG, [&] { made.run(); });
    recording->push_back(std::make_unique<Call<P...>>(std::move(made)));
    return 1;
}

struct Entry {
    void (*kernel)();
    Index share;
    int (*call)(void (*)(), Index, Models, PyObject* const*, Py_ssize_t);
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

PyObject* run_on(Models models, PyObject* capsule, PyObject* const* arguments, Py_ssize_t n)
{
    const auto entry = static_cast<Entry*>(PyCapsule_GetPointer(capsule, nullptr));
    if (!entry) return nullptr;
    const int done = entry->call(entry->kernel, entry->share, models, arguments, n);
    if (done < 0) return nullptr;
    if (!done) PyErr_Clear();
    return PyBool_FromLong(done);
}

PyObject* run(PyObject*, PyObject* const* arguments, Py_ssize_t n)
{
    return run_on({1, 0, PyLong_AsLongLong(arguments[1])}, arguments[0], arguments + 2, n - 2);
}

PyObject* run_each(PyObject*, PyObject* const* arguments, Py_ssize_t n)
{
    const Models models{PyLong_AsSsize_t(arguments[2]), PyLong_AsUnsignedLong(arguments[3]),
                        PyLong_AsLongLong(arguments[1])};
    if (PyErr_Occurred()) return nullptr;
    return run_on(models, arguments[0], arguments + 4, n - 4);
}

// A step that goes on only while an array's numbers are finite.
struct Halt : Task {
    Argument<const double*> numbers;
    bool run() const override
    {
        const auto finite = [](double x) { return std::isfinite(x); };
        const double* first = numbers.of(0);
        return std::all_of(first, first + numbers.bytes() / sizeof(double), finite);
    }
};
PyObject* halt(PyObject*, PyObject* array)
{
    if (!recording) Py_RETURN_NONE;
    auto made = std::make_unique<Halt>();
    if (!made->numbers.get(array, false)) return PyErr_Format(PyExc_TypeError, "no float64");
    recording->push_back(std::move(made));
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
    const long n = PyLong_AsLong(number);
    if (PyErr_Occurred()) return nullptr;
    Pool::threads = int(n);
    Py_RETURN_NONE;
}

PyObject* alone(PyObject*, PyObject* begins)
{
    Pool::alone += PyObject_IsTrue(begins) ? 1 : -1;
    Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"find", find, METH_O, "The kernel called 'op dtype', or None."},
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(run)), METH_FASTCALL,
     "Run a kernel in so many blocks, on its arguments and sizes; False, and nothing done, if they "
     "do not fit."},
    {"run_each", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(run_each)),
     METH_FASTCALL,
     "The same for S models, by kernel, blocks, S and a bit for each argument that has S."},
    {"record", record, METH_NOARGS, "Write down what this thread runs from now on, and run nothing."},
    {"recorded", recorded, METH_NOARGS, "What was written down since then, and no more is."},
    {"halt", halt, METH_O, "A replay goes on from here only while a float64 array is finite."},
    {"replay", replay, METH_O, "Repeat a recording; whether it came to its end."},
    {"threads", threads, METH_O, "How many threads share a kernel from now on."},
    {"alone", alone, METH_O, "Whether kernels from now on stay on the thread that calls them."},
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
