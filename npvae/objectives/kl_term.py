"""How the KL enters the objective: with a weight β, a warm-up, and free bits.

The lower bound takes the KL as it is. What is minimised may have another term in its place,

    β · KL                  β > 1: a β-VAE (Higgins et al. 2017); β < 1: sharper, less regular
    β_t · KL                β_t rising from 0 to β (Bowman et al. 2016), so latents come into use
    β · Σ_j max(λ, KL_j)    free bits: λ nats a latent cost nothing more (Kingma et al. 2016)

KL_j being that of latent j, its mean over the minibatch. What is reported stays the bound: the
KL itself is never touched. The term leaves behind, in the workspace, what the way back through
the stochastic layer starts from: ∂loss/∂kl, and which latents are open to it.
"""
from dataclasses import dataclass
from typing import Any

from npvae.memory import Workspace
from npvae.ops import Ops

Array = Any
D_KL, OPEN = "d_kl", "kl.open"  # buffers by which the way there speaks to the way back


def mean_weights(work: Workspace, terms: int, M: int) -> Array:
    """∂(mean of all terms)/∂(each term) = 1/(their number).   (terms, M), terms being L or 1"""
    return work.constant(1 / (terms * M), terms, M)


def kl_weights(work: Workspace, terms: int, M: int) -> Array:
    """∂loss/∂(each KL term): what a stochastic layer's way back starts from.   (terms, M)"""
    return work(D_KL, terms, M) if D_KL in work else mean_weights(work, terms, M)


def open_latents(work: Workspace, J: int) -> Array | None:
    """1 for a latent whose KL is above the free bits, else 0 (J,); None where none are free."""
    return work(OPEN, J) if OPEN in work else None


@dataclass(frozen=True)
class KLTerm:
    """What the loss has in place of the KL; as it stands, the KL.

    Attributes
    ----------
    weight : float
        β, after the warm-up.
    warmup : int
        Epochs over which the weight rises linearly from 0.
    free_bits : float
        λ, in nats a latent: for a normal posterior with its KL in closed form.
    """

    weight: float = 1.0
    warmup: int = 0
    free_bits: float = 0.0

    def weight_at(self, step: int, n_batches: int) -> float:
        """The weight in step number ``step`` (from 0), an epoch having ``n_batches``.

        Examples
        --------
        >>> term = KLTerm(weight=4.0, warmup=2)
        >>> [term.weight_at(step, n_batches=2) for step in range(6)]
        [0.0, 1.0, 2.0, 3.0, 4.0, 4.0]
        """
        rise = self.warmup * n_batches
        return self.weight * step / rise if step < rise else self.weight

    def __call__(
        self, ops: Ops, kl: Array, a: Array, work: Workspace, weight: Any = None
    ) -> Array | None:
        """The term, whose mean enters the loss, or None where that is ``kl`` itself.

        kl (K, M), a = [μ | log σ²] (M, 2J) → (K, M). ``weight``, if given, is that of the step
        in hand: an array without dimensions.
        """
        if weight is None and self == PLAIN and D_KL not in work:
            return None
        if self.free_bits or OPEN in work:
            M, J = len(a), a.shape[-1] // 2
            floored = work("kl.floored", 1, M)
            ops.free_bits(a, work("sigma", M, J), self.free_bits, work(OPEN, J), floored)
            kl = floored
        term = work("kl.term", *kl.shape)
        ops.weigh(kl, self.weight if weight is None else weight, term, work(D_KL, *kl.shape))
        return term


PLAIN = KLTerm()  # the lower bound's own
