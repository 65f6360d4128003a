"""What several processes may train together: a loss that is a mean over the datapoints of a step.

The rest is refused: training that sums what is no sum would go on, and nobody would see it.
"""
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.backend import Array, to_numpy
from npvae.errors import ParameterError
from npvae.row_noise import row_keys

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
    from npvae.training import Communicator
LOOKED_AT = 1000  # rows, evenly spaced, by which data are held to be the same


def check_divisible(model: "GenerativeModel", ranks: "Communicator", n_data: int) -> None:
    """Raise a ParameterError if ``ranks`` cannot share the steps of a model.

    Raises
    ------
    ParameterError
        If a minibatch has fewer rows than there are ranks, or what is minimised is no mean over
        them, or one row's noise is not its own.
    """
    if ranks.size == 1:
        return
    objective, name = model.engine_.objective, type(model).__name__
    least, M = ranks.size, min(model.batch_size, n_data)
    if least > M:
        raise ParameterError(
            f"a minibatch of {M} has no row for each of {least} ranks; raise batch_size, or start "
            "fewer ranks"
        )
    if model.indivisible:
        raise ParameterError(
            f"{name} trains in one process: {model.indivisible}; leave comm out, or train a VAE"
        )
    if not objective.separable:
        raise ParameterError(
            "free_bits are of a whole minibatch's mean KL, of which a rank has a part; "
            "set free_bits=0, or train in one process"
        )
    if objective.init_state(model.engine_.ctx):
        raise ParameterError(
            f"estimator={objective.name!r} carries a baseline from step to step, the mean of a "
            "whole minibatch, of which a rank has a part; choose another, or train in one process"
        )


def check_alike(
    model: "GenerativeModel", ranks: "Communicator", pixels: Array, scale: float
) -> None:
    """Raise a DataError on all ranks if they were not called with the same data and settings."""
    if ranks.size == 1:
        return
    some: Any = to_numpy(pixels[:: -(-len(pixels) // LOOKED_AT)]) * scale  # (n, D)
    keys = int(row_keys(np.ascontiguousarray(some)).sum(dtype=np.uint64))
    ranks.check_same("the shape of X", tuple(pixels.shape))
    ranks.check_same(f"a hash of {len(some)} rows of X", keys)
    plain = (str, int, float, tuple, type(None))
    apart = ("random_state", "verbose")
    for name, value in model.get_params().items():
        if name not in apart:
            ranks.check_same(name, value if isinstance(value, plain) else type(value).__name__)
