"""A scale that is learned: what it may depend on, where it begins, and how far it may go.

The density of real x grows without bound as σ → 0 about a perfect prediction, and −log p(x|z)
with e^−log σ² where a prediction is off. So a variance that depends on z from the first step on
is soon small where data lie, and ruinous where the next z does. Hence

- at first it does not depend on z: the weights of its head begin at 0 and learn from there;
- log σ² is exactly what the network says in [−14, 14], and beyond that a soft clip keeps it
  within ±15 (:func:`npvae.ops.elementary.soft_clip`). The σ of that interval, from 1e-3 to 1e3,
  are in units of the data as the model sees them. Features of deviation 1 are rarely measured, and
  so predicted, to more than three digits; and a smaller σ costs more where it is wrong, up to
  e¹⁴/2 nats for a miss by one deviation;
- or it depends on nothing: a variance a feature, as the noise of factor analysis.
"""
from math import inf
from typing import ClassVar

from npvae.backend import Array, array_module
from npvae.ops.elementary import soft_clip
from npvae.options import OPTIONS

LIMIT = 14.0  # of |log σ²|


class LearnedScale:
    """What likelihoods with a learned scale share.

    Attributes
    ----------
    variance : str
        ``"latent"``: a function of z; ``"feature"``: one a feature; ``"unbounded"``: a function of
        z without the soft clip, as models had it before there was one.
    scale_head : str
        The head that it comes from.
    exponent : float
        Of σ in the exponential of that head: 2 if it is log σ², 1 if it is the log of a scale.
    """

    variance: str
    scale_head: ClassVar[str]
    exponent: ClassVar[float]

    def __post_init__(self) -> None:
        name = OPTIONS["likelihood_variance"].canonical_name(self.variance)
        object.__setattr__(self, "variance", name)  # frozen

    @property
    def limit(self) -> float:
        """Up to where the head is itself."""
        return inf if self.variance == "unbounded" else LIMIT * self.exponent / 2

    @property
    def zero_heads(self) -> tuple[str, ...]:
        return (self.scale_head,)

    @property
    def constant_heads(self) -> tuple[str, ...]:
        return (self.scale_head,) if self.variance == "feature" else ()

    def log_scale_of(self, u: Array) -> Array:
        """What the head stands for, of its sum u of product and bias; both (…, D)."""
        out = u.copy()
        soft_clip(array_module(u), out, self.limit)
        return out
