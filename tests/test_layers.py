"""The house stands: a file imports from its own floor or from one below, never from above."""
import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import npvae

HOUSE = Path(npvae.__file__).parent
FLOORS = (
    "errors", "options", "lazy", "random", "ops", "backend", "memory", "optim", "networks",
    "distributions", "objectives", "models", "data", "io", "evaluation", "training", "estimators",
    "plotting", "explain", "runs", "reproduce",
)  # fmt: skip
ROOF = ("cli", "parser", "__main__", "doctor")  # these may import anything, and one another
MODEL_SIDE = ("ops", "memory", "optim", "networks", "distributions", "objectives", "models")
FILES = sorted(path for path in HOUSE.rglob("*.py") if path != HOUSE / "__init__.py")


def room(path: Path) -> str:
    """The room a file is in: npvae/models/vae.py → models, npvae/memory.py → memory."""
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imported(source: str) -> Iterator[str]:
    """Every module that is imported anywhere in a file, in functions too, by its full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides its floor"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def faults(here: str, source: str) -> list[str]:
    """What a file in the room ``here`` imports and must not."""
    names = list(imported(source))
    wrong = []
    for package, _, rest in (name.partition(".") for name in names):
        there = rest.partition(".")[0]
        if package == "cupy" and here != "backend":
            wrong.append("cupy: only backend.py may")
        elif package == "numpy" and here in MODEL_SIDE:
            wrong.append("numpy: model code takes xp")
        elif package != "npvae" or here in (*ROOF, "testing") or there in ("", "__version__"):
            continue
        elif there not in FLOORS:
            wrong.append(f"npvae.{there}: on no floor, or for tests and the command line alone")
        elif FLOORS.index(there) > FLOORS.index(here):
            wrong.append(f"npvae.{there}: above {here}")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(HOUSE)) for path in FILES])
def test_a_file_imports_from_no_floor_above(path):
    assert room(path) in (*FLOORS, *ROOF, "testing"), "a room on no floor: add it to FLOORS"
    assert not faults(room(path), path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("here", "source"), [
    ("ops", "import numpy as np"),
    ("models", "def f():\n    from numpy import exp"),
    ("training", "import cupy"),
    ("memory", "from npvae.models import Engine"),
    ("memory", "from npvae import models"),
    ("objectives", "import npvae.estimators.vae"),
    ("estimators", "from npvae.testing import check_gradients"),
    ("estimators", "from npvae import VAE"),
    ("plotting", "from npvae.cli import main"),
])  # fmt: skip
def test_the_test_can_fail(here, source):
    assert faults(here, source)


@pytest.mark.parametrize(("here", "source"), [
    ("backend", "import cupy, numpy"),
    ("models", "from npvae import networks\nfrom npvae.models.vae import Pass\nimport math"),
    ("data", "import numpy as np"),
    ("cli", "from npvae.testing import check_gradients\nfrom npvae.doctor import report"),
])  # fmt: skip
def test_what_is_allowed_is_allowed(here, source):
    assert not faults(here, source)
