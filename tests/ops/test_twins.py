"""The kernels compiled for a processor: they do what their bodies do, and leave the rest to them.

Where npvae was built without them (no C++ compiler, another processor, NPVAE_PURE_PYTHON) there is
nothing to test but that.
"""
import math
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from kernel_checks import BODIES, WIDE, extremes_like_the_body, like_the_body
from op_cases import CASES, SIZES

import npvae
from npvae import doctor, random
from npvae.errors import ParameterError
from npvae.ops import DECLARED
from npvae.ops.cpu import build, twins

MODULE, LEVEL = twins.library()
TWINS = twins.with_twins(BODIES)
KERNELS = {name: op for name, op in DECLARED.items()
           if op.layout and getattr(TWINS, name) is not getattr(BODIES, name)}  # fmt: skip
CLONE = Path(npvae.__file__).parents[1]
SERVED = [name for name, case in CASES.items() if any(c.op in KERNELS for c in case.calls)]

compiled = pytest.mark.skipif(MODULE is None, reason=f"no compiled twins: {twins.why_none()}")
each_case = pytest.mark.parametrize("name", SERVED)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
each_size = pytest.mark.parametrize("size", [*SIZES.values(), WIDE], ids=[*SIZES, "wide"])


# Those that NumPy does as fast: cpu/kernels.h says why. A likelihood here is sampled by its body.
LEFT = {"gemm", "squares", "clip_factor", "l2", "parameter_kl", "importance_weights",
        "categorical_nll", "sample_categorical", "sample_continuous_bernoulli",
        "sample_discretized_logistic", "sample_laplace", "sample_normal"}  # fmt: skip


@compiled
def test_every_other_op_has_a_twin():
    assert DECLARED.keys() - KERNELS.keys() == LEFT


@compiled
@each_case
@each_dtype
@each_size
def test_a_twin_does_what_its_body_does(name, dtype, size):
    like_the_body(TWINS, name, KERNELS, dtype, size)


@compiled
@each_case
@each_dtype
def test_extremes_come_out_as_the_body_has_them(name, dtype):
    """A product and a sum in one instruction are rounded once where the body rounds twice."""
    extremes_like_the_body(TWINS, name, KERNELS, dtype, roundings=64)


# Every binade of both signs, the ends of each function's range, and what is no number.
GRID = np.concatenate([
    sign * np.ldexp(1 + np.linspace(0, 1, 37), e) for sign in (-1.0, 1.0) for e in range(-40, 9)
])  # fmt: skip
EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, 88.7, -87.3, -103.9, -104.1, 1e-38, 1e-45, -1e-45]


EXACT = {
    "tanh": np.tanh, "sigmoid": lambda u: 1 / (1 + np.exp(-u)),
    "softplus": lambda u: np.maximum(u, 0) + np.log1p(np.exp(-np.abs(u))),
    "elu": lambda u: np.where(u > 0, u, np.expm1(u)), "relu": lambda u: np.maximum(u, 0),
    "leaky_relu": lambda u: np.maximum(u, u / 100), "silu": lambda u: u / (1 + np.exp(-u)),
}  # fmt: skip


@compiled
@each_dtype
@pytest.mark.parametrize("name", EXACT)
def test_an_activation_is_right_to_some_units_in_the_last_place(name, dtype):
    """Against 80 bits, where long double has them. No unit is smaller than that of the smallest
    normal number, times u where that is a factor: what is below has no more digits.
    """
    u = np.concatenate([GRID, EDGES]).astype(dtype)[None]
    bias, h = np.zeros(u.size, dtype), np.empty_like(u)
    getattr(TWINS, name)(u.copy(), bias, h)
    with np.errstate(all="ignore"):
        exact = EXACT[name](u.astype(np.longdouble))
        rounded = exact.astype(dtype)
        smallest = np.finfo(dtype).smallest_normal * np.maximum(1, np.nan_to_num(np.abs(u)))
        error = np.abs(h - exact) / np.spacing(np.maximum(np.abs(rounded), smallest))
    finite = np.isfinite(rounded)
    assert error[finite].max() <= 4
    np.testing.assert_array_equal(h[~finite], rounded[~finite])


@compiled
def test_log_factorials_are_right_to_some_units_in_the_last_place():
    """Of counts at rate 1, nll = 1 + log x!; of small counts that is a difference of two 20s."""
    x = np.concatenate([np.arange(256.0), [256, 257, 1000, 1e6, 1e9, 1e15]])[:, None]
    a, nll, slope = np.zeros((1, x.size, 1)), np.empty((1, x.size)), np.empty((1, x.size, 1))
    TWINS.poisson_nll(a, np.zeros(1), x, slope, x.copy(), nll)
    exact = 1 + np.array([math.lgamma(n + 1) for n in x[:, 0]])
    assert np.max(np.abs(nll[0] - exact) / np.spacing(exact + 20)) <= 4
    np.testing.assert_allclose(slope[0], 1 - x, 4 * 2.0**-52)


