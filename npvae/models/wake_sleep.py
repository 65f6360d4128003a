"""Wake-sleep (Hinton et al. 1995): the VAE's networks and forward pass, another backward pass.

Each network has a loss of its own, and no gradient goes through a sample:

    wake     x  → q(z|x) → z          −log p(x|z)      teaches the decoder, θ
    sleep    z′ ~ p(z) → p(x|z′) → x′     −log q(z′|x′)    teaches the encoder, φ

The forward pass is the lower bound, by which it is judged; the two losses are not its parts, so
together they descend on nothing. The dream begins with z′ = ε, the very noise that the wake
sample is made of: it is a sample of the prior, and each of the two gradients is as it would be with
noise of its own.
"""

from npvae import random
from npvae.backend import Array
from npvae.distributions import NormalLikelihood
from npvae.distributions.likelihood import RNGKey
from npvae.distributions.likelihoods import NormalCache
from npvae.memory import Context
from npvae.models.model import Noise
from npvae.models.vae import VAECache, VAEModel
from npvae.networks import MLPCache
from npvae.objectives import Seeds, mean_grad
from npvae.records import dataclass

# q(z′|x′) reads as a likelihood whose data are z′, with σ as the latent layer has it
RECOGNITION = NormalLikelihood(variance="unbounded")


@dataclass(frozen=True)
class WakeSleepModel(VAEModel):
    """Encoder, decoder and likelihood as a :class:`VAEModel` has them."""

    descends = False

    def backward(self, ctx: Context, cache: VAECache, seeds: Seeds) -> None:
        """The gradient of the wake loss for θ, and of the sleep loss for φ, written into G."""
        d_a_x = self.likelihood.nll_backward(
            ctx, seeds.theta, cache.likelihood, ctx.G["decoder.heads.bias"]
        )  # (L, M, ·)
        self.decoder.backward(ctx, d_a_x, cache.decoder)  # and no d_z

        z = cache.noise.eps.reshape(-1, self.n_noise)  # (LM, J)
        x = self.dream(ctx, z, cache.noise)  # (LM, D)
        nll, recognition, encoder = self.recognise(ctx, x, z)  # (1, LM)
        d_nll = mean_grad(ctx.work, *nll.shape)
        d_a_q = RECOGNITION.nll_backward(ctx, d_nll, recognition, ctx.G["encoder.heads.bias"])
        self.encoder.backward(ctx, d_a_q, encoder)

    def dream(self, ctx: Context, z: Array, noise: Noise) -> Array:
        """z (B, J) → x ~ p(x|z), (B, D), by the noise of the step that is being made."""
        a, _ = self.decoder.forward(ctx, z)
        return self.likelihood.sample(ctx, a, ctx.P["decoder.heads.bias"], dream_key(ctx, noise))

    def recognise(
        self, ctx: Context, x: Array, z: Array
    ) -> tuple[Array, NormalCache, MLPCache]:
        """x (B, D), z (B, J) → −log q(z|x), (1, B) nats, and what its backward pass needs."""
        a, encoder = self.encoder.forward(ctx, x)  # (B, 2J)
        nll, recognition = RECOGNITION.nll(ctx, a[None], ctx.P["encoder.heads.bias"], z)
        return nll, recognition, encoder

    def surrogate(self, ctx: Context, at: Context, x: Array, noise: Noise, seeds: Seeds) -> Array:
        """Both losses at P, of the samples made at ``at``."""
        z = self.forward(at, x, noise, analytic_kl=True).latent.z.copy()  # (L, M, J)
        a, _ = self.decoder.forward(ctx, z)
        wake, _ = self.likelihood.nll(ctx, a, ctx.P["decoder.heads.bias"], x)
        wake = (seeds.theta * wake).sum()
        z = noise.eps.reshape(-1, self.n_noise)
        sleep, _, _ = self.recognise(ctx, self.dream(at, z, noise).copy(), z)
        return wake + sleep.mean()


def dream_key(ctx: Context, noise: Noise) -> RNGKey:
    """Which pixels are dreamed: those of the noise's own key, or of the step's stream for them."""
    if noise.dream is not None:
        return noise.dream
    if noise.rng_key is not None:
        seed, _, step = noise.rng_key
        return seed, random.DREAM, step
    return 0, random.DREAM, ctx.work.constant(0, 1, dtype="int64")
