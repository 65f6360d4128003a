"""The lowest versions that are declared are those with which the tests were run."""
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_TRIED = {"cupy-cuda12x", "cupy-cuda13x"}  # need a GPU


def test_what_is_declared_is_what_was_tried():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    ours = ("all", "bench", "browser", "notebooks", "test")
    users = [extras[name] for name in extras if name not in ours]
    declared = {}
    for requirement in [*project["dependencies"], *(one for extra in users for one in extra)]:
        name, version = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement).groups()
        if name not in NOT_TRIED:
            declared[name] = padded(version)
    lines = (ROOT / "tests" / "minimum.txt").read_text().splitlines()
    pins = (line.split("==") for line in lines if not line.startswith("#"))
    assert {name: padded(version) for name, version in pins} == declared


def padded(version):
    """2.0 and 2.0.0 are one version."""
    return tuple(map(int, (version + ".0.0").split(".")[:3]))
