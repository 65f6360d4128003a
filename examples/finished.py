"""A lesson with its gap filled by the solution.

    python examples/finished.py 1
"""
import ast
import sys
from pathlib import Path

HERE = Path(__file__).parent


def finished(lesson):
    """The text of a lesson, with the solution in the place of the function that has the gap."""
    text = lesson.read_text(encoding="utf-8")
    solution = (HERE / "solutions" / lesson.name).read_text(encoding="utf-8")
    (name,) = functions(solution)
    gap, lines = functions(text)[name], text.splitlines()
    return "\n".join([*lines[: gap.lineno - 1], solution, *lines[gap.end_lineno :]])


def functions(text):
    """The functions of a file by name."""
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


if __name__ == "__main__":
    number = sys.argv[1].zfill(2) if len(sys.argv) == 2 else "which"
    found = list(HERE.glob(f"{number}_*.py"))
    if len(found) != 1:
        sys.exit("usage: python examples/finished.py NUMBER, of a lesson from 1 to 11")
    exec(compile(finished(found[0]), found[0].name, "exec"))
