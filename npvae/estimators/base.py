"""What every model class is: arguments, parameters on an engine, and a list of what it can do.

scikit-learn's conventions hold: the constructor stores its arguments and checks nothing, ``fit``
checks them, what is learned ends in an underscore. A public class derives from
:class:`GenerativeModel` alone. It says how its mathematics follows from its arguments, and lists
what it can do: functions of other files, which take the model first and so are its methods.
"""
import inspect
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from npvae import networks, random
from npvae.backend import Array, Backend, get_backend, to_numpy
from npvae.distributions import Likelihood
from npvae.distributions.latents import LatentFamily
from npvae.distributions.priors import Prior
from npvae.errors import NotFittedError, ParameterError
from npvae.estimators import coding, exporting, feature_names, model_file, scoring, training
from npvae.estimators.arguments import (
    resolve_likelihood,
    resolve_objective,
    resolve_option,
    resolve_posterior,
    resolve_prior,
)
from npvae.estimators.building import check_likelihood
from npvae.io import check_arrays
from npvae.memory import Layout, aligned, is_aligned
from npvae.models import Engine, Model, Penalty, parameter_prior
from npvae.objectives import Objective
from npvae.options import OPTIONS, whole_number
from npvae.standardization import Standardization

if TYPE_CHECKING:
    from npvae.training import TrainingState, TrainStep


