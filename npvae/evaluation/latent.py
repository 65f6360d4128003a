"""Which latents carry information.

A latent that q ignores has the same posterior mean for every x. Burda et al. (2016) call
unit j active when Var_x(E_q[z_j]) > 0.01, of a prior N(0, 1). The scale of another prior is
another: on a simplex of 10 variables the variance is 0.008, and no unit could be active.
"""
from math import inf
from typing import Any

import numpy as np

from npvae import random
from npvae.backend import Array, array_module, is_device_array, to_numpy
from npvae.distributions.compatibility import infinite_moment
from npvae.distributions.normal import Normal
from npvae.distributions.priors import Mixture
from npvae.errors import DataError, ParameterError
from npvae.models import Engine

THRESHOLD = 0.01  # of Burda et al.
N_SAMPLES = 2**16  # of a prior whose variance has no formula: 1 or 2 % of error
NORMAL_QUARTILES = 1.3489795003921634  # between those of N(0, 1)


def active_units(Z: Any, threshold: float = THRESHOLD, prior_variance: Any = 1.0) -> Any:
    """Which of J latents are active, from posterior means.   Z (N, J) → (J,) bool

    Parameters
    ----------
    Z : array (N, J)
        What ``vae.transform(X)`` gives.
    threshold : float
        On the variance of the means over the data, as a share of the prior's.
    prior_variance : float or array (J,)
        That of N(0, 1) if not given; of another prior :func:`prior_variance` of ``vae.engine_``.

    Raises
    ------
    DataError
        If there are fewer than two datapoints.
    ParameterError
        If a variance of the prior is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> Z = np.array([[1.0, 0.01], [-1.0, -0.01], [0.5, 0.0]])
    >>> active_units(Z)
    array([ True, False])
    >>> active_units(Z, prior_variance=0.001)
    array([ True,  True])
    """
    Z = Z if is_device_array(Z) else np.asarray(Z)  # a table's var is another
    if len(Z) < 2:
        raise DataError(f"{len(Z)} datapoint has no variance; pass at least 2")
    scale = array_module(Z).asarray(prior_variance)
    if not bool(((scale > 0) & (scale < inf)).all()):
        raise ParameterError(f"prior_variance={prior_variance} has to be positive, and finite")
    return Z.var(axis=0) > threshold * scale


def prior_variance(engine: Engine) -> np.ndarray:
    """The variance of each latent under the prior of a model.   (J,) float64

    By formula where there is one, of a mixture of normals too; else by samples, always the same.
    Of a prior without a finite variance (Cauchy, Student's t, F, or a mixture of such posteriors)
    it is that of the normal with the same quartiles, which does not depend on the tails.
    """
    variance = variance_by_formula(engine)
    if variance is not None:
        return variance
    density, J = engine.model.prior_at(engine.ctx), engine.model.decoder.n_in
    eps = random.as_generator(0).standard_normal((N_SAMPLES, engine.model.prior.n_noise(J)))
    with engine.backend.oom_guard():
        y = density.rsample(engine.xp.asarray(eps, dtype=engine.theta.dtype))
        z = to_numpy(density.transform(y)[0]).astype(np.float64)
    name = engine.model.prior.variables.name
    if infinite_moment(name, 2):
        low, high = np.quantile(z, (0.25, 0.75), axis=0)
        return ((high - low) / NORMAL_QUARTILES) ** 2
    return z.var(axis=0)


def variance_by_formula(engine: Engine) -> np.ndarray | None:
    """The same, if it takes no samples: of most families, and of mixtures of normals."""
    density, J = engine.model.prior_at(engine.ctx), engine.model.decoder.n_in
    if isinstance(density, Mixture):
        normals = type(density.components.family) is Normal
        return variance_of_normals(density) if normals else None
    variance = density.family.standard_variance
    return None if variance is None else np.full(J, float(variance))


def variance_of_normals(mixture: Mixture) -> np.ndarray:
    """Σ π_k (σ_k² + (μ_k − E[z])²).   (J,)"""
    parts: tuple[Array, ...] = (*mixture.components.params, mixture.logits)
    mean, logvar, logits = (to_numpy(part).astype(np.float64) for part in parts)
    weights = np.exp(logits - logits.max())[:, None]
    weights /= weights.sum()
    centre = (weights * mean).sum(axis=0)
    return (weights * (np.exp(logvar) + (mean - centre) ** 2)).sum(axis=0)
