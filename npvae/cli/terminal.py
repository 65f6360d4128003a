"""Lines as a terminal shows them: cut between words, and continued below where their text began."""
import re
import sys
import textwrap
from typing import TextIO

LABEL = re.compile(r"npvae: (?:error|warning): | *\S+ {2,}|[a-z ]{10} ")  # what a text follows


def say(*lines: str, file: TextIO | None = None) -> None:
    """Print lines, to stdout if no file is given; only a terminal has them cut."""
    stream = file or sys.stdout
    if stream.isatty():
        from shutil import get_terminal_size  # with archives and their compression

        columns = get_terminal_size().columns
        lines = tuple(wrap(line, columns) for line in lines)
    print(*lines, sep="\n", file=stream, flush=True)


def wrap(line: str, columns: int) -> str:
    """Lines of fewer than ``columns`` characters, cut between words.

    Examples
    --------
    >>> print(wrap("likelihood log p(x) = -25.966 nats, mean of 100 datapoints", 40))
    likelihood log p(x) = -25.966 nats,
               mean of 100 datapoints
    """
    label = LABEL.match(line)
    indent = len(line) - len(line.lstrip()) + 2
    if label and label.end() < columns // 2:
        indent = label.end()
    return "\n".join(
        textwrap.fill(part, columns - 1, subsequent_indent=" " * indent, break_long_words=False,
                      break_on_hyphens=False) if len(part) >= columns else part
        for part in line.split("\n")
    )  # fmt: skip
