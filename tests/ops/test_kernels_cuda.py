"""The kernels of the .cu files: they compile for GPUs, and do, run on the CPU, what their ops do.

No GPU is needed. NVRTC and nvcc, where there is one, compile for GPUs that are not there; g++
compiles the same source behind ``shim``, and NumPy arrays stand for device arrays.
"""
import ctypes
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
from kernel_checks import BODIES, WIDE, by_kernels, extremes_like_the_body, like_the_body
from op_cases import CASES, SIZES, copied
from shim import COMPILER, RawModule

from npvae import random
from npvae.ops import DECLARED, Ops, layouts
from npvae.ops.gpu.launch import GATHER_DTYPES, on_device, options, source
from npvae.optim import OPTIMIZERS

STAND_IN = SimpleNamespace(**vars(np), RawModule=RawModule)
DEVICE = on_device(BODIES, STAND_IN)
CODE = source()
KERNELS = {name: op for name, op in DECLARED.items() if op.layout}
FUSED = {name: case for name, case in CASES.items() if case.calls[0].op in KERNELS}
DTYPES = ["_" + dtype for dtype in GATHER_DTYPES]
NAMES = {name + end for name, op in KERNELS.items() for end in (DTYPES if op.multi_dtype else [""])}

DTYPES = [np.float32, np.float64]

shim = pytest.mark.skipif(not COMPILER, reason="g++ is not installed")
each_case = pytest.mark.parametrize("name", FUSED)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
each_size = pytest.mark.parametrize("size", [*SIZES.values(), WIDE], ids=[*SIZES, "wide"])
each_architecture = pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])


def test_every_op_with_a_layout_is_fused_and_that_is_all_but_the_products():
    ops = {field.name for field in fields(Ops)}
    fused = {op for op in ops if getattr(DEVICE, op) is not getattr(BODIES, op)}
    assert fused == KERNELS.keys() == ops - {"gemm"}


def test_a_declaration_names_arguments_of_its_op():
    for name, op in DECLARED.items():
        words = {*op.shapes, *op.scratch, *op.dtypes, *op.scalar_or_array, op.multi_dtype} - {""}
        assert words <= set(op.arguments), name


def test_an_op_without_a_twin_runs_its_body(monkeypatch):
    monkeypatch.setitem(DECLARED, "tanh", replace(DECLARED["tanh"], layout=None))
    ops = on_device(BODIES, STAND_IN)
    assert ops.tanh is BODIES.tanh and ops.relu is not BODIES.relu


@shim
def test_every_kernel_has_an_op():
    kernels = RawModule(code=CODE, options=options("float32")).signatures.keys()
    assert kernels == {"npvae_" + name for name in NAMES}


# --- compiled for GPUs ------------------------------------------------------------------------


def by_nvrtc(flags):
    """What the compiler that CuPy uses says; None where it is not installed."""
    spec = find_spec("nvidia")  # where NVIDIA's wheels put their libraries
    folders = [Path(folder) for folder in spec.submodule_search_locations] if spec else []
    found = [path for folder in folders for path in folder.rglob("libnvrtc.so*")]
    if not found:
        return None
    library, program, size = ctypes.CDLL(str(found[0])), ctypes.c_void_p(), ctypes.c_size_t()
    given = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
    library.nvrtcCreateProgram(ctypes.byref(program), CODE.encode(), b"kernels.cu", 0, None, None)
    failed = library.nvrtcCompileProgram(program, len(given), given)
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    assert not failed, log.value.decode()
    return log.value.decode()


