"""The lower bound of each datapoint."""
from math import nan

import numpy as np

from npvae import random
from npvae.backend import Array, to_numpy
from npvae.evaluation.chunks import chunk_size, chunks, load_rows
from npvae.memory import Workspace
from npvae.models import Engine, Noise
from npvae.records import dataclass
from npvae.row_noise import row_keys, row_normals

N_SAMPLES = 4  # of a datapoint, where nobody says how many


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

    def summary(self) -> dict[str, float]:
        """Means over datapoints, in nats; ``standard_error`` is that of ``elbo``."""
        return {
            "elbo": float(self.total.mean()), "standard_error": self.mean_error,
            "reconstruction": float(self.reconstruction.mean()), "kl": float(self.kl.mean()),
        }  # fmt: skip

    def _repr_html_(self) -> str:
        from npvae import html

        caption = f"ELBO = reconstruction − KL, nats, mean of {len(self.total)} datapoints"
        return html.table(caption, self.summary())


def elbo(
    engine: Engine, X: Array, scale: float = 1.0, *, seed: int = 0, n_samples: int = 1,
    eps: Array | None = None,
) -> Elbo:  # fmt: skip
    """The bound of every row of ``X``, by ``n_samples`` samples each.

    That of a row is the same, to rounding, wherever it stands and whatever stands beside it.

    Parameters
    ----------
    X : array (N, D)
        Datapoints, multiplied by ``scale`` on the way.
    seed : int
        Of the noise, which depends on nothing else than it and the datapoint's values.
    eps : array (L, N, J), optional
        The noise itself.
    """
    xp, N = engine.xp, len(X)
    reconstruction = xp.empty(N, engine.theta.dtype)
    kl = xp.empty(N, engine.theta.dtype)
    standard_error = xp.full(N, nan, engine.theta.dtype)
    for start, stop in chunks(N, chunk_size(engine, n_samples)):
        x = load_rows(engine, X[start:stop], scale, engine.work)  # (M, D)
        if eps is None:
            noise = row_noise(engine, seed, n_samples, row_keys(to_numpy(x)), 0, engine.work)
        else:
            noise = engine.backend.asarray(eps[:, start:stop], engine.theta.dtype)  # (L, M, J)
        terms = engine.forward(x, Noise(noise)).terms
        reconstruction[start:stop] = -terms.nll.mean(axis=0)
        kl[start:stop] = terms.kl.mean(axis=0)
        L = len(noise)
        if L > 1:
            losses = (terms.nll + terms.kl).astype(xp.float64)  # their squares may pass float32
            standard_error[start:stop] = xp.sqrt(losses.var(axis=0, ddof=1) / L)
    return Elbo(reconstruction - kl, reconstruction, kl, standard_error)


def row_noise(
    engine: Engine, seed: int, L: int, keys: np.ndarray, first: int, work: Workspace
) -> Array:
    """Noise ε of samples ``first`` to first + L of the rows with these keys.   (L, M, n_noise)"""
    eps = work("eps", L, len(keys), engine.model.n_noise)
    normals = row_normals(seed, random.EVALUATE, 0, keys, L, eps.shape[-1], first)
    eps[...] = engine.backend.asarray(normals)
    return eps
