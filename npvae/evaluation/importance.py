"""The marginal likelihood by importance sampling, with what it takes to trust it.

    log p(x) ≈ log (1/S) Σ_s w_s,   w_s = p(x|z_s) p(z_s) / q(z_s|x),   z_s ~ q(z|x)

The estimate is a lower bound on average, and closer with more samples. Its standard error is of
the weights that came up, and does not cover this bias; the number of samples that carry the weight,
(Σ w)² / Σ w², is of those too. Whether there are weights that did not come up shows in the shape
of the tail of those that did (:mod:`npvae.evaluation.pareto`). Samples come in blocks, and three
sums and the tail of a datapoint are kept, so memory does not grow with S.
"""
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from math import inf, nan
from typing import Any, ClassVar, Protocol
from warnings import warn

from npvae import html
from npvae.backend import Array, ignore_overflow, to_numpy
from npvae.distributions.compatibility import lighter_tailed, support_covers
from npvae.errors import ParameterError
from npvae.evaluation.bound import row_noise
from npvae.evaluation.chunks import chunk_size, chunks, for_each_chunk, load_rows
from npvae.evaluation.pareto import UNRELIABLE, Tail
from npvae.memory import Workspace
from npvae.models import Engine, Noise
from npvae.records import dataclass
from npvae.row_noise import row_keys

ANNEAL = "take method='annealed'"


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x) of each datapoint, in nats.

    Attributes
    ----------
    estimate : array (N,)
        log of the mean weight.
    standard_error : array (N,)
        Of the estimate, by the delta method: the weights' deviation over √S times their mean.
    effective_sample_size : array (N,)
        (Σ w)² / Σ w², from 1 (one sample outweighs all: do not trust it) to S.
    n_samples : int
        S.
    pareto_k : array (N,)
        k̂, the Pareto shape of the weights' tail. Above 0.7 the standard error says nothing: the
        weights that matter may not have come up. NaN where there are fewer than 25 samples.
    advice : str
        What helps there, and where few samples carry the weight.
    """

    estimate: Array
    standard_error: Array
    effective_sample_size: Array
    n_samples: int
    pareto_k: Array | None = field(default=None, kw_only=True)
    advice: str = field(default=ANNEAL, kw_only=True, repr=False)
    side: ClassVar[str] = "low"  # where the estimate is on average

    @property
    def mean_error(self) -> float:
        """Of the mean over datapoints, each of which has samples of its own."""
        return float((self.standard_error**2).sum()) ** 0.5 / len(self.estimate)

    def __str__(self) -> str:
        N = len(self.estimate)
        bound = {"low": "a lower", "high": "an upper"}[self.side]
        return (
            f"log p(x) = {self.estimate.mean():.3f} ± {self.mean_error:.3f} nats, mean of {N} "
            f"datapoints by {self.n_samples} samples each; {bound} bound on average, by a bias "
            f"that ± does not cover; {format_trust(self)}"
        )

    def summary(self) -> dict[str, Any]:
        """Mean and its standard error, in nats; of the diagnostics, the worst datapoint's."""
        k = self.pareto_k
        return {
            "log_likelihood": float(self.estimate.mean()), "standard_error": self.mean_error,
            "effective_sample_size": float(self.effective_sample_size.min()),
            "pareto_k": nan if k is None else float(k.max()),
            "samples": self.n_samples, "datapoints": len(self.estimate),
        }  # fmt: skip

    def _repr_html_(self) -> str:
        return html.table("log p(x), nats, mean over datapoints", self.summary())

    @property
    def doubt(self) -> str:
        """For how many datapoints k̂ says that the standard error may not hold; or nothing."""
        return format_doubt(self.pareto_k, self.side, self.advice)


class Weighted(Protocol):
    """What is told of importance weights, whatever was made of them."""

    @property
    def effective_sample_size(self) -> Array: ...
    @property
    def n_samples(self) -> int: ...
    @property
    def pareto_k(self) -> Array | None: ...
    @property
    def advice(self) -> str: ...


def format_trust(result: Weighted) -> str:
    """Format the worst effective sample size and k̂, with advice on what they find poor."""
    ess, k = result.effective_sample_size, result.pareto_k
    lost = int((ess != ess).sum())
    if lost:
        return f"{lost} of the estimates are NaN, for so are weights: look at the parameters"
    text = f"effective sample size {ess.min():.1f} at worst"
    few = min(10, result.n_samples / 2)
    poor = int((ess < few).sum())
    advice = f": {result.advice}"
    if poor:
        text += f"; for {poor} of them fewer than {few:g} samples carry the weight{advice}"
    known = ess[:0] if k is None else k[k > -inf]  # and so not NaN
    if len(known):
        text += f"; Pareto k {known.max():z.2f} at worst"
        high = int((known > UNRELIABLE).sum())
        if high:
            text += f", above {UNRELIABLE} for {high} of them, whose ± may be far too small"
            text += "" if poor else advice
    return text


def format_doubt(pareto_k: Array | None, side: str, advice: str) -> str:
    """Format for how many datapoints k̂ is too large; nothing if for none."""
    if pareto_k is None or not (high := int((pareto_k > UNRELIABLE).sum())):
        return ""
    return (
        f"the weights of {high} of {len(pareto_k)} datapoints have a Pareto k above {UNRELIABLE}: "
        f"their estimates may be too {side} by far more than their standard errors; {advice}"
    )


