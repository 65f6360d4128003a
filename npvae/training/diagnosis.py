"""What a loss that is not finite is likely due to: the scale of the data, or the learning rate.

Searched for when it has happened, and not before: it costs nothing else.
"""
from collections.abc import Iterable

import numpy as np

from npvae.backend import Array, to_numpy
from npvae.training.state import TrainingState

FAR = 1e3  # from 0, as a model sees data: no ordinary ones lie there
NEAR = 10  # where data may lie before a parameter has moved


def diagnose(
    state: TrainingState, what: str, data: Iterable[Array], of: str = "X",
    names: np.ndarray | None = None,
) -> str:  # fmt: skip
    """One line: what happened, the first array with a value that is not finite, and what to do.

    Parameters
    ----------
    what : str
        What happened.
    data : iterable of array (M, D)
        The data as the model sees them, some rows at a time, for the largest to be named.
    of : str
        What the user calls them.
    names : array of str (D,), optional
        Of the columns.
    """
    where = first_not_finite(state)  # before the data are written over a buffer
    cause = likely_cause(state, *farthest(data), of, names)
    return f"{what}; the first value that is not finite is in {where}; {cause}"


def first_not_finite(state: TrainingState) -> str:
    """The first array with a value that is not finite.

    Searched in the order in which a bad number spreads: the gradient of the last update (still
    there), the moments, the parameters, and the buffers of a step as the forward pass fills them.
    """
    engine = state.engine
    named, finite = engine.layout.named, engine.xp.isfinite
    suspects = {f"the gradient of {k}": v for k, v in named(engine.grad).items()}
    for slot, moment in state.moments.items():
        suspects |= {f"the optimiser's {slot} of {k}": v for k, v in named(moment).items()}
    suspects |= {f"the parameter {k}": v for k, v in named(engine.theta).items()}
    suspects |= {f"the layer's buffer {k}": v for k, v in engine.work.buffers().items()}
    return next((k for k, v in suspects.items() if not bool(finite(v).all())), "the loss itself")


def farthest(data: Iterable[Array]) -> tuple[float, int, int]:
    """The value that is farthest from 0, its row and its column.

    Examples
    --------
    >>> import numpy as np
    >>> farthest([np.array([[1.0, 2.0]]), np.array([[0.0, -9.0], [3.0, 4.0]])])
    (-9.0, 1, 1)
    """
    value, row, column, start = 0.0, 0, 0, 0
    for chunk in data:
        x = to_numpy(chunk)  # (M, D)
        i, j = divmod(int(abs(x).argmax()), x.shape[1])
        if abs(x[i, j]) > abs(value):
            value, row, column = float(x[i, j]), start + i, j
        start += len(x)
    return value, row, column


def likely_cause(
    state: TrainingState, value: float, row: int, column: int, of: str,
    names: np.ndarray | None,
) -> str:  # fmt: skip
    """The data's scale if their farthest value says so, else the parameters at the beginning or the
    learning rate, which has no part in what goes wrong before the first update.
    """
    units, given, seen = state.engine.standardization, value, ""
    if units is not None:
        given = value * float(units.scale[column]) + float(units.shift[column])
        seen = f", {value:.3g} deviations from the mean"
    if abs(value) > (FAR if state.step else NEAR):
        cell = f"{row}, {column if names is None else str(names[column])!r}"
        rate = "lower the learning rate" if state.step else "set a smaller initial_std"
        return f"{of}[{cell}] is {given:.6g}{seen}: rescale the data; if that is not it, {rate}"
    if not state.step:
        return (
            "no update has been made, and the data are of an ordinary size: begin with smaller "
            "parameters, by initial_std"
        )
    return "lower the learning rate or set clip_norm"
