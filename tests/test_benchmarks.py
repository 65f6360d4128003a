"""Every benchmark is a command that runs from anywhere in a clone, npvae installed or not."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", COMMANDS, ids=[path.name for path in COMMANDS])
def test_a_benchmark_says_what_it_does(path, tmp_path):
    done = subprocess.run(
        [sys.executable, path, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {path.name}")
