"""Many models at once: seeds and settings of one architecture, trained in one batched computation.

A small model keeps a processor, or a GPU, waiting for Python more than for arithmetic. S of them
that have one architecture take their steps together, each product and each op for all
(:mod:`npvae.stack`), and on a processor each thread takes a share of them. Each has its own seed,
so its own order of the data and its own noise, and comes to what it would have come to alone.
"""
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.backend import Array, Backend
from npvae.data import Dataset
from npvae.data.disk_rows import DiskRows
from npvae.data.sparse import SparseRows
from npvae.errors import DataError, NumericalError, ParameterError
from npvae.estimators.arguments import resolve_option
from npvae.estimators.batchable import check_batchable
from npvae.estimators.building import warn_long_warmup, warn_single_sample
from npvae.estimators.coding import checked_data
from npvae.estimators.collapse import warn_collapse
from npvae.estimators.exclusive import exclusively
from npvae.estimators.feature_names import check_names, keep_names, known_names, names_of
from npvae.estimators.training import (
    config_of_training,
    measures_of,
    open_checkpoint,
    start_at_moments,
)
from npvae.evaluation.chunks import on_device
from npvae.interrupts import interrupts
from npvae.ops.cpu.threads import parallel_for
from npvae.training import (
    ALONE,
    Callback,
    Minibatches,
    Training,
    TrainStep,
    largest_product,
    save_checkpoint,
    train_many,
)

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
LARGE = 2**21  # multiply-adds of a product: with more of them, a step is little but arithmetic


def fit_many(
    models: "Iterable[GenerativeModel]", X: Any, *, validation: Any = None
) -> "list[GenerativeModel]":
    """Train several models on ``X`` in one batched computation, each as its ``fit`` would.

    It says nothing on the way, whatever their ``verbose``.

    Parameters
    ----------
    models : iterable of VAE or of Autoencoder
        Of one architecture: alike in all but ``learning_rate``, ``schedule``, ``kl_weight``,
        ``kl_warmup``, ``random_state``, ``initial_std``, ``epochs``, ``early_stopping`` and
        ``verbose``. Their posterior and prior are normal, and their noise is not ``"sobol"``.
    X : array, table or Dataset (N, D)
        Datapoints, as ``fit`` takes them; no sparse matrix.
    validation : as X (N', D), optional
        As ``fit`` takes it.

    Returns
    -------
    list of VAE or of Autoencoder
        The same models, fitted: each with its parameters, ``history_`` and optimiser state, to go
        on with as after ``fit``. They are those of ``fit`` bit for bit, where BLAS gives a product
        the same bits on one thread as on several; on a GPU to rounding. ``seconds`` in a history
        are a model's share of the time that all took.

    Raises
    ------
    ParameterError
        If the models cannot be trained together, naming the setting; no model is changed then.
    DataError, BackendError
        As ``fit``; no model is changed then.
    NumericalError
        If the loss of some was not finite, when the others have been trained to their end. Those
        that failed are left as ``fit`` leaves one that fails.
    KeyboardInterrupt
        On Ctrl-C, when each thread has ended the step in hand; models stand where they are then.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images
    >>> seeds = [npvae.VAE(hidden=(64,), epochs=2, random_state=s) for s in range(4)]
    >>> models = npvae.fit_many(seeds, X)
    >>> alone = npvae.VAE(hidden=(64,), epochs=2, random_state=3).fit(X)
    >>> models[3].history_["elbo"] == alone.history_["elbo"]
    True
    """
    if not isinstance(models, Iterable):
        raise ParameterError(f"models={models!r:.80} is one; pass a list of models")
    models = list(models)
    errors = fit_together(models, X, validation)
    failed = {i: error for i, error in enumerate(errors) if error is not None}
    if failed:
        which, first = " and ".join(f"models[{i}]" for i in failed), next(iter(failed.values()))
        rest = len(models) - len(failed)
        raise NumericalError(f"{which} failed, {rest} of {len(models)} are fitted: {first}")
    return models