def log_likelihood(
    engine: Engine, X: Array, scale: float = 1.0, *, n_samples: int = 5000, seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> LogLikelihood:  # fmt: skip
    """Estimate log p(x) for every row of ``X`` (N, D).

    Parameters
    ----------
    n_samples : int
        S, samples of q(z|x) for each datapoint.
    seed : int
        Of the noise; the result does not depend on how the work is cut up.
    progress : callable
        Wraps the iterable of chunks, as tqdm does; with several threads, the first one's share.

    Raises
    ------
    ParameterError
        If ``n_samples`` is less than 2: the standard error needs two; or if there is no q(z|x), or
        it does not reach all of the prior.

    Warns
    -----
    UserWarning
        If q(z|x) has lighter tails than the prior, or falls faster towards 0: the estimate is low
        by more than it says.
    """
    check_support(engine)
    if n_samples < 2:
        raise ParameterError(f"n_samples={n_samples} gives no standard error; ask for 2 or more")
    xp, S = engine.xp, n_samples
    columns = [xp.empty(len(X), engine.theta.dtype) for _ in range(4)]

    def estimate_chunk(work: Workspace, part: tuple[int, int]) -> None:
        sums: Any = None
        tail = Tail(xp, S)
        for log_w in log_weights(engine, X, scale, part, S, seed, work):
            sums = accumulate_weights(xp, sums, log_w)
            tail.add(log_w)
        values = *summary(xp, sums, S), tail.pareto_k()
        for column, value in zip(columns, values, strict=True):
            column[slice(*part)] = value

    for_each_chunk(engine, estimate_chunk, len(X), max(1, chunk_size(engine) // S), progress)
    estimate, standard_error, ess, k = columns
    advice = ANNEAL if can_anneal(engine) else "take method='prior'"
    return LogLikelihood(estimate, standard_error, ess, S, pareto_k=k, advice=advice)


def can_anneal(engine: Engine) -> bool:
    """Whether the prior is on the whole real line, over which chains of HMC move."""
    return engine.model.prior.variables.family.support == "real"


def check_support(engine: Engine) -> None:
    """Check the support: a ParameterError if q(z|x) is 0 where the prior is not, and E[w] ≠ p(x).

    Where its tails are lighter than the prior's, E[w²] is infinite: that is a warning, for no
    number of samples makes up for it.
    """
    posterior, prior = engine.model.posterior, engine.model.prior
    if posterior is None:
        raise ParameterError(
            "there is no q(z|x) to sample from; take method='annealed', 'harmonic' or 'prior'"
        )
    real = can_anneal(engine)
    if not support_covers(posterior.name):
        raise ParameterError(
            f"posterior={posterior.name!r} does not reach all of the prior, so its importance "
            "weights do not have the mean p(x); take method=" + "'annealed' or " * real + "'prior'"
        )
    if lighter_tailed(posterior.name, prior.name):
        ends = ", towards 0 or ∞" if posterior.family.support == "positive" else ""
        warn(
            f"posterior={posterior.name!r} has lighter tails than prior={prior.name!r}{ends}: "
            "importance sampling comes out low, by more than its standard error says; "
            "take method=" + "'annealed' or " * real + "'prior'",
            stacklevel=2,
        )


def log_weights(
    engine: Engine, X: Array, scale: float, part: tuple[int, int], S: int, seed: int,
    work: Workspace,
) -> Iterator[Array]:  # fmt: skip
    """The log importance weights of S samples of each datapoint of ``part``, block by block.

    (s, M) float64
    """
    start, stop = part
    ctx = engine.context(work)
    x = load_rows(engine, X[start:stop], scale, work)  # (M, D)
    keys = row_keys(to_numpy(x))
    block = chunk_size(engine)  # samples and datapoints share a chunk's rows
    for first, last in chunks(S, max(1, block // (stop - start))):
        # all samples of some datapoints, or some samples of one: both lie in a row
        eps = row_noise(engine, seed, last - first, keys, first, work)
        terms = engine.model.forward(ctx, x, Noise(eps)).terms  # its kl is log q − log p(z)
        yield (-terms.nll - terms.kl).astype(engine.xp.float64)


def accumulate_weights(xp: Any, sums: Any, log_w: Array) -> tuple[Array, Array, Array]:
    """Accumulate log w (s, M) in (top, Σ e^{log w − top}, Σ e^{2(log w − top)}), each (M,)."""
    top = finite_max(xp, log_w, 0)
    if sums is not None:
        top = xp.maximum(top, sums[0])
    w = xp.exp(log_w - top)
    total, squares = w.sum(axis=0), (w * w).sum(axis=0)
    if sums is not None:
        shrink = xp.exp(sums[0] - top)
        total, squares = total + sums[1] * shrink, squares + sums[2] * shrink * shrink
    return top, total, squares


def finite_max(xp: Any, log_w: Array, axis: int, keepdims: bool = False) -> Array:
    """The maximum along an axis, or the least finite number where all are −∞: −∞ − −∞ is NaN."""
    return xp.maximum(log_w.max(axis=axis, keepdims=keepdims), xp.finfo(log_w.dtype).min)


def summary(xp: Any, sums: tuple[Array, Array, Array], S: int) -> tuple[Array, Array, Array]:
    """Estimate, standard error and effective sample size, each (M,)."""
    top, total, squares = sums
    ess = total * total / xp.where(squares == 0, 1, squares)  # 0 where there is no weight at all
    with ignore_overflow(xp):
        variance = xp.maximum(S / ess - 1, 0) / (S - 1)  # of the mean weight over its square
        return top + xp.log(total / S), xp.sqrt(variance), ess


