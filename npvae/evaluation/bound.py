"""The lower bound of each datapoint."""
from dataclasses import dataclass
from math import nan

from npvae import random
from npvae.backend import Array
from npvae.evaluation.chunks import chunk_size, chunks, load_rows
from npvae.memory import Workspace
from npvae.models import Engine, Noise


@dataclass(frozen=True)
class Elbo:
    """The evidence lower bound and its two parts, in nats per datapoint.

    ``total = reconstruction − kl`` bounds log p(x) from below (eq. 3).

    Attributes
    ----------
    total, reconstruction, kl : array (N,)
        The bound, E_q[log p(x|z)], and the distance of q(z|x) from the prior.
    standard_error : array (N,)
        Of ``total``, by the deviation over its samples of z; NaN by one sample.
    """

    total: Array
    reconstruction: Array
    kl: Array
    standard_error: Array | None = None

    @property
    def mean_error(self) -> float:
        """The standard error of the mean of ``total``.

        Of several samples of each datapoint, that of the noise: how far the mean is from the ELBO
        of these very datapoints. Of one, the deviation over datapoints, which is that of the noise
        and of the choice of datapoints together, and so no less; NaN of one of one datapoint.
        """
        N, error = len(self.total), self.standard_error
        if error is not None and not bool((error != error).any()):
            return float((error**2).sum()) ** 0.5 / N
        return float(self.total.var(ddof=1) / N) ** 0.5 if N > 1 else nan

    def __str__(self) -> str:
        N, error = len(self.total), self.mean_error
        return (
            f"ELBO {self.total.mean():.3f} "
            + f"± {error:.3f} " * (error == error)
            + f"= reconstruction {self.reconstruction.mean():.3f} "
            f"− KL {self.kl.mean():.3f} nats, mean of {N} datapoints"
        )


def elbo(
    engine: Engine, X: Array, scale: float = 1.0, *, seed: int = 0, n_samples: int = 1,
    eps: Array | None = None,
) -> Elbo:  # fmt: skip
    """The bound of every row of ``X``, by ``n_samples`` samples each.

    Parameters
    ----------
    X : array (N, D)
        Datapoints, multiplied by ``scale`` on the way.
    seed : int
        Of the noise, which depends on nothing else than it, L and the datapoint's number.
    eps : array (L, N, J), optional
        The noise itself.
    """
    xp, N = engine.xp, len(X)
    reconstruction = xp.empty(N, engine.theta.dtype)
    kl = xp.empty(N, engine.theta.dtype)
    standard_error = xp.full(N, nan, engine.theta.dtype)
    for start, stop in chunks(N, chunk_size(engine, n_samples)):
        if eps is None:
            before = start * n_samples  # samples
            noise = sample_noise(engine, seed, n_samples, stop - start, before, engine.work)
        else:
            noise = engine.backend.asarray(eps[:, start:stop], engine.theta.dtype)  # (L, M, J)
        x = load_rows(engine, X[start:stop], scale, engine.work)  # (M, D)
        terms = engine.forward(x, Noise(noise)).terms
        reconstruction[start:stop] = -terms.nll.mean(axis=0)
        kl[start:stop] = terms.kl.mean(axis=0)
        L = len(noise)
        if L > 1:
            variance = (terms.nll + terms.kl).var(axis=0, ddof=1)
            standard_error[start:stop] = xp.sqrt(variance / L)
    return Elbo(reconstruction - kl, reconstruction, kl, standard_error)


def sample_noise(engine: Engine, seed: int, L: int, M: int, start: int, work: Workspace) -> Array:
    """Noise ε of L samples of M datapoints, after ``start`` samples of others.   (L, M, J)"""
    eps = work("eps", L, M, engine.model.n_noise)
    step = work.constant(0, 1, dtype="int64")
    engine.ops.fill_noise(seed, random.EVALUATE, step, start, eps)
    return eps
