"""README's Python is run as it stands, and its commands are ones that exist."""
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from npvae import cli
from npvae.parser import parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(blocks) >= 3
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


COMMANDS = [
    line.split("#")[0].split("&&")[-1].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.S)
    for line in block.splitlines()
    if "npvae " in line
]


@pytest.mark.parametrize("command", COMMANDS)
def test_npvae_commands_parse(command):
    words = shlex.split(command)
    assert words[0] == "npvae"
    assert parser().parse_args(words[1:]).command in cli.COMMANDS


def test_files_named_exist():
    for path in re.findall(r"`((?:npvae|examples|benchmarks)/[\w./]+)`", README):
        assert (ROOT / path).exists(), path


def test_gradient_example_runs():
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "gradient_by_hand.py"],
        capture_output=True, text=True, cwd=ROOT, check=False,
        env={"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "worst relative difference" in done.stdout
