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
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from npvae import networks, random
from npvae.memory import Layout, Views, Workspace
from npvae.models.engine import Engine, Penalty
from npvae.models.vae import Pass, VAEModel
from npvae.objectives import Draw
from npvae.ops import Ops

Array = Any


@dataclass(frozen=True)
class FullVBModel(VAEModel):
    """A :class:`VAEModel` whose decoder's parameters are means, each with a log variance.

    Attributes
    ----------
    zeta : array (Q,), optional
        ζ, held still, for passes that do not draw. Without it they are at ζ = 0, the mean of
        q(θ).
    """

    zeta: Array = field(default=None, compare=False)

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
        return Layout(shapes | logvars, {**vae.joints, **vectors})

    @cached_property
    def generative(self) -> Layout:
        """Names and shapes of the parameters that have a distribution."""
        return networks.layout(self.decoder)

    def forward(
        self, ops: Ops, P: Views, x: Array, eps: Array, work: Workspace, draw: Draw = None
    ) -> Pass:
        """As :class:`VAEModel` has it, at one θ; ζ is drawn with ε."""
        zeta, sigma, theta = self._buffers(work)  # (Q,) each
        if draw:
            seed, _, step = draw
            ops.posterior_noise(seed, random.PARAMETERS, step, 0, zeta.reshape(1, -1, 1))
        else:
            zeta[...] = 0 if self.zeta is None else self.zeta
        ops.parameter_sample(P["theta.mu"], P["theta.logvar"], zeta, sigma, theta)
        return super().forward(ops, P | self.generative.views(theta), x, eps, work, draw)

    def backward(
        self, ops: Ops, P: Views, G: Views, x: Array, eps: Array, kept: Pass, work: Workspace
    ) -> None:
        """As :class:`VAEModel` has it, and on from d_θ, which it leaves where d_μ_θ belongs."""
        zeta, sigma, theta = self._buffers(work)  # as the forward pass left them
        super().backward(ops, P | self.generative.views(theta), G, x, eps, kept, work)
        ops.parameter_sample_backward(G["theta.mu"], zeta, sigma, G["theta.logvar"])

    def _buffers(self, work: Workspace) -> tuple[Array, Array, Array]:
        """ζ, σ_θ and θ.   (Q,) each"""
        Q = self.generative.size
        return work("theta.zeta", Q), work("theta.sigma", Q), work("theta", Q)


@dataclass(frozen=True)
class ParameterKL(Penalty):
    """strength · KL(q(θ)‖p(θ)); with strength = 1/N, nats per datapoint."""

    def value(self, engine: Engine) -> Array:
        mu, logvar = engine.P["theta.mu"], engine.P["theta.logvar"]
        return engine.ops.parameter_kl(mu, logvar, self.strength)

    def backward(self, engine: Engine) -> None:
        P, G = engine.P, engine.G
        mu, logvar = P["theta.mu"], P["theta.logvar"]
        scratch = engine.work("update.scratch", engine.theta.size)[: mu.size]
        engine.ops.parameter_kl_backward(
            mu, logvar, self.strength, scratch, G["theta.mu"], G["theta.logvar"]
        )

    def report(self, engine: Engine) -> dict[str, float]:
        return {"parameter_kl": float(self.value(engine))}
