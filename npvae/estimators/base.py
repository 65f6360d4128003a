"""What every model class shares: parameters, fitting, coding, saving.

scikit-learn's conventions hold: the constructor stores its arguments and checks nothing,
``fit`` checks and returns ``self``, and what is learned ends in an underscore.
"""
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from npvae import evaluation, networks, random
from npvae.backend import Backend, array_module, get_backend, is_device_array, to_numpy
from npvae.data import Dataset, check_data
from npvae.distributions import Likelihood
from npvae.distributions.likelihoods import LIKELIHOODS, likelihood
from npvae.errors import DataError, NotFittedError, ParameterError
from npvae.estimators.arguments import named, one_of, plain, positive, whole_number, widths
from npvae.estimators.params import Parametrized
from npvae.evaluation.bound import draw
from npvae.io import check_arrays, write_archive
from npvae.memory import Layout, aligned
from npvae.models import Engine, Model, Penalty
from npvae.objectives import KLTerm
from npvae.ops import ACTIVATIONS
from npvae.optim import OPTIMIZERS, SCHEDULES, Constant, Optimizer, Schedule
from npvae.training import (
    BINARIZE,
    Course,
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
)  # fmt: skip

Array = Any
UNSAVED = ("verbose", "backend", "tf32")  # of no concern to a file


