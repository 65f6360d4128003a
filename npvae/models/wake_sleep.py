"""Wake-sleep (Hinton et al. 1995) on the same networks: the VAE's way there, another way back.

Each network has a loss of its own, and no gradient goes through a sample:

    wake     x  → q(z|x) → z          −log p(x|z)      teaches the decoder, θ
    sleep    z′ ~ p(z) → p(x|z′) → x′     −log q(z′|x′)    teaches the encoder, φ

The forward pass is the lower bound, by which it is judged; the two losses are not its parts, so
together they descend on nothing. The dream begins with z′ = ε, the very noise that the wake
sample is made of: it is a draw of the prior, and each of the two gradients is as it would be with
noise of its own.
"""
from dataclasses import dataclass
from typing import Any

from npvae import random
from npvae.distributions import NormalLikelihood
from npvae.memory import Views, Workspace
from npvae.models.vae import Pass, VAEModel
from npvae.objectives import Draw, mean_weights
from npvae.ops import Ops

Array = Any
RECOGNITION = NormalLikelihood()  # q(z′|x′) reads as a likelihood whose data are z′


@dataclass(frozen=True)
class WakeSleepModel(VAEModel):
    """Encoder, decoder and likelihood as a :class:`VAEModel` has them.

    Attributes
    ----------
    dreams : (int, int)
        Seed and step of the pixels that are dreamed where no step of training says which.
    """

    dreams: tuple[int, int] = (0, 0)

    def backward(
        self, ops: Ops, P: Views, G: Views, x: Array, eps: Array, kept: Pass, work: Workspace
    ) -> None:
        """The gradient of the wake loss for θ, and of the sleep loss for φ, written into G."""
        d_nll = mean_weights(work, *kept.nll.shape)  # (L, M)
        d_a_x = self.likelihood.nll_backward(
            ops, d_nll, kept.a_x, x, G["decoder.heads.bias"], work
        )  # (L, M, ·)
        self.decoder.backward(ops, P, G, kept.z, d_a_x, work)  # and no d_z

        z = eps.reshape(-1, self.n_noise)  # (LM, J)
        x = self.dream(ops, P, z, kept.draw, work)  # (LM, D)
        nll, a_q = self.recognise(ops, P, x, z, work)  # (1, LM), (1, LM, 2J)
        d_a_q = RECOGNITION.nll_backward(
            ops, mean_weights(work, *nll.shape), a_q, z, G["encoder.heads.bias"], work
        )
        self.encoder.backward(ops, P, G, x, d_a_q, work)

    def dream(self, ops: Ops, P: Views, z: Array, draw: Draw, work: Workspace) -> Array:
        """z (B, J) → x ~ p(x|z), (B, D), by the noise of the step that ``draw`` belongs to."""
        seed, _, step = draw or (self.dreams[0], 0, work.constant(self.dreams[1], 1, dtype="int64"))
        a = self.decoder.forward(ops, P, z, work)
        return self.likelihood.draw(
            ops, a, P["decoder.heads.bias"], (seed, random.DREAM, step), work
        )

    def recognise(
        self, ops: Ops, P: Views, x: Array, z: Array, work: Workspace
    ) -> tuple[Array, Array]:
        """x (B, D), z (B, J) → −log q(z|x), (1, B) nats, and [μ | log σ²], (1, B, 2J)."""
        a = self.encoder.forward(ops, P, x, work)[None]  # (1, B, 2J)
        return RECOGNITION.nll(ops, a, P["encoder.heads.bias"], z, work), a

    def objective(
        self, ops: Ops, P: Views, at: Views, x: Array, eps: Array, work: Workspace
    ) -> Array:
        """Both losses at P of the samples made at ``at``: what backward differentiates."""
        z = self.forward(ops, at, x, eps, work).z.copy()  # (L, M, J)
        a = self.decoder.forward(ops, P, z, work)
        wake = self.likelihood.nll(ops, a, P["decoder.heads.bias"], x, work).mean()
        z = eps.reshape(-1, self.n_noise)
        x = self.dream(ops, at, z, None, work).copy()
        sleep, _ = self.recognise(ops, P, x, z, work)
        return wake + sleep.mean()
