"""The layers of the architecture: a file imports from its own or from one below, never above."""
import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import npvae

PACKAGE = Path(npvae.__file__).parent
LAYERS = (
    "records", "install", "errors", "options", "lazy", "html", "interrupts", "random", "row_noise",
    "sobol",
    "ops", "recording", "backend", "memory", "stack", "optim", "networks", "standardization",
    "distributions", "objectives", "models", "data", "io", "evaluation", "training", "export",
    "estimators", "plotting", "explain", "lab", "runs", "reproduce",
)  # fmt: skip
TOP = ("cli", "__main__", "doctor")  # these may import anything, and one another
MODEL_SIDE = ("ops", "memory", "optim", "networks", "distributions", "objectives", "models")
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def layer(path: Path) -> str:
    """The layer of a file: npvae/models/vae.py → models, npvae/memory.py → memory."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(source: str) -> Iterator[str]:
    """Every module that is imported anywhere in a file, in functions too, by its full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides its layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden_imports(here: str, source: str) -> list[str]:
    """Forbidden imports of a file in the layer ``here``."""
    names = list(imported(source))
    wrong = []
    for package, _, rest in (name.partition(".") for name in names):
        there = rest.partition(".")[0]
        if package == "cupy" and here != "backend":
            wrong.append("cupy: only backend.py may")
        elif package == "numpy" and here in MODEL_SIDE:
            wrong.append("numpy: model code takes xp")
        elif package != "npvae" or here in (*TOP, "testing") or there in ("", "__version__"):
            continue
        elif there not in LAYERS:
            wrong.append(f"npvae.{there}: in no layer, or for tests and the command line alone")
        elif LAYERS.index(there) > LAYERS.index(here):
            wrong.append(f"npvae.{there}: above {here}")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_a_file_imports_from_no_layer_above(path):
    assert layer(path) in (*LAYERS, *TOP, "testing"), "in no layer: add it to LAYERS"
    assert not forbidden_imports(layer(path), path.read_text(encoding="utf-8"))


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
    assert forbidden_imports(here, source)


@pytest.mark.parametrize(("here", "source"), [
    ("backend", "import cupy, numpy"),
    ("models", "from npvae import networks\nfrom npvae.models.vae import Pass\nimport math"),
    ("data", "import numpy as np"),
    ("cli", "from npvae.testing import check_gradients\nfrom npvae.doctor import report"),
])  # fmt: skip
def test_what_is_allowed_is_allowed(here, source):
    assert not forbidden_imports(here, source)
