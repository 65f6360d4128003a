"""The variational Rényi bound (Li, Turner 2016).

    L_α = 1/(1 − α) · log (1/L) Σ_l w_l^(1−α),        α ≠ 1

α = 0 is the bound of L samples of IWAE and α → 1 the lower bound; between them it lies between.
Its derivative weighs each sample's by w̃_l = w_l^(1−α) / Σ w^(1−α):

    A row of coefficients:    θ w̃/M,    path w̃/M,    score −w̃/M
"""
from typing import ClassVar

from npvae.backend import Array
from npvae.errors import ParameterError
from npvae.memory import Context
from npvae.objectives.iwae import IWAE
from npvae.objectives.objective import STATELESS, Loss, State, Terms
from npvae.records import dataclass


@dataclass(frozen=True)
class Renyi(IWAE):
    """Minus the Rényi bound.

    Attributes
    ----------
    alpha : float
        α, the order of the divergence; not 1.

    Raises
    ------
    ParameterError
        If α is 1.
    """

    alpha: float = 0.5
    name: ClassVar[str] = "renyi"

    def __post_init__(self) -> None:
        if self.alpha == 1:
            raise ParameterError(
                f"alpha={self.alpha} makes the Rényi bound the ELBO; choose estimator='A'"
            )

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        order, work, xp = 1 - self.alpha, ctx.work, ctx.work.xp
        nll = xp.multiply(terms.nll, order, out=work("renyi.nll", *terms.nll.shape))
        kl = xp.multiply(terms.kl, order, out=work("renyi.kl", *terms.kl.shape))
        loss = super().__call__(ctx, Terms(nll, kl), scalars, state)
        bound = xp.divide(loss.nll, order, out=loss.nll)
        return loss._replace(nll=bound)
