"""How the KL enters the objective: with a weight β, a warm-up, and free bits.

The lower bound takes the KL as it is. What is minimised may have another term in its place,

    β · KL                  β > 1: a β-VAE (Higgins et al. 2017); β < 1: sharper, less regular
    β_t · KL                β_t rising from 0 to β (Bowman et al. 2016), so latents come into use
    β · Σ_j max(λ, KL_j)    free bits: λ nats a latent cost nothing more (Kingma et al. 2016)

KL_j being that of latent j, its mean over the minibatch. What is reported stays the bound: the
KL itself is never touched. With the term comes what the way back through the stochastic layer
starts from: ∂loss/∂kl, and which latents are open to it.
"""
from dataclasses import dataclass
from typing import Any, NamedTuple

from npvae.memory import Workspace
from npvae.ops import Ops

Array = Any


def mean_weights(work: Workspace, terms: int, M: int) -> Array:
    """∂(mean of all terms)/∂(each term) = 1/(their number).   (terms, M), terms being L or 1"""
    return work.constant(1 / (terms * M), terms, M)


class Weighed(NamedTuple):
    """What the loss has in place of the KL, there and back."""

    value: Array  # its mean enters the loss                       (1 or L, M)
    d_kl: Array  # ∂loss/∂kl, of a latent that is open             (1 or L, M)
    is_open: Array = None  # 1 above the free bits, else 0; None where none are free    (J,)


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
    ) -> Weighed:
        """The term for kl (K, M), which it is itself where nothing is weighed.

        a = [μ | log σ²] (M, 2J). ``weight``, if given, is that of the step in hand: an array
        without dimensions.
        """
        if weight is None and self == PLAIN:
            return Weighed(kl, mean_weights(work, *kl.shape))
        is_open = None
        if self.free_bits:
            M, J = len(a), a.shape[-1] // 2
            is_open, floored = work("kl.open", J), work("kl.floored", 1, M)
            ops.free_bits(a, work("sigma", M, J), self.free_bits, is_open, floored)
            kl = floored
        term, d_kl = work("kl.term", *kl.shape), work("d_kl", *kl.shape)
        ops.weigh(kl, self.weight if weight is None else weight, term, d_kl)
        return Weighed(term, d_kl, is_open)


PLAIN = KLTerm()  # the lower bound's own
