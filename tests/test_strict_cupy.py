"""The stand-in for CuPy refuses what CuPy refuses, and its account is right."""
import copy
import pickle
import re
import sys
from functools import partial

import numpy as np
import pytest
from shim import COMPILER
from strict_cupy import break_device, counting, forbid_transfers, installed, launch

HOST = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def cp():
    with installed() as module:
        yield module


@pytest.fixture
def a(cp):
    """HOST, on the device."""
    return cp.asarray(HOST)


def captured(cp, work):
    """The graph of what ``work`` launches."""
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        work()
        return stream.end_capture()


def test_is_cupy_inside_and_gone_outside():
    before = sys.modules.get("cupy")
    with installed() as module:
        import cupy

        assert cupy is module and cupy.cuda.is_available()
    assert sys.modules.get("cupy") is before


def test_has_nothing_that_cupy_lacks():
    cupy = pytest.importorskip("cupy")  # a GPU is not needed
    with installed() as module:
        pairs = [(module, cupy), (module.ndarray, cupy.ndarray), (module.cuda, cupy.cuda)]
        pairs += [(getattr(module.cuda, n), getattr(cupy.cuda, n)) for n in ("runtime", "memory")]
        pairs += [(getattr(module.cuda, n), getattr(cupy.cuda, n)) for n in ("Stream", "Graph")]
        for ours, theirs in pairs:
            public = {name for name in vars(ours) if not name.startswith("_")}
            public -= {"cublas"}  # is there, and looking for it loads it
            assert [name for name in public if not hasattr(theirs, name)] == []


# --- what is refused --------------------------------------------------------------------------

NEVER = {  # expression → error
    "numpy.asarray(a)": TypeError,
    "numpy.frombuffer(a)": TypeError,
    "memoryview(a)": TypeError,
    "a + host": TypeError,
    "host + a": TypeError,
    "a.__iadd__(host)": TypeError,
    "a @ host.T": TypeError,
    "a > host": TypeError,
    "numpy.add(a, host)": TypeError,
    "numpy.add(host, host, out=a)": TypeError,
    "cp.add(a, host)": TypeError,
    "cp.add(a, [1, 2, 3])": TypeError,
    "cp.add(a, None)": TypeError,
    "cp.exp(a, out=host)": TypeError,
    "cp.sum(host)": TypeError,
    "cp.where(a > 0, host, 0)": TypeError,
    "cp.take(a, numpy.array([0]), axis=0)": TypeError,
    "cp.ascontiguousarray(host)": TypeError,
    "a[numpy.array([0])]": TypeError,
    "a[[0, 1]]": TypeError,
    "a[a[0, 0]:]": TypeError,
    "a.__setitem__(..., host)": ValueError,
    "a.set(host.astype('float64'))": TypeError,
    "hash(a)": TypeError,
    # keywords that CuPy has not
    "cp.exp(a, where=a > 0)": TypeError,
    "cp.exp(a, order='C')": TypeError,
    "numpy.exp(a, where=host > 0)": TypeError,
    "cp.sum(a, where=a > 0)": TypeError,
    "cp.max(a, initial=0)": TypeError,
    "cp.take(a, cp.asarray([0]), axis=0, mode='clip')": TypeError,
    "cp.einsum('ij->i', a, out=a[:, 0])": TypeError,
    # names that CuPy has not
    "cp.errstate": AttributeError,
    "cp.random": AttributeError,
    "a.flags.writeable": AttributeError,
    "a.itemset": AttributeError,
    "a.__array_interface__": AttributeError,
    "a.ctypes": AttributeError,
    # outputs that do not fit
    "cp.exp(a, out=cp.empty(a.shape, int))": TypeError,
    "cp.add(a[0], 1, out=a)": ValueError,
    "cp.take(a, cp.asarray([0]), axis=0, out=cp.empty((1, 3)))": TypeError,
    "cp.matmul(a, a.T, out=cp.empty((2, 2)))": ValueError,
    "cp.matmul(a, a.T, out=cp.empty((2, 2), 'float32').T)": ValueError,
    "cp.matmul(a[:, :2], a[:, :2].T)": ValueError,
    "cp.matmul(a, square, out=a)": ValueError,
    "cp.asarray(['text'])": ValueError,
}  # fmt: skip


