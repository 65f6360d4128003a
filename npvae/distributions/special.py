"""Special functions, and the quantile of a gamma variable with its derivative by the shape.

The derivative is implicit (Figurnov, Mohamed, Mnih 2018): from P(α, x) = u with u held fixed,
dx/dα = −(∂P/∂α) / q(x). Written out as an integral, everything large cancels from it: with
t = x eʸ and q(t) ∝ tᵅ⁻¹ e⁻ᵗ,

    d log x/dα = ∫ (log t − ψ(α)) q(t) dt / (x q(x)) = ∫₀^±∞ (y + c) exp(αy − x(eʸ − 1)) dy

with c = log x − ψ(α). Since E[log t] = ψ(α), the integral may go either way; taken up for c > 0
and down for c < 0, y + c does not change its sign, so that nothing is lost by subtraction.
"""
from collections.abc import Callable
from functools import cache, wraps
from math import cos, pi
from typing import Any

from npvae.backend import Array, array_module, is_device_array
from npvae.errors import optional_import

NODES = 32  # of the integral: 1e-12 for shapes from 1e-6 to 1e6, at every quantile
LOST = 36.0  # e⁻³⁶ of the integrand is below its rounding


def in_double(family: type) -> type:
    """Class decorator: a family whose densities are evaluated in float64, and rounded once.

    log Γ(10⁶) is 10⁷, and what is left of a sum of such is of the order of 1: in float32 nothing.
    """
    for name in ("log_prob", "entropy", "kl", "mean", "std"):
        for method in (name, f"{name}_backward"):
            if method in vars(family):
                setattr(family, method, rounded(vars(family)[method]))
    return family


def rounded(method: Callable) -> Callable:
    """A method that takes and gives arrays: of float32 ones the result is that of float64."""

    @wraps(method)
    def call(self: Any, *arguments: Any) -> Any:
        lists = any(isinstance(a, (list, tuple)) for a in arguments)  # which are float64
        if lists or {str(a.dtype) for a in arguments if hasattr(a, "dtype")} != {"float32"}:
            return method(self, *arguments)
        wide = (a.astype("float64") if hasattr(a, "dtype") else a for a in arguments)
        return single(method(self, *wide))

    return call


def single(result: Any) -> Any:
    """An array, or tuples of them, in float32; what is finite stays finite."""
    if isinstance(result, tuple):
        return tuple(map(single, result))
    xp = array_module(result)
    most = float(xp.finfo("float32").max)
    near = xp.minimum(xp.maximum(result, -most), most)
    return xp.where(xp.isinf(result), result, near).astype("float32")


def special_functions(array: Any) -> Any:
    """scipy.special, or cupyx.scipy.special for an array of a device."""
    name = "cupyx.scipy.special" if is_device_array(array) else "scipy.special"
    return optional_import(name, "science")


def gammaln(x: Array) -> Array:
    """log Γ(x), x > 0."""
    return special_functions(x).gammaln(x)


def digamma(x: Array) -> Array:
    """ψ(x) = d log Γ(x)/dx."""
    return special_functions(x).digamma(x)


def trigamma(x: Array) -> Array:
    """ψ′(x) = Σ_n (x + n)⁻²."""
    return special_functions(x).zeta(2.0, x)


def scaled_exp1(x: Array) -> Array:
    """eˣ E₁(x) = ∫ e⁻ᵗ/(x + t) dt over t > 0, for x > 0 of any size.

    Examples
    --------
    >>> import numpy as np
    >>> scaled_exp1(np.array([1.0, 1e6])).round(7)
    array([5.963474e-01, 1.000000e-06])
    """
    xp = array_module(x)
    near, far = xp.minimum(x, 5.0), xp.maximum(x, 5.0)
    fraction = 0 * far
    for n in range(NODES, 0, -1):  # 1/(x + 1 − 1²/(x + 3 − 2²/(x + 5 − …)))
        fraction = n * n / (far + (2 * n + 1) - fraction)
    by_series = xp.exp(near) * special_functions(x).exp1(near)
    return xp.where(x < 5.0, by_series, 1 / (far + 1 - fraction))


