"""Whether an export is the same model: its outputs beside npvae's, and how fast both are."""
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np

from npvae.export.format import Format, Outputs, Runner

Function = Callable[[np.ndarray], object]
TOLERANCE = 1e-5  # of an output's scale
BATCHES = (1, 100)  # rows
SECONDS = 0.1  # that each of two is timed for


@dataclass(frozen=True)
class Comparison:
    """An export beside npvae, on the same synthetic inputs.

    Attributes
    ----------
    format : str
        Of the export.
    n : int
        Rows that were compared.
    differences : mapping of str to float
        By output, as ``"encoder mean"``: the largest difference over the scale of the output, which
        is its largest deviation from the mean of its column.
    microseconds : mapping of str to tuple
        By network and rows, as ``("decoder", 100)``: of the export, which may give more, and of
        npvae's ``transform`` and ``inverse_transform``. Empty where each call starts a process.
    """

    format: str
    n: int
    differences: Mapping[str, float]
    microseconds: Mapping[tuple[str, int], tuple[float, float]]

    @property
    def ok(self) -> bool:
        """Whether all outputs agree to 1e-5 of their scale."""
        return all(difference <= TOLERANCE for difference in self.differences.values())

    def __str__(self) -> str:
        width = max(map(len, ["encoder, 100 rows", *self.differences]))
        lines = [f"{name:{width}}  {difference:.1e} of its scale apart, on {self.n} rows"
                 for name, difference in self.differences.items()]  # fmt: skip
        if self.microseconds:
            lines.append(f"{'microseconds':{width}}  {self.format:>11}  {'npvae':>9}")
        for (network, rows), (here, ours) in self.microseconds.items():
            label = f"{network}, {rows} row{'s' * (rows > 1)}"
            lines.append(f"{label:{width}}  {here:>11,.0f}  {ours:>9,.0f}")
        lines.append("the same model" if self.ok else f"not the same model to {TOLERANCE:g}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from npvae import html

        differences = tuple(f"{difference:.1e}" for difference in self.differences.values())
        caption = f"{self.format} beside npvae, {self.n} rows: differences over an output's scale"
        return html.table(caption, {"output": tuple(self.differences), "difference": differences})


def compare(
    form: Format, runner: Runner, wanted: Mapping[str, Outputs], ours: Mapping[str, Function],
    rows: Mapping[str, np.ndarray],
) -> Comparison:  # fmt: skip
    """An export on rows (n, ·) of data and of latents, which may be any that the model takes.

    Parameters
    ----------
    wanted, ours, rows : mapping
        Of ``"encoder"``, ``"decoder"`` and ``"sample"``, as far as the format has them: what npvae
        gives, what is timed of it, and the input.
    """
    differences, microseconds = {}, {}
    parts = {"encoder": runner.encode, "decoder": runner.decode, "sample": runner.sample}
    for network, run in parts.items():
        if run is None:
            continue
        for name, values in run(rows[network]).items():
            differences[f"{network} {name}"] = difference(values, wanted[network][name])
        for batch in BATCHES if form.resident else ():
            microseconds[network, batch] = times(run, ours[network], rows[network][:batch])
    return Comparison(form.name, len(rows["encoder"]), differences, microseconds)


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, over the scale of what is wanted; ∞ where one is not a number.

    The scale of numbers far from 0 is their deviation. It is no smaller than leaves the numbers
    themselves four roundings.

    Examples
    --------
    >>> difference(np.array([[1001.0], [999.5]]), np.array([[1001.0], [999.0]]))
    0.5
    """
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    wanted = wanted.astype(float)
    rounding = 4 * np.finfo(found.dtype).eps * np.abs(wanted).max() / TOLERANCE
    scale = max(np.abs(wanted - wanted.mean(axis=0)).max(), rounding, np.finfo(float).tiny)
    return float(np.abs(found - wanted).max() / scale)


def times(their: Function, our: Function, rows: np.ndarray) -> tuple[float, float]:
    """Median microseconds of each, called in turns so that a busy machine is busy for both."""
    seconds: tuple[list[float], list[float]] = [], []
    end = perf_counter() + 2 * SECONDS
    while perf_counter() < end or len(seconds[0]) < 3:
        for function, taken in zip((their, our), seconds, strict=True):
            begin = perf_counter()
            function(rows)
            taken.append(perf_counter() - begin)
    theirs, ours = (1e6 * median(taken) for taken in seconds)
    return theirs, ours
