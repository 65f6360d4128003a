"""The parameters of a model: how they begin, where they lie, how they are saved.

All of them lie in one array on the device, ``engine_.theta`` (P,); every weight and bias by name
is a view of it.
"""
from pathlib import Path
from typing import Any, Self

import numpy as np

from npvae import networks, random
from npvae.backend import Backend, get_backend, to_numpy
from npvae.errors import NotFittedError, ParameterError
from npvae.estimators.arguments import plain, whole_number
from npvae.estimators.configured import Configured
from npvae.io import check_arrays, write_archive
from npvae.memory import aligned
from npvae.models import Engine
from npvae.training import TrainingState

Array = Any
UNSAVED = ("verbose", "backend", "tf32")  # of no concern to a file


class Initialized(Configured):
    """A model with parameters, on the engine that runs it."""

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

    def _engine(self) -> Engine:
        if not hasattr(self, "engine_"):
            raise NotFittedError(
                f"this {type(self).__name__} has no parameters yet; "
                "call fit(X) or initialize(n_features)"
            )
        return self.engine_

    def _data(self, X: Any) -> tuple[Array, float]:
        """Checked datapoints (N, D) in their own dtype, and the factor to scale them by."""
        return self._check_data(X, self._engine().model.n_features)

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
        write_archive(path, "model", self._config() | {"epoch": self._state.epoch}, arrays)
