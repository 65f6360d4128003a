"""Which latents carry information.

A latent that q ignores has the same posterior mean for every x. Burda et al. (2016) call
unit j active when Var_x(E_q[z_j]) > 0.01.
"""
from typing import Any

from npvae.errors import DataError


def active_units(Z: Any, threshold: float = 0.01) -> Any:
    """Which of J latents are active, from posterior means.   Z (N, J) → (J,) bool

    Parameters
    ----------
    Z : array (N, J)
        What ``vae.transform(X)`` gives.
    threshold : float
        On the variance of the means over the data.

    Raises
    ------
    DataError
        If there are fewer than two datapoints.

    Examples
    --------
    >>> import numpy as np
    >>> active_units(np.array([[1.0, 0.01], [-1.0, -0.01], [0.5, 0.0]]))
    array([ True, False])
    """
    if len(Z) < 2:
        raise DataError(f"{len(Z)} datapoint has no variance; pass at least 2")
    return Z.var(axis=0) > threshold