@pytest.mark.parametrize("expression", NEVER)
def test_refuses(cp, a, expression):
    names = {"cp": cp, "a": a, "host": HOST, "numpy": np, "square": cp.ones((3, 3), "float32")}
    with pytest.raises(NEVER[expression]):
        eval(expression, names)


@pytest.mark.skipif(not COMPILER, reason="g++ is not installed")
def test_a_kernel_refuses_a_host_array(cp, a):
    twice = twice_of(cp)
    with pytest.raises(TypeError, match="Unsupported type"):
        twice((1,), (32,), (HOST, a, np.int64(6)))


def test_says_what_cupy_says(cp, a):
    with pytest.raises(TypeError, match=r"Implicit conversion to a NumPy array is not allowed"):
        np.asarray(a)
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy.ndarray'>"):
        a * HOST


# --- what is allowed --------------------------------------------------------------------------

SAME = [
    "a + 1", "1 - a", "np.float32(2) * a", "a / (a + 1)", "a ** 2", "-a", "abs(a - 3)", "a @ a.T",
    "a[0]", "a[0, 1]", "a[..., 1:]", "a[:, None, ::2]", "a.T", "a.sum()", "a.mean(axis=0)",
    "a.max(1)", "(a > 2).any()", "a.var(axis=1)", "a.argmax()", "a.reshape(3, -1)", "a.T.ravel()",
    "a.swapaxes(0, 1)", "a.astype('float64')", "xp.exp(a)", "xp.maximum(a, 2)", "~xp.isfinite(a)",
    "xp.greater(a, 2, out=xp.empty(a.shape, 'float32'))", "xp.where(a > 2, a, 0)",
    "xp.sum(a, axis=(0, 1), keepdims=True)", "xp.take(a, xp.asarray([1, 0]), axis=1)",
    "xp.einsum('ij,ij->i', a, a)", "xp.dot(a[0], a[1])", "np.multiply(a, 2)", "np.sum(a, axis=0)",
    "a[xp.asarray([1, 0, 1])]", "a[a > 2]", "xp.full((2,), 3.0)", "xp.arange(4)",
]  # fmt: skip


@pytest.mark.parametrize("expression", SAME)
def test_computes_what_numpy_computes(cp, a, expression):
    result = eval(expression, {"xp": cp, "np": np, "a": a})
    expected = np.asarray(eval(expression, {"xp": np, "np": np, "a": HOST}))
    assert isinstance(result, cp.ndarray)  # 0-d results too stay on the device
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(result.get(), expected)


def test_views_share_memory_and_copies_do_not(cp, a):
    for view in (a[1:], a.T[0], a.reshape(-1)[2:], a[0, 1], a.ravel()):
        view[...] = 7
    a[0] += 1
    a.copy()[...] = 0
    a.T.reshape(-1)[...] = 0  # could only be copied
    a.get()[...] = 0
    assert a.get().tolist() == [[8, 8, 8], [7, 7, 7]]
    assert a[1:].data.ptr == a.data.ptr + a.strides[0] and HOST[1, 2] == 5


def test_new_memory_holds_nothing_to_rely_on(cp):
    assert np.isnan(cp.empty(3).get()).all()


def test_goes_through_pickle_and_deepcopy(cp, a):
    for again in (pickle.loads(pickle.dumps(a)), copy.deepcopy(a)):
        again[...] = again + 1
        assert (again.get() == HOST + 1).all() and (a.get() == HOST).all()


# --- the account ------------------------------------------------------------------------------

