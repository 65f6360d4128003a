"""The gradient of one minibatch, at noise that may be given."""
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.backend import Array, array_module, is_device_array, to_numpy
from npvae.errors import DataError
from npvae.estimators.coding import as_input_type, data_of
from npvae.estimators.model_file import changed_after_fit
from npvae.evaluation.bound import row_noise
from npvae.evaluation.chunks import load_rows
from npvae.models import Noise
from npvae.row_noise import row_keys

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel


def loss_and_grad(
    model: "GenerativeModel", X: Any, eps: Array | None = None
) -> tuple[float, dict[str, Array]]:
    """The training loss of ``X`` as one minibatch, and its gradient.

    Parameters
    ----------
    X : array (M, D)
        Datapoints.
    eps : array (L, M, J), optional
        Noise; from ``random_state`` and each row's values if not given.

    Returns
    -------
    loss : float
        What training minimises: minus the mean lower bound over ``X``, its KL with the
        weight that it has after the warm-up and with free bits, if there are any, or minus the
        bound of L samples by estimators that have one; plus what is put on the weights (a
        parameter prior or an L2 penalty). In nats per datapoint.
    gradient : dict of str to array
        ∂loss/∂parameter by name, copies.

    Raises
    ------
    DataError
        If ``X`` or ``eps`` is not finite, of another shape, or out of range.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    """
    return loss_and_grad_at(model, X, eps)


def loss_and_grad_at(
    model: "GenerativeModel", X: Any, eps: Array | None, **more: Any
) -> tuple[float, dict[str, Array]]:
    """Loss and gradient at given noise; ``more`` as :class:`~npvae.models.Noise` has it."""
    engine = model._engine()
    pixels, scale = data_of(model, X)
    penalty = model._penalty(engine.layout, model.n_data_)
    if (model._objective(), penalty) != (engine.objective, engine.penalty):
        raise changed_after_fit(model, "its loss is still that of before")
    n = len(pixels)
    if eps is not None:
        eps = check_noise(model, eps, n)
        if len(eps) < (least := engine.objective.min_samples):
            raise DataError(
                f"{model._noise_name} has {len(eps)} sample; estimator={model.estimator!r} "
                f"compares them with one another, so give {least} or more"
            )
    with engine.backend.oom_guard():
        x = load_rows(engine, pixels[:], scale, engine.work)  # one minibatch, sparse or not
        if eps is None:
            keys = row_keys(to_numpy(x))
            eps = row_noise(engine, model.seed_, model.n_samples, keys, 0, engine.work)
        else:
            eps = engine.backend.asarray(eps, engine.theta.dtype)  # (L, M, J)
        loss = float(engine.loss_and_grad(x, Noise(eps, **more)))
        grads = engine.layout.named(engine.grad)
        return loss, {name: as_input_type(X, grad.copy()) for name, grad in grads.items()}


def check_noise(model: "GenerativeModel", eps: Any, n: int) -> Array:
    """Check the user's noise.   (L, n, J)"""
    return checked_noise(eps, n, model._engine().model.n_noise, model._noise_name)


def checked_noise(eps: Any, n: int, J: int, name: str = "eps") -> Array:
    """Noise of n datapoints and J variables a sample, or one line on why it is none.   (L, n, J)"""
    try:
        eps = eps if is_device_array(eps) else np.asarray(eps)
    except ValueError as error:
        raise DataError(f"{name} is no array: {error}; pass numbers") from error
    if eps.dtype.kind not in "biuf":
        raise DataError(f"{name} holds {eps.dtype}; pass real numbers")
    if eps.ndim != 3 or len(eps) < 1 or eps.shape[1:] != (n, J):
        raise DataError(f"{name} has shape {eps.shape}; it must be (L, {n}, {J}), L ≥ 1")
    if not bool(array_module(eps).isfinite(eps).all()):
        raise DataError(f"{name} holds NaN or infinity; pass finite numbers")
    return eps
