"""Every benchmark is a command that runs from anywhere in a clone, npvae installed or not."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
COMMANDS = [*sorted(BENCHMARKS.glob("*.py")), BENCHMARKS / "gradbench"]


@pytest.mark.parametrize("path", COMMANDS, ids=[path.name for path in COMMANDS])
def test_a_benchmark_says_what_it_does(path, tmp_path):
    done = subprocess.run(
        [sys.executable, path, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ") and path.name in done.stdout.splitlines()[0]


@pytest.mark.parametrize("name", ["batch", "depth", "latent", "width"])
def test_a_sweep_is_drawn_with_numbers_on_its_axes(name, monkeypatch):
    """Also where all of it lies within a decade, as the work of few and many latents does."""
    pytest.importorskip("matplotlib")
    from common import sweep

    from npvae.plotting import style

    results = json.loads((BENCHMARKS / "results" / f"sweep_{name}.json").read_text())
    monkeypatch.setattr(style, "save", lambda fig, path: fig)
    figure = sweep.plot(name, results["results"], Path("x.png"))
    for ax in figure.axes:
        for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            inside = [at for at in axis.get_majorticklocs() if low <= at <= high]
            assert len(inside) >= 2 and all(axis.get_major_formatter().format_ticks(inside))
