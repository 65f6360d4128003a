"""The figures: which curves each needs, how it is drawn, and what the paper's says beside ours."""
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from npvae import plotting
from npvae.errors import ParameterError
from npvae.estimators import load
from npvae.io.atomic import atomic_write
from npvae.reproduce.curves import CurveError, reopen, train_curves
from npvae.reproduce.learning_curves import (
    Comparison,
    LearningCurve,
    bound,
    compare,
    likelihood,
    table,
)
from npvae.reproduce.paper import ALGORITHMS, PUBLISHED, Curve, bounds, likelihoods
from npvae.runs import Run

Found = dict[Curve, tuple[Run, LearningCurve]]  # the curves that there are


@dataclass(frozen=True)
class Figure:
    """A figure of the paper.

    Attributes
    ----------
    name : str
        "figure2" to "figure5".
    about : str
        What it shows.
    panels : dict of str to tuple of Curve
        By their titles, in the paper's order.
    plot : callable
        Makes a picture of the curves there are, if they give one.
    marginal : bool
        Whether it shows the marginal likelihood, and not the lower bound.
    """

    name: str
    about: str
    panels: dict[str, tuple[Curve, ...]]
    plot: Callable[["Figure", Found], Any]
    marginal: bool = False

    @property
    def curves(self) -> dict[str, Curve]:
        """All of them by name."""
        return {curve.name: curve for panel in self.panels.values() for curve in panel}

    def chosen(self, names: Sequence[str]) -> list[Curve]:
        """The curves of some names, or all.

        Raises
        ------
        ParameterError
            If a name is none of this figure's.
        """
        for name in names:
            if name not in self.curves:
                raise ParameterError(
                    f"{name!r} is no curve of {self.name}; it has {', '.join(self.curves)}"
                )
        return [self.curves[name] for name in dict.fromkeys(names or self.curves)]

    def reproduce(
        self, folder: Path, budget: float, names: Sequence[str] = (), jobs: int | None = None
    ) -> str:
        """Train what is missing, write ``figure….png`` and ``.json``; the table, and their paths.

        Parameters
        ----------
        folder : Path
            Holds the curves' runs, which figures share, and the results.
        budget : float
            Training samples of each curve.
        names : sequence of str
            Curves to train and to show; all if empty.
        jobs : int, optional
            Curves at a time.

        Raises
        ------
        ParameterError, ModelFileError, NpvaeError
            If a name is unknown, a folder holds something else, or a curve failed.
        """
        chosen = self.chosen(names)
        self.found(folder, chosen)  # a folder that holds something else is said before the work
        try:
            train_curves(chosen, budget, folder, jobs, self.marginal)
        except CurveError:
            self.show(folder, names)  # what there is of the others
            raise
        return self.show(folder, names)

    def show(self, folder: Path, names: Sequence[str] = ()) -> str:
        """Draw, write and compare what ``folder`` has of some curves, or all; what to print."""
        found = self.found(folder, self.chosen(names))
        if not found:
            return ""
        rows = [compare(c, line) for c, (_, line) in found.items() if c.name in PUBLISHED]
        few = {curve: (run, line.thinned()) for curve, (run, line) in found.items()}
        lines, path = [table(rows)] if rows else [], folder / f"{self.name}.json"
        self.write(path, few, rows)
        lines.append(str(path))
        try:
            picture = self.plot(self, few)
            if picture is not None:
                lines.append(str(plotting.save(picture, path.with_suffix(".png"))))
        except ImportError as error:
            lines.append(f"{path.with_suffix('.png')} was not drawn: {error}")
        return "\n".join(lines)

    def found(self, folder: Path, chosen: Sequence[Curve]) -> Found:
        """The curves that ``folder`` has something of, of those that were chosen.

        Raises
        ------
        ModelFileError
            If a run of a curve's name has other settings than the curve.
        """
        read = likelihood if self.marginal else bound
        there = [c for c in chosen if (folder / c.name / "config.toml").exists()]
        opened = {curve: reopen(curve, folder / curve.name) for curve in there}
        every = {curve: (run, read(run)) for curve, run in opened.items()}
        return {curve: (run, line) for curve, (run, line) in every.items() if line.samples}

    def write(self, path: Path, found: Found, rows: Sequence[Comparison]) -> None:
        """All that the figure shows, as JSON."""
        curves = {curve.name: asdict(curve) | asdict(line) for curve, (_, line) in found.items()}
        result = {"figure": self.name, "about": self.about, "unit": "nats per datapoint",
                  "curves": curves, "table": [asdict(row) for row in rows]}  # fmt: skip
        with atomic_write(path) as file:
            file.write(json.dumps(result).encode())


def plot_curves(figure: Figure, found: Found) -> Any:
    """A panel for each model: training and test of each algorithm, and the paper's values."""
    panels = {
        title: [
            plotting.Trace(
                ALGORITHMS[c.algorithm], line.samples, line.train, line.test, PUBLISHED[c.name]
            )
            for c, (_, line) in ((c, found[c]) for c in curves if c in found)
        ]
        for title, curves in figure.panels.items()
    }
    return plotting.experiment(panels, "log p(x)" if figure.marginal else "lower bound")


def plot_manifolds(figure: Figure, found: Found) -> Any:
    """Figure 4: the decoder's images over the unit square, through the prior's inverse CDF."""
    return plot_sheets(figure, found, plotting.manifold_pixels)


def plot_samples(figure: Figure, found: Found) -> Any:
    """Figure 5: 100 samples from the prior of each model."""
    return plot_sheets(
        figure, found, lambda m: plotting.tile(m.sample(100, rng=0), m.image_shape_, 10, 10)
    )


def plot_sheets(figure: Figure, found: Found, pixels: Callable[[Any], Any]) -> Any:
    """A sheet for each panel: its one curve's model, turned into images; None if there is none."""
    panels = {title: found[curve][0] for title, (curve,) in figure.panels.items() if curve in found}
    there = {title: run.model_file for title, run in panels.items() if run.model_file.exists()}
    sheets = {title: pixels(load(path)) for title, path in there.items()}
    return plotting.sheets(sheets) if sheets else None


def one(data: str, J: int) -> tuple[Curve, ...]:
    """AEVB alone."""
    return bounds(data, J)[:1]


FIGURES = {
    figure.name: figure
    for figure in (
        Figure(
            "figure2", "the lower bound while AEVB and wake-sleep train",
            {f"MNIST, J = {J}": bounds("mnist", J) for J in (3, 5, 10, 20, 200)}
            | {f"Frey Face, J = {J}": bounds("freyfaces", J) for J in (2, 5, 10, 20)},
            plot_curves,
        ),
        Figure(
            "figure3", "the marginal likelihood under AEVB, wake-sleep and Monte Carlo EM",
            {f"N = {n:,}": likelihoods(n) for n in (1_000, 50_000)},
            plot_curves, marginal=True,
        ),
        Figure(
            "figure4", "learned two-dimensional manifolds",
            {"Learned Frey Face manifold": one("freyfaces", 2),
             "Learned MNIST manifold": one("mnist", 2)},
            plot_manifolds,
        ),
        Figure(
            "figure5", "samples from the prior",
            {f"{J}-D latent space": one("mnist", J) for J in (2, 5, 10, 20)},
            plot_samples,
        ),
    )
}  # fmt: skip
