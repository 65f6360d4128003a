"""What every model class shares once it has parameters: coding, the bound, its gradient.

A model's life is told on four pages, each a class that builds on the one before: how it is
described (``configured``), given parameters (``initialized``), trained (``trained``), and, here,
used.
"""
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from npvae import evaluation
from npvae.backend import array_module, is_device_array, to_numpy
from npvae.data import check_data
from npvae.errors import DataError
from npvae.estimators.trained import Trained
from npvae.evaluation.bound import draw
from npvae.models import Engine

Array = Any


class GenerativeModel(Trained):
    """Base of the public classes. See :class:`npvae.VAE` for the shared parameters."""

    MODELS: ClassVar[dict[str, type["GenerativeModel"]]] = {}  # class name → class, for load

    def __init_subclass__(cls) -> None:
        cls.MODELS[cls.__name__] = cls

    _noise_name: ClassVar[str] = "eps"  # what its latents are made of

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

    def _like(self, X: Any, result: Array) -> Array:
        """``result`` as the kind of array that went in."""
        return array_module(X).asarray(result) if is_device_array(X) else to_numpy(result)

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

    def _with(self, **fields: Any) -> Self:
        """The same parameters by a model with other ``fields``."""
        other, engine = copy(self), self._engine()
        model: Any = replace(engine.model, **fields)  # type: ignore[type-var]
        with engine.backend.room():
            other.engine_ = Engine(
                model, engine.backend, engine.theta, engine.penalty, engine.kl_term
            )
        return other

    def _noise(self, eps: Any, M: int) -> Array:
        """Noise from the user, checked.   (L, M, J)"""
        J = self._engine().model.n_noise
        try:
            eps = eps if is_device_array(eps) else np.asarray(eps)
        except ValueError as error:
            raise DataError(f"{self._noise_name} is no array: {error}; pass numbers") from error
        if eps.dtype.kind not in "biuf":
            raise DataError(f"{self._noise_name} holds {eps.dtype}; pass real numbers")
        if eps.ndim != 3 or len(eps) < 1 or eps.shape[1:] != (M, J):
            raise DataError(
                f"{self._noise_name} has shape {eps.shape}; it must be (L, {M}, {J}), L ≥ 1"
            )
        if not bool(array_module(eps).isfinite(eps).all()):
            raise DataError(f"{self._noise_name} holds NaN or infinity; pass finite numbers")
        return eps
