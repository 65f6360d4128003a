"""The picture of a lesson: saved in the folder pictures/, and shown where a notebook runs it."""
from pathlib import Path

from npvae.errors import MissingExtraError
from npvae.plotting.style import new_figure, save


def show(name, draw, width=8.0, height=3.2):
    """Call ``draw`` with an empty figure, in inches. Without matplotlib a line says so."""
    try:
        fig = new_figure(width, height, layout="constrained")
    except MissingExtraError as error:
        print(f"no picture: {error}")
        return None
    draw(fig)
    Path("pictures").mkdir(exist_ok=True)
    print("picture:", save(fig, f"pictures/{name}.png"))
    return fig
