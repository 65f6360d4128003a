"""The style of every figure: sizes, colours, axes; and how it is saved.

Style is set on each artist rather than in ``rcParams``, which belong to the user, and figures
are made without pyplot, which would choose a window system and keep every one of them alive.
"""
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae.errors import ParameterError, optional_import
from npvae.io.atomic import StrPath, atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
INK, GREY, RULE = "#222222", "#666666", "#e4e4e4"

# P. Tol's "muted" scheme, which people with any colour vision tell apart, and a grey.
COLOURS = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677",
           "#AA4499", "#44AA99", "#999933", "#882255", "#777777")
ONE, OTHER = COLOURS[0], COLOURS[4]  # where one or two are enough


def new_figure(width: float, height: float, **options: Any) -> "Figure":
    """An empty white figure, in inches.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    optional_import("matplotlib.figure", "plot")
    from npvae.plotting.figure import ShownFigure

    return ShownFigure(figsize=(width, height), dpi=DPI, facecolor="white", **options)


def chart(fig: "Figure", where: Any = 111, *, title: str = "", x: str = "", y: str = "") -> "Axes":
    """Axes for points and lines: two thin spines, a faint grid, the title at the left."""
    ax = fig.add_subplot(where)
    ax.set_facecolor("white")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color=RULE, linewidth=0.6)
    ax.set_axisbelow(True)
    label(ax, title, x, y)
    return ax


def label(ax: "Axes", title: str, x: str = "", y: str = "") -> None:
    """Title and axis labels, in one type for every picture."""
    ax.set_title(title, loc="left", fontsize=10, color=INK, pad=8)
    ax.set_xlabel(x, fontsize=9, color=GREY)
    ax.set_ylabel(y, fontsize=9, color=GREY)
    ax.tick_params(labelsize=8, colors=GREY, width=0.6, length=3)
    for spine in ax.spines.values():
        spine.set(color=GREY, linewidth=0.6)


def picture(pixels: np.ndarray, title: str, margin: float = 0.2) -> tuple["Figure", "Axes"]:
    """Show grey ``pixels`` (H, W) or colours (H, W, 3), 0 black and 1 white, on the unit square.

    ``margin`` is the space at the left and below, in inches. A pixel takes a whole number of
    dots, so that all come out equally large.
    """
    longest = max(pixels.shape[:2])
    pitch = (round(900 / longest) or 900 / longest) / DPI  # inches a pixel
    h, w = (n * pitch for n in pixels.shape[:2])
    width, height = margin + w + 0.2, margin + h + 0.4
    fig = new_figure(width, height)
    ax = fig.add_axes((margin / width, margin / height, w / width, h / height))
    ax.imshow(np.clip(pixels, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest",
              extent=(0, 1, 0, 1), aspect="auto")
    label(ax, title)
    ax.spines[:].set_visible(False)
    ax.set(xticks=(), yticks=())
    return fig, ax


def save(fig: "Figure", path: StrPath) -> Path:
    """Write a figure; the file appears whole or not at all.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        What the functions of this package return.
    path : str or path-like
        Its suffix is the format: ``.png``, ``.pdf``, ``.svg``, ...

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    ParameterError
        If matplotlib does not know the suffix.
    ModelFileError
        If the folder is missing or refuses the file.
    """
    path = Path(path)
    kind, kinds = path.suffix[1:].lower(), fig.canvas.get_supported_filetypes()
    if kind not in kinds:
        raise ParameterError(f"{path}: no picture can be written as {path.suffix!r}: "
                             f"end the name in .{', .'.join(sorted(kinds))}")
    rendered = io.BytesIO()  # whole, before the disk is touched
    if kind == "png":
        _png(fig).save(rendered, format="png", optimize=True, dpi=(DPI, DPI))
    else:
        fig.savefig(rendered, format=kind, dpi=DPI, facecolor="white")
    with atomic_write(path) as file:
        file.write(rendered.getbuffer())
    return path


def _png(fig: "Figure") -> Any:
    """A figure's dots without what they do not have, opacity or colour: half the bytes."""
    from PIL import Image  # comes with matplotlib

    with io.BytesIO() as file:
        fig.savefig(file, format="png", dpi=DPI, facecolor="white")
        image = Image.open(file).convert("RGB")
    red, green, blue = image.split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else image
