"""The marginal likelihood from samples of the posterior, for few latents (appendix D).

For any density q(z) the posterior's mean of q(z)/p(x, z) is ∫ q(z) dz / p(x) = 1/p(x). So:

    1. sample p(z|x) by HMC, L times,
    2. fit q(z) to them,
    3. take L new samples:      p(x) ≈ [ (1/L) Σ_l q(z_l) / (p(z_l) p(x|z_l)) ]⁻¹

The new samples come from chains of their own, for q must not have seen them. It takes no
encoder. Where importance sampling is low on average this is high, and it is only as good as q:
a density fitted to samples covers no more than a few dimensions.
"""
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

from npvae.backend import Array
from npvae.distributions.compatibility import infinite_moment
from npvae.errors import NumericalError, ParameterError
from npvae.evaluation.chains import ChainDiagnostics, ChainNoise, Chains, sample
from npvae.evaluation.chunks import chunk_size, for_each_chunk, load_rows
from npvae.evaluation.density import DENSITIES
from npvae.evaluation.importance import LogLikelihood
from npvae.evaluation.log_joint import LogJointTarget, initial_density
from npvae.evaluation.pareto import Tail
from npvae.memory import Workspace
from npvae.models import Engine
from npvae.records import dataclass

TOO_MANY = 5  # latents
TOO_FEW = 2.0  # effective samples


@dataclass(frozen=True)
class HarmonicLogLikelihood(LogLikelihood):
    """log p(x) of each datapoint by the estimator of appendix D, in nats.

    Where one sample outweighs all others there is no estimate: it and its error are NaN.

    Attributes
    ----------
    chains : ChainDiagnostics
        Diagnostics of HMC.
    """

    chains: ChainDiagnostics
    side: ClassVar[str] = "high"

    def __str__(self) -> str:
        text = LogLikelihood.__str__(self.where_found())
        refused = int((self.effective_sample_size < TOO_FEW).sum())
        if refused:
            text += f"; {refused} more are NaN: their effective sample size is below {TOO_FEW:g}"
        return f"{text}; {self.chains}"

    def where_found(self) -> "HarmonicLogLikelihood":
        """Of those datapoints alone that have an estimate."""
        good = self.effective_sample_size >= TOO_FEW
        names = ("estimate", "standard_error", "effective_sample_size", "pareto_k")
        kept: dict[str, Any] = {
            name: part[good] for name in names if (part := vars(self)[name]) is not None
        }
        return replace(self, **kept)

    def summary(self) -> dict[str, Any]:
        return LogLikelihood.summary(self.where_found()) | self.chains.summary()


def harmonic_log_likelihood(
    engine: Engine, X: Array, scale: float = 1.0, *, n_samples: int = 100, n_chains: int = 25,
    density: str = "kernel", start: str = "prior", n_leapfrog: int = 10, warm_up: int = 100,
    seed: int = 0, progress: Callable[[Iterable], Iterable] = iter,
) -> HarmonicLogLikelihood:  # fmt: skip
    """Estimate log p(x) for every row of ``X`` (N, D) from samples of the posterior.

    Parameters
    ----------
    n_samples : int
        L, samples that q is fitted to, and as many new ones.
    n_chains : int
        Chains that sample them, each time others. The samples of one chain depend on one another,
        so the standard error is from the deviation among chains: with few it is uncertain,
        and with heavy-tailed weights too small, by up to a half where the truth is known.
    density : str
        q: ``"normal"``, or ``"kernel"``, a Gaussian kernel density.
    start : str
        Where chains start: ``"prior"``, or ``"posterior"`` for q(z|x).
    n_leapfrog, warm_up : int
        Leapfrog steps a move, and moves before the first sample.
    seed : int
        Of the noise; the result does not depend on how the work is cut up.
    progress : callable
        Wraps the iterable of chunks, as tqdm does; with several threads, the first one's share.

    Raises
    ------
    ParameterError
        If the model has 5 latents or more, or an argument cannot be used.
    NumericalError
        If chains do not move, or no datapoint has an effective sample size of 2.
    """
    J, L, C = engine.model.decoder.n_in, n_samples, n_chains
    if J >= TOO_MANY:
        raise ParameterError(
            f"latent_dim={J} is too many for a density fitted to samples; this estimator serves "
            f"fewer than {TOO_MANY}: take annealed_log_likelihood"
        )
    if density not in DENSITIES:
        known = ", ".join(DENSITIES)
        raise ParameterError(f"density={density!r} is not known; choose from {known}")
    if C < 2 or L % C or L < 2 * (J + 1):
        raise ParameterError(
            f"n_samples={L} by n_chains={C} cannot be: take 2 chains or more, and a multiple of "
            f"them as samples, at least {2 * (J + 1)}"
        )
    name = engine.model.prior.name
    if start == "prior" and infinite_moment(name, 1):
        raise ParameterError(
            f"chains that start at samples of prior={name!r} begin too far out to find p(z|x) in a "
            "warm-up; take start='posterior' or method='annealed'"
        )
    columns = engine.xp.empty((7, len(X)), engine.theta.dtype)

    def estimate_chunk(work: Workspace, part: tuple[int, int]) -> None:
        first, last = part
        xp = engine.xp
        target = LogJointTarget(engine, load_rows(engine, X[first:last], scale, work), work)
        noise = ChainNoise(engine.ops, seed, 0, target.keys)
        q_0 = initial_density(start, target)
        shape = (2 * C, last - first, q_0.n_noise)
        z = q_0.rsample(noise(0, xp.empty(shape, engine.theta.dtype)))
        chains = Chains(target, z, noise, n_leapfrog, 0.5 * q_0.sigma.min(axis=-1)[None])
        samples = sample(target, chains, L // C, warm_up)  # (L/C, 2C, M, ·)
        z, energy = samples.z.astype("float64"), samples.energy.astype("float64")
        q = DENSITIES[density](xp, z[:, :C])
        log_r = q(z[:, C:]) + energy[:, C:]  # log q(z) − log p(x, z)   (L/C, C, M)
        k = Tail(xp, L).add(log_r.reshape(L, -1)).pareto_k()
        values = *summary(xp, log_r), k, *samples.diagnostics.columns()
        for column, value in zip(columns, values, strict=True):
            column[first:last] = value

    widest = max(2 * C, L * L // engine.layout.max_width)  # q takes L² numbers of a datapoint
    for_each_chunk(engine, estimate_chunk, len(X), chunk_size(engine, widest), progress)
    value, error, ess, k, *diagnostics = columns
    if not bool((ess >= TOO_FEW).any()):
        raise NumericalError(
            f"one sample outweighs the others at all of {len(X)} datapoints: q does not fit the "
            "posterior; take more samples, or annealed_log_likelihood"
        )
    chains = ChainDiagnostics(L // C, *diagnostics)
    return HarmonicLogLikelihood(value, error, ess, L, chains, pareto_k=k)


def summary(xp: Any, log_r: Array) -> tuple[Array, Array, Array]:
    """Estimate, standard error and effective sample size from log r (S, C, M), each (M,)."""
    S, C, _ = log_r.shape
    top = log_r.max(axis=(0, 1))
    r = xp.exp(log_r - top)
    chains = r.mean(axis=0)  # (C, M): those of different chains are independent
    mean = chains.mean(axis=0)
    ess = S * C * mean * mean / (r * r).mean(axis=(0, 1))
    error = xp.sqrt(chains.var(axis=0, ddof=1) / C) / mean
    refused = xp.where(ess >= TOO_FEW, 0.0, xp.nan)
    return refused - top - xp.log(mean), refused + error, ess