def by_nvcc(flags):
    """What the toolkit's compiler says; None where it is not installed."""
    if not shutil.which("nvcc"):
        return None
    with TemporaryDirectory() as folder:
        code = Path(folder, "kernels.cu")
        code.write_text(CODE)
        command = ["nvcc", "-cubin", *flags, "-o", f"{folder}/kernels.cubin", str(code)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stderr


@each_architecture
@each_dtype
def test_compiles_for_a_gpu_into_registers(arch, dtype, record_property):
    """As CuPy compiles it. Nothing spills, though some blocks leave 64 registers a thread."""
    name = np.dtype(dtype).name
    flags = [*options(name), "-ftz=true", f"-arch={arch}", "--ptxas-options=-v"]
    log = by_nvrtc(flags) or by_nvcc(flags)
    if not log:
        pytest.skip("no CUDA compiler is installed (pip install nvidia-cuda-nvrtc)")
    assert "warning" not in log, log
    function = r"properties for npvae_(\w+)\n.* (\d+) bytes spill stores.*\n.*Used (\d+) registers"
    found = re.findall(function, log)
    assert {op for op, _, _ in found} == NAMES
    record_property("registers", {op: int(registers) for op, _, registers in found})
    assert not [op for op, spills, _ in found if int(spills)]


# --- run on the CPU, and compared -----------------------------------------------------------------


@contextmanager
def reversed_order(dtype):
    """Blocks and threads run last to first: as legal, and different where a barrier is missing."""
    module = RawModule(code=CODE, options=options(np.dtype(dtype).name))
    module.reverse(True)
    try:
        yield
    finally:
        module.reverse(False)


@shim
@each_case
@each_dtype
@each_size
def test_a_kernel_does_what_its_body_does(name, dtype, size):
    like_the_body(DEVICE, name, KERNELS, dtype, size, again=lambda: reversed_order(dtype))


@shim
@each_case
@each_dtype
def test_extremes_come_out_as_the_body_has_them(name, dtype):
    extremes_like_the_body(DEVICE, name, KERNELS, dtype)


@shim
@each_case
def test_more_elements_than_threads(name, monkeypatch):
    """Two small blocks take what millions of threads would: the bits of every element stay."""
    call = FUSED[name].calls[0]
    many = FUSED[name].arrays(SIZES["odd"], np.float32)
    few = copied(many)
    elementwise = KERNELS[call.op].layout in (layouts.elements, layouts.matrix)
    expected = by_kernels(DEVICE, call, many)
    monkeypatch.setattr(layouts, "THREADS", 2)
    monkeypatch.setattr(layouts, "MAX_THREADS", 2 * layouts.STRIP)
    monkeypatch.setattr(layouts, "MAX_BLOCKS", 2)
    for word, value in by_kernels(DEVICE, call, few).items():
        if elementwise:
            assert value.tobytes() == expected[word].tobytes(), word
        else:  # sums in another order
            np.testing.assert_allclose(value, expected[word], 1e-6, 1e-6)


@shim
@pytest.mark.parametrize("seed", [0, 2**63 + 12345, 2**64 - 1])
@pytest.mark.parametrize("stream", [random.POSTERIOR, random.BINARIZE])
@pytest.mark.parametrize("step", [0, 1, 2**40 + 7])
def test_noise_is_that_of_random(seed, stream, step):
    """Normals to the last digits, where two libraries' log and cos may differ; uniforms exactly."""
    at, eps = np.array([step]), np.full((3, 5, 7), np.nan)
    fill_noise(seed, stream, at, eps)
    expected = random.fill_noise(seed, stream, step, 3, 7, 5)
    np.testing.assert_allclose(eps, expected, 1e-14, 1e-15)
    u = random.thresholds(seed, stream, step, 1003)
    equal, above = u.copy(), np.nextafter(u, np.float32(2))
    DEVICE.sample_bernoulli(seed, stream, at, 0, equal)
    DEVICE.sample_bernoulli(seed, stream, at, 0, above)
    assert not equal.any() and above.all()  # x > u fails for u and holds for its neighbour


def fill_noise(seed, stream, step, eps):
    """Fill eps by the noise of the op alone."""
    _, M, J = eps.shape
    shapes = (M, 2 * J), (M, J), eps.shape, (1, M)
    a, sigma, z, kl = (np.zeros(shape, eps.dtype) for shape in shapes)
    bias = np.zeros(2 * J, eps.dtype)
    DEVICE.fill_noise_normal_kl(seed, stream, step, a, bias, eps, sigma, z, kl)


UPDATES = tuple(name for name in OPTIMIZERS if name in KERNELS)


@shim
@pytest.mark.parametrize("name", UPDATES)
@each_dtype
def test_rates_may_live_on_the_device(name, dtype):
    (call,) = CASES[name].calls
    frozen = CASES[name].arrays(SIZES["odd"], dtype)
    live = copied(frozen) | {
        word: np.array(frozen[word], dtype) for word in ("rate", "epsilon")
    }
    call(DEVICE, frozen)
    call(DEVICE, live)
    assert all(live[word].tobytes() == frozen[word].tobytes() for word in call.words("~"))


@shim
@each_dtype
def test_weight_decay_reads_what_it_writes(dtype):
    theta = np.arange(700, dtype=dtype)
    DEVICE.sgd(theta, theta, None, 0.5)
    np.testing.assert_array_equal(theta, np.arange(700) / 2)


@shim
@each_dtype
@pytest.mark.parametrize("P", [1, 1000, 200_003])
def test_squares_add_up_however_many_share_them(P, dtype):
    grad, parts = np.random.default_rng(P).standard_normal(P).astype(dtype), np.full(7, np.nan)
    DEVICE.squares(grad, parts)
    np.testing.assert_allclose(parts.sum(), (grad.astype(float) ** 2).sum(), rtol=1e-12)


@shim
@pytest.mark.parametrize("name", ["identity", "sigmoid"])
def test_the_activations_of_an_output_may_write_over_their_products(name):
    a, bias = np.linspace(-3, 3, 600).reshape(2, 300), np.zeros(300)
    h = np.empty_like(a)
    getattr(DEVICE, name)(a, bias, h)
    getattr(DEVICE, name)(a, bias, a)
    assert a.tobytes() == h.tobytes()


@shim
@each_dtype
@pytest.mark.parametrize("stored", ["uint8", "float32", "float64", "int16", "float16"])
def test_gather_reads_data_as_it_is_stored(dtype, stored):
    data = np.arange(60).reshape(6, 10).astype(stored)
    rows, taken, x = np.array([5, 0, 5]), np.empty((3, 10), stored), np.empty((3, 10), dtype)
    DEVICE.gather(data, rows, 1 / 255, taken, x)
    np.testing.assert_array_equal(x, data[rows].astype(dtype) * dtype(1 / 255))


@shim
@each_dtype
def test_binarise_takes_one_threshold_too(dtype):
    x = np.array([[0.0, 0.5, 0.50001, 1.0]], dtype)
    DEVICE.binarize(x, 0.5)
    np.testing.assert_array_equal(x, [[0, 0, 1, 1]])


@shim
@each_dtype
def test_nothing_is_launched_over_nothing(dtype):
    """No latents, as in an auto-encoder's noise; no datapoints, whose sums are zero."""
    none = np.empty((1, 4, 0), dtype)
    fill_noise(0, 0, np.array([0]), none)
    nothing, kl = np.empty(0, dtype), np.full((1, 4), np.nan, dtype)
    DEVICE.normal_kl(none[0], nothing, none, none[0], none, kl)
    assert not kl.any()
    empty, d_bias = np.empty((0, 3), dtype), np.full(3, np.nan, dtype)
    DEVICE.tanh(empty, d_bias, empty)
    DEVICE.tanh_backward(empty, empty, empty.copy(), d_bias)
    assert not d_bias.any()


# --- what a kernel would misread ------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [
    {"h": np.ones((3, 2), "f4")[:, ::-1]}, {"h": np.ones((2, 3), "f4").T}, {"bias": np.ones(2)},
    {"a": np.ones((3, 2), "f2")}, {"h": np.ones((3, 2), complex)}, {"a": np.ones((3, 2), complex)},
])  # fmt: skip
def test_an_array_of_another_kind_is_refused(wrong):
    good = {"a": np.ones((3, 2), "f4"), "bias": np.ones(2, "f4"), "h": np.ones((3, 2), "f4")}
    with pytest.raises(TypeError, match=r"is \w+.*; pass C-contiguous"):
        DEVICE.tanh(*(good | wrong).values())


