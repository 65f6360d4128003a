"""The forward pages of a model as programs: x → q(z|x), z → E[x|z] in the data's units, and noise →
z ~ p(z) → E[x|z].
"""
from math import isfinite
from typing import Any

import numpy as np

from npvae.distributions.likelihoods import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    FixedNormalLikelihood,
    LaplaceLikelihood,
    NormalLikelihood,
    PoissonLikelihood,
)
from npvae.distributions.priors import Density
from npvae.errors import ParameterError
from npvae.export.families import add_location, add_sample, noise_kinds
from npvae.export.program import Program, Step
from npvae.models import AutoencoderModel, Model, VAEModel
from npvae.networks import MLP
from npvae.ops.elementary import largest_exponent
from npvae.standardization import NAMES

Arrays = dict[str, np.ndarray]
FAR = 1e30  # a limit that no head reaches


class Writer:
    """Steps as they are written, one after the other.

    Parameters
    ----------
    arrays : dict of str to array
        Parameters and standardization, by the names that they have in a model file.
    dtype : dtype
        Of the parameters.
    """

    def __init__(self, arrays: Arrays, dtype: np.dtype):
        self.steps: list[Step] = []
        self.constants = dict(arrays)
        self.dtype = dtype

    def step(self, output: str, function: str, *inputs: str | float, width: int) -> str:
        """Write a step; the name of what it makes."""
        self.steps.append(Step(output, function, inputs, width))
        return output

    def hidden(self, mlp: MLP, h: str) -> str:
        """The hidden layers: h_i = f(h_{i−1} Wᵀ + b), from ``h`` on."""
        for i, width in enumerate(mlp.hidden):
            layer = f"{mlp.name}.hidden.{i}"
            to = "h" if mlp.activation == "identity" else "a"
            a = self.step(f"{to}{i + 1}", "linear", h, f"{layer}.weight", f"{layer}.bias",
                          width=width)  # fmt: skip
            h = a if to == "h" else self.step(f"h{i + 1}", mlp.activation, a, width=width)
        return h

    def head(self, mlp: MLP, name: str, h: str, output: str) -> str:
        """One head; what does not depend on the input has weights of 0."""
        weight, width = f"{mlp.name}.{name}.weight", mlp.heads[name]
        if name in mlp.constant:
            weight, n_in = f"zeros.{name}", (mlp.n_in, *mlp.hidden)[-1]
            self.constants[weight] = np.zeros((width, n_in), self.dtype)
        return self.step(output, "linear", h, weight, f"{mlp.name}.{name}.bias", width=width)

    def program(self, name: str, width: int, *outputs: str) -> Program:
        """All that these outputs need."""
        steps = tuple(self.steps)
        return Program(name, width, steps, outputs, self.constants, self.dtype).only(*outputs)


def encoder(model: Model, arrays: Arrays, dtype: np.dtype) -> Program:
    """x (n, D) in the data's units → the parameters of q(z|x), by the names of the heads.

    After them ``location`` (n, J), what ``transform`` gives, where that is no parameter itself and
    elementary functions make it.

    Raises
    ------
    ParameterError
        If the model has no encoder.
    """
    if not isinstance(model, VAEModel | AutoencoderModel):
        raise ParameterError("this model has no encoder to export; take format='safetensors', "
                             "which keeps its parameters, or train a VAE")  # fmt: skip
    page, D, h = Writer(arrays, dtype), model.n_features, "x"
    if NAMES[0] in arrays:
        h = page.step("x_tilde", "standardize", h, *NAMES, width=D)
    h = page.hidden(model.encoder, h)
    heads = [page.head(model.encoder, name, h, name) for name in model.encoder.heads]
    if isinstance(model, VAEModel):
        heads += add_location(page.step, model.posterior, heads, model.decoder.n_in, dtype)
    return page.program("x", D, *heads)


def decoder(model: Model, arrays: Arrays, dtype: np.dtype) -> Program:
    """z (n, J) → ``mean`` (n, D), E[x|z] in the data's units.

    After it ``logvar`` or ``logscale`` of a normal or a Laplace likelihood that learns it, as
    ``likelihood_of`` gives them.

    Raises
    ------
    ParameterError
        If the likelihood is of a class that is not npvae's.
    """
    page = Writer(arrays, dtype)
    return page.program("z", model.decoder.n_in, *_decode(page, model, "z", "mean"))


def sampler(model: Model, arrays: Arrays, dtype: np.dtype, prior: Density) -> Program:
    """Noise (n, ·) → ``x`` (n, D), E[x|z] of z ~ p(z), as ``sample`` gives it.

    Parameters
    ----------
    prior : BoundDistribution or Mixture
        p(z), at its parameters.

    Raises
    ------
    ParameterError
        If elementary functions make no sample of the prior.
    """
    page, J = Writer(arrays, dtype), model.decoder.n_in
    z = add_sample(page.step, page.constants, prior, J)
    (x, *_) = _decode(page, model, z, "x")
    return page.program("noise", len(noise_kinds(prior, J)), x)


def _decode(page: Writer, model: Model, z: str, mean: str) -> list[str]:
    """From ``z`` on: the values that a decoder gives, of which the first is called ``mean``."""
    mlp, D, dtype = model.decoder, model.n_features, page.dtype
    h = page.hidden(mlp, z)
    scale = page.constants.get(NAMES[1])

    def head(name: str, output: str = "") -> str:
        return page.head(mlp, name, h, output or f"u_{name}")

    def mean_of(function: str, *inputs: str | float) -> str:
        return page.step(mean, function, *inputs, width=D)

    outputs: list[str]
    match model.likelihood:
        case BernoulliLikelihood():
            outputs = [mean_of("sigmoid", head("logits"))]
        case ContinuousBernoulliLikelihood():
            outputs = [mean_of("continuous_bernoulli_mean", head("logits"))]
        case PoissonLikelihood():
            l = page.step("lograte", "minimum", head("lograte"), largest_exponent(np, dtype),
                          width=D)  # fmt: skip
            outputs = [mean_of("exp", l)]
        case CategoricalLikelihood(n_levels=K):
            outputs = [mean_of("categorical_mean", head("logits"), K)]
        case DiscretizedLogisticLikelihood(n_levels=K):
            outputs = [mean_of("discretized_logistic_mean", head("mean"), head("logscale"), K)]
        case FixedNormalLikelihood() | NormalLikelihood() | LaplaceLikelihood() as p:
            if not isinstance(p, LaplaceLikelihood) and p.sigmoid_mean:
                outputs = [mean_of("sigmoid", head("mean"))]
            elif scale is not None:
                outputs = [mean_of("restore", head("mean"), *NAMES)]
            else:
                outputs = [head("mean", mean)]
            if isinstance(p, NormalLikelihood | LaplaceLikelihood):
                outputs.append(_scale_head(page, p, head(p.scale_head), scale, D))
        case other:
            raise ParameterError(
                f"likelihood={other!r} is not npvae's, and its mean has no formula to export; "
                "take format='safetensors'"
            )
    return outputs


def _scale_head(
    page: Writer, p: NormalLikelihood | LaplaceLikelihood, u: str, scale: Any, D: int
) -> str:
    """log σ² or log b, softly clipped and in the data's units, of what the network says."""
    last = p.scale_head if scale is None else f"{p.scale_head}_clipped"
    u = page.step(last, "soft_clip", u, p.limit if isfinite(p.limit) else FAR, width=D)
    if scale is None:
        return u
    page.constants["likelihood.log_scale"] = (p.exponent * np.log(scale)).astype(page.dtype)
    return page.step(p.scale_head, "add", u, "likelihood.log_scale", width=D)
