"""Source text by paragraphs: those of some functions, and of whatever these call in turn."""
import re
from collections.abc import Iterable
from importlib import resources

NAME = re.compile(r"(\w+)\s*[(\[=]")  # what a paragraph defines: the first word before one of these


def needed(file: str, names: Iterable[str]) -> str:
    """The paragraphs of a file of this package that define ``names``, and all that they mention.

    Examples
    --------
    >>> print(needed("functions.py", ["sigmoid"]))
    def sigmoid(u):
        \"\"\"1/(1 + e⁻ᵘ)\"\"\"
        return 0.5 + 0.5 * np.tanh(0.5 * u)
    """
    source = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    gap = "\n\n\n" if file.endswith(".py") else "\n\n"
    _, *paragraphs = source.strip().split(gap)  # what comes first is said of the file
    defined = {}
    for paragraph in paragraphs:
        if found := NAME.search(re.sub(r"/\*.*?\*/", "", paragraph, flags=re.DOTALL)):
            defined[found[1]] = paragraph
    wanted, todo = set[str](), [name for name in names if name in defined]
    while todo:
        wanted.add(name := todo.pop())
        todo += (set(re.findall(r"\w+", defined[name])) & defined.keys()) - wanted
    return gap.join(text for name, text in defined.items() if name in wanted)
