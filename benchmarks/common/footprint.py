"""What something needs on disk: its distributions, and those that they cannot do without."""
from importlib.metadata import distribution, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import npvae


def closure(names: tuple[str, ...]) -> set[str]:
    """``names`` and all that they require here, extras left out."""
    found, to_do = set(), list(names)
    while to_do:
        name = canonicalize_name(to_do.pop())
        if name not in found:
            found.add(name)
            needs = map(Requirement, [] if name == "npvae" else requires(name) or [])
            to_do += [n.name for n in needs if not n.marker or n.marker.evaluate({"extra": ""})]
    return found


def megabytes(name: str) -> float:
    """Of one distribution's files, caches of bytecode left out; 10⁶ bytes."""
    if name == "npvae":  # which may run from its source folder
        files = [path for path in Path(npvae.__file__).parent.rglob("*") if path.is_file()]
    else:
        files = [Path(str(file.locate())) for file in distribution(name).files or []]
    return sum(f.stat().st_size for f in files if "__pycache__" not in f.parts) / 1e6
