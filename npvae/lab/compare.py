"""Estimators of a gradient, side by side: bias, variance, signal-to-noise ratio and time."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from npvae import random
from npvae.errors import ParameterError
from npvae.estimators import VAE
from npvae.estimators.coding import data_of
from npvae.evaluation.chunks import load_rows
from npvae.lab.comparison import Comparison
from npvae.lab.draws import Progress, fill, prepare
from npvae.lab.measures import gradient_rows, paired_rows
from npvae.lab.statistics import BATCHES
from npvae.lab.truth import truths_of
from npvae.objectives import OBJECTIVES, Objective
from npvae.options import one_of

FEWEST = 2 * BATCHES  # draws: two a batch


def compare(
    estimators: Sequence[str | Objective], vae: VAE | Mapping[str, VAE], X: Any,
    n_draws: int = 1000, rng: Any = None, *, samples: int | Sequence[int] | None = None,
    progress: Progress = iter,
) -> Comparison:  # fmt: skip
    """Compare estimators of the gradient of a VAE: bias, variance, signal, time.

    Parameters
    ----------
    estimators : sequence of str or Objective
        As ``estimator=`` of a VAE takes them; all settings else are the model's own.
    vae : VAE, or mapping of str to VAE
        With parameters; not changed. Several by their labels, as stages of a training or numbers of
        latents.
    X : array (M, D)
        Datapoints: the gradient is that of one minibatch of them all.
    n_draws : int
        Gradients of each estimator, 64 or more.
    rng : int, Generator or None
        Of the noise; the same for each model.
    samples : int or sequence of int, optional
        L, or k; the model's own if not given.
    progress : callable
        Wraps the iterable of draws, as tqdm does. A comparison that is cut short does not resume.

    Returns
    -------
    Comparison
        Its ``rows`` have one record an estimator, number of samples and block of parameters,
        ``differences`` one a pair of estimators. In nats per datapoint, of what an objective
        estimates: a penalty on weights has no noise and is left out. For a score function with
        a moving baseline, that of the draws before, after a burn-in of 50.

    Raises
    ------
    ParameterError
        If an estimator is not known, does not go with the model or with as few samples, is named
        twice, or if there are too few draws.
    DataError
        If ``X`` is not finite, of another shape, or out of range.
    NotFittedError
        If a model has no parameters yet.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images[:20]
    >>> vae = npvae.VAE(2, (8,), random_state=0).initialize(64)
    >>> found = npvae.lab.compare(["A", "B"], vae, X, n_draws=64, rng=0)
    >>> a, b = found.select(block="encoder")
    >>> a.variance > b.variance
    True
    """
    if not isinstance(n_draws, int | np.integer) or n_draws < FEWEST:
        raise ParameterError(
            f"n_draws={n_draws!r} gives no errors to trust; ask for {FEWEST} draws or more"
        )
    named = [one_of("estimator", e, OBJECTIVES) if isinstance(e, str) else type(e).__name__
             for e in (estimators if isinstance(estimators, list | tuple) else [])]  # fmt: skip
    check_different("estimators", estimators, named)
    if samples is not None:
        check_different("samples", samples, np.atleast_1d(samples).tolist())
    models = vae if isinstance(vae, Mapping) else {"": vae}
    check_different("vae", vae, [*models])
    seed, rows, differences = random.as_seed(rng, "rng"), [], []
    for label, model in models.items():
        if not isinstance(model, VAE):
            raise ParameterError(f"{type(model).__name__} is no VAE; only its estimators compare")
        engine = model._ready_engine()
        numbers = [model.n_samples] if samples is None else np.atleast_1d(samples).tolist()
        every = prepare(dict(zip(named, estimators, strict=True)), model, numbers)
        pixels, scale = data_of(model, X)
        with engine.backend.oom_guard():
            x = load_rows(engine, pixels[:], scale, engine.work).copy()  # (M, D)
            truths = truths_of(every, engine, x)
            fill(every, engine, x, int(n_draws), seed, progress)
        rows += gradient_rows(every, truths, label, engine)
        differences += paired_rows(every, label, engine)
    return Comparison(rows, differences, len(x), int(n_draws), BATCHES)


def check_different(name: str, value: Any, several: Sequence[Any]) -> None:
    """Raise a ParameterError unless there is something, and nothing twice."""
    if not several or len(set(several)) < len(several):
        raise ParameterError(f"{name}={value!r} must name one or more, and none of them twice")