COSTS = {  # launches, allocations, to_device, to_host
    "a + 1": (1, 1, 0, 0),
    "cp.add(a, 1, out=a)": (1, 0, 0, 0),
    "a[:, 1:].T[0]": (0, 0, 0, 0),
    "a.reshape(-1)": (0, 0, 0, 0),
    "a.T.reshape(-1)": (1, 1, 0, 0),
    "a.__setitem__(0, 1)": (1, 0, 0, 0),
    "a.__setitem__(0, a[1])": (1, 0, 0, 0),
    "a.__setitem__(0, a[0])": (0, 0, 0, 0),
    "cp.add(a[:, 1:], 1, out=a[:, :2])": (2, 1, 0, 0),  # what overlaps is copied
    "cp.empty(3)": (0, 1, 0, 0),
    "cp.zeros(3)": (1, 1, 0, 0),
    "cp.asarray(a)": (0, 0, 0, 0),
    "cp.asarray(a, 'float64')": (1, 1, 0, 0),
    "cp.asarray(host)": (0, 1, 1, 0),
    "cp.asarray(3)": (1, 1, 0, 0),
    "a.set(host)": (0, 0, 1, 0),
    "a.get()": (0, 0, 0, 1),
    "float(a[0, 0])": (0, 0, 0, 1),
    "int(a.sum())": (1, 1, 0, 1),
    "bool((a > 0).any())": (2, 2, 0, 1),
    "a[0, 0].item()": (0, 0, 0, 1),
    "a.tolist()": (0, 0, 0, 1),
    "3.0 in a[1]": (1, 1, 0, 1),  # the first is 3
    "f'{a}'": (0, 0, 0, 1),
    "[row for row in a]": (0, 0, 0, 0),
    "a[a > 4]": (2, 2, 0, 1),
}


@pytest.mark.parametrize("expression", COSTS)
def test_counts(cp, a, expression):
    names = {"cp": cp, "a": a, "host": HOST}
    with counting() as c:
        eval(expression, names)
    assert (c.launches, c.allocations, c.to_device, c.to_host) == COSTS[expression]
    if c.to_device + c.to_host:
        with forbid_transfers(), pytest.raises(AssertionError, match="host and device talk"):
            eval(expression, names)


def test_waiting_is_counted_and_forbidden(cp):
    event = cp.cuda.Event()
    event.record()
    for wait in (cp.cuda.Stream().synchronize, cp.cuda.Device().synchronize, event.synchronize):
        with counting() as c:
            wait()
        assert c.waits == 1
        with forbid_transfers(), pytest.raises(AssertionError):
            wait()
    assert cp.cuda.get_elapsed_time(event, event) == 0


def test_memory_comes_back_and_runs_out(cp):
    pool = cp.get_default_memory_pool()
    x = cp.zeros(100)
    part = x[10:]
    del x
    assert pool.used_bytes() == 800  # a view keeps all of it
    del part
    assert (pool.used_bytes(), pool.total_bytes()) == (0, 800)
    pool.free_all_blocks()
    assert pool.total_bytes() == 0
    pool.set_limit(size=1000)
    with pytest.raises(cp.cuda.memory.OutOfMemoryError, match="allocating 1,600 bytes"):
        cp.empty(200)


# --- capture ----------------------------------------------------------------------------------


def test_a_graph_repeats_with_fresh_values_and_old_scalars(cp, a):
    total, rate = cp.zeros((), "float32"), 2.0

    def step():
        cp.multiply(a, rate, out=a)
        cp.sum(a, out=total)
        launch(np.copyto, a[0], a[1])  # as a library called through ctypes is faked

    with counting() as c:
        graph = captured(cp, step)
    assert (c.recorded, c.launches) == (3, 0)
    assert (a.get() == HOST).all() and float(total) == 0  # nothing has happened yet
    rate = 100.0
    with counting() as c, forbid_transfers():
        graph.launch()
    assert (c.recorded, c.launches) == (0, 1)
    assert float(total) == 2 * HOST.sum() and (a.get() == 2 * HOST[1]).all()
    a[...] = 1
    graph.launch()
    assert float(total) == 12


def twice_of(cp):
    code = """extern "C" __global__ void twice(const float* x, float* y, long long n) {
        long long i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = 2 * x[i];
    }"""
    return cp.RawModule(code=code).get_function("twice")


