"""The result of a comparison: records, a table, a picture, files."""
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae import html, io
from npvae.io.atomic import StrPath

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHOLE = ("encoder", "decoder", "all")  # blocks of many parameters


class Record:
    """A row of results: ``row.bias`` and ``row["bias"]`` are the same."""

    def __getitem__(self, name: str) -> Any:
        return vars(self)[name]


@dataclass(frozen=True)
class Gradient(Record):
    """One estimator's gradient for one block of parameters. Intervals are of level 95 %.

    Attributes
    ----------
    model, estimator, block : str
        The model's label, empty if there is but one; the estimator; the name of a parameter, or
        ``"encoder"``, ``"decoder"``, ``"all"``.
    samples, latents, n_draws : int
        L or k; J; gradients drawn.
    noise : str
        Of the samples of a datapoint, as ``noise=`` of a VAE has it.
    truth : str
        What the bias is against: :mod:`npvae.lab.truth`.
    bias, bias_se : float
        ‖E g − truth‖ and its standard error; of a paired truth's own estimator both are 0.
    norm : float
        ‖E g‖.
    variance, variance_low, variance_high : float
        tr Var g, the sum over the block's entries.
    snr, snr_low, snr_high : float
        ‖E g‖/√variance of one draw, by an estimate of ‖E g‖² that has no Monte Carlo floor: 0 where
        that is not above 0.
    cosine, cosine_low, cosine_high : float
        Of the angle between E g and the truth; NaN where either may be 0.
    seconds, seconds_low, seconds_high : float
        A gradient of the whole minibatch takes at noise that is there, the median over batches.
    cost, cost_low, cost_high : float
        variance × seconds: what a given accuracy costs.
    """

    model: str
    estimator: str
    block: str
    samples: int
    noise: str
    latents: int
    n_draws: int
    truth: str
    bias: float
    bias_se: float
    norm: float
    variance: float
    variance_low: float
    variance_high: float
    snr: float
    snr_low: float
    snr_high: float
    cosine: float
    cosine_low: float
    cosine_high: float
    seconds: float
    seconds_low: float
    seconds_high: float
    cost: float
    cost_low: float
    cost_high: float


@dataclass(frozen=True)
class Difference(Record):
    """One estimator against another at the same noise, for one block of parameters.

    Attributes
    ----------
    model, estimator, other, block : str
        As a :class:`Gradient` has them.
    samples : int
        L or k, of both.
    noise : str
        Of both.
    difference, difference_se : float
        ‖E g − E h‖ and its standard error.
    ratio, ratio_low, ratio_high : float
        Of the variances, the estimator's over the other's; NaN where the other's is 0.
    """

    model: str
    estimator: str
    other: str
    block: str
    samples: int
    noise: str
    difference: float
    difference_se: float
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True)
class Comparison:
    """What :func:`npvae.lab.compare` found; prints as a table.

    Attributes
    ----------
    rows : list of Gradient
        One an estimator and block.
    differences : list of Difference
        One a pair of estimators of as many samples, and block.
    datapoints, n_draws, batches : int
        M; gradients of each estimator; and the batches that they were cut into.
    """

    rows: list[Gradient]
    differences: list[Difference]
    datapoints: int
    n_draws: int
    batches: int

    def select(self, **values: Any) -> list[Gradient]:
        """The rows that have these values: ``select(block="all", samples=1)``."""
        return [r for r in self.rows if all(r[name] == value for name, value in values.items())]

    def __str__(self) -> str:
        heads = ("estimator", "block", "bias", "variance", "snr", "cosine", "µs", "var × s",
                 "truth")  # fmt: skip
        several_L = len({row.samples for row in self.rows}) > 1
        several_kinds = len({row.noise for row in self.rows}) > 1
        lines = [heads]
        for row in self.rows:
            if row.block not in WHOLE:
                continue
            name = f"{row.model} {row.estimator}".strip() + f", {row.samples}" * several_L
            name += f", {row.noise}" * several_kinds
            lines.append((
                name, row.block,
                "–" if isnan(row.bias) else f"{row.bias:.2g} ± {row.bias_se:.1g}",
                f"{row.variance:.3g} [{row.variance_low:.3g}, {row.variance_high:.3g}]",
                f"{row.snr:.3g} [{row.snr_low:.3g}, {row.snr_high:.3g}]",
                "–" if isnan(row.cosine) else f"{row.cosine:.4f}", f"{1e6 * row.seconds:.0f}",
                f"{row.cost:.2g}", row.truth,
            ))  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        last = (f"{self.n_draws} gradients of {self.datapoints} datapoints in {self.batches} "
                "batches; bias ± standard error, intervals of 95 %")  # fmt: skip
        return "\n".join([*table, last])

    def _repr_html_(self) -> str:
        rows = [row for row in self.rows if row.block in WHOLE]
        names = ("model", "estimator", "samples", "noise", "block", "bias", "bias_se", "variance",
                 "variance_low", "variance_high", "snr", "cosine", "seconds")  # fmt: skip
        columns = {name: [_cell(row[name]) for row in rows] for name in names}
        return html.table(f"{self.n_draws} gradients of {self.datapoints} datapoints", columns)

    def plot(self) -> "Figure":
        """Draw variance, signal-to-noise ratio and bias, with their intervals.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingExtraError
            Without matplotlib.
        """
        from npvae import plotting

        return plotting.gradient_estimators(self.rows)

    def to_csv(self, path: StrPath) -> Path:
        """Write the rows, with all their digits.

        Raises
        ------
        ParameterError
            If the name ends in something else than ``.csv`` or ``.npy``.
        ModelFileError
            If the folder is missing or refuses the file.
        """
        names = [field.name for field in fields(Gradient)]
        return io.write_columns(
            path, {name: np.array([row[name] for row in self.rows]) for name in names}
        )

    def summary(self) -> dict[str, Any]:
        """All of it as JSON has it: None for a number that is NaN or infinite."""
        return {
            "datapoints": self.datapoints, "n_draws": self.n_draws, "batches": self.batches,
            "rows": _plain(self.rows), "differences": _plain(self.differences),
        }  # fmt: skip

    def to_json(self, path: StrPath) -> Path:
        """Write all of it: rows, differences and how they came about.

        Raises
        ------
        ModelFileError
            If the folder is missing or refuses the file.
        """
        import json

        path = Path(path)
        with io.atomic_write(path) as file:
            file.write(json.dumps(self.summary(), indent=1, allow_nan=False).encode())
        return path


def _plain(rows: Sequence[Any]) -> list[Mapping[str, Any]]:
    def finite(value: Any) -> Any:
        return None if isinstance(value, float) and not isfinite(value) else value

    return [{name: finite(value) for name, value in asdict(row).items()} for row in rows]


def _cell(value: Any) -> Any:
    return f"{value:.3g}" if isinstance(value, float) else value
