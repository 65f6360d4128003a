"""Training: from data to parameters, by ``fit`` or pass by pass.

What is learned ends in an underscore, and ``fit`` returns ``self``. The loop itself is that of
:mod:`npvae.training`; here its parts are put together.
"""
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from npvae import evaluation
from npvae.data import Dataset
from npvae.errors import ParameterError
from npvae.estimators.initialized import Initialized
from npvae.optim import Constant, Schedule
from npvae.training import (
    Minibatches,
    Recipe,
    TrainingState,
    binarized,
    data_moments,
    load_checkpoint,
    print_backend,
    print_epoch,
    save_checkpoint,
    train,
)

Array = Any


class Trained(Initialized):
    """A model that learns from data."""

    takes_validation: ClassVar[bool] = True  # whether it has a bound of held-out data

    def fit(
        self, X: Any, y: Any = None, *, validation: Any = None,
        callbacks: Iterable[Callable[[TrainingState], Any]] = (),
        checkpoint: str | Path | None = None, resume: bool = False,
    ) -> Self:  # fmt: skip
        """Train on ``X`` from new parameters, with a decoder that begins at the moments of ``X``.

        Parameters
        ----------
        X : array (N, D) or Dataset
            Datapoints; a :class:`~npvae.data.Dataset` of bytes stays bytes.
        y : ignored
            For scikit-learn's sake.
        validation : array (N', D) or Dataset, optional
            Its bound is computed after every epoch; early stopping needs it.
        callbacks : iterable of callable
            Each called with the :class:`~npvae.training.TrainingState` after every epoch;
            one that returns True ends the training.
        checkpoint : path, optional
            Written after every epoch and on Ctrl-C.
        resume : bool
            Continue from ``checkpoint`` instead of new parameters.

        Raises
        ------
        DataError
            If data is not finite, of the wrong shape, or outside the likelihood's range.
        ParameterError
            If an argument cannot be used, or ``batch_size`` exceeds N.
        NumericalError
            As soon as the loss is not finite.
        ModelFileError
            If the checkpoint cannot be read or written, or is of other settings.
        BackendError
            If the backend cannot run here.
        KeyboardInterrupt
            On Ctrl-C, at the end of the step in hand and after the checkpoint.
        """
        self._check_params()
        pixels, scale = self._check_data(X, None)
        if self.batch_size > len(pixels):
            raise ParameterError(
                f"batch_size={self.batch_size} is larger than the data, {len(pixels)} "
                f"sample(s); choose at most {len(pixels)}"
            )
        if self.early_stopping is not None and validation is None:
            raise ParameterError(
                f"early_stopping={self.early_stopping} needs validation data; "
                "pass fit(X, validation=X_val)"
            )
        held_out = None if validation is None else self._check_data(validation, pixels.shape[1])
        self.initialize(pixels.shape[1])
        if not resume:
            self._begin_at_moments(pixels, scale)
        if self.verbose and self.backend == "auto":
            print_backend(self.engine_.backend)
        self._set_n_data(len(pixels))
        self.image_shape_ = X.image_shape if isinstance(X, Dataset) else None
        schedule = self._schedule()
        return self._train(
            pixels, scale, self.epochs, schedule, held_out, callbacks, checkpoint, resume
        )

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """One more pass over ``X``, in minibatches, from the parameters there are.

        Parameters are initialised at the first call, with a decoder that begins at the moments
        of its data; after :meth:`initialize` they are what it made them. N, which the parameter
        prior needs, is the number of datapoints of the call. The learning rate is constant: a
        schedule would have to know where the training ends.

        Raises
        ------
        DataError, ParameterError, NumericalError
            As :meth:`fit`; any number of datapoints will do.
        """
        self._check_params()
        new = not hasattr(self, "engine_")
        if new:
            self.initialize(self._check_data(X, None)[0].shape[1])
        pixels, scale = self._data(X)
        if new:
            self._begin_at_moments(pixels, scale)
        self._set_n_data(len(pixels))
        self._state.begin_epoch()  # an interrupted pass was another
        return self._train(pixels, scale, self._state.epoch + 1, Constant())

    def _begin_at_moments(self, pixels: Array, scale: float) -> None:
        """Have the untrained decoder give moments of the data (N, D) where its h is 0."""
        engine, threshold = self.engine_, self.binarize == "threshold"
        with engine.backend.room(), np.errstate(all="ignore"):  # the first step says what is wrong
            mean, variance = data_moments(engine, pixels, scale, threshold)  # (D,), (1,)
            first = self._likelihood().first_bias(mean, variance, len(pixels))
            for head, bias in first.items():
                finite = engine.xp.isfinite(bias)
                engine.P[f"decoder.{head}.bias"][...] = engine.xp.where(finite, bias, 0)

    def _train(
        self, pixels: Array, scale: float, epochs: int, schedule: Schedule,
        held_out: tuple[Array, float] | None = None,
        callbacks: Iterable[Callable[[TrainingState], Any]] = (),
        checkpoint: str | Path | None = None, resume: bool = False,
    ) -> Self:  # fmt: skip
        state, config = self._state, self._config()
        for name in ("epochs", "early_stopping"):  # a resumed run may be longer
            config["params"].pop(name, None)
        if resume:
            if checkpoint is None:
                raise ParameterError("resume=True needs checkpoint=PATH, the file to go on from")
            load_checkpoint(checkpoint, state, config)
            self.history_ = state.history
        recipe = Recipe(
            self._optimizer(), self.learning_rate, schedule, self.clip_norm, epochs,
            self.n_samples, self.seed_, None if held_out is None else self.early_stopping,
        )  # fmt: skip
        with self.engine_.backend.room():
            batches = Minibatches(
                self.engine_, pixels, scale, self.batch_size, self.seed_, self.binarize
            )
        hooks = (print_epoch, *callbacks) if self.verbose else tuple(callbacks)
        save = None if checkpoint is None else lambda s: save_checkpoint(checkpoint, s, config)
        room = self.engine_.backend.room()
        with room, np.errstate(all="ignore"):  # the loop itself stops at the first bad loss
            train(state, batches, recipe, self._validator(held_out), hooks, save, self._course())
        return self

    def _validator(
        self, held_out: tuple[Array, float] | None
    ) -> Callable[[], dict[str, float]] | None:
        """A function that gives the mean bound of the validation data, binarised as trained."""
        if held_out is None:
            return None
        pixels, scale = self._binarized(*held_out)
        with self.engine_.backend.room():
            pixels = self.engine_.backend.asarray(pixels)  # once, and not after every epoch

        def validate() -> dict[str, float]:
            bound = evaluation.elbo(self.engine_, pixels, scale, seed=self.seed_)
            return {
                "validation_elbo": float(bound.total.mean()),
                "validation_reconstruction": float(bound.reconstruction.mean()),
                "validation_kl": float(bound.kl.mean()),
            }

        return validate

    def _binarized(self, pixels: Array, scale: float) -> tuple[Array, float]:
        """Held-out data as the model saw its own: thresholded, or sampled once."""
        if self.binarize == "threshold":
            return pixels * scale > 0.5, 1.0
        if self.binarize in ("fixed", "dynamic"):
            return binarized(self.engine_, pixels, scale, self.seed_), 1.0
        return pixels, scale
