"""Each lesson holds what it claims; its gap is told in a line, and its solution is right.

Script and notebook have the same cells: the script is run with its gap filled, the notebook as it
is.
"""
import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
LESSONS = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=[path.stem for path in LESSONS])


@pytest.fixture(autouse=True)
def examples_are_importable(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)


def solution_of(lesson):
    """The name of the function with the gap, and the functions of lesson and solution."""
    from finished import functions

    solution = functions((EXAMPLES / "solutions" / lesson.name).read_text(encoding="utf-8"))
    (name,) = solution
    return name, functions(lesson.read_text(encoding="utf-8"))[name], solution[name]


def run(arguments, folder):
    """A fresh interpreter in a folder, which must end well and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", *map(str, arguments)], cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, EXAMPLES)))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@each_lesson
def test_a_solution_fills_the_gap_and_changes_nothing_else(lesson):
    name, gap, solution = solution_of(lesson)
    unwritten = [node for node in gap.body if isinstance(node, ast.Assign)
                 and isinstance(node.value, ast.Constant) and node.value.value is ...]  # fmt: skip
    assert unwritten and name.endswith("_backward")
    assert ast.unparse(gap.body[-1]) == ast.unparse(solution.body[-1])  # what is returned
    assert ast.unparse(gap.args) == ast.unparse(solution.args)
    assert ast.get_docstring(gap) == ast.get_docstring(solution)


@each_lesson
def test_a_finished_lesson_is_right(lesson, tmp_path):
    number = int(lesson.name[:2])
    *_, picture, verdict = run([EXAMPLES / "finished.py", number], tmp_path).splitlines()
    assert picture == f"picture: pictures/{lesson.stem}.png"
    assert (tmp_path / "pictures" / f"{lesson.stem}.png").stat().st_size > 5_000  # no blank
    assert verdict.startswith(f"{solution_of(lesson)[0]}: right, ")


@each_lesson
def test_its_notebook_runs_and_says_what_is_to_be_written(lesson, tmp_path, monkeypatch):
    for module in ("jupytext", "ipykernel"):
        pytest.importorskip(module)
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, EXAMPLES))))
    from make_notebooks import notebook

    cells = notebook(lesson)
    nbclient.NotebookClient(
        cells, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [output for cell in cells.cells for output in cell.get("outputs", [])]
    assert [o.name for o in outputs if o.output_type == "stream" and o.name != "stdout"] == []
    assert any("image/png" in o.get("data", {}) for o in outputs)
    *_, final = (cell.outputs for cell in cells.cells if cell.get("outputs"))
    # a line may come in two messages
    last = "".join(o.text for o in final if o.output_type == "stream").rstrip("\n")
    name = solution_of(lesson)[0]
    assert last.startswith(f"{name}: still to be written: d_") and "\n" not in last
    assert last.count(", by differences ") == last.count(" at [")


@each_lesson
def test_a_lesson_is_named_where_readers_look(lesson):
    text = lesson.read_text(encoding="utf-8")
    number, title = re.match(r"# %% \[markdown\]\n# # (\d+)\. (.+)\n", text).groups()
    assert lesson.stem.startswith(f"{int(number):02}_")
    assert f"solutions/{lesson.name}" in text
    assert f"| [{number}]({lesson.name}) | {title} |" in (EXAMPLES / "README.md").read_text()


def test_without_matplotlib_a_lesson_goes_on_in_a_line(tmp_path):
    program = (
        "import runpy, sys; sys.modules['matplotlib'] = None\n"
        f"runpy.run_path({str(LESSONS[0])!r}, run_name='__main__')"
    )
    *_, picture, verdict = run(["-c", program], tmp_path).splitlines()
    assert picture.startswith("no picture: ") and "pip install" in picture
    assert verdict.startswith("affine_backward: still to be written: ")
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize("arguments", [[], ["0"], ["12"], ["affine"], ["1", "2"]])
def test_what_is_no_lesson_is_told_in_a_line(arguments):
    command = [sys.executable, EXAMPLES / "finished.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "usage: python examples/finished.py NUMBER, of a lesson from 1 to 11\n"


def test_one_command_makes_all_notebooks(tmp_path):
    pytest.importorskip("jupytext")
    nbformat = pytest.importorskip("nbformat")
    made_before = shutil.ignore_patterns("*.ipynb")
    copy = shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=made_before)
    run([copy / "make_notebooks.py"], tmp_path)
    made = sorted(copy.glob("*.ipynb"))
    assert [path.stem for path in made] == [path.stem for path in LESSONS]
    for path in made:
        cells = nbformat.read(path, as_version=4).cells
        assert not any(cell.get("outputs") for cell in cells)
        assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")


def test_without_jupytext_a_line_says_what_brings_it(tmp_path):
    program = (
        "import runpy, sys; sys.modules['jupytext'] = None\n"
        f"runpy.run_path({str(EXAMPLES / 'make_notebooks.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("no notebooks: ")
    assert "[notebooks]" in done.stderr and done.stderr.count("\n") == 1
