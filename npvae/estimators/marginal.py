"""log p(x) on the public classes: one call for every way to estimate it."""
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from npvae import evaluation, random
from npvae.distributions.suitable import covers
from npvae.errors import ParameterError
from npvae.estimators.arguments import whole_number
from npvae.estimators.base import GenerativeModel
from npvae.evaluation.methods import marginal_likelihood


class MarginalModel(GenerativeModel):
    """A model that gives a density to x: it says p(x|z) and p(z)."""

    def _likelihood_method(self) -> str:
        """The first that serves."""
        raise NotImplementedError

    def log_likelihood(
        self, X: Any, n_samples: int | None = None, rng: Any = None,
        progress: Callable[[Iterable], Iterable] = iter, *, method: str | None = None,
        **options: Any,
    ) -> evaluation.LogLikelihood:  # fmt: skip
        """log p(x) of each datapoint, in nats.

        Parameters
        ----------
        X : array (N, D)
            Datapoints.
        n_samples : int, optional
            Samples a datapoint, or chains under ``"annealed"``; memory does not grow with it.
            Of the method's own number if not given: 5,000 for importance sampling.
        rng : int, numpy.random.Generator or None
            Where the noise comes from.
        progress : callable
            Wraps the iterable of chunks, as tqdm does.
        method : str, optional
            ``"importance"``: samples of q(z|x). ``"annealed"``: chains from the prior to the
            posterior. ``"harmonic"``: the paper's appendix D, for fewer than five latents.
            ``"prior"``: samples of p(z), for a handful of latents. If not given the first; the
            second for a model without an encoder, the last where q(z|x) stays on an interval.
        **options
            Of the method, as :mod:`npvae.evaluation` has them: ``n_temperatures=1000``.

        Returns
        -------
        LogLikelihood
            ``estimate``, ``standard_error`` and ``effective_sample_size``, each (N,). It prints
            as a sentence that says what it is worth.

        Raises
        ------
        ParameterError
            If there is no such method or option, ``n_samples`` is too few for a standard error,
            ``rng`` cannot seed a generator, or the method does not serve this model.
        NumericalError
            If chains do not move, or samples are worth nothing.
        DataError, NotFittedError
            As :meth:`transform`.
        """
        engine = self._engine()
        pixels, scale = self._data(X)
        if options.keys() & {"seed", "scale"}:
            raise ParameterError("the noise comes from rng, and X is not scaled; leave them out")
        counts = {"n_samples": n_samples} | options
        for name in ("n_samples", "n_chains", "n_temperatures", "n_leapfrog", "warm_up"):
            if counts.get(name) is not None:
                whole_number(name, counts[name])
        with engine.backend.room():
            result = marginal_likelihood(
                engine, pixels, scale, method or self._likelihood_method(), n_samples,
                seed=random.as_seed(rng, "rng"), progress=progress, **options,
            )  # fmt: skip
        return self._likes(X, result)

    def _likes(self, X: Any, result: Any) -> Any:
        """A result with its estimates as the kind of array that went in."""
        columns = ("estimate", "standard_error", "effective_sample_size")
        return replace(result, **{name: self._like(X, getattr(result, name)) for name in columns})


class EncodedModel(MarginalModel):
    """One that has an encoder q(z|x) too."""

    def _likelihood_method(self) -> str:
        model: Any = self._engine().model
        return "importance" if covers(model.posterior.name) else "prior"

    def iwae_bound(
        self, X: Any, k: int | Sequence[int] = (1, 10, 100, 1000), n_samples: int = 5000,
        rng: Any = None, progress: Callable[[Iterable], Iterable] = iter,
    ) -> evaluation.BoundCurve:  # fmt: skip
        """The bound by k samples of q(z|x), which closes in on log p(x) (Burda et al. 2016).

        Parameters
        ----------
        X : array (N, D)
            Datapoints.
        k : int or sequence of int
            Samples that share a bound; k = 1 is the lower bound of eq. 3.
        n_samples : int
            In all, for each datapoint: at least the largest k.
        rng, progress
            As :meth:`log_likelihood` has them.

        Returns
        -------
        BoundCurve
            ``estimate`` and ``standard_error`` (K, N), ``effective_sample_size`` (N,).

        Raises
        ------
        ParameterError, DataError, NotFittedError
            As :meth:`log_likelihood`; or if a k is less than 1 or does not divide ``n_samples``.
        """
        engine = self._engine()
        pixels, scale = self._data(X)
        k = tuple(k) if isinstance(k, Iterable) else (k,)
        for name, value in (("n_samples", n_samples), *(("k", one) for one in k)):
            whole_number(name, value)
        with engine.backend.room():
            result = evaluation.iwae_bound(
                engine, pixels, scale, k=k, n_samples=n_samples, seed=random.as_seed(rng, "rng"),
                progress=progress,
            )  # fmt: skip
        return self._likes(X, result)