def test_an_array_that_is_not_on_the_device_is_refused():
    with pytest.raises(TypeError, match="pass an array of numpy"):
        DEVICE.identity([1.0, 2.0], np.ones(2), np.ones((1, 2)))


def test_a_forgotten_argument_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        DEVICE.tanh(np.ones((3, 2)), np.ones(2))


TWICE = """
typedef long long Index;
constexpr int MOST = 64;
extern "C" __global__ void __launch_bounds__(MOST, 1) twice(
    const float* __restrict__ x, float *y, bool on, Index n)
{
    for (Index i = threadIdx.x; i < n; i += blockDim.x) y[i] = on ? 2 * x[i] : x[i];
}
extern "C" __global__ void backwards(const float* x, float* y, int barriers)
{
    __shared__ float part[64];
    part[threadIdx.x] = x[threadIdx.x];
    if (barriers == 1 || (barriers == 2 && threadIdx.x)) __syncthreads();
    if (barriers == 3 && blockIdx.x) __syncthreads();
    y[threadIdx.x] = part[blockDim.x - 1 - threadIdx.x];
}
"""
X, Y = np.arange(5, dtype="f4"), np.zeros(5, "f4")
LOCKED = np.zeros(5, "f4")
LOCKED.flags.writeable = False


@shim
def test_the_shim_runs_a_kernel():
    RawModule(code=TWICE).get_function("twice")((1,), (2,), (X, Y, np.bool_(True), 5))
    np.testing.assert_array_equal(Y, 2 * X)


