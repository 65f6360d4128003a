"""The lessons as notebooks, each beside its script.

    pip install '.[all,notebooks]'
    python examples/make_notebooks.py

A lesson is one file for both: a script whose cells begin with ``# %%``, which jupytext knows.
"""
import sys
from pathlib import Path

from npvae.errors import MissingExtraError, optional_import

LESSONS = sorted(Path(__file__).parent.glob("[0-9][0-9]_*.py"))


def notebook(lesson):
    """The cells of a lesson as a notebook for Python 3, nothing run."""
    found = jupytext().read(lesson)
    found.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    return found


def jupytext():
    """The library, or one line that says what brings it."""
    try:
        return optional_import("jupytext", "notebooks")
    except MissingExtraError as error:
        sys.exit(f"no notebooks: {error}")


if __name__ == "__main__":
    for lesson in LESSONS:
        jupytext().write(notebook(lesson), lesson.with_suffix(".ipynb"))
        print(lesson.with_suffix(".ipynb"))
