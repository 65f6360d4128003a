"""Bias and activation: what lies between two matrix products of an MLP.

    forward    h = f(u), u = a + b             a = x Wᵀ (M, H), b (H,), h (M, H)
    backward   d_a = d_h · f′(u),              d_h, d_a (M, H)
               d_b = Σ_m d_a                   (H,)

An activation declares what its backward reads. Most derivatives are functions of the *output* h,
so that u need not be kept, and the buffer of ``a`` is free for ``d_a``. Those of gelu and silu are
functions of the *input* u: their forward pass leaves u in ``a``, and ``d_a`` goes where h was.

``h`` must not share memory with ``a``, nor ``d_a`` with ``d_h`` or what the backward reads, for
they serve as the working space. Where a formula has two branches it is written with maximum and
minimum, which cost a tenth of ``where``, and which NumPy also defines on complex numbers (by
their real part), so the complex step goes through every one of them.
"""
from math import pi

from npvae.ops.declare import op
from npvae.ops.elementary import absolute, logistic, sum_rows
from npvae.ops.layouts import columns, matrix

LEAK = 0.01  # derivative of leaky_relu where u < 0
BLOCK = 4096  # numbers at a time, where arrays are made on the way: they stay small, in the cache
FAR = 40.0  # deviations beyond which a normal tail is 0 in every dtype
# exp(½v²) Q(v) = Σ_k TAIL[k] sᵏ, s = (4 − v)/(4 + v): least squares weighted by exp(−½v²), which
# leaves 2e-17 of Q
TAIL = (
    0.09441064130191903, 0.17039772155007682, 0.12437925533792367, 0.07170740688983145,
    0.030864811241379315, 0.008492038967261048, 0.0005078402883748355, -0.000639733612885388,
    -0.000185082688243601, 4.2252393039757175e-05, 3.202450035344936e-05, -6.407154048438924e-06,
    -4.681497972173991e-06, 2.21146104626991e-06, -2.9897805606501823e-07,
)  # fmt: skip


@op(matrix, "h", reads="output")
def tanh(xp, a, bias, h):
    """h = tanh(a + b).   a, h (M, H), bias (H,)"""
    xp.add(a, bias, out=h)
    xp.tanh(h, out=h)


