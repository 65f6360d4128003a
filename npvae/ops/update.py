"""Parameter updates: one rule an op, over the one flat vector of all P parameters.

``theta`` and the moments are changed in place; ``grad`` is ∂loss/∂θ and is left alone;
``scratch`` is working space. All are (P,). ``rate`` is the learning rate of this step, and like
``epsilon`` a number or an array without dimensions, of the parameters' dtype.
"""
from npvae.ops.declare import op
from npvae.ops.layouts import block_per_part, elements, one_block


@op(block_per_part, "parts grad", float64="parts")
def squares(xp, grad, parts):
    """Numbers that add up to Σ g².   grad (P,) → parts (K,) float64"""
    parts[...] = 0
    parts[:1] = xp.dot(grad, grad)


@op(one_block, "parts factor", float64="parts")
def clip_factor(xp, parts, max_norm, factor):
    """factor = min(1, max_norm / ‖g‖), with ‖g‖² = Σ parts.   parts (K,) → factor (1,)"""
    norm = xp.sqrt(xp.sum(parts))
    factor[...] = xp.minimum(max_norm / xp.maximum(norm, 1e-30), 1.0)


@op(elements, "grad")
def scale(xp, grad, factor):
    """g ← factor · g.   grad (P,), factor (1,)"""
    xp.multiply(grad, factor, out=grad)


@op(elements, "moment", scratch="scratch")
def flush_denormals(xp, moment, scratch):
    """m ← 0 where |m| < 1e-30.

    A moment whose gradient has become zero shrinks by β a step, into the subnormal numbers,
    where a processor takes a hundred times as long over each, and stays there. 1e-30 against
    the ε of an update is far below rounding.
    """
    xp.absolute(moment, out=scratch)
    xp.greater(scratch, 1e-30, out=scratch)
    xp.multiply(moment, scratch, out=moment)


@op(elements, "theta", scratch="scratch", scalar_or_array="rate")
def sgd(xp, theta, grad, scratch, rate):
    """θ ← θ − rate · g"""
    xp.multiply(grad, rate, out=scratch)
    xp.subtract(theta, scratch, out=theta)


@op(elements, "theta", scratch="scratch", scalar_or_array="rate")
def momentum(xp, theta, grad, velocity, scratch, rate, mu):
    """v ← μ v + g;   θ ← θ − rate · v     (Polyak 1964)"""
    xp.multiply(velocity, mu, out=velocity)
    xp.add(velocity, grad, out=velocity)
    sgd(xp, theta, velocity, scratch, rate)


@op(elements, "theta", scratch="scratch", scalar_or_array="rate")
def nesterov(xp, theta, grad, velocity, scratch, rate, mu):
    """v ← μ v + g;   θ ← θ − rate · (g + μ v)     (Sutskever et al. 2013)"""
    xp.multiply(velocity, mu, out=velocity)
    xp.add(velocity, grad, out=velocity)
    xp.multiply(velocity, mu, out=scratch)
    xp.add(scratch, grad, out=scratch)
    sgd(xp, theta, scratch, scratch, rate)


def _scaled_step(xp, theta, numerator, square, scratch, rate, epsilon):
    """θ ← θ − rate · numerator / (√square + ε)"""
    xp.sqrt(square, out=scratch)
    xp.add(scratch, epsilon, out=scratch)
    xp.divide(numerator, scratch, out=scratch)
    sgd(xp, theta, scratch, scratch, rate)


@op(elements, "theta", scratch="scratch", scalar_or_array="rate epsilon")
def adagrad(xp, theta, grad, square, scratch, rate, epsilon):
    """s ← s + g²;   θ ← θ − rate · g / (√s + ε)     (Duchi et al. 2011)"""
    xp.multiply(grad, grad, out=scratch)
    xp.add(square, scratch, out=square)
    _scaled_step(xp, theta, grad, square, scratch, rate, epsilon)


@op(elements, "theta", scratch="scratch", scalar_or_array="rate epsilon")
def rmsprop(xp, theta, grad, square, scratch, rate, decay, epsilon):
    """s ← ρ s + (1 − ρ) g²;   θ ← θ − rate · g / (√s + ε)     (Tieleman & Hinton 2012)"""
    xp.multiply(grad, grad, out=scratch)
    xp.multiply(scratch, 1 - decay, out=scratch)
    xp.multiply(square, decay, out=square)
    xp.add(square, scratch, out=square)
    _scaled_step(xp, theta, grad, square, scratch, rate, epsilon)


@op(elements, "theta", scratch="scratch", scalar_or_array="rate epsilon")
def adam(xp, theta, grad, mean, square, scratch, rate, beta1, beta2, epsilon):
    """m ← β₁ m + g;   s ← β₂ s + g²;   θ ← θ − rate · m / (√s + ε)     (Kingma & Ba 2015)

    The moments are kept without their factors 1 − β: ``rate`` and ``epsilon`` carry those
    and the bias corrections of the step, which saves two passes over the parameters.
    """
    xp.multiply(mean, beta1, out=mean)
    xp.add(mean, grad, out=mean)
    xp.multiply(grad, grad, out=scratch)
    xp.multiply(square, beta2, out=square)
    xp.add(square, scratch, out=square)
    _scaled_step(xp, theta, mean, square, scratch, rate, epsilon)