@compiled
@pytest.mark.parametrize("shape", [(1, 100, 20), (1, 1, 1), (3, 5, 7), (2, 301, 3), (1, 7, 0)])
@pytest.mark.parametrize("seed", [0, 2**63 + 12345, 2**64 - 1])
@pytest.mark.parametrize("step", [0, 2**40 + 7])
def test_noise_is_that_of_random(shape, seed, step):
    """In float32 to the bit; in float64 to 4 units in the last place, but near the zeros of sine
    and cosine, where the angle's own rounding is more."""
    L, M, J = shape
    expected = random.fill_noise(seed, random.POSTERIOR, step, L, J, M)
    for dtype in (np.float32, np.float64):
        eps = np.full(shape, np.nan, dtype)
        sigma, kl, a = np.empty((M, J), dtype), np.empty((1, M), dtype), np.zeros((M, 2 * J), dtype)
        TWINS.fill_noise_normal_kl(
            seed, random.POSTERIOR, np.array([step]), a, a[0].copy(), eps, sigma, eps.copy(), kl
        )
        if dtype == np.float32:
            np.testing.assert_array_equal(eps, expected.astype(dtype))
        else:
            np.testing.assert_allclose(eps, expected, 4 * 2.0**-52, 2e-15)
    u = random.thresholds(seed, random.BINARIZE, step, 1003)
    at = np.array([step])
    for start in (0, 5, 8, 1002):  # wherever in a block of eight it begins
        equal, above = u[start:].copy(), np.nextafter(u[start:], np.float32(2))
        TWINS.sample_bernoulli(seed, random.BINARIZE, at, start, equal)
        TWINS.sample_bernoulli(seed, random.BINARIZE, at, start, above)
        assert not equal.any() and above.all()


@compiled
@pytest.mark.parametrize("kind", [
    lambda x: x.repeat(2, 1)[:, ::2], lambda x: np.asfortranarray(x), lambda x: x.astype("f2"),
    lambda x: x.astype(">f4"), lambda x: x.astype("f8"),
], ids=["strided", "Fortran", "half", "big-endian", "double"])  # fmt: skip
@pytest.mark.parametrize("which", ["a", "bias", "h"])
def test_an_array_that_no_kernel_takes_is_left_to_the_body(kind, which):
    def arrays():
        good = {"a": np.ones((3, 2), "f4"), "bias": np.ones((1, 2), "f4"),
                "h": np.empty((3, 2), "f4")}  # fmt: skip
        return good | {which: kind(good[which])}

    given, expected = arrays(), arrays()
    TWINS.relu(*given.values())
    BODIES.relu(*expected.values())
    np.testing.assert_array_equal(given["h"], expected["h"])


@compiled
def test_what_is_read_only_is_not_written():
    h = np.zeros((3, 2))
    h.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        TWINS.tanh(np.ones((3, 2)), np.ones(2), h)


@compiled
def test_rates_may_be_arrays_and_weight_decay_reads_what_it_writes():
    theta, same = (np.arange(700, dtype=np.float32) for _ in range(2))
    TWINS.sgd(theta, theta, None, 0.5)
    TWINS.sgd(same, same, None, np.array(0.5, np.float32))
    np.testing.assert_array_equal(theta, np.arange(700) / 2)
    assert theta.tobytes() == same.tobytes()


