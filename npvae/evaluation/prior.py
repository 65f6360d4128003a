"""The marginal likelihood by plain Monte Carlo: samples of the prior, the same for every datapoint.

    p(x) = E_{p(z)}[p(x|z)] ≈ (1/S) Σ_s p(x|z_s),   z_s ~ p(z)

The estimator that asks for nothing: no encoder, no chains, no fitted density. What it costs is
that few of the samples lie where p(z|x) does, e^{−KL(p(z|x) ‖ p(z))} of them or so: it serves a
handful of latents. What makes it affordable is that a Bernoulli likelihood is linear in x,

    log p(x|z) = x · l(z) − Σ_d log(1 + e^{l_d(z)}),

so that S samples for N datapoints are S decoded images and one product (S, D) (D, N). Other
likelihoods take a pass over all S · N · D.
"""
from collections.abc import Callable, Iterable
from typing import Any

from npvae import random
from npvae.backend import Array
from npvae.distributions import BernoulliLikelihood
from npvae.distributions.compatibility import support_covers
from npvae.errors import ParameterError
from npvae.evaluation.chunks import chunks, load_rows
from npvae.evaluation.importance import (
    ANNEAL,
    LogLikelihood,
    accumulate_weights,
    can_anneal,
    summary,
)
from npvae.evaluation.pareto import Tail
from npvae.models import Engine
from npvae.records import dataclass

BLOCK = 2000  # samples decoded at a time, at most
WEIGHTS = 2**22  # importance weights at a time, one a sample and datapoint
NUMBERS = 2**24  # of the data at a time


@dataclass(frozen=True)
class SharedLogLikelihood(LogLikelihood):
    """log p(x) of datapoints that share their samples; attributes as :class:`LogLikelihood`."""

    @property
    def mean_error(self) -> float:
        """Of the mean over datapoints, at most: their errors may all point the same way."""
        return float(self.standard_error.mean())


def prior_log_likelihood(
    engine: Engine, X: Array, scale: float = 1.0, *, n_samples: int = 100_000, seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> SharedLogLikelihood:  # fmt: skip
    """Estimate log p(x) for every row of ``X`` (N, D) by samples of the prior.

    Parameters
    ----------
    n_samples : int
        S. The datapoints share them, so that the errors of their estimates are correlated.
    seed : int
        Of the samples.
    progress : callable
        Wraps the iterable of blocks of samples, as tqdm does; of many datapoints, once for each
        chunk of them.

    Raises
    ------
    ParameterError
        If ``n_samples`` is less than 2.
    """
    if n_samples < 2:
        raise ParameterError(f"n_samples={n_samples} gives no standard error; ask for 2 or more")
    model, concatenate = engine.model, engine.xp.concatenate
    parts = []
    for start, stop in chunks(len(X), max(1, NUMBERS // X.shape[1])):
        x = load_rows(engine, X[start:stop], scale, engine.work)  # (M, D)
        parts.append(estimate_chunk(engine, x, n_samples, seed, progress))
    estimate, error, ess, k = (
        concatenate(columns).astype(engine.theta.dtype) for columns in zip(*parts, strict=True)
    )
    covers = model.posterior is not None and support_covers(model.posterior.name)
    advice = (
        ANNEAL if can_anneal(engine) else "take method='importance'" if covers
        else "take more samples"
    )  # fmt: skip
    return SharedLogLikelihood(estimate, error, ess, n_samples, pareto_k=k, advice=advice)


def estimate_chunk(
    engine: Engine, x: Array, n_samples: int, seed: int,
    progress: Callable[[Iterable], Iterable],
) -> tuple[Array, ...]:  # fmt: skip
    """Estimate, standard error, effective sample size and k̂ of x (M, D), each (M,) float64."""
    model, ctx = engine.model, engine.ctx
    ops, xp, work, J = engine.ops, engine.xp, engine.work, model.decoder.n_in
    p, n_noise = model.prior_at(ctx), model.prior.n_noise(J)
    sums: Any = None
    tail = Tail(xp, n_samples)
    linear = isinstance(model.likelihood, BernoulliLikelihood)
    numbers = len(x) if linear else len(x) * engine.layout.max_width  # of a sample
    block = max(1, min(BLOCK, WEIGHTS // numbers))
    log_p_of_pairs = pairwise_log_p_bernoulli if linear else pairwise_log_p
    for first, last in progress(list(chunks(n_samples, block))):
        eps, step = work("eps", last - first, 1, n_noise), work.constant(0, 1, dtype="int64")
        ops.fill_noise(seed, random.EVALUATE, step, first, eps)
        z, _ = p.transform(p.rsample(eps[:, 0]))  # (s, J)
        a, _ = model.decoder.forward(ctx, z)  # (s, Σ heads)
        log_w = log_p_of_pairs(engine, a, x).astype("float64")
        sums = accumulate_weights(xp, sums, log_w)
        tail.add(log_w)
    return *summary(xp, sums, n_samples), tail.pareto_k()


def pairwise_log_p_bernoulli(engine: Engine, a: Array, x: Array) -> Array:
    """log p(x|z) of all pairs of z and x under a Bernoulli likelihood: one matrix product.

    The decoder's a (s, D), x (N, D) → (s, N)
    """
    ops, work, bias = engine.ops, engine.work, engine.P["decoder.heads.bias"]
    logits, softplus = (work(f"prior.{name}", *a.shape) for name in ("logits", "softplus"))
    engine.xp.add(a, bias, out=logits)
    ops.softplus(a, bias, softplus)  # and uses a up
    log_p = ops.gemm(logits, x.T, work("prior.log_p", len(a), len(x)))
    log_p -= softplus.sum(axis=1, keepdims=True)
    return log_p


def pairwise_log_p(engine: Engine, a: Array, x: Array) -> Array:
    """The same under any likelihood, pair by pair.   a (s, Σ heads), x (N, D) → (s, N)"""
    pairs = engine.work("prior.pairs", len(a), len(x), a.shape[-1])
    pairs[...] = a[:, None]
    nll, _ = engine.model.likelihood.nll(engine.ctx, pairs, engine.P["decoder.heads.bias"], x)
    return -nll
