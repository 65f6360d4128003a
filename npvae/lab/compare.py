"""Estimators of a gradient, side by side: bias, variance, signal-to-noise ratio and time."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np

from npvae import random
from npvae.backend import Array
from npvae.errors import ParameterError
from npvae.estimators import VAE
from npvae.estimators.coding import data_of
from npvae.evaluation.chunks import load_rows
from npvae.interrupts import interrupts
from npvae.io import check_suffix
from npvae.io.atomic import StrPath
from npvae.lab.checkpoint import load_draws, model_settings, save_draws
from npvae.lab.comparison import Comparison
from npvae.lab.draws import Draws, Progress, fill, prepare
from npvae.lab.measures import gradient_rows, paired_rows
from npvae.lab.statistics import BATCHES
from npvae.lab.truth import Truth, truths_of
from npvae.models import Engine
from npvae.objectives import OBJECTIVES, Objective
from npvae.options import OPTIONS, one_of

FEWEST = 2 * BATCHES  # draws: two a batch
BETWEEN_SAVES = 30.0  # seconds


def compare(
    estimators: Sequence[str | Objective], vae: VAE | Mapping[str, VAE], X: Any,
    n_draws: int = 1000, rng: Any = None, *, samples: int | Sequence[int] | None = None,
    noise: str | Sequence[str] | None = None, checkpoint: StrPath | None = None,
    resume: bool = False, progress: Progress = iter,
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
    noise : str or sequence of str, optional
        ``"independent"``, ``"antithetic"``, ``"sobol"``, as ``noise=`` of a VAE takes them; the
        model's own if not given.
    checkpoint : path, optional
        A ``.npz`` that is written at the start, every half a minute, on Ctrl-C and in the end.
    resume : bool
        Go on from ``checkpoint``: to the same numbers as without an interruption, but for seconds.
    progress : callable
        Wraps the iterable of draws, as tqdm does.

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
        If an estimator is not known, does not go with the model, with as few samples or with the
        noise, is named twice, or if there are too few draws.
    ModelFileError
        If the checkpoint cannot be read or written, or is of other settings, parameters or data.
    DataError
        If ``X`` is not finite, of another shape, or out of range.
    NotFittedError
        If a model has no parameters yet.
    KeyboardInterrupt
        On Ctrl-C, after the draw in hand and the checkpoint.

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
    if noise is not None:
        check_different("noise", noise, kinds_of(noise))
    models = vae if isinstance(vae, Mapping) else {"": vae}
    check_different("vae", vae, [*models])
    if checkpoint is not None:
        check_suffix(checkpoint)
    elif resume:
        raise ParameterError("resume=True needs checkpoint=PATH, the file to go on from")
    seed, n_draws = random.as_seed(rng, "rng"), int(n_draws)
    chosen = dict(zip(named, estimators, strict=True))
    runs = [prepared(chosen, label, model, X, samples, noise) for label, model in models.items()]
    every = [draws for run in runs for draws in run.every]
    settings = {"n_draws": n_draws, "seed": seed} | {
        f"{name} of {run.label}" if run.label else name: value
        for run in runs for name, value in model_settings(run.engine, run.x, run.every).items()
    }  # fmt: skip
    if checkpoint is not None:  # one that cannot be written is told of now, and not in an hour
        (load_draws if resume else save_draws)(checkpoint, settings, every)
    began = monotonic()
    with interrupts() as interrupted:
        for run in runs:
            with run.engine.backend.oom_guard():
                for _ in fill(run.every, run.engine, run.x, n_draws, seed, progress):
                    if checkpoint is not None and monotonic() - began >= BETWEEN_SAVES:
                        save_draws(checkpoint, settings, every)
                        began = monotonic()
                    if interrupted():
                        break
            if interrupted():
                break
        if checkpoint is not None:
            save_draws(checkpoint, settings, every)
    rows = [r for run in runs for r in gradient_rows(run.every, run.truths, run.label, run.engine)]
    differences = [r for run in runs for r in paired_rows(run.every, run.label, run.engine)]
    return Comparison(rows, differences, len(runs[0].x), n_draws, BATCHES)


@dataclass(frozen=True)
class ModelRun:
    """What is compared of one model."""

    label: str
    engine: Engine
    x: Array  # (M, D)
    every: list[Draws]
    truths: list[tuple[Truth, Draws | None]]  # of each


def prepared(
    estimators: Mapping[str, str | Objective], label: str, vae: VAE, X: Any, samples: Any,
    noise: Any,
) -> ModelRun:  # fmt: skip
    """All that comes before the draws of a model."""
    if not isinstance(vae, VAE):
        raise ParameterError(f"{type(vae).__name__} is no VAE; only its estimators compare")
    engine = vae._ready_engine()
    numbers = np.atleast_1d(vae.n_samples if samples is None else samples).tolist()
    kinds = kinds_of(vae.noise if noise is None else noise)
    every = prepare(estimators, vae, numbers, kinds)
    pixels, scale = data_of(vae, X)
    with engine.backend.oom_guard():
        x = load_rows(engine, pixels[:], scale, engine.work).copy()  # (M, D)
        return ModelRun(label, engine, x, every, truths_of(every, engine, x))


def kinds_of(noise: Any) -> list[str]:
    """The canonical names of one kind of noise, or several."""
    several = noise if isinstance(noise, list | tuple) else [noise]
    return [OPTIONS["noise"].canonical_name(kind) for kind in several]


def check_different(name: str, value: Any, several: Sequence[Any]) -> None:
    """Raise a ParameterError unless there is something, and nothing twice."""
    if not several or len(set(several)) < len(several):
        raise ParameterError(f"{name}={value!r} must name one or more, and none of them twice")