def log_gamma_sample(u: Array, log_shape: Array) -> Array:
    """y = log x with P(α, x) = u: x ~ Gamma(α, 1) for uniform u in (0, 1].

    For a small shape x is far below the smallest float (10⁻³⁰⁰ is nothing unusual for
    α = 10⁻²) but its logarithm is not: there P(α, x) = xᵅ/Γ(α + 1).

    Examples
    --------
    >>> import numpy as np
    >>> log_gamma_sample(np.array([0.5, 0.5]), np.log([1.0, 1e-2])).round(4)
    array([ -0.3665, -69.8837])
    """
    xp = array_module(log_shape)
    alpha = xp.exp(log_shape)
    info = xp.finfo(alpha.dtype)
    below_one = xp.minimum(u, 1 - 0.5 * float(info.eps))
    x = special_functions(alpha).gammaincinv(alpha, below_one)
    tiny_x = (xp.log(u) + gammaln(1 + alpha)) / alpha
    return xp.where(tiny_x < -LOST, tiny_x, xp.log(xp.maximum(x, info.tiny)))


def log_gamma_sample_backward(d_y: Array, y: Array, log_shape: Array) -> Array:
    """d_log_shape = d_y · α dy/dα at the same u."""
    xp = array_module(log_shape)
    shape = xp.exp(log_shape)
    small = shape < 1
    alpha = shape + small  # ≥ 1: the integrand then is one smooth hump
    x, c = xp.exp(y), y - digamma(alpha)
    slope = quantile_integral(xp, alpha, x, c)
    # P(α, x) = P(α + 1, x) + xᵅ e⁻ˣ/Γ(α + 1), differentiated
    return d_y * xp.where(small, x * slope - c, shape * slope)


def quantile_integral(xp: Any, alpha: Array, x: Array, c: Array) -> Array:
    """∫ (y + c) exp(αy − x(eʸ − 1)) dy from 0 up if c > 0, down if not.   α ≥ 1

    Gauss-Legendre from 0 to a bound where the exponent is below −36: the root of a quadratic,
    by eʸ − 1 − y ≥ y²/2 above and y²/(2 − y) below 0; far above, the exponential tells more.
    """
    excess = x - alpha
    b = LOST + 2 * excess
    down = 0.5 * (b + xp.sqrt(b * b + 8 * LOST * alpha)) / alpha
    large = xp.maximum(x, 0.25)  # where c > 0, x > e^ψ(1) = 0.56
    up = 2 * LOST / (excess + xp.sqrt(excess * excess + 2 * LOST * large))
    up = xp.minimum(up, xp.log1p((LOST + alpha * up) / large))
    end = xp.where(c > 0, up, -down)
    total = 0 * end
    for node, weight in gauss_legendre(NODES):
        y = node * end
        total = total + weight * (y + c) * xp.exp(alpha * y - x * xp.expm1(y))
    return total * end


@cache
def gauss_legendre(n: int) -> list[tuple[float, float]]:
    """Nodes and weights of the n-point rule on [0, 1], exact for polynomials of degree 2n − 1.

    Examples
    --------
    >>> round(sum(w * x**5 for x, w in gauss_legendre(3)), 15)  # 1/6
    0.166666666666667
    """
    rule = []
    for i in range(n):
        x = cos(pi * (i + 0.75) / (n + 0.5))
        for _ in range(6):  # Newton, which doubles the digits
            p, before = x, 1.0
            for k in range(2, n + 1):
                p, before = ((2 * k - 1) * x * p - (k - 1) * before) / k, p
            slope = n * (before - x * p) / (1 - x * x)
            x -= p / slope
        rule.append((0.5 + 0.5 * x, 1 / ((1 - x * x) * slope * slope)))
    return rule