def fit_together(
    models: "Sequence[GenerativeModel]", X: Any, validation: Any = None,
    callbacks: Sequence[Sequence[Callback]] = (), checkpoints: Sequence[Path] = (),
) -> list[NumericalError | None]:  # fmt: skip
    """What :func:`fit_many` does, and for each model why it failed, or None.

    Parameters
    ----------
    callbacks : sequence of sequence of callable
        Of each model, called with its state after every epoch.
    checkpoints : sequence of path
        Of each model, written after every epoch and on Ctrl-C; a model goes on from its own, where
        there is one.
    """
    check_batchable(models)
    first = models[0]
    pixels, scale = checked_data(first, X, None)
    if isinstance(pixels, SparseRows):
        raise DataError("X is sparse, which fit_many does not take; pass X.toarray()")
    if isinstance(pixels, DiskRows):
        raise DataError("X is left on the disk, which fit_many does not take; pass np.asarray(X)")
    D, names, held_out = pixels.shape[1], names_of(X), None
    for i, model in enumerate(models):
        if model.early_stopping is not None and validation is None:
            raise ParameterError(
                f"models[{i}]: early_stopping={model.early_stopping} needs validation data; pass "
                "fit_many(models, X, validation=X_val)"
            )
    if validation is not None:
        check_names(names, validation, type(first).__name__)
        held_out = checked_data(first, validation, D)
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(exclusively(model))
        for model in models:
            model.initialize(D)
            keep_names(model, names)
        begun = [path.exists() for path in checkpoints] or [False] * len(models)
        new = [model for model, old in zip(models, begun, strict=True) if not old]
        begin_alike(new, pixels, scale)
        backend = first.engine_.backend
        with backend.oom_guard(), np.errstate(all="ignore"):
            pixels = on_device(first.engine_, pixels)
            for model in models:
                model._set_n_data(len(pixels))
                model.image_shape_ = X.image_shape if isinstance(X, Dataset) else None
            warn_single_sample(first)
            trainings = make_trainings(models, pixels, scale, held_out, checkpoints)
            for training, own in zip(trainings, callbacks, strict=bool(callbacks)):
                training.callbacks = tuple(own)
            try:
                share_out(trainings, backend)
            finally:
                for model in models:
                    model.engine_.found_finite = False  # of a failed one they may be anything
        for model, training in zip(models, trainings, strict=True):
            if training.error is None:
                warn_long_warmup(model)
                warn_collapse(model)
        return [training.error for training in trainings]


def begin_alike(models: "Sequence[GenerativeModel]", pixels: Array, scale: float) -> None:
    """Begin all at the moments of the data, which are the same for all."""
    if not models:
        return
    first, *others = models
    bias = start_at_moments(first, pixels, scale)
    for model in others:
        if (units := first.engine_.standardization) is not None:
            model.engine_.standardize(units)
        for head, values in bias.items():
            model.engine_.P[f"decoder.{head}.bias"][...] = values


def make_trainings(
    models: "Sequence[GenerativeModel]", pixels: Array, scale: float,
    held_out: tuple[Array, float] | None, checkpoints: Sequence[Path],
) -> list[Training]:  # fmt: skip
    """The training of each, from its checkpoint if it has one; all read the same data."""
    trainings: list[Training] = []
    for i, model in enumerate(models):
        save, path = None, checkpoints[i] if checkpoints else None
        if path is not None:
            settings = open_checkpoint(model, path, resume=path.exists())
            save = partial(save_checkpoint, path, config=settings)
        schedule = resolve_option("schedule", model.schedule)
        config = config_of_training(model, model.epochs, schedule, held_out, ALONE)
        binarize = model._name("binarize")
        if trainings and binarize != "fixed":  # which is a sample of each model's own
            batches = trainings[0].step.batches.shared(model.engine_, model.seed_)
        else:
            batches = Minibatches(
                model.engine_, pixels, scale, min(model.batch_size, len(pixels)), model.seed_,
                binarize, known_names(model),
            )  # fmt: skip
        step = TrainStep(model._state, batches, config)
        measures = measures_of(model, pixels, scale, held_out, ALONE)
        trainings.append(Training(step, measures, checkpoint=save))
    return trainings


def share_out(trainings: Sequence[Training], backend: Backend) -> None:
    """Train all, each thread a share of them: in one batch, or one after another."""
    first, failed = trainings[0].step, list[BaseException]()
    work = largest_product(first.state, first.batches, first.config)
    apart = backend.name == "numpy" and work > LARGE

    def train_share(*share: Training) -> None:
        try:
            train_many(share, lambda: interrupted() or bool(failed))
        except BaseException as error:
            failed.append(error)  # a full disk, say: nobody need go on
            raise

    with interrupts() as interrupted, backend.threads() as threads:
        shares = [trainings[k::threads] for k in range(min(threads, len(trainings)))]
        ranges = [[(one,) for one in share] if apart else [tuple(share)] for share in shares]
        parallel_for(train_share, ranges)
