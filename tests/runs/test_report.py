"""The report of a run: a page that holds what the run holds, and asks for nothing."""
import json
import re
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import npvae
from npvae import runs
from npvae.cli import main
from npvae.errors import ModelFileError
from npvae.runs import report, svg
from npvae.runs.report import Report, ReportFile, read_flow
from npvae.training import FlowRecord

QUICK = {"hidden": [8], "epochs": 3, "latent_dim": 3}
OLD = Path(__file__).parents[1] / "reference" / "files" / "run"
VOID = {"meta", "link", "img", "path", "polygon", "circle", "rect", "br"}


class Balanced(HTMLParser):
    """Every element ends where it should; and what the page would ask for."""

    def __init__(self):
        super().__init__()
        self.open, self.asks = [], []

    def handle_starttag(self, tag, attributes):
        asked = [value for name, value in attributes if name in ("src", "href")]
        self.asks += [value for value in asked if not value.startswith("data:")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(page):
    """A page that is well formed and self-contained."""
    parser = Balanced()
    parser.feed(page)
    assert not parser.open and not parser.asks
    assert not re.search(r"url\(|@import|<script|https?://", page)
    assert "default-src 'none'" in page and "nan" not in re.sub(r"base64,[^\"]*", "", page)
    return page


def heads(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def train(folder, callbacks=(), resume=False, **settings):
    if resume:
        with runs.reopen_run(folder, settings) as run:
            return runs.train(run, True, callbacks, quiet=True)
    with runs.create(runs.resolve_settings(QUICK | settings), folder) as run:
        return runs.train(run, False, callbacks, quiet=True)


def test_a_run_leaves_a_report_of_all_there_is(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "one"
    command = ["train", "--hidden", "8", "--epochs", "3", "--json", "--out", str(folder)]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["report"] == str(folder / "report.html")
    page = checked((folder / "report.html").read_text(encoding="utf-8"))
    assert heads(page) == ["Learning", "Gradient flow", "Likelihood", "Pictures", "Configuration"]
    for value in (told["elbo"], told["kl"], told["validation_elbo"]):
        assert f"{value:.2f}".replace("-", "−") in page
    assert page.count("data:image/png;base64,") == 4
    assert "log p(x) = -" in page and 'class="state finished"' in page
    assert 'class="own"><th>hidden</th><td>8</td>' in page and "refresh" not in page
    assert "Gradient at logvar" in page and "encoder.hidden.0" in page
    assert [record.epoch for record in read_flow(folder)] == [1, 2, 3]


def test_plot_writes_it_again(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    train(tmp_path / "a")
    (tmp_path / "a" / "report.html").unlink()
    assert main(["plot", str(tmp_path / "a")]) == 0
    assert str(tmp_path / "a" / "report.html") in capsys.readouterr().out
    page = checked((tmp_path / "a" / "report.html").read_text(encoding="utf-8"))
    assert "Pictures" in heads(page) and "Likelihood" in heads(page)


def test_it_is_there_while_the_run_trains_and_says_where_that_ended(tmp_path):
    folder, seen = tmp_path / "a", []

    def look(state):
        seen.append((folder / "report.html").read_text(encoding="utf-8"))
        if state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder, [look])
    checked(seen[0])
    assert 'class="state running"' in seen[0] and "epoch 1 of 3" in seen[0]
    assert 'http-equiv="refresh"' in seen[0]
    page = checked((folder / "report.html").read_text(encoding="utf-8"))
    assert "stopped before the end" in page and "epoch 2 of 3" in page and "refresh" not in page
    train(folder, resume=True)
    assert "epoch 3 of 3" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_run_that_never_had_an_epoch_leaves_no_folder(tmp_path):
    with pytest.raises(npvae.NumericalError):
        train(tmp_path / "a", learning_rate=1e38, optimizer="sgd", likelihood="normal")
    assert not (tmp_path / "a").exists()


def test_the_flow_is_the_same_however_often_a_run_was_stopped(tmp_path):
    train(tmp_path / "whole", epochs=5)

    def stop(state):
        return state.epoch in (2, 3)

    train(tmp_path / "parts", [stop], epochs=5)
    train(tmp_path / "parts", [stop], resume=True)
    train(tmp_path / "parts", resume=True)
    whole, parts = read_flow(tmp_path / "whole"), read_flow(tmp_path / "parts")
    assert whole == parts and len(whole) == 5


@pytest.mark.parametrize("kind", ["autoencoder", "wake-sleep", "full-vb", "mcem"])
def test_every_kind_of_model_has_one(kind, tmp_path):
    train(tmp_path / "a", model=kind, batch_size=600, n_train=600)
    page = checked((tmp_path / "a" / "report.html").read_text(encoding="utf-8"))
    assert ("Gradient flow" in heads(page)) == (kind != "mcem")
    assert ("Gradient at" in page) == (kind == "full-vb")
    assert ("log p(x, z)" in page) == (kind == "mcem")


def test_without_matplotlib_all_but_the_pictures_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    command = ["train", "--hidden", "8", "--epochs", "1", "--out", str(tmp_path / "a")]
    assert main(command) == 0
    assert "plots      none: " in capsys.readouterr().out
    page = checked((tmp_path / "a" / "report.html").read_text(encoding="utf-8"))
    assert heads(page) == ["Learning", "Gradient flow", "Likelihood", "Configuration"]


def test_a_run_of_an_earlier_version_has_one_without_its_gradient(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    shutil.copytree(OLD, tmp_path / "old")
    assert main(["plot", str(tmp_path / "old")]) == 0
    page = checked((tmp_path / "old" / "report.html").read_text(encoding="utf-8"))
    assert heads(page) == ["Learning", "Likelihood", "Pictures", "Configuration"]


def test_words_of_the_user_are_text(tmp_path):
    settings = {"data": "<b>&\"'.csv", "epochs": 1, "latent_dim": 2, "model": "vae"}
    (tmp_path / "<i>").mkdir()
    history = {"epoch": [1], "elbo": [-1.0], "kl": [0.5], "seconds": [1.0]}
    page = Report(tmp_path / "<i>", settings, history, likelihood=["a < b"]).html()
    checked(page)
    assert "<b>" not in page and "<i>" not in page and "a &lt; b" in page


def test_a_history_with_gaps_and_a_flow_that_overflowed_are_no_fault(tmp_path):
    flow = [FlowRecord(1, {"decoder.logits.weight": float("inf")}, {"decoder.logits": [0] * 24},
                       {}, [])]  # fmt: skip
    history = {"epoch": [1, 2], "elbo": [None, -3.0], "validation_elbo": [None, None]}
    page = checked(Report(tmp_path, {"latent_dim": 2}, history, flow).html())
    assert "Gradient flow" not in heads(page)
    report.write_flow(tmp_path, flow)
    assert read_flow(tmp_path) == []
    assert heads(Report(tmp_path, {}, {}).html()) == ["Configuration"]


def test_a_damaged_flow_is_said(tmp_path):
    (tmp_path / "gradient_flow.jsonl").write_text('{"epoch": 1}\n')
    with pytest.raises(ModelFileError, match="is damaged; delete it to do without"):
        read_flow(tmp_path)


def test_it_takes_a_fiftieth_of_the_time_at_most(tmp_path, monkeypatch):
    """By a clock of the test's own: an epoch is 0.1, to write is 0.01, so every fifth does."""
    clock, written = [0.0], []
    state = type("State", (), {"history": {"epoch": [1]}, "epoch": 1})()
    following = type("Flow", (), {"records": []})()
    file = ReportFile(Report(tmp_path, {}, {}, state="running"), following)

    def write(self):
        written.append(clock[0])
        clock[0] += 0.01

    monkeypatch.setattr(report, "monotonic", lambda: clock[0])
    monkeypatch.setattr(Report, "write", write)
    for _ in range(60):
        clock[0] += 0.1
        file(state)
    assert 0.01 * len(written) <= 0.02 * clock[0] + 0.01 and len(written) >= 11
    file.end("finished")
    assert file.report == replace(file.report, state="finished") and len(written) >= 12


@pytest.mark.parametrize("values", [
    [5.0], [5.0, 5.0], [float("nan"), 1e30, -1e30], [1e-300, 1e300], [0.0, -0.0], [1e-9, 2e-9],
    range(5000),
], ids=lambda values: repr(values)[:30])  # fmt: skip
@pytest.mark.parametrize("log", [False, True])
def test_any_numbers_make_a_chart(values, log):
    curve = svg.Curve([(k, float(v)) for k, v in enumerate(values, 1)], "accent")
    chart = svg.lines("t", [curve], log)
    assert "nan" not in chart and "inf" not in chart and len(chart) < 10_000
    if chart:
        Balanced().feed(chart)
        curves = re.findall(r'class="curve [^>]*d="M([^"]+)"', chart)
        assert all(0 <= float(v) <= 360 for v in re.split("[L ]", curves[-1]))


def test_a_curve_ends_where_it_ends():
    """The last of 5,000 points is drawn, at the right and at the top."""
    chart = svg.lines("t", [svg.Curve([(k, float(k)) for k in range(5000)], "accent")])
    assert f'cx="{360 - 8:.1f}" cy="8.0"' in chart
