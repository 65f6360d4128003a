"""Training: from data to parameters, by ``fit`` or pass by pass.

The loop itself is that of :mod:`npvae.training`; here its parts are put together.
"""
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from warnings import warn

import numpy as np

from npvae import evaluation, training
from npvae.backend import Array, to_numpy
from npvae.data import Dataset
from npvae.data.disk_rows import DiskRows
from npvae.distributions.likelihood import Standardizable
from npvae.errors import NumericalError, ParameterError
from npvae.estimators.arguments import resolve_option
from npvae.estimators.building import warn_long_warmup, warn_single_sample
from npvae.estimators.coding import checked_data
from npvae.estimators.collapse import activity, warn_collapse
from npvae.estimators.distributed import check_alike, check_divisible
from npvae.estimators.exclusive import exclusively
from npvae.estimators.feature_names import check_names, keep_names, known_names, names_of
from npvae.estimators.model_file import (
    as_written,
    check_trainable,
    config_of,
    defaults_of,
    params_of,
)
from npvae.estimators.scoring import binarize_held_out, default_n_samples
from npvae.evaluation.chunks import chunk_size, chunks, load_rows, on_device
from npvae.io import check_suffix, read_archive
from npvae.optim import Constant, Schedule

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
    from npvae.training import Callback, Communicator, Measure, TrainConfig
M = TypeVar("M", bound="GenerativeModel")
FEW = 100  # rows whose moments are not yet those of the data
TOO_FEW = 10  # rows that say nothing of a feature's unit


class FirstRows(NamedTuple):
    """What the first calls of ``partial_fit`` gave, while it is few."""

    rows: np.ndarray  # (n, D)
    bias: Mapping[str, Array]  # the output bias by their moments, of each head


def fit(
    model: M, X: Any, y: Any = None, *, validation: Any = None,
    callbacks: "Callback | Iterable[Callback]" = (),
    checkpoint: str | Path | None = None, resume: bool = False, comm: Any = None,
) -> M:  # fmt: skip
    """Train on ``X`` from new parameters, the output bias initialised by the moments of ``X``.

    Parameters
    ----------
    X : array, table or sparse matrix (N, D), or Dataset
        Datapoints; a :class:`~npvae.data.Dataset` of bytes stays bytes. The column names of a table
        are kept; of a sparse matrix one minibatch at a time is made dense.
    y : ignored
        For scikit-learn's sake.
    validation : as X (N', D), optional
        Its bound is computed after every epoch; early stopping needs it, and compares those of
        the epochs after the KL warm-up.
    callbacks : callable or iterable of callable
        Each called with the :class:`~npvae.training.TrainingState` after every epoch; one that
        returns True, or any truth value that is true, ends the training.
    checkpoint : path, optional
        Written after every epoch and on Ctrl-C.
    resume : bool
        Continue from ``checkpoint`` instead of new parameters.
    comm : mpi4py.MPI.Intracomm, optional
        The processes that train together, as ``MPI.COMM_WORLD``: each calls this with the same
        arguments and takes its share of every minibatch, and ends with the same model. Callbacks
        are called on rank 0, which alone writes. What fails on one fails on all.

    Raises
    ------
    DataError
        If data is not finite, no number, of the wrong shape, or outside the likelihood's range.
    ParameterError
        If an argument cannot be used, or another thread is training the model.
    NumericalError
        As soon as the loss is not finite.
    ModelFileError
        If the checkpoint cannot be read or written, or is of other settings.
    BackendError
        If the backend cannot run here.
    KeyboardInterrupt
        On Ctrl-C, at the end of the step in hand and after the checkpoint.

    Warns
    -----
    UserWarning
        If a warm-up leaves no epoch at the whole weight of the KL, or no step at the whole rate;
        or if no latent is active at the end. If an argument is an object of a class of one's
        own, with which the model trains but no file can hold it.
    """
    ranks = training.communicator_of(comm)
    with ranks.together():
        model._check_params()
        hooks = checked_callbacks(callbacks)
        pixels, scale = checked_data(model, X, None)
        pixels = np.asarray(pixels) if model.in_memory and isinstance(pixels, DiskRows) else pixels
        if model.early_stopping is not None and validation is None:
            raise ParameterError(
                f"early_stopping={model.early_stopping} needs validation data; "
                "pass fit(X, validation=X_val)"
            )
        if checkpoint is not None:
            check_suffix(checkpoint)
            if resume:
                adopt_older(model, checkpoint)
        try:
            params_of(model)
        except ParameterError as error:
            if checkpoint is not None:
                raise  # now, and not after an epoch
            warn(f"{error}; save will refuse this model", stacklevel=2)
        names, held_out = names_of(X), None
        if validation is not None:
            check_names(names, validation, type(model).__name__)
            held_out = checked_data(model, validation, pixels.shape[1])
    check_alike(model, ranks, pixels, scale)
    with exclusively(model):
        with ranks.together():
            model.initialize(pixels.shape[1])
            check_divisible(model, ranks, len(pixels))
            keep_names(model, names)
            if not resume:
                start_at_moments(model, pixels, scale)
            told = training.is_told(model.verbose) and ranks.rank == 0
            if told and model.backend == "auto":
                print(f"backend    {model.engine_.backend.device}", flush=True)
            model._set_n_data(len(pixels))
            model.image_shape_ = X.image_shape if isinstance(X, Dataset) else None
            schedule = resolve_option("schedule", model.schedule)
            warn_long_warmup(model)
            warmup = model.engine_.objective.warmup_epochs
            if told and model.early_stopping is not None and 0 < warmup < model.epochs:
                print(f"stopping   counts from epoch {warmup + 1} on, after the KL warm-up",
                      flush=True)  # fmt: skip
        model.seed_ = ranks.from_root(model.seed_)
        run(model, pixels, scale, model.epochs, schedule, held_out, hooks, checkpoint, resume,
            ranks=ranks)  # fmt: skip
        warn_collapse(model)
        return model


