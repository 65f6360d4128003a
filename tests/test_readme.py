"""The Python of README and of the guides is run as it stands, and their commands exist."""
import re
import shlex
from pathlib import Path

import pytest

from npvae.cli.parser import parser

ROOT = Path(__file__).parent.parent
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "examples/README.md", "benchmarks/README.md", "ARCHITECTURE.md",
                 "CONTRIBUTING.md", "CHANGELOG.md", "examples/paper_map.md")
}  # fmt: skip


@pytest.mark.parametrize(("name", "least"), [("README.md", 2), ("examples/README.md", 4)])
def test_python_blocks_run_in_order(name, least, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGES[name], flags=re.S)
    assert len(blocks) >= least
    for block in blocks:
        exec(compile(block, name, "exec"), {})
    printed = capsys.readouterr().out
    for shown in re.findall(r"```text\n(.*?)```", PAGES[name], flags=re.S):
        # float32 sums differ in their last digits from one BLAS to the next
        numbers = [re.findall(r"-?\d+\.\d+", text) for text in (shown, printed)]
        assert re.sub(r"-?\d+\.\d+", "#", shown) in re.sub(r"-?\d+\.\d+", "#", printed)
        close = [abs(float(a) - float(b)) < 0.5 for a, b in zip(*numbers, strict=False)]
        assert all(close[:4])  # nats; the effective sample size is less steady


COMMANDS = [
    line.split("#")[0].split("&&")[-1].strip()
    for page in PAGES.values()
    for block in re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    for line in block.splitlines()
    if "npvae " in line and "NPVAE_DATA" not in line
]


@pytest.mark.parametrize("command", COMMANDS)
def test_npvae_commands_parse(command):
    words = shlex.split(command)
    words = words[3:] if words[0] == "mpiexec" else words  # and -n 4
    assert words[0] == "npvae"
    assert callable(parser().parse_args(words[1:]).run)


@pytest.mark.parametrize("name", PAGES)
def test_files_named_exist(name):
    page = PAGES[name]
    for path in re.findall(r"`((?:npvae|examples|benchmarks|tests)/[\w./]+)`", page):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\(([\w./]+)(?:#[\w-]+)?\)", page):
        assert (ROOT / name).parent.joinpath(path).exists(), path


def test_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 150