@compiled
def test_many_threads_at_once_leave_the_bits_of_one():
    rng = np.random.default_rng(0)
    a, bias = rng.standard_normal((64, 300)), rng.standard_normal(300)
    expected, results = np.empty_like(a), [np.empty_like(a) for _ in range(8)]
    TWINS.sigmoid(a, bias, expected)
    threads = [threading.Thread(target=TWINS.sigmoid, args=(a, bias, h)) for h in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(h.tobytes() == expected.tobytes() for h in results)


@pytest.fixture
def anew():
    """The build is looked for once a process."""
    twins.library.cache_clear()
    yield
    twins.library.cache_clear()


def test_the_environment_turns_them_off(monkeypatch, anew):
    monkeypatch.setenv("NPVAE_PURE_PYTHON", "1")
    assert twins.library() == (None, "")
    assert twins.why_none() == "NPVAE_PURE_PYTHON is set"
    assert twins.with_twins(BODIES) is BODIES


@pytest.mark.parametrize(("name", "value", "known"), [
    ("NPVAE_PURE_PYTHON", "false", "1 or 0"), ("NPVAE_PURE_PYTHON", "yes", "1 or 0"),
    ("NPVAE_TWINS", "avx2", "v4 or v3"), ("NPVAE_TWINS", "v2", "v4 or v3"),
    ("NPVAE_TWINS", "V3", "v4 or v3"), ("NPVAE_TWINS", "none", "v4 or v3"),
])  # fmt: skip
def test_a_value_that_means_nothing_is_refused(monkeypatch, anew, name, value, known):
    monkeypatch.delenv("NPVAE_PURE_PYTHON", raising=False)
    monkeypatch.setenv(name, value)
    line = f"{name} is '{value}'; set it to {known}"
    with pytest.raises(ParameterError, match=line):
        twins.with_twins(BODIES)
    assert any(line in said for said in doctor.report())


def test_a_build_refuses_what_a_run_refuses():
    pytest.importorskip("setuptools")
    command = [sys.executable, "setup.py", "--version"]
    for name in ("NPVAE_PURE_PYTHON", "NPVAE_REQUIRE_TWINS"):
        done = subprocess.run(command, cwd=CLONE, capture_output=True, text=True,
                              env=os.environ | {name: "off"})  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.strip() == f"{name} is 'off'; set it to 1 or 0"


def test_a_variable_that_is_0_or_empty_is_not_set(monkeypatch):
    monkeypatch.delenv("NPVAE_TWINS", raising=False)
    best = twins.supported()
    monkeypatch.setenv("NPVAE_TWINS", "")
    assert twins.supported() == best
    for value in ("", "0"):
        monkeypatch.setenv("NPVAE_PURE_PYTHON", value)
        assert not twins.turned_off()


def test_an_old_processor_runs_the_bodies(monkeypatch, anew):
    monkeypatch.delenv("NPVAE_PURE_PYTHON", raising=False)
    none = dict.fromkeys(twins.LEVELS, ("an instruction of tomorrow",))
    monkeypatch.setattr(twins, "LEVELS", none)
    assert twins.library() == (None, "") and "AVX2" in twins.why_none()


@pytest.mark.skipif(
    os.environ.get("NPVAE_REQUIRE_TWINS") != "1" or twins.turned_off(),
    reason="NPVAE_REQUIRE_TWINS is not set",
)
def test_what_is_required_is_there():
    assert MODULE is not None, twins.why_none()


USE = """
import warnings
import npvae
from npvae import backend, doctor
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        npvae.VAE(hidden=(4,), epochs=1, verbose=False).fit([[0.0, 1.0]] * 9)
print(sum("compiled ops" in str(w.message) for w in caught), backend.get_backend().twins)
print(*doctor.report(), sep="|")
"""


@compiled
@pytest.mark.parametrize(("changed", "used"), [
    ("activations.cu", False), ("cpu/math.h", False), ("likelihoods/bernoulli.cu", False),
    ("gpu/common.cuh", True), (None, True),
])  # fmt: skip
def test_a_build_of_other_sources_is_not_used(tmp_path, changed, used):
    """An edited formula never runs as it was before the edit."""
    ops = tmp_path / "npvae" / "ops"
    shutil.copytree(CLONE / "npvae", ops.parent)
    if changed is None:  # and where no sources are kept, there is nothing to compare with
        for path in build.sources(str(ops)):
            Path(path).unlink()
    else:
        (ops / changed).write_text((ops / changed).read_text(encoding="utf-8") + "\n", "utf-8")
    done = subprocess.run([sys.executable, "-c", USE], cwd=tmp_path, capture_output=True,
                          text=True, env=os.environ | {"PYTHONPATH": str(tmp_path)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    warned, report = done.stdout.splitlines()
    assert warned == (f"0 {LEVEL}" if used else "1 none")
    assert used != ("setup.py build_ext --inplace --force" in report)


@compiled
@pytest.mark.skipif(LEVEL != "x86-64-v4", reason="no processor with AVX-512, or no build for it")
def test_a_processor_without_avx_512_takes_the_build_for_avx2(monkeypatch, anew):
    """And the bits may be others, but the numbers are the same."""
    monkeypatch.setenv("NPVAE_TWINS", "v3")
    assert twins.library()[1] == "x86-64-v3"
    a, bias = np.linspace(-9, 9, 600).reshape(2, 300), np.zeros(300)
    v3, v4 = np.empty_like(a), np.empty_like(a)
    twins.with_twins(BODIES).tanh(a, bias, v3)
    TWINS.tanh(a, bias, v4)
    np.testing.assert_allclose(v3, v4, 1e-15)
