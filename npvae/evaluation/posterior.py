"""The posterior p(z|x) ∝ p(x, z) of a decoder, and a path that leads there from a normal.

    U(z) = −log p(x, z) = −log p(x|z) + ½‖z‖² + ½ J log 2π,        p(z) = N(0, I)
    ∂U/∂z = d_z of the decoder's backward pass + z

The same forward and backward pages that train the decoder give both; the gradient of the
parameters, which comes with d_z, goes where nobody reads it.
"""
from dataclasses import dataclass
from math import log, pi
from typing import Any

from npvae.backend import array_module
from npvae.errors import ParameterError
from npvae.memory import Workspace
from npvae.models import Engine
from npvae.ops.latent import halves

Array = Any
STARTS = ("prior", "posterior")


class Posterior:
    """p(z|x) up to its normalisation, which is p(x), for M datapoints at once.

    Parameters
    ----------
    engine : Engine
        Of a model with a decoder, a likelihood and the prior N(0, I).
    x : array (M, D)
        Datapoints, on the engine's device and of its dtype.
    work : Workspace
        Buffers, the engine's own if not given.
    """

    def __init__(self, engine: Engine, x: Array, work: Workspace | None = None):
        self.engine, self.x, self.work = engine, x, work or engine.work
        self.scratch = engine.layout.views(self.work("posterior.grad", engine.theta.size))

    def energy(self, z: Array) -> tuple[Array, Array]:
        """z (L, M, J) → U = −log p(x, z) (L, M), nats, and ∂U/∂z (L, M, J)."""
        ops, P, work, model = self.engine.ops, self.engine.P, self.work, self.engine.model
        p_x, scratch = model.likelihood, self.scratch  # type: ignore[attr-defined]
        a = model.decoder.forward(ops, P, z, work)  # (L, M, ·)
        U = p_x.nll(ops, a, P["decoder.heads.bias"], self.x, work)  # (L, M)
        U = U + 0.5 * (z * z).sum(axis=-1) + 0.5 * z.shape[-1] * log(2 * pi)
        d_nll = work.constant(1, *U.shape)
        d_a = p_x.nll_backward(ops, d_nll, a, self.x, scratch["decoder.heads.bias"], work)
        d_z = self.engine.xp.empty(z.shape, z.dtype)  # chains keep it
        model.decoder.backward(ops, P, scratch, z, d_a, work, d_z)
        return U, d_z + z


@dataclass(frozen=True)
class Start:
    """N(μ, σ²), where chains start from: the prior N(0, I), or q(z|x).   mu, sigma (M, J)"""

    mu: Array
    sigma: Array

    def draw(self, eps: Array) -> Array:
        """z = μ + σ ε.   (L, M, J)"""
        return self.mu + self.sigma * eps

    def energy(self, z: Array) -> tuple[Array, Array]:
        """z → −log N(z; μ, σ²) (L, M), nats, and its gradient r/σ, r = (z − μ)/σ   (L, M, J)."""
        r = (z - self.mu) / self.sigma
        U = 0.5 * (r * r).sum(axis=-1) + array_module(z).log(self.sigma).sum(axis=-1)
        return U + 0.5 * z.shape[-1] * log(2 * pi), r / self.sigma


def start_at(name: str, posterior: Posterior) -> Start:
    """``"prior"``: N(0, I). ``"posterior"``: the encoder's q(z|x).

    Raises
    ------
    ParameterError
        If it is neither, or the encoder speaks of no normal.
    """
    engine, work, x = posterior.engine, posterior.work, posterior.x
    model, xp, shape = engine.model, engine.xp, (len(x), engine.model.decoder.n_in)
    if name == "prior":
        return Start(xp.zeros(shape, x.dtype), xp.ones(shape, x.dtype))
    if name != "posterior":
        raise ParameterError(f"start={name!r} is not known; choose from {', '.join(STARTS)}")
    if tuple(model.encoder.heads) != ("mean", "logvar"):
        raise ParameterError("start='posterior' needs a normal q(z|x); take start='prior'")
    a = model.encoder.forward(engine.ops, engine.P, x, work) + engine.P["encoder.heads.bias"]
    mu, logvar = halves(a)
    return Start(mu, xp.exp(0.5 * logvar))
