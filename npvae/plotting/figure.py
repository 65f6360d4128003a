"""A figure that a notebook shows by itself, with pyplot and without it."""
import io

from matplotlib.figure import Figure

CSS_DPI = 96  # a browser's pixels in an inch


class ShownFigure(Figure):
    """A matplotlib figure that knows how to be displayed.

    One that pyplot made is shown by pyplot, at the end of its cell. Others IPython asks for a
    PNG: matplotlib's own class has none to give, unless pyplot has been loaded.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, float]]:
        """As many dots as a file has, at the size in inches."""
        with io.BytesIO() as file:
            self.savefig(file, format="png", facecolor="white")
            png = file.getvalue()
        width, height = CSS_DPI * self.get_size_inches()
        return png, {"width": float(width), "height": float(height)}
