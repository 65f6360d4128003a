"""The two estimators of the lower bound, SGVB A and B (eqs. 6 and 7).

Both are the mean over samples of ``log p(x|z_l) − r_l`` and differ in what stands for the
distance of q from the prior:

    A    r_l = log q(z_l|x) − log p(z_l)     any posterior with a density
    B    r   = KL(q(z|x) ‖ p(z))             in closed form; usually the lower variance

They agree in expectation. Each is two calls, a forward and a backward, around one fused op.
"""
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from npvae.memory import Workspace
from npvae.objectives.kl_term import Weighed
from npvae.ops import Ops

Array = Any
Draw = tuple[int, int, Array] | None  # (seed, stream, step (1,)): where noise comes from


class Latent(NamedTuple):
    """The stochastic layer of one step."""

    z: Array  # (L, M, J)
    kl: Array  # r: (1, M) for B, (L, M) for A, in nats


class Estimator(Protocol):
    """What a model asks of a gradient estimator."""

    def latent(
        self, ops: Ops, a: Array, bias: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Latent:
        """a (M, 2J), eps (L, M, J) → z and r. Leaves [μ | log σ²] in a.

        With ``draw`` = (seed, stream, step), ε is drawn into ``eps`` in the same op.
        """

    def latent_backward(
        self, ops: Ops, d_z: Array, term: Weighed, a: Array, eps: Array, d_bias: Array,
        work: Workspace,
    ) -> Array:  # fmt: skip
        """d_z (L, M, J), a as :meth:`latent` left it → d_a (M, 2J); writes d_bias (2J,).

        ``term`` has ∂loss/∂r, which is what comes by way of r, and not of z.
        """


@dataclass(frozen=True)
class EstimatorB:
    """KL in closed form, reconstruction by sampling (eq. 7)."""

    def latent(
        self, ops: Ops, a: Array, bias: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Latent:
        L, M, J = eps.shape
        z, kl = work("z", L, M, J), work("kl", 1, M)
        outputs = work("sigma", M, J), z, kl
        if draw:
            ops.draw_normal_kl(*draw, a, bias, eps, *outputs)
        else:
            ops.normal_kl(a, bias, eps, *outputs)
        return Latent(z, kl)

    def latent_backward(
        self, ops: Ops, d_z: Array, term: Weighed, a: Array, eps: Array, d_bias: Array,
        work: Workspace,
    ) -> Array:  # fmt: skip
        _, M, J = eps.shape
        d_a, sigma = work("z.d_a", M, 2 * J), work("sigma", M, J)
        if term.is_open is None:
            ops.normal_kl_backward(d_z, term.d_kl, a, eps, sigma, d_a, d_bias)
        else:
            ops.free_bits_backward(d_z, term.d_kl, term.is_open, a, eps, sigma, d_a, d_bias)
        return d_a


@dataclass(frozen=True)
class EstimatorA:
    """Both terms by sampling (eq. 6)."""

    def latent(
        self, ops: Ops, a: Array, bias: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Latent:
        L, M, J = eps.shape
        z, log_ratio = work("z", L, M, J), work("kl", L, M)
        outputs = work("sigma", M, J), z, log_ratio
        if draw:
            ops.draw_normal_log_ratio(*draw, a, bias, eps, *outputs)
        else:
            ops.normal_log_ratio(a, bias, eps, *outputs)
        return Latent(z, log_ratio)

    def latent_backward(
        self, ops: Ops, d_z: Array, term: Weighed, a: Array, eps: Array, d_bias: Array,
        work: Workspace,
    ) -> Array:  # fmt: skip
        L, M, J = eps.shape
        z, sigma, d_a = work("z", L, M, J), work("sigma", M, J), work("z.d_a", M, 2 * J)
        ops.normal_log_ratio_backward(d_z, term.d_kl, a, eps, sigma, z, d_a, d_bias)
        return d_a


ESTIMATORS: dict[str, Estimator] = {"A": EstimatorA(), "B": EstimatorB()}
