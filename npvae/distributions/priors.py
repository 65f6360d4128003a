"""Priors p(z): the member of a family with all parameters 0, or a mixture that learns.

    a family   N(0, I), Laplace(0, 1), Exponential(1), …
    mixture    Σ_k π_k N(μ_k, σ_k²)
    vamp       1/K Σ_k q(z|u_k) with pseudo-inputs u_k (Tomczak & Welling 2018)
"""
from typing import Any, ClassVar

from npvae.backend import Array, array_module
from npvae.distributions.compatibility import ALIASES
from npvae.distributions.latents import BoundDistribution, LatentFamily, Name
from npvae.distributions.special import special_functions
from npvae.memory import Context, Shape, Views
from npvae.records import dataclass

NORMAL = LatentFamily("normal")


@dataclass(frozen=True)
class FamilyPrior:
    """The member with all parameters 0 of the family ``name``. It has nothing to learn."""

    name: Name = "normal"

    @property
    def variables(self) -> LatentFamily:
        """The latent variables of a sample."""
        return LatentFamily(ALIASES.get(self.name, self.name))

    def n_noise(self, J: int) -> int:
        """Standard normals that a sample is made of."""
        return self.variables.n_noise(J)

    def density(self, ctx: Context, a: Array | None, J: int) -> BoundDistribution:
        """Its density."""
        return self.variables.standard(ctx.work.constant(0, J))


@dataclass(frozen=True)
class MixturePrior:
    """Σ_k π_k N(μ_k, σ_k²), all of which is learned.

    Attributes
    ----------
    K : int
        How many components.
    variables : LatentFamily
        What they are members of.
    """

    K: int
    variables: LatentFamily = NORMAL
    name: ClassVar[str] = "mixture"
    random_init: ClassVar[tuple[str, ...]] = ("prior.mean",)  # equal components would stay equal

    def n_noise(self, J: int) -> int:
        """Standard normals that a sample is made of: the first chooses the component."""
        return 1 + self.variables.n_noise(J)

    def shapes(self, D: int, J: int) -> dict[str, Shape]:
        """Its parameters: μ_k, log σ_k², and log π_k but for a constant."""
        K = self.K
        return {"prior.mean": (K, J), "prior.logvar": (K, J), "prior.logits": (K,)}

    def inputs(self, P: Views) -> Array | None:
        """What the encoder is to read for it: nothing."""
        return None

    def density(self, ctx: Context, a: Array | None, J: int) -> "Mixture":
        """Its density.   a (K, Σ heads): what the encoder says of its inputs, if it has any"""
        params = ctx.P["prior.mean"], ctx.P["prior.logvar"]
        return Mixture(BoundDistribution(self.variables.family, params), ctx.P["prior.logits"])

    def density_backward(
        self, G: Views, d_params: tuple[Array, ...], d_logits: Array, d_a: Array
    ) -> None:
        """What a :class:`Mixture` gave to its parameters, written into G."""
        G["prior.mean"][...], G["prior.logvar"][...] = d_params
        G["prior.logits"][...] = d_logits


@dataclass(frozen=True)
class VampPrior(MixturePrior):
    """1/K Σ_k q(z|u_k), the encoder's own view of K pseudo-inputs, which are learned."""

    name: ClassVar[str] = "vamp"
    random_init: ClassVar[tuple[str, ...]] = ("prior.inputs",)

    def shapes(self, D: int, J: int) -> dict[str, Shape]:
        """Its parameters: u_k."""
        return {"prior.inputs": (self.K, D)}

    def inputs(self, P: Views) -> Array | None:
        """What the encoder is to read for it: u.   (K, D)"""
        return P["prior.inputs"]

    def density(self, ctx: Context, a: Array | None, J: int) -> "Mixture":
        """Its density.   a (K, Σ heads): what the encoder says of u"""
        assert a is not None
        return Mixture(self.variables.at(a, J), ctx.work.constant(0, len(a)))

    def density_backward(
        self, G: Views, d_params: tuple[Array, ...], d_logits: Array, d_a: Array
    ) -> None:
        """What a :class:`Mixture` gave to its parameters, written into d_a (K, Σ heads)."""
        start = 0
        for d in d_params:
            d_a[:, start : start + d.shape[-1]] = d
            start += d.shape[-1]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Σ_k π_k p_k at given parameters, π = softmax(logits).

    Attributes
    ----------
    components : BoundDistribution
        Of parameters (K, ·).
    logits : array (K,)
        log π but for a constant.
    """

    components: BoundDistribution
    logits: Array

    def log_prob(self, y: Array) -> Array:
        """log p(y) in nats.   (…, J) → (…)"""
        return self._terms(y)[0]

    def log_prob_backward(
        self, d_logp: Array, y: Array
    ) -> tuple[Array, tuple[Array, ...], Array]:
        """d_logp (…) → d_y (…, J), what the components' parameters get (K, ·), and d_logits (K,).

        With the share r_k = π_k p_k(y)/p(y) of a component: it gets d_logp r_k, and d_logits is
        d_logp (r_k − π_k).
        """
        log_p, joint, log_weights = self._terms(y)
        xp = array_module(y)
        d_joint = d_logp[..., None] * xp.exp(joint - log_p[..., None])  # (…, K)
        d_y, d_params = self.components.log_prob_backward(d_joint, y[..., None, :])  # (…, K, J)
        K = len(self.logits)
        d_logits = d_joint.reshape(-1, K).sum(axis=0) - d_logp.sum() * xp.exp(log_weights)
        summed = tuple(d.sum(axis=tuple(range(d.ndim - 2))) for d in d_params)
        return d_y.sum(axis=-2), summed, d_logits

    def _terms(self, y: Array) -> tuple[Array, Array, Array]:
        """log p (…), log π_k p_k (…, K), log π (K,)."""
        xp = array_module(y)
        log_weights = self.logits - log_sum_exp(xp, self.logits)
        joint = self.components.log_prob(y[..., None, :]) + log_weights
        return log_sum_exp(xp, joint), joint, log_weights

    def rsample(self, eps: Array) -> Array:
        """A sample y of standard normals ε, the first of which chooses the component.   → (…, J)"""
        xp, K = array_module(eps), len(self.logits)
        weights = xp.exp(self.logits - log_sum_exp(xp, self.logits))
        up_to = (weights * (xp.arange(K)[:, None] >= xp.arange(K))).sum(axis=-1)  # Σ_{i≤k} π_i
        u = special_functions(eps).ndtr(eps[..., :1])
        k = (up_to[: K - 1] < u).sum(axis=-1)  # (…)
        params = tuple(p.take(k, axis=0) for p in self.components.params)
        return BoundDistribution(self.components.family, params).rsample(eps[..., 1:])

    def transform(self, y: Array) -> tuple[Array, Any]:
        """z and ∂z/∂y.   (…, J)"""
        return self.components.transform(y)


def log_sum_exp(xp: Any, a: Array) -> Array:
    """log Σ eᵃ over the last axis, without overflow."""
    top = a.max(axis=-1, keepdims=True)
    return xp.log(xp.exp(a - top).sum(axis=-1)) + top.squeeze(-1)


STANDARD_NORMAL = FamilyPrior("normal")
Prior = FamilyPrior | MixturePrior
Density = BoundDistribution | Mixture  # of p(z), at given parameters


def named_prior(name: str, posterior: LatentFamily, K: int) -> Prior:
    """The prior called ``name``; K is the number of components of those that learn."""
    if name == "mixture":
        return MixturePrior(K)
    return VampPrior(K, posterior) if name == "vamp" else FamilyPrior(name)