@op(columns, "d_a")
def tanh_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h · (1 − h²).   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.multiply(h, h, out=d_a)
    xp.subtract(1, d_a, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    sum_rows(xp, d_a, d_bias)


@op(matrix, "h", reads="output")
def relu(xp, a, bias, h):
    """h = max(a + b, 0).   a, h (M, H), bias (H,)"""
    xp.add(a, bias, out=h)
    xp.maximum(h, 0, out=h)


@op(columns, "d_a")
def relu_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h where h > 0, else 0.   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.greater(h, 0, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    sum_rows(xp, d_a, d_bias)


@op(matrix, "h", reads="output")
def sigmoid(xp, a, bias, h):
    """h = 1 / (1 + exp(−(a + b))).   a, h (M, H), bias (H,)"""
    xp.add(a, bias, out=h)
    logistic(xp, h, h)


@op(columns, "d_a")
def sigmoid_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h · h · (1 − h).   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.subtract(1, h, out=d_a)
    xp.multiply(d_a, h, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    sum_rows(xp, d_a, d_bias)


@op(matrix, "h", reads="output")
def softplus(xp, a, bias, h):
    """h = log(1 + exp(a + b)).   a, h (M, H), bias (H,)

    Written as log1p(exp(−|u|)) + max(u, 0), u = a + b, so that exp never overflows.
    """
    u = xp.add(a, bias, out=a)
    xp.negative(u, out=h)
    xp.minimum(u, h, out=h)  # −|u|
    xp.exp(h, out=h)
    xp.log1p(h, out=h)
    xp.add(h, xp.maximum(u, 0, out=u), out=h)


@op(columns, "d_a")
def softplus_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h · sigmoid(u) = d_h · (1 − exp(−h)).   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.negative(h, out=d_a)
    xp.expm1(d_a, out=d_a)
    xp.negative(d_a, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    sum_rows(xp, d_a, d_bias)


@op(matrix, "h", reads="output")
def elu(xp, a, bias, h):
    """h = u where u > 0, else exp(u) − 1, with u = a + b.   a, h (M, H), bias (H,)"""
    u = xp.add(a, bias, out=a)
    xp.minimum(u, 0, out=h)
    xp.expm1(h, out=h)
    xp.add(h, xp.maximum(u, 0, out=u), out=h)


@op(columns, "d_a")
def elu_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h · (1 where h > 0, else h + 1).   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.minimum(h, 0, out=d_a)
    xp.add(d_a, 1, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    sum_rows(xp, d_a, d_bias)


@op(matrix, "h", reads="output")
def leaky_relu(xp, a, bias, h):
    """h = max(u, u/100), u = a + b.   a, h (M, H), bias (H,)"""
    u = xp.add(a, bias, out=a)
    xp.multiply(u, LEAK, out=h)
    xp.maximum(u, h, out=h)


@op(columns, "d_a")
def leaky_relu_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h where h > 0, else d_h/100.   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.greater(h, 0, out=d_a)
    xp.maximum(d_a, LEAK, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    sum_rows(xp, d_a, d_bias)


@op(matrix, "h", reads="input")
def gelu(xp, a, bias, h):
    """h = u Φ(u), u = a + b, Φ the standard normal's CDF (Hendrycks, Gimpel 2016): the exact form.

    Written as max(u, 0) − |u| Q(|u|) with the upper tail Q = 1 − Φ, so that neither side cancels.

    a (M, H) in: products, out: u; bias (H,) → h (M, H)
    """
    xp.add(a, bias, out=a)
    for u, out, q, bell in _row_blocks(xp, 2, a, h):
        _normal_tail(xp, u, out, q, bell)
        xp.multiply(q, out, out=q)
        xp.maximum(u, 0, out=out)
        xp.subtract(out, q, out=out)


@op(columns, "d_a")
def gelu_backward(xp, d_h, u, d_a, d_bias):
    """d_a = d_h · (Φ(u) + u φ(u)), with the density φ = Φ′.   d_h, u, d_a (M, H), d_bias (H,)"""
    for d, v, out, q, bell in _row_blocks(xp, 2, d_h, u, d_a):
        _normal_tail(xp, v, out, q, bell)
        xp.subtract(0.5, q, out=q)
        xp.multiply(q, xp.sign(v, out=out), out=q)  # Φ − ½
        xp.multiply(bell, (2 * pi) ** -0.5, out=bell)  # φ
        xp.multiply(bell, v, out=out)
        xp.add(out, q, out=out)
        xp.add(out, 0.5, out=out)
        xp.multiply(out, d, out=out)
    sum_rows(xp, d_a, d_bias)


def _normal_tail(xp, u, v, q, bell):
    """v = |u|, cut off at FAR; Q(v) = P(ν > v) for ν ~ N(0, 1), to 2⁻⁵²; and exp(−½v²).

    u any shape → v, q, bell
    """
    xp.minimum(absolute(xp, u, v), FAR, out=v)
    s = xp.subtract(4, v, out=bell)
    xp.add(v, 4, out=q)
    xp.divide(s, q, out=s)
    xp.multiply(s, TAIL[-1], out=q)
    for c in TAIL[-2:0:-1]:
        xp.add(q, c, out=q)
        xp.multiply(q, s, out=q)
    xp.add(q, TAIL[0], out=q)
    xp.multiply(v, v, out=bell)
    xp.multiply(bell, -0.5, out=bell)
    xp.exp(bell, out=bell)
    xp.multiply(q, bell, out=q)


@op(matrix, "h", reads="input")
def silu(xp, a, bias, h):
    """h = u sigmoid(u) = u / (1 + exp(−u)), u = a + b, also called swish.

    a (M, H) in: products, out: u; bias (H,) → h (M, H)
    """
    u = xp.add(a, bias, out=a)
    _exp_minus(xp, u, h)
    xp.add(h, 1, out=h)
    xp.divide(u, h, out=h)


@op(columns, "d_a")
def silu_backward(xp, d_h, u, d_a, d_bias):
    """d_a = d_h · y (1 + u (1 − y)),  y = sigmoid(u).   d_h, u, d_a (M, H), d_bias (H,)

    1 − y is written as exp(−u) y, which loses no digit.
    """
    for d, v, out, y in _row_blocks(xp, 1, d_h, u, d_a):
        _exp_minus(xp, v, out)
        xp.add(out, 1, out=y)
        xp.divide(1, y, out=y)
        xp.multiply(out, y, out=out)  # 1 − y
        xp.multiply(out, v, out=out)
        xp.add(out, 1, out=out)
        xp.multiply(out, y, out=out)
        xp.multiply(out, d, out=out)
    sum_rows(xp, d_a, d_bias)


def _exp_minus(xp, u, out):
    """exp(−u), any shape; it stops at e⁸⁰, the reciprocal of which is as good as 0."""
    xp.negative(u, out=out)
    xp.minimum(out, 80, out=out)
    xp.exp(out, out=out)


@op(matrix, "h", reads="output")
def identity(xp, a, bias, h):
    """h = a + b.   a, h (M, H), bias (H,)"""
    xp.add(a, bias, out=h)


@op(columns, "d_a")
def identity_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h.   d_h, h, d_a (M, H), d_bias (H,)"""
    d_a[...] = d_h
    sum_rows(xp, d_a, d_bias)


def _row_blocks(xp, n, *arrays):
    """Some rows of each array at a time, about BLOCK numbers, and n arrays to work in.   (m, H)"""
    M, H = arrays[0].shape
    rows = max(1, BLOCK // max(1, H))
    scratch = [xp.empty_like(arrays[0][:rows]) for _ in range(n)]
    for start in range(0, M, rows):
        some = [array[start : start + rows] for array in arrays]
        yield *some, *(array[: len(some[0])] for array in scratch)