class GenerativeModel:
    """Base of the public classes. See :class:`npvae.VAE` for the shared parameters."""

    MODELS = model_file.MODELS

    # What a class is, where it does not say otherwise.
    has_prior: ClassVar[bool] = False  # p(z), and so samples, and a density of x
    has_bound: ClassVar[bool] = False  # a lower bound of log p(x), by an encoder q(z|x)
    takes_validation: ClassVar[bool] = True  # whether held-out data can be scored on the way
    in_memory: ClassVar[bool] = False  # whether all data have to be
    indivisible: ClassVar[str] = ""  # why several processes cannot train it together
    _noise_name: ClassVar[str] = "eps"  # what its latents are made of

    # Constructor arguments that every class stores ...
    latent_dim: int
    hidden: Any
    activation: str
    likelihood: Any
    likelihood_mean: str
    likelihood_std: float | None
    likelihood_variance: str
    n_levels: int | None
    initial_std: float | None
    standardize: bool
    optimizer: Any
    schedule: Any
    learning_rate: float
    batch_size: int
    epochs: int
    binarize: str
    clip_norm: float | None
    backend: str
    tf32: bool
    dtype: str
    random_state: Any
    verbose: bool | None
    # ... and those that not every class has, with what stands for them there
    decoder_hidden: Any = None
    posterior: Any = "normal"
    prior: Any = "normal"
    prior_components: int = 1
    estimator: Any = "B"
    n_samples: int = 1
    noise: str = "independent"
    parameter_prior: bool = False
    kl_weight: float = 1.0
    kl_warmup: int = 0
    free_bits: float = 0.0
    early_stopping: int | None = None

    feature_names_in_: np.ndarray  # (D,) of str, where the data of fit had names
    _sklearn_output_config: dict[str, str]  # where set_output has been called

    def __init_subclass__(cls) -> None:
        cls.MODELS[cls.__name__] = cls

    # ---- what a class describes

    def _model(self, n_features: int) -> Model:
        raise NotImplementedError

    def _check(self) -> None:
        """Raise a ParameterError for arguments that do not go together."""

    def _penalty(self, layout: Layout, n_data: int) -> Penalty:
        """The penalty on the weights."""
        return parameter_prior(layout.n_weights, n_data) if self.parameter_prior else Penalty()

    def _make_step(self) -> "Callable[..., TrainStep]":
        """Makes the :class:`~npvae.training.TrainStep` of a state, batches and a config."""
        from npvae.training import TrainStep

        return TrainStep

    # ---- arguments

    @classmethod
    @cache
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def _store(self, arguments: dict[str, Any]) -> None:
        """Keep every constructor argument under its own name, as it came."""
        vars(self).update({name: arguments[name] for name in self._parameter_names()})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments; takes effect at the next ``fit``.

        What says how to train (``learning_rate``, ``kl_weight``) takes effect at the next
        ``partial_fit`` too. After another model was described (``latent_dim``, ``likelihood``)
        whatever would use the parameters there are is refused until then.

        Raises
        ------
        ParameterError
            If a name is not one of the constructor's.
        """
        names = self._parameter_names()
        for name, value in params.items():
            if name not in names:
                raise ParameterError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(names)}"
                )
            setattr(self, name, value)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep an argument that changes; before the parameters are used again it is looked at."""
        super().__setattr__(name, value)
        if not (name.startswith("_") or name.endswith("_")) and "engine_" in vars(self):
            self.engine_.found_finite = False

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks before a pipeline or a grid search; nobody else calls this."""
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            input_tags=InputTags(sparse=True),
            transformer_tags=TransformerTags(preserves_dtype=[]),  # dtype is an argument here
        )

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        given = {name: repr(value) for name, value in self.get_params().items()}
        changed = [f"{k}={v}" for k, v in given.items() if v != repr(defaults[k].default)]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check_params(self) -> None:
        """Raise a ParameterError for the first constructor argument that cannot be used."""
        for name, value in self.get_params().items():
            if name in OPTIONS:
                OPTIONS[name].validate(value)
        check_likelihood(self)
        resolve_option("optimizer", self.optimizer), resolve_option("schedule", self.schedule)
        self._check()

    # What arguments stand for.

    def _name(self, option: str) -> str:
        """The canonical name of an option's value."""
        return OPTIONS[option].canonical_name(getattr(self, option))

    def _likelihood(self) -> Likelihood:
        mean, variance = self._name("likelihood_mean"), self._name("likelihood_variance")
        return resolve_likelihood(
            self.likelihood, mean, self.likelihood_std, self.n_levels, variance
        )

    def _latents(self) -> tuple[LatentFamily, Prior]:
        """Posterior and prior."""
        q = resolve_posterior(self.posterior)
        return q, resolve_prior(self.prior, q, self.prior_components)

    def _objective(self) -> Objective:
        """What is minimised."""
        return resolve_objective(
            self.estimator, kl_weight=self.kl_weight, kl_warmup=self.kl_warmup,
            free_bits=self.free_bits,
        )  # fmt: skip

    # ---- parameters: all in one array on the device, of which those by name are views

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
        layout = model.layout()
        if layout.size > 2**40:
            raise ParameterError(f"these widths make {layout.size:.0e} parameters; choose smaller")
        noise = random.normal(self.seed_, random.INITIALIZE, 0, layout.size)
        theta = networks.initialize(
            layout, noise, self.initial_std, model.random_init, model.zero_init
        )
        self._attach(n_features, theta, n_data=1)
        return self

    def _attach(self, n_features: int, theta: np.ndarray, n_data: int, epoch: int = 0) -> None:
        """Put parameters (P,), trained for so many epochs, on the device, with fresh buffers.

        On a host they are taken as they are where they are aligned and of the model's dtype.
        """
        backend: Backend = get_backend(self.backend, bool(self.tf32))
        with backend.oom_guard():
            self._build(n_features, theta, n_data, epoch, backend)

    def _build(
        self, n_features: int, theta: np.ndarray, n_data: int, epoch: int, backend: Backend
    ) -> None:
        model = self._model(n_features)
        self.n_features_in_, self.n_data_, self._first_epoch = n_features, n_data, epoch
        self._built_from = self.get_params()
        self._first_rows: training.FirstRows | None = None
        self.image_shape_: tuple[int, ...] | None = None
        feature_names.keep_names(self, None)
        dtype, flat = backend.xp.dtype(self._name("dtype")), theta
        if not (backend.xp is np and theta.dtype == dtype and is_aligned(theta)):
            flat = aligned(backend.xp.empty, len(theta), dtype)  # (P,)
            flat[...] = backend.asarray(theta)
        penalty = self._penalty(model.layout(), n_data)
        self.engine_ = Engine(model, backend, flat, penalty, self._objective())
        most = float(np.finfo(self._name("dtype")).max)
        self.engine_.found_finite = -most <= float(theta.min()) and float(theta.max()) <= most
        for before in ("_state", "history_"):
            vars(self).pop(before, None)

    @cached_property
    def _state(self) -> "TrainingState":
        """Where training stands. A model that only codes and decodes never asks, and has none."""
        from npvae.training import TrainingState

        engine, optimizer = self._engine(), self._built_from["optimizer"]
        with engine.backend.oom_guard():
            moments = resolve_option("optimizer", optimizer).init(engine.xp, engine.theta)
            carried = engine.objective.init_state(engine.ctx)
        return TrainingState(engine, moments, self._first_epoch, objective_state=carried)

    @cached_property
    def history_(self) -> dict[str, list]:
        """What each epoch of ``fit`` gave."""
        return self._state.history

    def _set_n_data(self, n_data: int) -> None:
        self.n_data_ = n_data
        self.engine_.penalty = self._penalty(self.engine_.layout, n_data)
        self.engine_.objective = self._objective()

    def _engine(self) -> Engine:
        if "engine_" not in vars(self):
            raise NotFittedError(
                f"this {type(self).__name__} has no parameters yet; "
                "call fit(X) or initialize(n_features)"
            )
        return self.engine_

    def _ready_engine(self) -> Engine:
        """The engine, to compute with: its parameters are finite, or a NumericalError says which;
        and of the model that the arguments describe, or a ParameterError says so.

        They are looked through once, and again when views of them have been given out or an
        argument has changed.
        """
        engine: Engine | None = vars(self).get("engine_")
        if engine is None or not engine.found_finite:
            engine = self._engine()
            model_file.check_described(self)
            engine.check_parameters()
        return engine

    @property
    def parameters(self) -> dict[str, Array]:
        """Every parameter by name: views, so writing to one changes the model.

        Raises
        ------
        NotFittedError
            If there are none yet.
        """
        engine = self._engine()
        engine.found_finite = False  # whoever has views may write to them
        return engine.layout.named(engine.theta)

    @property
    def standardization_(self) -> Standardization | None:
        """The data's shift and scale (D,), in which the parameters were learned; None if as is.

        Raises
        ------
        NotFittedError
            If there are no parameters yet.
        """
        return self._engine().standardization

    def set_parameters(
        self, parameters: dict[str, Array], standardization: Standardization | None = None
    ) -> Self:
        """Replace all parameters by those of a dict, name → array.

        Parameters
        ----------
        parameters : dict of str to array
            All of them.
        standardization : Standardization, optional
            ``standardization_`` of the model that they come from; of this one if not given.

        Raises
        ------
        ModelFileError
            If a name is missing or unknown, or a shape is wrong; nothing is changed then.
        ParameterError
            If the standardization is none for data of this model; nothing is changed then.
        """
        engine = self._engine()
        arrays = {name: to_numpy(array) for name, array in parameters.items()}
        check_arrays("parameters", arrays, engine.layout.shapes)
        with engine.backend.oom_guard():
            if standardization is not None:  # first: it may be refused
                engine.standardize(standardization)
            for name, view in self.parameters.items():
                view[...] = engine.backend.asarray(arrays[name])
        return self

    # ---- what every class can do

    fit = training.fit
    partial_fit = training.partial_fit
    transform = coding.transform
    inverse_transform = coding.inverse_transform
    fit_transform = coding.fit_transform
    get_feature_names_out = feature_names.get_feature_names_out
    set_output = feature_names.set_output
    likelihood_of = coding.likelihood_of
    reconstruct = coding.reconstruct
    score_samples = scoring.score_samples
    score = scoring.score
    save = model_file.save
    export = exporting.export
