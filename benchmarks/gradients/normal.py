"""Figure 2 of Mohamed et al. 2020: variances of ∂/∂μ and ∂/∂σ of E[(x − k)²], x ~ N(1, 1).

Pathwise, by the score function and measure-valued, beside their closed forms.
"""
from typing import Any

import numpy as np

from npvae.lab.measure_valued import ESTIMATORS
from npvae.plotting.style import COLOURS, INK, chart, new_figure

DRAWS = 1_000_000
# By d = 1 − k: Var of ∂/∂μ and of ∂/∂σ. f is a polynomial, so each is one in moments of a normal.
CLOSED = {
    "pathwise": (lambda d: 4 + 0 * d, lambda d: 8 + 4 * d**2),
    "score function": (lambda d: 15 + 14 * d**2 + d**4, lambda d: 74 + 60 * d**2 + 2 * d**4),
    "measure-valued": (lambda d: 4 * d**2 * (4 / np.pi - 1), lambda d: 4 + 4 * d**2),
}



def run(draws: int) -> tuple[Any, Any]:
    """Figure 2 of Mohamed et al.: the variances at k = −3 … 3, and their picture."""
    rng, ks = np.random.default_rng(0), range(-3, 4)
    rows = []
    for name, estimator in ESTIMATORS.items():
        for k in ks:
            found = estimator(lambda x, k=k: (x - k) ** 2, lambda x, k=k: 2 * (x - k), 1, 1,
                              draws, rng)  # fmt: skip
            for by, g, closed in zip(("mu", "sigma"), found, CLOSED[name], strict=True):
                squares = (g - g.mean()) ** 2
                rows.append({
                    "estimator": name, "by": by, "k": k, "variance": float(g.var(ddof=1)),
                    "standard_error": float(squares.std() / draws**0.5),
                    "closed_form": float(closed(1 - k)),
                })  # fmt: skip
    fig = new_figure(9, 3.6, layout="constrained")
    d = 1 - np.linspace(-3, 3, 200)
    for place, by in enumerate(("mu", "sigma")):
        ax = chart(fig, 121 + place, x="k",
                   title=f"Var of ∂/∂{'μσ'[place]} E[(x − k)²], x ~ N(1, 1)")  # fmt: skip
        ax.set_yscale("log")
        for colour, name in zip(COLOURS[::2], ESTIMATORS, strict=False):
            some = [row for row in rows if (row["estimator"], row["by"]) == (name, by)]
            ax.plot(1 - d, CLOSED[name][place](d), color=colour, linewidth=1)
            ax.plot([row["k"] for row in some], [row["variance"] for row in some], "o",
                    color=colour, markersize=4, label=name)  # fmt: skip
        ax.set_ylim(bottom=0.1)  # the measure-valued one is 0 at k = 1
    fig.axes[0].legend(frameon=False, fontsize=8, labelcolor=INK)
    return {"draws": draws, "rows": rows}, fig