def partial_fit(model: M, X: Any, y: Any = None) -> M:
    """One more pass over ``X``, in minibatches, from the parameters there are.

    Parameters are initialised at the first call, with a decoder that begins at the moments
    of its data, or of the first 100 rows if it has fewer; after :meth:`initialize` they are
    what it made them. N, which the parameter prior needs, is the number of datapoints of the
    call. The learning rate is constant: a schedule would have to know where the training ends.

    Raises
    ------
    DataError, ParameterError, NumericalError
        As :meth:`fit`; any number of datapoints will do.
    """
    model._check_params()
    with exclusively(model):
        new = "engine_" not in vars(model)
        if new:
            model.initialize(checked_data(model, X, None)[0].shape[1])
        names = known_names(model)
        if names is None and model._state.epoch == model._state.step == 0:
            names = names_of(X)
        else:
            check_names(names, X, type(model).__name__)
        pixels, scale = checked_data(model, X, model.n_features_in_)
        check_trainable(model)
        keep_names(model, names)
        if new or model._first_rows is not None:
            begin(model, pixels, scale)
        if new:
            model.image_shape_ = X.image_shape if isinstance(X, Dataset) else None
        model._set_n_data(len(pixels))
        model._state.begin_epoch()  # an interrupted pass was another
        return run(model, pixels, scale, model._state.epoch + 1, Constant(), whole=False)


def checked_callbacks(callbacks: Any) -> "tuple[Callback, ...]":
    """One function, or several of them, as a tuple; a ParameterError for what cannot be called."""
    several = isinstance(callbacks, Iterable) and not callable(callbacks)
    found = tuple(callbacks) if several else (callbacks,)
    for callback in found:
        if not callable(callback) or isinstance(callback, type):
            what = "is a class" if isinstance(callback, type) else "cannot be called"
            raise ParameterError(
                f"callbacks: {callback!r} {what}; pass a function of the TrainingState, or several"
            )
    return found


