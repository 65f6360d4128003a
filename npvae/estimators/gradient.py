"""The gradient of one minibatch, or of each of its datapoints, at noise that may be given."""
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from npvae import random, sobol
from npvae.backend import Array, array_module, is_device_array, to_numpy
from npvae.errors import DataError, ParameterError
from npvae.estimators.building import check_coupling
from npvae.estimators.coding import as_input_type, data_of
from npvae.estimators.model_file import changed_after_fit
from npvae.evaluation.bound import row_noise
from npvae.evaluation.chunks import load_rows
from npvae.models import Engine, Noise
from npvae.row_noise import row_keys

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel


@overload
def loss_and_grad(
    model: "GenerativeModel", X: Any, eps: Array | None = None, *,
    per_example: Literal[False] = False,
) -> tuple[float, dict[str, Array]]: ...  # fmt: skip
@overload
def loss_and_grad(
    model: "GenerativeModel", X: Any, eps: Array | None = None, *, per_example: bool
) -> tuple[Any, dict[str, Array]]: ...
def loss_and_grad(
    model: "GenerativeModel", X: Any, eps: Array | None = None, *, per_example: bool = False
) -> tuple[Any, dict[str, Array]]:
    """The training loss of ``X`` as one minibatch, and its gradient.

    Parameters
    ----------
    X : array (M, D)
        Datapoints.
    eps : array (L, M, J), optional
        Noise; from ``random_state`` and each row's values if not given, its samples coupled as
        ``noise`` has them.
    per_example : bool
        Give the loss and the gradient of each datapoint as a minibatch of its own, with its own
        noise: their means are those of the minibatch.

    Returns
    -------
    loss : float, or array (M,) with ``per_example``
        What training minimises: minus the mean lower bound over ``X``, its KL with the
        weight that it has after the warm-up and with free bits, if there are any, or minus the
        bound of L samples by estimators that have one; plus what is put on the weights (a
        parameter prior or an L2 penalty). In nats per datapoint.
    gradient : dict of str to array
        ∂loss/∂parameter by name, copies; (M, ...) with ``per_example``.

    Raises
    ------
    DataError
        If ``X`` or ``eps`` is not finite, of another shape, or out of range.
    NotFittedError
        If there are no parameters yet.
    NumericalError
        If a parameter is not finite.
    ParameterError
        If ``n_samples`` has been set to a number that ``noise`` cannot be of.
        If the loss of a minibatch is not the mean of its datapoints' and theirs are asked for: with
        free bits, which are of the mean KL.

    Examples
    --------
    >>> import numpy as np
    >>> import npvae
    >>> X = np.random.default_rng(0).random((5, 8))
    >>> vae = npvae.VAE(2, (4,), dtype="float64", random_state=0).initialize(8)
    >>> losses, gradients = vae.loss_and_grad(X, per_example=True)
    >>> losses.shape, gradients["encoder.mean.weight"].shape
    ((5,), (5, 2, 4))
    >>> bool(np.isclose(losses.mean(), vae.loss_and_grad(X)[0]))
    True
    """
    return loss_and_grad_at(model, X, eps, per_example)


def loss_and_grad_at(
    model: "GenerativeModel", X: Any, eps: Array | None, per_example: bool = False, **more: Any
) -> tuple[Any, dict[str, Array]]:
    """Loss and gradient at given noise; ``more`` as :class:`~npvae.models.Noise` has it."""
    engine = model._engine()
    pixels, scale = data_of(model, X)
    penalty = model._penalty(engine.layout, model.n_data_)
    if (model._objective(), penalty) != (engine.objective, engine.penalty):
        raise changed_after_fit(model, "its loss is still that of before")
    if per_example and not engine.objective.separable:
        raise ParameterError(
            f"per_example=True with free_bits={model.free_bits}: they are of the KL's mean over a "
            "minibatch, and no datapoint has a part of it; set free_bits=0 and fit again"
        )
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
            eps = coupled_noise(model, engine, keys)
        else:
            eps = engine.backend.asarray(eps, engine.theta.dtype)  # (L, M, J)
            eps = engine.xp.ascontiguousarray(eps)  # as kernels read it
        if per_example:
            losses, grads = row_by_row(engine, x, eps)
            return as_input_type(X, losses), {k: as_input_type(X, g) for k, g in grads.items()}
        loss = float(engine.loss_and_grad(x, Noise(eps, **more)))
        grads = engine.layout.named(engine.grad)
        return loss, {name: as_input_type(X, grad.copy()) for name, grad in grads.items()}


def coupled_noise(model: "GenerativeModel", engine: Engine, keys: np.ndarray) -> Array:
    """Noise of the rows with these keys, coupled as that of training.   (L, M, n_noise)"""
    check_coupling(model)
    kind, seed, L, n = model._name("noise"), model.seed_, model.n_samples, engine.model.n_noise
    if kind == "sobol":
        words = [random.words(seed, random.EVALUATE, 0, sobol.n_words(L, n), row=int(key))
                 for key in keys]  # fmt: skip
        normals = sobol.sobol_normals(np.array(words), L, n)
        return engine.backend.asarray(normals, engine.theta.dtype)
    if kind == "antithetic":
        half = row_noise(engine, seed, L // 2, keys, 0, engine.work)
        return engine.xp.concatenate([half, -half])
    return row_noise(engine, seed, L, keys, 0, engine.work)


def row_by_row(engine: Engine, x: Array, eps: Array) -> tuple[Array, dict[str, Array]]:
    """Losses and gradients of the rows of x (M, D), each with its own eps (L, 1, J).

    A pass a row.   → losses (M,), gradients by name (M, ...)
    """
    xp, dtype, M = engine.xp, engine.theta.dtype, len(x)
    losses = xp.empty(M, dtype)
    shapes = engine.layout.shapes.items()
    grads = {name: xp.empty((M, *shape), dtype) for name, shape in shapes}
    for m in range(M):
        eps_m = xp.ascontiguousarray(eps[:, m : m + 1])  # (L, 1, J)
        losses[m] = engine.loss_and_grad(x[m : m + 1], Noise(eps_m))
        for name, grad in engine.layout.named(engine.grad).items():
            grads[name][m] = grad
    return losses, grads


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