class GenerativeModel(Parametrized):
    """Base of the public classes. See :class:`npvae.VAE` for the shared parameters."""

    MODELS: ClassVar[dict[str, type["GenerativeModel"]]] = {}  # class name → class, for load

    def __init_subclass__(cls) -> None:
        cls.MODELS[cls.__name__] = cls

    # Constructor arguments that every subclass stores.
    latent_dim: int
    hidden: Any
    decoder_hidden: Any
    activation: str
    likelihood: str
    likelihood_mean: str
    likelihood_std: float | None
    n_levels: int | None
    initial_std: float | None
    optimizer: Any
    schedule: Any
    learning_rate: float
    batch_size: int
    epochs: int
    binarize: str
    clip_norm: float | None
    early_stopping: int | None
    backend: str
    tf32: bool
    dtype: str
    random_state: Any
    verbose: bool
    n_samples: int = 1

    takes_validation: ClassVar[bool] = True  # whether it has a bound of held-out data
    _noise_name: ClassVar[str] = "eps"  # what its latents are made of

    # ---- what a subclass supplies

    def _model(self, n_features: int) -> Model:
        raise NotImplementedError

    def _penalty(self, layout: Layout, n_data: int) -> Penalty:
        raise NotImplementedError

    def _kl_term(self) -> KLTerm:
        """How the KL enters what is minimised; as in the lower bound."""
        return KLTerm()

    def _course(self) -> Callable[..., Course]:
        """What makes the course of training of state, batches and recipe."""
        return Course

    # ---- checking

    def _check_params(self) -> None:
        """Raise a ParameterError for the first constructor argument that cannot be used."""
        for name in ("latent_dim", "batch_size", "epochs", "n_samples"):
            whole_number(name, getattr(self, name))
        self._widths()
        one_of("activation", self.activation, ACTIVATIONS)
        self._check_likelihood()
        one_of("binarize", self.binarize, BINARIZE)
        one_of("dtype", self.dtype, ("float32", "float64"))
        self._optimizer()
        self._schedule()
        positive("learning_rate", self.learning_rate)
        if self.initial_std is not None:
            positive("initial_std", self.initial_std)
        if self.clip_norm is not None:
            positive("clip_norm", self.clip_norm)
        if self.early_stopping is not None:
            whole_number("early_stopping", self.early_stopping)

    def _widths(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Hidden widths of encoder and decoder."""
        encoder = widths("hidden", self.hidden)
        if self.decoder_hidden is None:
            return encoder, encoder[::-1]
        return encoder, widths("decoder_hidden", self.decoder_hidden)

    def _check_likelihood(self) -> None:
        """Raise a ParameterError unless the likelihood is known and has the options given."""
        name, K = self.likelihood, self.n_levels
        one_of("likelihood", name, LIKELIHOODS)
        one_of("likelihood_mean", self.likelihood_mean, ("linear", "sigmoid"))
        if self.likelihood_mean == "sigmoid" and name not in ("normal", "bernoulli"):
            raise ParameterError(  # a Bernoulli's mean is one anyhow
                f"likelihood_mean='sigmoid' is for likelihood='normal'; the mean of {name!r} has "
                "no such choice, so leave it 'linear'"
            )
        if self.likelihood_std is not None:
            positive("likelihood_std", self.likelihood_std)
            if name != "normal":
                raise ParameterError(
                    f"likelihood_std={self.likelihood_std} is that of likelihood='normal'; "
                    f"likelihood={name!r} has none to set"
                )
        if K is None and name == "categorical":
            raise ParameterError(
                "n_levels=None leaves likelihood='categorical' without categories; set n_levels "
                "to how many levels a feature has, or choose 'discretized-logistic'"
            )
        if K is not None:
            whole_number("n_levels", K)
            if K < 2 or name not in ("categorical", "discretized-logistic"):
                raise ParameterError(
                    f"n_levels={K} must be 2 or more, and is for likelihood='categorical' or "
                    f"'discretized-logistic', not {name!r}"
                )

    def _likelihood(self) -> Likelihood:
        return likelihood(
            self.likelihood, self.likelihood_mean == "sigmoid", self.likelihood_std, self.n_levels
        )

    def _data(self, X: Any) -> tuple[Array, float]:
        """Checked datapoints (N, D) in their own dtype, and the factor to scale them by."""
        return self._check_data(X, self._engine().model.n_features)

    def _check_data(self, X: Any, n_features: int | None) -> tuple[Array, float]:
        support = self._likelihood().support
        if isinstance(X, Dataset):
            return check_data(X.pixels, n_features, support, X.scale, name=X.name), X.scale
        return check_data(X, n_features, support, xp=array_module(X)), 1.0

    def _engine(self) -> Engine:
        if not hasattr(self, "engine_"):
            raise NotFittedError(
                f"this {type(self).__name__} has no parameters yet; "
                "call fit(X) or initialize(n_features)"
            )
        return self.engine_

    def _like(self, X: Any, result: Array) -> Array:
        """``result`` as the kind of array that went in."""
        return array_module(X).asarray(result) if is_device_array(X) else to_numpy(result)

    # ---- parameters

    def initialize(self, n_features: int) -> Self:
        """Set parameters for data of ``n_features`` columns, without training.

        Raises
        ------
        ParameterError
            If a constructor argument or ``n_features`` cannot be used.
        BackendError
            If the backend cannot run here.
        """
        self._check_params()
        whole_number("n_features", n_features)
        self.seed_ = random.as_seed(self.random_state)
        model = self._model(n_features)
        layout, spread = model.layout(), getattr(model, "spread", ())
        if layout.size > 2**40:
            raise ParameterError(f"these widths make {layout.size:.0e} parameters; choose smaller")
        noise = random.normal(self.seed_, random.INITIALIZE, 0, layout.size)
        theta = networks.initialize(layout, noise, self.initial_std, spread)
        self._attach(n_features, theta, n_data=1)
        return self

    def _attach(self, n_features: int, theta: np.ndarray, n_data: int) -> None:
        """Put parameters (P,) on the device, with fresh buffers and optimiser state."""
        backend: Backend = get_backend(self.backend, bool(self.tf32))
        with backend.room():
            self._build(n_features, theta, n_data, backend)

    def _build(self, n_features: int, theta: np.ndarray, n_data: int, backend: Backend) -> None:
        model = self._model(n_features)
        self.n_features_in_, self.n_data_ = n_features, n_data
        self.image_shape_: tuple[int, int] | None = None
        flat = aligned(backend.xp.empty, len(theta), backend.xp.dtype(str(self.dtype)))  # (P,)
        flat[...] = backend.asarray(theta)
        penalty = self._penalty(model.layout(), n_data)
        self.engine_ = Engine(model, backend, flat, penalty, self._kl_term())
        moments = self._optimizer().init(backend.xp, flat)
        self._state = TrainingState(self.engine_, moments)
        self.history_ = self._state.history

    def _begin_at_moments(self, pixels: Array, scale: float) -> None:
        """Have the untrained decoder give moments of the data (N, D) where its h is 0."""
        engine, threshold = self.engine_, self.binarize == "threshold"
        with engine.backend.room(), np.errstate(all="ignore"):  # the first step says what is wrong
            mean, variance = data_moments(engine, pixels, scale, threshold)  # (D,), (1,)
            first = self._likelihood().first_bias(mean, variance, len(pixels))
            for head, bias in first.items():
                finite = engine.xp.isfinite(bias)
                engine.P[f"decoder.{head}.bias"][...] = engine.xp.where(finite, bias, 0)

    def _set_n_data(self, n_data: int) -> None:
        self.n_data_ = n_data
        self.engine_.penalty = self._penalty(self.engine_.layout, n_data)
        self.engine_.kl_term = self._kl_term()

    @property
    def parameters(self) -> dict[str, Array]:
        """Every parameter by name: views, so writing to one changes the model.

        Raises
        ------
        NotFittedError
            If there are none yet.
        """
        engine = self._engine()
        return engine.layout.named(engine.theta)

    def set_parameters(self, parameters: dict[str, Array]) -> Self:
        """Replace all parameters by those of a dict, name → array.

        Raises
        ------
        ModelFileError
            If a name is missing or unknown, or a shape is wrong; nothing is changed then.
        """
        engine = self._engine()
        arrays = {name: to_numpy(array) for name, array in parameters.items()}
        check_arrays("parameters", arrays, engine.layout.shapes)
        with engine.backend.room():
            for name, view in self.parameters.items():
                view[...] = engine.backend.asarray(arrays[name])
        return self

    # ---- training

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

    def _optimizer(self) -> Optimizer:
        return named("optimizer", self.optimizer, OPTIMIZERS)

    def _schedule(self) -> Schedule:
        return named("schedule", self.schedule, SCHEDULES)

    # ---- coding

    def transform(self, X: Any) -> Array:
        """Posterior means of z, deterministic.   X (N, D) → (N, J)

        Raises
        ------
        DataError
            If ``X`` is not finite, of another width, or outside the likelihood's range.
        NotFittedError
            If there are no parameters yet.
        """
        pixels, scale = self._data(X)
        with self.engine_.backend.room():
            return self._like(X, evaluation.encode(self.engine_, pixels, scale))

    def inverse_transform(self, Z: Any) -> Array:
        """Means of p(x|z).   Z (N, J) → (N, D)

        Raises
        ------
        DataError
            If ``Z`` is not finite or not J wide.
        NotFittedError
            If there are no parameters yet.
        """
        engine = self._engine()
        checked = check_data(Z, engine.model.decoder.n_in, xp=array_module(Z))
        with engine.backend.room():
            return self._like(Z, evaluation.decode(engine, checked))

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """``fit(X)``, then ``transform(X)``."""
        return self.fit(X, y).transform(X)

    # ---- the bound and its gradient

    def _bound(self, X: Any, eps: Array | None = None) -> evaluation.Elbo:
        pixels, scale = self._data(X)
        if eps is not None:
            eps = self._noise(eps, len(pixels))
        L = self.n_samples if eps is None else len(eps)
        with self.engine_.backend.room():
            return evaluation.elbo(
                self.engine_, pixels, scale, seed=self.seed_, n_samples=L, eps=eps
            )

    def score_samples(self, X: Any) -> Array:
        """The lower bound of each datapoint, in nats.   X (N, D) → (N,)

        Raises
        ------
        DataError, NotFittedError
            As :meth:`transform`.
        """
        return self._like(X, self._bound(X).total)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean lower bound, in nats per datapoint; errors as in :meth:`transform`."""
        return float(self._bound(X).total.mean())

    def loss_and_grad(self, X: Any, eps: Array | None = None) -> tuple[float, dict[str, Array]]:
        """The training loss of ``X`` as one minibatch, and its gradient.

        Parameters
        ----------
        X : array (M, D)
            Datapoints.
        eps : array (L, M, J), optional
            Noise; drawn from ``random_state`` if not given.

        Returns
        -------
        loss : float
            What training minimises: minus the mean lower bound over ``X``, its KL with the
            weight that it has after the warm-up and with free bits, if there are any; plus what
            is put on the weights (a parameter prior or an L2 penalty). In nats per datapoint.
        gradient : dict of str to array
            ∂loss/∂parameter by name, copies.

        Raises
        ------
        DataError
            If ``X`` or ``eps`` is not finite, of another shape, or out of range.
        NotFittedError
            If there are no parameters yet.
        """
        engine = self._engine()
        pixels, scale = self._data(X)
        M = len(pixels)
        if eps is not None:
            eps = self._noise(eps, M)
        with engine.backend.room():
            x = engine.backend.asarray(pixels, engine.theta.dtype)
            x = x * engine.theta.dtype.type(scale) if scale != 1 else x
            if eps is None:
                noise = draw(engine, self.seed_, self.n_samples, M, 0, engine.work)
            else:
                noise = engine.backend.asarray(eps, engine.theta.dtype)  # (L, M, J)
            kept = engine.forward(x, noise)
            loss = float(engine.loss(kept))
            engine.backward(x, noise, kept)
            grads = engine.layout.named(engine.grad)
            return loss, {name: self._like(X, grad.copy()) for name, grad in grads.items()}

    def _noise(self, eps: Any, M: int) -> Array:
        """Noise from the user, checked.   (L, M, J)"""
        J = self._engine().model.n_noise
        eps = eps if is_device_array(eps) else np.asarray(eps)
        if eps.ndim != 3 or len(eps) < 1 or eps.shape[1:] != (M, J):
            raise DataError(
                f"{self._noise_name} has shape {eps.shape}; it must be (L, {M}, {J}), L ≥ 1"
            )
        if not bool(array_module(eps).isfinite(eps).all()):
            raise DataError(f"{self._noise_name} holds NaN or infinity; pass finite numbers")
        return eps

    # ---- files

    def _config(self) -> dict[str, Any]:
        """What a file must know to rebuild this model.

        Raises
        ------
        ParameterError
            If ``set_params`` has described another model since this one was built.
        """
        same = self._model(self.n_features_in_) == self.engine_.model
        if not (same and self._optimizer().slots == tuple(self._state.moments)):
            raise ParameterError(
                "set_params changed the model or its optimizer after it was fitted; call fit again"
            )
        params = {k: plain(v) for k, v in self.get_params().items() if k not in UNSAVED}
        return {
            "class": type(self).__name__,
            "params": params | {"random_state": self.seed_},
            "n_features": self.n_features_in_,
            "n_data": self.n_data_,
            "image_shape": plain(self.image_shape_),
        }

    def save(self, path: str | Path) -> None:
        """Write the model to one ``.npz`` that :func:`npvae.load` and ``numpy.load`` read.

        Raises
        ------
        ModelFileError
            If it cannot be written; a file that stood there is left as it was.
        NotFittedError
            If there are no parameters yet.
        """
        self._engine()
        arrays = {name: to_numpy(array) for name, array in self.parameters.items()}
        write_archive(path, "model", self._config(), arrays)
