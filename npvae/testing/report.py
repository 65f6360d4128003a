"""What a gradient check found: one row a parameter, and a table for the reader."""
from dataclasses import dataclass

from npvae import html


@dataclass(frozen=True)
class ParameterCheck:
    """How the gradient of one parameter compares.

    Attributes
    ----------
    name, shape : str, tuple of int
        The parameter, as in ``parameters`` of a model.
    checked, kinks : int
        Derivatives tried, and how many of those were left out because the loss has a kink.
    error : float
        The worst relative error; NaN if a number was not finite.
    where : tuple of int
        The element with that error, or ``(k,)``, the k-th random direction.
    numeric, analytic : float
        The two derivatives there, in nats per datapoint.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    kinks: int
    error: float
    where: tuple[int, ...]
    numeric: float
    analytic: float


@dataclass(frozen=True)
class GradientReport:
    """The gradients of a whole model, analytic against numeric; ``print`` it for a table.

    Attributes
    ----------
    method : str
        ``"central"`` or ``"complex"``.
    directions : int or None
        Random directions a parameter; None if every element was walked.
    tolerance : float
        The worst error that :attr:`ok` accepts.
    rows : tuple of ParameterCheck
        One a parameter.
    exact : bool
        Whether the gradient is the derivative of the loss; else it is that of a surrogate, samples
        and weights held.
    """

    method: str
    directions: int | None
    tolerance: float
    rows: tuple[ParameterCheck, ...]
    exact: bool = True

    @property
    def worst(self) -> float:
        """The largest relative error of all parameters; NaN if one is."""
        return max((row.error for row in self.rows), key=lambda error: (error != error, error))

    @property
    def kinks(self) -> int:
        """How many derivatives were left out."""
        return sum(row.kinks for row in self.rows)

    @property
    def ok(self) -> bool:
        """Whether every error is within the tolerance of the method."""
        return self.passed(self.tolerance)

    def passed(self, tolerance: float) -> bool:
        """Whether every error is at most ``tolerance``, which NaN never is."""
        return self.worst <= tolerance

    def __str__(self) -> str:
        table: list[tuple[str, ...]] = [_HEADS, *map(_cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join([name.ljust(widths[0]), *map(str.rjust, rest, widths[1:])])
            for name, *rest in table
        ]
        return "\n".join([self._title(), *lines, self._verdict()])

    def _repr_html_(self) -> str:
        columns = zip(*map(_cells, self.rows), strict=True)
        return html.table(f"{self._verdict()}; {self._title()}",
                          dict(zip(_HEADS, columns, strict=True)))  # fmt: skip

    def _title(self) -> str:
        random = f"{self.directions} random directions a parameter"
        along = random if self.directions else "every element"
        what = "" if self.exact else " of the surrogate, samples and weights held,"
        return f"gradient check{what} in float64 by {_METHODS[self.method]}, {along}"

    def _verdict(self) -> str:
        verdict = "ok" if self.ok else "WRONG"
        return f"{verdict}: worst relative error {self.worst:.1e}, tolerance {self.tolerance:.0e}"


_HEADS = ("parameter", "shape", "checked", "kinks", "worst error", "at")

_METHODS = {"central": "central differences", "complex": "complex steps"}


def _cells(row: ParameterCheck) -> tuple[str, ...]:
    """A row of the table."""
    shape, where = str(list(row.shape)), str(list(row.where))
    return row.name, shape, str(row.checked), str(row.kinks), f"{row.error:.1e}", where
