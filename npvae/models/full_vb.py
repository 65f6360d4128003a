"""Full variational Bayes (appendix F): a distribution over the generative parameters as well.

The decoder's parameters θ, weights and biases alike, have the prior N(0, I) and a posterior
q(θ) = N(μ_θ, σ_θ²), reparameterized with noise of its own. The VAE's page is read at a sample:

    forward                                      backward
    μ_θ, log σ_θ²   (Q,) each                    d_μ_θ = d_θ,  d_log σ_θ² = d_θ · ½ σ_θ ζ
     ↓  parameters     θ = μ_θ + σ_θ ζ            ↑
    θ               (Q,)                         d_θ
     ↓  the VAE        x, ε → nll, kl             ↑

The bound on log p(X) of all N datapoints is N · E[log p(x|z, θ) − KL_z] − KL(q(θ)‖p(θ)). So per
datapoint the loss is the VAE's, in expectation over ζ, plus KL(q(θ)‖p(θ)) / N, which the engine
adds as it adds any penalty. One ζ serves a minibatch, as one θ serves all data.
"""
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

from npvae import networks, random
from npvae.backend import Array
from npvae.memory import Context, Layout
from npvae.models.engine import Engine, Penalty
from npvae.models.model import Noise
from npvae.models.vae import VAECache, VAEModel
from npvae.objectives import Seeds, Terms
from npvae.records import dataclass


class FullVBCache(NamedTuple):
    """What the forward page leaves for the backward page."""

    terms: Terms
    vae: VAECache
    at_theta: Context  # where the decoder's parameters are the sample θ
    zeta: Array  # (Q,)
    sigma: Array  # σ_θ   (Q,)


@dataclass(frozen=True)
class FullVBModel(VAEModel):
    """A :class:`VAEModel` whose decoder's parameters are means, each with a log variance.

    A pass without ``zeta`` that samples none is at ζ = 0, the mean of q(θ).
    """

    def layout(self) -> Layout:
        """The VAE's names, and ``name.logvar`` for each of the decoder's.

        As vectors (Q,) they are ``theta.mu`` and ``theta.logvar``.
        """
        vae, theta = super().layout(), tuple(self.generative.shapes)
        rest = [name for name in vae.shapes if name not in theta]
        weights = [name for name in rest if name.endswith(".weight")]
        others = [name for name in rest if name not in weights]
        # weights come first, as ever; and all of the decoder's parameters lie in a row
        shapes = {name: vae.shapes[name] for name in (*weights, *theta, *others)}
        logvars = {f"{name}.logvar": shape for name, shape in self.generative.shapes.items()}
        vectors = {"theta.mu": theta, "theta.logvar": tuple(logvars)}
        return Layout(shapes | logvars, {**vae.stacked_views, **vectors})

    @cached_property
    def generative(self) -> Layout:
        """Names and shapes of the parameters that have a distribution."""
        return networks.layout(self.decoder)

    def forward(  # type: ignore[override]
        self, ctx: Context, x: Array, noise: Noise, analytic_kl: bool = False
    ) -> FullVBCache:
        """As :class:`VAEModel` has it, at one θ; ζ is sampled with ε."""
        zeta, sigma, theta = self._sample(ctx, noise)  # (Q,) each
        at_theta = replace(ctx, P=ctx.P | self.generative.views(theta))
        vae = super().forward(at_theta, x, noise, analytic_kl)
        return FullVBCache(vae.terms, vae, at_theta, zeta, sigma)

    def backward(  # type: ignore[override]
        self, ctx: Context, cache: FullVBCache, seeds: Seeds
    ) -> None:
        """As :class:`VAEModel` has it, and on from d_θ, which it leaves where d_μ_θ belongs."""
        super().backward(cache.at_theta, cache.vae, seeds)
        d_theta, d_logvar = ctx.G["theta.mu"], ctx.G["theta.logvar"]
        ctx.ops.parameter_sample_backward(d_theta, cache.zeta, cache.sigma, d_logvar)

    def surrogate(self, ctx: Context, at: Context, x: Array, noise: Noise, seeds: Seeds) -> Array:
        """As :class:`VAEModel` has it, at the same ζ."""
        here, there = (
            replace(c, P=c.P | self.generative.views(self._sample(c, noise)[2].copy()))
            for c in (ctx, at)
        )
        return super().surrogate(here, there, x, noise, seeds)

    def _sample(self, ctx: Context, noise: Noise) -> tuple[Array, Array, Array]:
        """ζ, σ_θ and θ = μ_θ + σ_θ ζ.   (Q,) each"""
        Q, work = self.generative.size, ctx.work
        zeta, sigma, theta = work("theta.zeta", Q), work("theta.sigma", Q), work("theta", Q)
        if noise.rng_key:
            seed, _, step = noise.rng_key
            ctx.ops.fill_noise(seed, random.PARAMETERS, step, 0, zeta.reshape(1, -1, 1))
        else:
            zeta[...] = 0 if noise.zeta is None else noise.zeta
        ctx.ops.parameter_sample(ctx.P["theta.mu"], ctx.P["theta.logvar"], zeta, sigma, theta)
        return zeta, sigma, theta


@dataclass(frozen=True)
class ParameterKL(Penalty):
    """strength · KL(q(θ)‖p(θ)); with strength = 1/N, nats per datapoint."""

    def value(self, engine: Engine) -> Array:
        mu, logvar = engine.P["theta.mu"], engine.P["theta.logvar"]
        return engine.ops.parameter_kl(mu, logvar, self.strength)

    def backward(self, engine: Engine) -> None:
        P, G = engine.ctx.P, engine.ctx.G
        mu, logvar = P["theta.mu"], P["theta.logvar"]
        scratch = engine.work("update.scratch", engine.theta.size)[: mu.size]
        engine.ops.parameter_kl_backward(
            mu, logvar, self.strength, scratch, G["theta.mu"], G["theta.logvar"]
        )

    def report(self, engine: Engine) -> dict[str, float]:
        return {"parameter_kl": float(self.value(engine))}
