"""``report.html`` of a run folder: what was asked for, how it went, and what came of it.

One file that asks for nothing else. While a run trains it is written anew after every epoch, as
often as that takes a small part of the time, and a browser that shows it loads it again.
"""
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from html import escape
from math import isfinite
from pathlib import Path
from string import Template
from time import monotonic, strftime
from typing import Any
from warnings import catch_warnings, simplefilter

from npvae.data import Dataset
from npvae.errors import ModelFileError, NpvaeError, ParameterError
from npvae.evaluation.latent import THRESHOLD
from npvae.explain.page import STATIC
from npvae.io import atomic_write, read_jsonl, to_json, write_jsonl
from npvae.options import OPTIONS, RUN
from npvae.runs.svg import Curve, areas, bars, lines
from npvae.training import FlowRecord, TrainingState
from npvae.training.gradient_flow import EDGES, WAYS

NAME, FLOW = "report.html", "gradient_flow.jsonl"
FEW, SAMPLES = 100, 500  # datapoints whose likelihood is told, and of z for each
PART = 0.02  # of the time of a training, at most, is for its report
STATES = {
    "running": "training", "stopped": "stopped before the end", "finished": "finished",
}  # fmt: skip
PICTURES = {  # of plots/, in the order of the page; its own charts are in the place of the others
    "manifold": "The 2-D manifold", "reconstructions": "Reconstructions",
    "samples": "Samples", "latent": "The latent space",
}  # fmt: skip
WAY_COLOURS = {"sample": "sample", "kl": "prior", "score": "label-3"}
PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
img-src data:; base-uri 'none'; form-action 'none'">
$reload<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
$style</style>
</head>
<body>
$body
</body>
</html>
""")


@dataclass(frozen=True)
class Report:
    """What a report tells.

    Attributes
    ----------
    folder : Path
        Of the run.
    settings : dict
        Its config.toml.
    history : dict of list
        One entry an epoch.
    flow : sequence of FlowRecord
        The gradient along training; empty of older runs.
    state : str
        One of ``STATES``.
    likelihood : sequence of str
        Of held-out data, in sentences; empty where it is not known.
    """

    folder: Path
    settings: Mapping[str, Any]
    history: Mapping[str, Sequence[Any]]
    flow: Sequence[FlowRecord] = ()
    state: str = "finished"
    likelihood: Sequence[str] = ()

    def write(self) -> Path:
        """Write it to the run's folder; its path.

        Raises
        ------
        ModelFileError
            If it cannot be written.
        """
        path = self.folder / NAME
        with atomic_write(path) as file:
            file.write(self.html().encode())
        return path

    def html(self) -> str:
        """The page."""
        style = (STATIC / "style.css").read_text(encoding="utf-8")
        style += (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
        sections = (self._head(), self._curves(), self._flow(), self._likelihood(),
                    self._pictures(), self._configuration())  # fmt: skip
        reload = '<meta http-equiv="refresh" content="10">\n' * (self.state == "running")
        return PAGE.substitute(
            title=escape(f"{self.folder.name}: a run of npvae"), style=style, reload=reload,
            body="\n".join(filter(None, sections)),
        )

    def _head(self) -> str:
        """What it is, how far it has come, and the numbers by which it is judged."""
        about, epochs = self.settings, len(self.history.get("epoch", []))
        name = escape(self.folder.resolve().name)
        state = f'<span class="state {self.state}">{STATES[self.state]}</span>'
        facts = [
            f"<div><dt>{escape(what)}</dt><dd>{escape(value)} <small>{unit}</small></dd></div>"
            for what, value, unit in self._facts()
        ]
        return (
            f"<header><h1>{name}{state}</h1>"
            f'<p class="soft">{escape(str(about.get("model")))} on {escape(str(about.get("data")))}'
            f", epoch {epochs} of {about.get('epochs')}, written {strftime('%Y-%m-%d %H:%M')}</p>"
            f'<dl class="facts">{"".join(facts)}</dl></header>'
        )

    def _facts(self) -> Iterator[tuple[str, str, str]]:
        """Name, value and unit."""
        last = {key: column[-1] for key, column in self.history.items() if column}
        held_out = [v for v in self.history.get("validation_elbo", []) if v is not None]
        if held_out:
            yield "held out, best", number(max(held_out)), "nats"
        for key, name in (("elbo", "ELBO"), ("reconstruction", "reconstruction"), ("kl", "KL"),
                          ("log_joint", "log p(x, z)"), ("objective", "objective")):  # fmt: skip
            if last.get(key) is not None:
                yield name, number(last[key]), "nats"
        if last.get("active_latents") is not None:
            yield "active latents", f"{last['active_latents']} of {self.settings['latent_dim']}", ""
        seconds = sum(s for s in self.history.get("seconds", []) if s is not None)
        yield "time", f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}", "s"

    def _curves(self) -> str:
        """The bound and its parts, by epoch."""
        whole = "log_joint" if "log_joint" in self.history else "elbo"
        title = "log p(x, z)" if whole == "log_joint" else "Lower bound (ELBO)"
        charts = [
            lines(f"{title}, nats per datapoint",
                  [self._curve("validation_elbo", "prior", "held out"),
                   self._curve(whole, "accent", "training")]),
            lines("Reconstruction, E[log p(x|z)]", [self._curve("reconstruction", "accent")]),
            lines("KL(q(z|x) ‖ p(z))", [self._curve("kl", "accent")]),
        ]  # fmt: skip
        return section("Learning", charts)

    def _curve(self, key: str, colour: str, name: str = "") -> Curve:
        pairs = zip(self.history.get("epoch", ()), self.history.get(key, ()), strict=False)
        return Curve([(x, y) for x, y in pairs if y is not None], colour, name)

    def _flow(self) -> str:
        """Where the gradient is large, and which way it comes."""
        flow = [record for record in self.flow if all(map(isfinite, record.norms.values()))]
        if not flow:
            return ""
        first, last = flow[0], flow[-1]
        charts = [
            areas(f"Gradient at {head}: shares",
                  {WAYS[way]: (WAY_COLOURS[way],
                               [(record.epoch, record.share(head, way)) for record in flow])
                   for way in last.ways[head] if any(r.ways[head][way] for r in flow)})
            for head in last.ways if any(last.ways[head].values())
        ]  # fmt: skip
        layers = [name for name in last.norms if name.endswith(".weight")]
        charts.append(lines("Norm of each layer's gradient", [
            Curve([(record.epoch, record.norms[name]) for record in flow],
                  f"label-{i % 10}", name.removesuffix(".weight")) for i, name in enumerate(layers)
        ], log=True))  # fmt: skip
        charts.append(lines("Activity of each latent", [
            Curve([(record.epoch, record.activity[j]) for record in flow], "accent")
            for j in range(len(last.activity))
        ], log=True, level=THRESHOLD))  # fmt: skip
        small = [bars(layer, EDGES.tolist(), counts, first.histograms[layer])
                 for layer, counts in last.histograms.items()]  # fmt: skip
        told = ('<p class="soft">log₁₀ |g| of each layer\'s gradient: bars in epoch '
                f"{last.epoch}, the outline in epoch {first.epoch}.</p>")
        return section("Gradient flow", charts) + told + (
            f'<div class="charts small">{"".join(small)}</div>'
        )

    def _likelihood(self) -> str:
        paragraphs = "".join(f"<p>{escape(line)}</p>" for line in self.likelihood)
        return f"<h2>Likelihood</h2>{paragraphs}" if paragraphs else ""

    def _pictures(self) -> str:
        """What is in plots/, as it is."""
        found = [(title, self.folder / "plots" / f"{name}.png") for name, title in PICTURES.items()]
        images = [
            f'<figure><img alt="{title}" src="data:image/png;base64,'
            f'{b64encode(path.read_bytes()).decode()}"></figure>'
            for title, path in found if self.state == "finished" and path.is_file()
        ]  # fmt: skip
        return f'<h2>Pictures</h2><div class="pictures">{"".join(images)}</div>' if images else ""

    def _configuration(self) -> str:
        """Every setting, those in bold that are not the default."""
        defaults = {option.name: option.default for option in (*RUN, *OPTIONS.values())}
        rows = []
        for name, value in self.settings.items():
            given, default = (list(v) if isinstance(v, tuple) else v
                              for v in (value, defaults.get(name)))  # fmt: skip
            own = ' class="own"' * (given != default and value is not None)
            shown = " ".join(map(str, given)) if isinstance(given, list) else str(value)
            shown = "–" if value is None else shown
            rows.append(f"<tr{own}><th>{escape(name)}</th><td>{escape(shown)}</td></tr>")
        return ('<h2>Configuration</h2><div class="columns"><table>'
                f"{''.join(rows)}</table></div>")


def section(title: str, charts: Sequence[str]) -> str:
    """Charts below a heading; nothing if there are none."""
    drawn = "".join(charts)
    return f'<h2>{title}</h2><div class="charts">{drawn}</div>' if drawn else ""


def number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


class ReportFile:
    """A callback that keeps the report of a run that trains.

    ``flow`` is a callback that stands before this one; its records are kept in a file too.
    """

    def __init__(self, report: Report, flow: Any):
        self.report, self.flow = report, flow
        self.written, self.cost = float("-inf"), 0.0  # when it was last, and what it took

    def __call__(self, state: TrainingState) -> None:
        """Write it, if the last time was not so near that it would cost more than it may."""
        self.report = replace(self.report, history=state.history, flow=self.flow.records)
        if self.flow.records and self.flow.records[-1].epoch == state.epoch:
            write_flow(self.report.folder, self.flow.records)
        began = monotonic()
        if began - self.written >= self.cost / PART:
            self.report.write()
            self.written = monotonic()
            self.cost = self.written - began

    def end(self, state: str) -> None:
        """Write it once more, if an epoch was done."""
        self.report = replace(self.report, state=state)
        if self.report.history.get("epoch"):
            self.report.write()


def write_flow(folder: Path, records: Iterable[FlowRecord]) -> None:
    """Keep the gradient's flow beside a run, a line a record; no file where there is none.

    Raises
    ------
    ModelFileError
        If it cannot be written.
    """
    rows = []
    for record in records:
        with suppress(ParameterError):  # a gradient that overflowed, which JSON has no number for
            rows.append(to_json(asdict(record)))
    if rows:
        write_jsonl(folder / FLOW, rows)


def read_flow(folder: Path) -> list[FlowRecord]:
    """What :func:`write_flow` kept; nothing of a run of an older npvae.

    Raises
    ------
    ModelFileError
        If the file is damaged.
    """
    try:
        return [FlowRecord(**row) for row in read_jsonl(folder / FLOW)]
    except TypeError as error:
        raise ModelFileError(f"{folder / FLOW} is damaged; delete it to do without") from error


def likelihood(model: Any, held_out: Dataset) -> list[str]:
    """Bound and log p(x) of a few datapoints, and what is to be said of them; of a model with both.

    Examples
    --------
    >>> import npvae
    >>> digits = npvae.data.load_digits()
    >>> likelihood(npvae.Autoencoder(2).initialize(64), digits)
    []
    """
    if not model.has_bound:
        return []
    few = held_out.first(min(FEW, len(held_out)))
    with catch_warnings(record=True) as caught:
        simplefilter("always")
        try:
            told = [str(model.elbo(few)), str(model.log_likelihood(few, SAMPLES, rng=0))]
        except NpvaeError as error:
            told = [f"There is none: {error}"]
    return [*told, *dict.fromkeys(str(warning.message) for warning in caught)]
