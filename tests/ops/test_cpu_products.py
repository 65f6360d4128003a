"""The compiled matrix product against NumPy's in the next wider format."""
import os
import subprocess
import sys

import numpy as np
import pytest

from npvae.ops import reference
from npvae.ops.cpu import twins

MODULE, LEVEL = twins.library()
pytestmark = pytest.mark.skipif(MODULE is None, reason=f"no compiled twins: {twins.why_none()}")


def refuse(*_):
    raise AssertionError("the body was asked")


if MODULE is not None:
    GEMM = twins.product(MODULE, MODULE.run, refuse)
    WITH_BODY = twins.with_twins(reference(np)).gemm
DTYPES = ("float32", "float64")
# Around the sides of a tile, a panel, a slice of its depth and a block of rows; few rows, one of
# anything, and sizes that are shared among threads.
SIZES = [(1, 1, 1), (1, 784, 500), (1, 500, 20), (2, 3, 5), (3, 64, 50), (4, 15, 16), (5, 17, 33),
         (7, 20, 31), (8, 33, 32), (9, 256, 17), (12, 257, 64), (13, 100, 65), (25, 513, 100),
         (100, 20, 500), (101, 784, 40), (385, 31, 97), (777, 130, 66), (40, 1100, 129),
         (60, 70, 48)]  # fmt: skip


def laid(rng, rows, columns, layout, dtype):
    """A matrix: in order, transposed, or rows and columns of a larger one."""
    if layout == "transposed":
        return rng.standard_normal((columns, rows)).astype(dtype).T
    if layout == "slice":
        return rng.standard_normal((rows + 1, columns + 3)).astype(dtype)[1:, 2 : columns + 2]
    return rng.standard_normal((rows, columns)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("b_layout", ["ordered", "transposed", "slice"])
@pytest.mark.parametrize("a_layout", ["ordered", "transposed", "slice"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_product_is_numpys(size, a_layout, b_layout, dtype):
    """Each number is a sum of k products: its error is at most k units of the sum of their sizes,
    and as roundings go up and down, near √k.
    """
    m, k, n = size
    rng = np.random.default_rng(m * k + n)
    a, b = laid(rng, m, k, a_layout, dtype), laid(rng, k, n, b_layout, dtype)
    memory = np.full(m * n + 64, 7, dtype)  # with margins that must survive
    out = memory[32 : 32 + m * n].reshape(m, n)
    out[...] = np.nan
    assert GEMM(a, b, out) is out
    wide = np.longdouble if dtype == "float64" else np.float64
    exact = a.astype(wide) @ b.astype(wide)
    bound = np.abs(a.astype(wide)) @ np.abs(b.astype(wide))
    assert (np.abs(out - exact) <= 4 * np.sqrt(k) * np.finfo(dtype).eps * bound).all()
    assert (memory[:32] == 7).all() and (memory[32 + m * n :] == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_no_number_goes_where_it_belongs(dtype):
    """Row by row and column by column: a panel's zeros beyond the last column touch nothing."""
    for m, k, n in SIZES:
        a, b = np.ones((m, k), dtype), np.ones((k, n), dtype)
        a[m // 2, k // 2], b[k // 3, n // 2] = np.inf, np.nan
        out = np.empty((m, n), dtype)
        GEMM(a, b, out)
        expected = np.full((m, n), k, dtype)
        expected[m // 2], expected[:, n // 2] = np.inf, np.nan
        np.testing.assert_array_equal(out, expected)


def test_what_no_product_takes_is_numpys():
    """Other dtypes, mixed ones, no rows, strides of bytes, an output that overlaps an operand."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((6, 6))
    for x, y in [(a.astype("f4"), a), (a + 1j, a + 0j), (a.astype(int), a.astype(int)),
                 (a[::2], a[:, ::2]), (a[:, ::-1], a), (a[:0], a), (a[:, :0], a[:0])]:  # fmt: skip
        out = np.empty((len(x), y.shape[1]), np.result_type(x, y))
        np.testing.assert_array_equal(WITH_BODY(x, y, out), x @ y)
    square = a.copy()
    np.testing.assert_allclose(WITH_BODY(square, a, square), a @ a, rtol=1e-12)
    with pytest.raises(ValueError, match="mismatch"):
        WITH_BODY(a, a[:5], np.empty((6, 6)))


BITS = """
import hashlib, sys
import numpy as np
from npvae.ops import reference
from npvae.ops.cpu import twins

module, _ = twins.library()
module.threads(int(sys.argv[1]))
ops, digest = twins.with_twins(reference(np)), hashlib.sha256()
module.threads(int(sys.argv[1]))
rng = np.random.default_rng(0)
for m, k, n in ((300, 200, 500), (100, 784, 500), (2000, 30, 77)):
    a, b = rng.standard_normal((m, k), "f4"), rng.standard_normal((n, k), "f4").T
    digest.update(ops.gemm(a, b, np.empty((m, n), "f4")))
    h, d_a, d_bias = (np.empty(s, "f4") for s in ((m, k), (m, k), (k,)))
    ops.tanh(a, rng.standard_normal(k, "f4"), h)
    ops.tanh_backward(a, h, d_a, d_bias)
    for array in (h, d_a, d_bias):
        digest.update(array)
print(digest.hexdigest())
"""


def test_the_bits_do_not_depend_on_the_number_of_threads():
    """Threads share rows, columns and tiles, and no sum: more of them than processors as well."""
    runs = [subprocess.run([sys.executable, "-c", BITS, n], capture_output=True, text=True,
                           check=True, env=os.environ).stdout for n in ("1", "2", "3", "7")]
    assert len(runs[0]) == 65 and set(runs) == {runs[0]}
