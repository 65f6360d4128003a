"""A page that opens from the disk: markup, style, script and data in one file, and no request.

The browser itself is told to make none, by a Content-Security-Policy that allows what stands in the
page and nothing else.
"""
import json
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

STATIC = Path(__file__).parent / "static"
SHARED = ("ops", "model", "rng", "state")  # scripts of every page, in the order they need


def page(name: str, title: str, data: Mapping[str, Any]) -> str:
    """One self-contained HTML page.

    Parameters
    ----------
    name : str
        Of its files in ``static/``: ``name.html`` (what is in the body), ``name.css``, ``name.js``;
        ``name-*.js``, if there are any, are functions that the last one calls.
    title : str
        Plain text.
    data : mapping
        What the script finds in ``DATA``: anything that JSON holds; arrays by :func:`pack`.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If a number of the data is not finite, which JSON has no word for.
    """
    parts = sorted(file.stem for file in STATIC.glob(f"{name}-*.js"))
    scripts = [_read(f"{script}.js") for script in (*SHARED, *parts, name)]
    return Template(_read("page.html")).substitute(
        title=escape(title),
        style=_read("style.css") + _read(f"{name}.css"),
        body=_read(f"{name}.html"),
        data=json.dumps(data, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c"),
        scripts="\n".join(f"<script>\n{code}</script>" for code in scripts),
    )


def pack(array: np.ndarray) -> dict[str, str]:
    """An array as JSON holds it, which ``unpack`` of ``static/model.js`` makes one again: flat.

    Examples
    --------
    >>> pack(np.array([1.5, -2.0], np.float32))
    {'dtype': 'float32', 'base64': 'AADAPwAAAMA='}
    """
    little = array.astype(array.dtype.newbyteorder("<"))
    return {"dtype": array.dtype.name, "base64": b64encode(little.tobytes()).decode()}


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
