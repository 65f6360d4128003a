"""Results as notebooks show them: one small table."""
from collections.abc import Mapping, Sequence
from html import escape


def table(caption: str, columns: Mapping[str, Sequence[object] | object]) -> str:
    """Columns by their heads, numbers to three decimals; one row where a column is one value.

    Examples
    --------
    >>> print(table("L_k", {"k": (1, 10), "nats": (-1.5, -1.25)}))
    <table><caption>L_k</caption>
    <tr><th>k</th><th>nats</th></tr>
    <tr><td>1</td><td>-1.500</td></tr>
    <tr><td>10</td><td>-1.250</td></tr>
    </table>
    """
    heads = "".join(f"<th>{escape(head)}</th>" for head in columns)
    cells = [list(c) if isinstance(c, (tuple, list)) else [c] for c in columns.values()]
    rows = [
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>"
        for row in zip(*cells, strict=True)
    ]
    return "\n".join([
        f"<table><caption>{escape(caption)}</caption>", f"<tr>{heads}</tr>", *rows, "</table>"
    ])  # fmt: skip


def _cell(value: object) -> str:
    return escape(f"{value:.3f}" if isinstance(value, float) else str(value))
