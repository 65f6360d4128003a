"""The smallest models that have everything: a table of all configurations, and data for them.

Encoder and decoder differ in every width, so that no transposition can hide behind a square.
"""
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from npvae.backend import get_backend
from npvae.distributions import BernoulliLikelihood, NormalLikelihood
from npvae.models import AutoencoderModel, Engine, Penalty, VAEModel, parameter_prior
from npvae.networks import MLP
from npvae.objectives import ELBO, OBJECTIVES
from npvae.ops import Ops

M, D, J, N = 3, 5, 2, 7  # minibatch, pixels, latents, and the datapoints of the prior's 1/N
ENCODER, DECODER = (3, 4, 2), (4, 2, 3)  # widths of the hidden layers, as many as asked for
NUMPY = get_backend("numpy")
LIKELIHOODS = {
    "bernoulli": BernoulliLikelihood(),
    "normal": NormalLikelihood(),
    "normal, sigmoid mean": NormalLikelihood(sigmoid_mean=True),
}


@dataclass(frozen=True)
class Config:
    """One model: a VAE, or with ``estimator=None`` an autoencoder."""

    estimator: str | None = "B"
    L: int = 1
    likelihood: str = "bernoulli"
    activation: str = "tanh"
    depth: int = 1
    penalised: bool = False  # the prior on θ of a VAE, the L2 regulariser of an autoencoder

    def model(self) -> Any:
        p_x = LIKELIHOODS[self.likelihood]
        heads = {"mean": J, "logvar": J} if self.estimator else {"code": J}
        encoder = MLP("encoder", D, ENCODER[: self.depth], heads, self.activation)
        decoder = MLP("decoder", J, DECODER[: self.depth], p_x.heads(D), self.activation)
        if self.estimator:
            return VAEModel(encoder, decoder, p_x)
        return AutoencoderModel(encoder, decoder, p_x)

    def engine(self, ops: Ops = NUMPY.ops, dtype: Any = np.float64) -> Engine:
        """At a generic θ; the seed is one at which no layer of relu is all on or all off."""
        rng, model = np.random.default_rng(1478), self.model()
        layout = model.layout()
        theta = 0.6 * rng.standard_normal(layout.size)
        for name, view in layout.named(theta).items():
            if "hidden" in name and name.endswith("bias"):
                view[...] = rng.uniform(0, 0.5, view.shape)
            elif "hidden" in name and self.activation == "sigmoid":
                view /= 0.3  # its slope is at most a quarter
        penalty = Penalty()
        if self.penalised:
            vae = self.estimator is not None
            penalty = parameter_prior(layout.n_weights, N) if vae else Penalty(0.3)
        objective = OBJECTIVES[self.estimator]() if self.estimator else ELBO()
        return Engine(model, replace(NUMPY, ops=ops), theta.astype(dtype), penalty, objective)

    def batch(self) -> tuple[Any, Any]:
        """x (M, D) in [0, 1], eps (L, M, J)"""
        rng = np.random.default_rng(1)
        n_noise = J if self.estimator else 0
        return rng.random((M, D)), rng.standard_normal((self.L, M, n_noise))


def configs(activation: str, depth: int) -> list[Config]:
    """All that share an activation and a depth: 24 VAEs and 6 autoencoders."""
    return [
        Config(estimator, L, likelihood, activation, depth, penalised)
        for estimator, L in [*product("AB", (1, 3)), (None, 1)]
        for likelihood in LIKELIHOODS
        for penalised in (False, True)
    ]