@pytest.mark.skipif(not COMPILER, reason="g++ is not installed")
def test_kernels_run_count_and_are_captured(cp, a):
    twice, out = twice_of(cp), cp.zeros_like(a)
    with counting() as c:
        twice((1,), (32,), (a, out, np.int64(6)))
    assert (c.launches, c.allocations) == (1, 0) and (out.get() == 2 * HOST).all()
    graph = captured(cp, lambda: twice((1,), (32,), (a, out, np.int64(6))))
    a[...] = 5
    graph.launch()
    assert (out.get() == 10).all()


NOT_IN_A_CAPTURE = {
    "cp.empty(3)": RuntimeError,
    "a + 1": RuntimeError,
    "a.T.reshape(-1)": RuntimeError,
    "cp.add(a[:, 1:], 1, out=a[:, :2])": RuntimeError,
    "cp.asarray(numpy.ones(3))": RuntimeError,
    "a.set(numpy.ones((2, 3), 'float32'))": RuntimeError,
    "float(a[0, 0])": RuntimeError,
    "a.get()": RuntimeError,
    "cp.cuda.get_current_stream().synchronize()": RuntimeError,
    "cp.cuda.Stream().begin_capture()": RuntimeError,
    "cp.matmul(a, a.T, out=square)": NotImplementedError,
    "cp.dot(a[0], a[0])": NotImplementedError,
}


@pytest.mark.parametrize("expression", NOT_IN_A_CAPTURE)
def test_refuses_in_a_capture(cp, a, expression):
    names = {"cp": cp, "a": a, "numpy": np, "square": cp.empty((2, 2), "float32")}
    with pytest.raises(NOT_IN_A_CAPTURE[expression]):
        captured(cp, lambda: eval(expression, names))


def test_a_threads_allocator_is_asked_first(cp, a):
    """In bytes; and what it refuses leaves a capture that can still be ended."""
    sizes = []

    def refuse(size):
        sizes.append(size)
        raise KeyError(size)

    stream = cp.cuda.Stream(non_blocking=True)
    with stream, cp.cuda.using_allocator(refuse):
        stream.begin_capture()
        for make in (lambda: a + 1, lambda: cp.empty(3, "float64"), lambda: a @ a.T):
            with pytest.raises(KeyError):
                make()
        assert a[0].shape == (3,)  # a view needs nothing
        cp.add(a, 1, out=a)
        graph = stream.end_capture()
        with cp.cuda.using_allocator():
            assert cp.empty(3).size == 3
    graph.launch()
    assert sizes == [24, 24, 16] and float(a[0, 1]) == 2


def test_a_capture_that_failed_gives_no_graph(cp, a):
    stream = cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        with pytest.raises(cp.cuda.runtime.CUDARuntimeError):
            float(a[0, 0])
        with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="Invalidated"):
            stream.end_capture()
    assert float(a[0, 1]) == 1  # and it is over


def test_captures_only_its_own_stream(cp, a):
    stream = cp.cuda.Stream()
    stream.begin_capture()
    with pytest.raises(RuntimeError, match="another stream"):
        cp.add(a, 1, out=a)
    with pytest.raises(RuntimeError, match="default"):
        cp.cuda.Stream.null.begin_capture()


def test_a_graph_keeps_no_memory_alive(cp, a):
    buffer = cp.zeros(3, "float32")
    graph = captured(cp, partial(cp.add, buffer, 1, out=buffer))
    graph.launch()
    del buffer
    with pytest.raises(RuntimeError, match="cudaErrorIllegalAddress"):
        graph.launch()


def test_after_an_illegal_address_every_call_fails(cp, a):
    """CUDA's error is sticky: nothing but a new process helps."""
    break_device()
    for call in (lambda: a + 1, lambda: cp.empty(3), a.get, cp.cuda.Device().synchronize):
        with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="IllegalAddress"):
            call()


def test_a_graph_names_its_nodes(cp, a):
    graph = captured(cp, lambda: (cp.add(a, 1, out=a), launch(np.copyto, a[0], a[1])))
    names = re.findall(r'_node_(\d+)".*?label="\d+\n(\w+)', graph.debug_dot_str())
    assert names == [("0", "add"), ("1", "copyto")]