@shim
@pytest.mark.parametrize("arguments", [
    (X, Y, True), (X, Y, True, 5, 5), (X, Y, True, 5.0), (X, Y, True, np.int32(5)), (X, Y, 1, 5),
    (X, Y, np.float32(1), 5), (X.astype("f8"), Y, True, 5), (X, Y.astype("f2"), True, 5),
    (X[::2], Y, True, 5), (X, LOCKED, True, 5), (X, 7, True, 5), (X, np.uintp(8), True, 5),
    ([1.0], Y, True, 5), (X, None, True, 5), (X, Y, X, 5),
])  # fmt: skip
def test_the_shim_refuses_what_a_kernel_would_misread(arguments):
    with pytest.raises(TypeError):
        RawModule(code=TWICE).get_function("twice")((1,), (2,), arguments)


@shim
@pytest.mark.parametrize(("grid", "block"), [((0,), (1,)), ((1,), (0,)), ((1,), (65,))])
def test_the_shim_refuses_what_no_gpu_launches(grid, block):
    with pytest.raises(ValueError, match="no GPU"):
        RawModule(code=TWICE).get_function("twice")(grid, block, (X, Y, True, 5))


@shim
def test_the_shim_finds_a_fault_in_a_barrier():
    module = RawModule(code=TWICE)
    run = module.get_function("backwards")
    with pytest.raises(RuntimeError, match="ended while others waited"):
        run((1,), (5,), (X, Y, np.int32(2)))
    with pytest.raises(RuntimeError, match="first block"):
        run((2,), (5,), (X, Y, np.int32(3)))
    bits = {}
    for barriers in (0, 1):
        for order in (False, True):
            module.reverse(order)
            run((1,), (5,), (np.zeros_like(X), Y, np.int32(1)))  # what a thread finds too early
            run((1,), (5,), (X, Y, np.int32(barriers)))
            bits[barriers, order] = Y.tobytes()
    module.reverse(False)
    assert bits[1, False] == bits[1, True] == X[::-1].tobytes()
    assert bits[0, False] != bits[0, True]
