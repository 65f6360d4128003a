"""Keep the line numbers of paper_map.md true.

    python examples/paper_map.py

A row of the map quotes the line of code that it speaks of, and by that the line is found again.
Where a line was changed, and not only moved, its row has to be written anew.
"""
import difflib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAP = ROOT / "examples" / "paper_map.md"
# the last two columns: a file, with or without the link that is made here, and a line of it
ROW = re.compile(r"\| (?:\[)?(npvae/[\w/.]+)(?::\d+\]\([^)]*\))? \| `(.*)` \|$", flags=re.M)


def line_number(name, quoted):
    """Where a file has a line.

    Raises
    ------
    LookupError
        If no line reads as quoted, or more than one does.
    """
    lines = [line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    found = [number for number, line in enumerate(lines, 1) if line == quoted]
    if len(found) > 1:
        raise LookupError(f"lines {found} of {name} all read `{quoted}`: quote another")
    if not found:
        near = difflib.get_close_matches(quoted, lines, n=1, cutoff=0.5)
        hint = f"; line {lines.index(near[0]) + 1} is near it: `{near[0]}`" if near else ""
        raise LookupError(f"no line of {name} reads `{quoted}`{hint}")
    return found[0]


def located(text):
    """The map with all lines looked up, and what could not be found."""
    problems = []

    def link(row):
        name, quoted = row[1], row[2]
        try:
            number = line_number(name, quoted.replace(r"\|", "|"))
        except LookupError as problem:
            problems.append(f"{MAP.name}: {problem}")
            return row[0]
        return f"| [{name}:{number}](../{name}#L{number}) | `{quoted}` |"

    return ROW.sub(link, text), problems


if __name__ == "__main__":
    new, problems = located(MAP.read_text(encoding="utf-8"))
    MAP.write_text(new, encoding="utf-8")
    sys.exit("\n".join(problems) or None)
