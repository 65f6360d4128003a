"""The k-curve: how the bound closes in on log p(x) as k samples share it (Burda et al. 2016).

    L_k = E[ log (1/k) Σ_{i≤k} w_i ],      w = p(x|z) p(z) / q(z|x),  z ~ q(z|x)

L_1 is the ELBO, L_k never falls with k, and its limit is log p(x). One set of S samples serves
every k: it is cut into ⌊S/k⌋ groups, and each gives one estimate of L_k; up to k − 1 samples are
left over. The estimates rise with k as the L_k do but for their errors. Where k divides k' and k'
divides S, the groups of k' are unions of those of k, and by Jensen's inequality the estimate of k'
is not below that of k, at any datapoint.
"""
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import Any

from npvae import html
from npvae.backend import Array, ignore_overflow
from npvae.errors import ParameterError
from npvae.evaluation.chunks import chunk_size, for_each_chunk
from npvae.evaluation.importance import (
    ANNEAL,
    accumulate_weights,
    can_anneal,
    check_support,
    finite_max,
    format_doubt,
    format_trust,
    log_weights,
    summary,
)
from npvae.evaluation.pareto import Tail
from npvae.memory import Workspace
from npvae.models import Engine
from npvae.records import dataclass


@dataclass(frozen=True)
class BoundCurve:
    """L_k of each datapoint for some k, in nats.

    Attributes
    ----------
    k : tuple of int
        Samples that share a bound, in the order asked for.
    estimate : array (K, N)
        L_k.
    standard_error : array (K, N)
        Of the estimate: the deviation over the ⌊S/k⌋ groups by the root of their number.
    effective_sample_size : array (N,)
        (Σ w)² / Σ w² of all S samples, from 1 to S.
    n_samples : int
        S.
    pareto_k : array (N,)
        k̂ of all S weights, as :class:`LogLikelihood` has it: above 0.7 the curve may be far from
        log p(x), however flat it is.
    advice : str
        What is nearer to log p(x) then.
    """

    k: tuple[int, ...]
    estimate: Array
    standard_error: Array
    effective_sample_size: Array
    n_samples: int
    pareto_k: Array | None = field(default=None, kw_only=True)
    advice: str = field(default=ANNEAL, kw_only=True, repr=False)

    @property
    def doubt(self) -> str:
        """As :class:`LogLikelihood` has it, of the curve as an estimate of log p(x)."""
        return format_doubt(self.pareto_k, "low", self.advice)

    def __str__(self) -> str:
        N = self.estimate.shape[1]
        rows = [
            f"{k:7d}  {float(bound.mean()):10.3f} ± {float((error**2).sum()) ** 0.5 / N:.3f}"
            for k, bound, error in zip(self.k, self.estimate, self.standard_error, strict=True)
        ]
        return "\n".join([
            f"      k  L_k, nats: mean of {N} datapoints by {self.n_samples} samples each", *rows,
            format_trust(self),
        ])  # fmt: skip

    def summary(self) -> dict[str, list[float]]:
        """For each k the mean over datapoints and its standard error, in nats."""
        N = self.estimate.shape[1]
        return {
            "k": list(self.k), "bound": [float(bound.mean()) for bound in self.estimate],
            "standard_error": [float((e**2).sum()) ** 0.5 / N for e in self.standard_error],
        }  # fmt: skip

    def _repr_html_(self) -> str:
        N, S = self.estimate.shape[1], self.n_samples
        return html.table(f"L_k, nats: mean of {N} datapoints by {S} samples each", self.summary())


def iwae_bound(
    engine: Engine, X: Array, scale: float = 1.0, *, k: Sequence[int] = (1, 10, 100, 1000),
    n_samples: int = 5000, seed: int = 0, progress: Callable[[Iterable], Iterable] = iter,
) -> BoundCurve:  # fmt: skip
    """The importance-weighted bound of every row of ``X`` (N, D), for every ``k``.

    Parameters
    ----------
    k : sequence of int
        In any order, from 1 to S/2: a standard error needs two groups. The curve need not rise
        from one to the next but where each divides the next, and the last of them S.
    n_samples : int
        S, samples of q(z|x) for each datapoint; those of :func:`log_likelihood`, which is the
        one group of k = S.
    seed : int
        Of the noise; the result does not depend on how the work is cut up.
    progress : callable
        Wraps the iterable of chunks, as tqdm does; with several threads, the first one's share.

    Raises
    ------
    ParameterError
        If there is no ``k``, one of them is less than 1, or it leaves fewer than two groups;
        or if there is no q(z|x), or it does not reach all of the prior.

    Warns
    -----
    UserWarning
        As :func:`log_likelihood`.
    """
    check_support(engine)
    ks, S = tuple(k), n_samples
    if not ks or min(ks) < 1:
        raise ParameterError(f"k={ks} has no bound to give; ask for whole numbers from 1 on")
    if 2 * max(ks) > S:
        raise ParameterError(
            f"k={max(ks)} of n_samples={S} leaves {S // max(ks)} group(s), and a standard error "
            f"needs two; ask for {2 * max(ks)} samples"
        )
    xp = engine.xp
    bounds, errors = (xp.empty((len(ks), len(X)), engine.theta.dtype) for _ in range(2))
    ess, k_hat = (xp.empty(len(X), engine.theta.dtype) for _ in range(2))

    def estimate_chunk(work: Workspace, part: tuple[int, int]) -> None:
        here = slice(*part)
        log_w = xp.empty((S, part[1] - part[0]), "float64")
        done = 0
        for block in log_weights(engine, X, scale, part, S, seed, work):
            log_w[done : done + len(block)] = block
            done += len(block)
        k_hat[here] = Tail(xp, S).add(log_w).pareto_k()
        _, _, ess[here] = summary(xp, accumulate_weights(xp, None, log_w), S)
        for i, n in enumerate(ks):
            n_groups = S // n
            shared = log_w[: n_groups * n].reshape(n_groups, n, -1)
            groups = log_mean_exp(xp, shared, axis=1)  # (⌊S/k⌋, M)
            bounds[i, here] = groups.mean(axis=0)
            errors[i, here] = xp.sqrt(groups.var(axis=0, ddof=1) / n_groups)

    for_each_chunk(engine, estimate_chunk, len(X), max(1, chunk_size(engine) // S), progress)
    advice = ANNEAL if can_anneal(engine) else "take method='prior'"
    return BoundCurve(ks, bounds, errors, ess, S, pareto_k=k_hat, advice=advice)


def log_mean_exp(xp: Any, a: Array, axis: int) -> Array:
    """log of the mean of e^a along an axis, without overflow."""
    top = finite_max(xp, a, axis, keepdims=True)
    with ignore_overflow(xp):
        return xp.log(xp.exp(a - top).mean(axis=axis)) + top.squeeze(axis)