def begin(model: "GenerativeModel", pixels: Array, scale: float) -> None:
    """Start at the moments of what ``partial_fit`` is given, until a call or all have enough.

    One row, or one many times, has no variance and says little of the mean. So the first rows are
    kept while they are FEW, and the start moves along with their moments.
    """
    first = model._first_rows
    alike = (bool((pixels[a:b] == pixels[:1]).all()) for a, b in chunks(len(pixels), FEW))
    rows, factor = (pixels[:1] if all(alike) else pixels), scale
    if len(rows) < FEW:
        rows, factor = to_numpy(rows[:]) * scale, 1.0  # (M, D), of sparse rows too
        rows = rows if first is None else np.concatenate([first.rows, rows])
    bias = start_at_moments(model, rows, factor, first)
    model._first_rows = FirstRows(rows, bias) if len(rows) < FEW else None


def start_at_moments(
    model: "GenerativeModel", pixels: Array, scale: float, before: FirstRows | None = None
) -> dict[str, Array]:
    """Standardize the data, and initialise the output bias by their moments.

    At h = 0 the decoder gives those. A bias that was begun ``before`` by other moments moves by the
    difference; units stay, if it was not by too few rows. Returns the bias of each head.
    """
    engine, threshold = model.engine_, model._name("binarize") == "threshold"
    with engine.backend.oom_guard(), np.errstate(all="ignore"):  # the first step says what is wrong
        if standardizes(model) and (before is None or len(before.rows) < TOO_FEW):
            engine.standardize(training.standardization_of(engine, pixels, scale))
        mean, variance = training.data_moments(engine, pixels, scale, threshold)  # (D,), (1,)
        first = model._likelihood().initial_bias(mean, variance, len(pixels))
        first = {k: engine.xp.where(engine.xp.isfinite(v), v, 0) for k, v in first.items()}
        for head, bias in first.items():
            view = engine.P[f"decoder.{head}.bias"]
            view[...] = bias if before is None else view + (bias - before.bias[head])
    return first


def standardizes(model: "GenerativeModel") -> bool:
    """Whether data are to be standardized: real ones, and not made black and white."""
    likelihood = model._likelihood()
    real = isinstance(likelihood, Standardizable) and likelihood.standardizes()
    return real and bool(model.standardize) and model._name("binarize") == "none"


def adopt_older(model: "GenerativeModel", checkpoint: str | Path) -> None:
    """Describe by ``model`` what a checkpoint of that time has to go on with."""
    config, _ = read_archive(checkpoint, "checkpoint")
    known, own = training.flatten_config(config), params_of(model)
    if "likelihood_variance" in known or own["likelihood_variance"] != "latent":
        return
    del own["likelihood_variance"]
    vars(model).update({k: v for k, v in as_written(own).items() if v != own.get(k)})


def run(
    model: M, pixels: Array, scale: float, epochs: int, schedule: Schedule,
    held_out: tuple[Array, float] | None = None,
    callbacks: "tuple[Callback, ...]" = (),
    checkpoint: str | Path | None = None, resume: bool = False, whole: bool = True,
    ranks: "Communicator | None" = None,
) -> M:  # fmt: skip
    """Train to ``epochs``, or make a pass, from where the model stands, or its checkpoint."""
    ranks = ranks or training.ALONE
    with ranks.together():
        warn_single_sample(model)
        state, config = model._state, open_checkpoint(model, checkpoint, resume)
        train_config = config_of_training(model, epochs, schedule, held_out, ranks)
        with model.engine_.backend.oom_guard():
            batches = training.Minibatches(
                model.engine_, pixels, scale, min(model.batch_size, len(pixels)), model.seed_,
                model._name("binarize"), known_names(model),
            )
            offer_rows(model, callbacks, pixels, scale)
        measures = measures_of(model, pixels, scale, held_out, ranks)
    progress = training.progress_of(model.verbose, state, epochs, batches.n_batches, whole)
    save = None if checkpoint is None else lambda s: training.save_checkpoint(checkpoint, s, config)
    if ranks.rank:  # only rank 0 writes
        progress, save, callbacks = training.Progress(), None, ()
    room = model.engine_.backend.oom_guard()
    with room, np.errstate(all="ignore"):  # the loop itself stops at the first bad loss
        try:
            training.train(
                state, batches, train_config, measures, callbacks, save,
                model._make_step(), progress,
            )  # fmt: skip
        finally:
            model.engine_.found_finite = False  # of a failed one they may be anything
    return model


