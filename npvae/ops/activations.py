"""Bias and activation: what lies between two matrix products of an MLP.

    forward    h = f(a + b)                    a = x Wᵀ (M, H), b (H,), h (M, H)
    backward   d_a = d_h · f′(a + b),          d_h, d_a (M, H)
               d_b = Σ_m d_a                   (H,)

Every derivative here is written as a function of the *output* h, so the pre-activation need
not be kept. ``h`` must not share memory with ``a``, nor ``d_a`` with ``d_h`` or ``h``, for they
serve as the working space. Where a formula has two branches it is written with maximum and
minimum, which cost a tenth of ``where``, and which NumPy also defines on complex numbers (by
their real part), so the complex step goes through every one of them.
"""


def _bias_backward(xp, d_a, d_bias):
    """d_b = Σ_m d_a.   d_a (M, H), d_bias (H,)"""
    xp.sum(d_a, axis=0, out=d_bias)


def identity(xp, a, bias, h):
    """h = a + b.   a, h (M, H), bias (H,)"""
    xp.add(a, bias, out=h)


def identity_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h.   d_h, h, d_a (M, H), d_bias (H,)"""
    d_a[...] = d_h
    _bias_backward(xp, d_a, d_bias)


def tanh(xp, a, bias, h):
    """h = tanh(a + b).   a, h (M, H), bias (H,)"""
    xp.add(a, bias, out=h)
    xp.tanh(h, out=h)


def tanh_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h · (1 − h²).   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.multiply(h, h, out=d_a)
    xp.subtract(1, d_a, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    _bias_backward(xp, d_a, d_bias)


def relu(xp, a, bias, h):
    """h = max(a + b, 0).   a, h (M, H), bias (H,)"""
    xp.add(a, bias, out=h)
    xp.maximum(h, 0, out=h)


def relu_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h where h > 0, else 0.   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.greater(h, 0, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    _bias_backward(xp, d_a, d_bias)


def sigmoid(xp, a, bias, h):
    """h = 1 / (1 + exp(−(a + b))) = ½ + ½ tanh(½(a + b)).   a, h (M, H), bias (H,)

    The tanh form is one transcendental and overflows for no input.
    """
    xp.add(a, bias, out=h)
    logistic(xp, h, h)


def logistic(xp, a, y):
    """y = 1 / (1 + exp(−a)), any shape; y may be a."""
    xp.multiply(a, 0.5, out=y)
    xp.tanh(y, out=y)
    xp.multiply(y, 0.5, out=y)
    xp.add(y, 0.5, out=y)


def sigmoid_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h · h · (1 − h).   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.subtract(1, h, out=d_a)
    xp.multiply(d_a, h, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    _bias_backward(xp, d_a, d_bias)


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


def softplus_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h · sigmoid(u) = d_h · (1 − exp(−h)).   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.negative(h, out=d_a)
    xp.expm1(d_a, out=d_a)
    xp.negative(d_a, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    _bias_backward(xp, d_a, d_bias)


def elu(xp, a, bias, h):
    """h = u where u > 0, else exp(u) − 1, with u = a + b.   a, h (M, H), bias (H,)"""
    u = xp.add(a, bias, out=a)
    xp.minimum(u, 0, out=h)
    xp.expm1(h, out=h)
    xp.add(h, xp.maximum(u, 0, out=u), out=h)


def elu_backward(xp, d_h, h, d_a, d_bias):
    """d_a = d_h · (1 where h > 0, else h + 1).   d_h, h, d_a (M, H), d_bias (H,)"""
    xp.minimum(h, 0, out=d_a)
    xp.add(d_a, 1, out=d_a)
    xp.multiply(d_a, d_h, out=d_a)
    _bias_backward(xp, d_a, d_bias)