def open_checkpoint(
    model: "GenerativeModel", checkpoint: str | Path | None, resume: bool
) -> dict[str, Any]:
    """The settings that a checkpoint keeps; with ``resume`` the model is taken to where it is."""
    config = dict[str, Any]()
    if checkpoint is not None:
        config = config_of(model)
        for name in ("epochs", "early_stopping"):  # a resumed run may be longer
            config["params"].pop(name, None)
    if resume:
        if checkpoint is None:
            raise ParameterError("resume=True needs checkpoint=PATH, the file to go on from")
        older = defaults_of(model) | {"feature_names": config["feature_names"]}
        training.load_checkpoint(
            checkpoint, model._state, config, lambda found: older | as_written(found)
        )
        model.history_ = model._state.history
    return config


def config_of_training(
    model: "GenerativeModel", epochs: int, schedule: Schedule,
    held_out: tuple[Array, float] | None, ranks: "Communicator",
) -> "TrainConfig":  # fmt: skip
    """How a model is trained, by its arguments; early stopping needs held-out data."""
    return training.TrainConfig(
        resolve_option("optimizer", model.optimizer), model.learning_rate, schedule,
        model.clip_norm, epochs, model.n_samples, model.seed_,
        None if held_out is None else model.early_stopping, model._name("noise"), ranks,
    )  # fmt: skip


def measures_of(
    model: "GenerativeModel", pixels: Array, scale: float,
    held_out: tuple[Array, float] | None, ranks: "Communicator",
) -> "tuple[Measure, ...]":  # fmt: skip
    """What the history tells of every epoch beside the terms of the objective."""
    found = activity(model, pixels, scale), validator(model, held_out, ranks)
    return tuple(measure for measure in found if measure is not None)


def offer_rows(
    model: "GenerativeModel", callbacks: "tuple[Callback, ...]", pixels: Array, scale: float
) -> None:
    """Offer every GradientFlow some evenly spaced datapoints, binarised as they are scored."""
    for flow in callbacks:
        if isinstance(flow, training.GradientFlow):
            some = pixels[:: -(-len(pixels) // training.FOLLOWED)]  # dense, of sparse rows too
            rows, factor = binarize_held_out(model, some, scale)
            flow.begin(rows * factor, model.n_samples)


def validator(
    model: "GenerativeModel", held_out: tuple[Array, float] | None, ranks: "Communicator"
) -> Callable[[], dict[str, float]] | None:
    """A function that gives the mean bound of the validation data, binarised as trained."""
    if held_out is None:
        return None
    engine, (pixels, scale) = model.engine_, binarize_held_out(model, *held_out)
    mine, part = ranks.share(len(pixels))
    with engine.backend.oom_guard():
        pixels = on_device(engine, pixels[mine])  # once, and not after every epoch

    def validate() -> dict[str, float]:
        with ranks.together():
            bound = evaluation.elbo(
                engine, pixels, scale, seed=model.seed_, n_samples=default_n_samples(model)
            )
            terms = bound.total, bound.reconstruction, bound.kl
            means = [part * float(term.mean()) for term in terms]
        elbo, reconstruction, kl = ranks.sum(means)
        if not isfinite(elbo):
            what = f"the validation ELBO is {elbo} after epoch {model._state.epoch}"
            parts = chunks(len(pixels), chunk_size(engine))
            seen = (load_rows(engine, pixels[i:j], scale, engine.work) for i, j in parts)
            names = known_names(model)
            raise NumericalError(training.diagnose(model._state, what, seen, "validation", names))
        return {
            "validation_elbo": elbo,
            "validation_reconstruction": reconstruction,
            "validation_kl": kl,
        }

    return validate
