"""What a mistake does to training, and whether a gradient check sees it.

Two models of the same seed are trained on the digits, one with the mistake. After every epoch
three numbers are taken on held-out digits, at the same noise: what the wrong model reports, what
its parameters are worth by the right formulas, and what the right model has come to.
"""
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np

from npvae.data import load_digits
from npvae.errors import NumericalError
from npvae.estimators import VAE
from npvae.testing.gradients import check_gradients
from npvae.testing.report import GradientReport
from npvae.testing.zoo.catalogue import Mistake

HELD_OUT = 180  # of the 1,797 digits
N_SAMPLES = 100  # of a likelihood estimate that is reported


@dataclass(frozen=True)
class Finding:
    """What came of a mistake. Curves have one number an epoch, in nats per datapoint.

    Attributes
    ----------
    name : str
        Of the mistake.
    mistake : Mistake
        The mistake itself.
    check : GradientReport
        Of the wrong model's gradient against differences of its own loss.
    reported : list of float
        The bound that the wrong model reports of held-out digits; shorter if training failed.
    worth : list of float
        That of its parameters by the right formulas; NaN where its data have none.
    right : list of float
        That of the model without the mistake.
    active : int
        Active latents at the end.
    """

    name: str
    mistake: Mistake
    check: GradientReport
    reported: list[float]
    worth: list[float]
    right: list[float]
    active: int

    @property
    def is_seen(self) -> bool:
        """Whether the gradient check fails."""
        return not self.check.ok

    @property
    def overflows(self) -> bool:
        """Whether training failed before its last epoch."""
        return len(self.reported) < len(self.right)

    @property
    def training(self) -> str:
        """What training shows, in a few words."""
        reported, worth, right = (
            curve[-1] if curve else nan for curve in (self.reported, self.worth, self.right)
        )
        told = f"reports {reported:.4g}, "
        told += f"worth {worth:.4g}, " if isfinite(worth) else "a bound of nothing, "
        told += f"right {right:.4g}" + "; no active latent" * (self.active == 0)
        return told + "; overflows" * self.overflows


def study(name: str, mistake: Mistake) -> Finding:
    """Train with a mistake and without, and check its gradient: a few seconds."""
    training, held_out = (part.images for part in load_digits().split(HELD_OUT, seed=0))
    black, white = mistake.pixels
    moved = mistake.pixels != (0.0, 1.0)
    seen, seen_held_out = (black + (white - black) * X for X in (training, held_out))
    wrong, right = mistake.wrong_model(), mistake.right_model()
    judge = mistake.right_model().initialize(held_out.shape[1])
    reported, worth, of_right = list[float](), list[float](), list[float]()
    told_by = log_likelihood if type(wrong) is not VAE else bound

    def measure(state: Any) -> None:
        judge.set_parameters(wrong.parameters)
        reported.append(told_by(wrong, seen_held_out))
        worth.append(nan if moved else told_by(judge, held_out))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a collapse, and of classes of one's own
        right.fit(training, callbacks=lambda state: of_right.append(told_by(right, held_out)))
        with suppress(NumericalError):  # a loss without a lowest value may have no last one either
            wrong.fit(seen, callbacks=measure)
    small = mistake.wrong_model(dtype="float64", hidden=(8,)).initialize(held_out.shape[1])
    active = wrong.history_.get("active_latents") or [0]
    check = check_gradients(small, seen[:5])
    return Finding(name, mistake, check, reported, worth, of_right, active[-1])


def bound(model: VAE, X: np.ndarray) -> float:
    """The bound of X, as its own objective has it."""
    return -model.loss_and_grad(X)[0]


def log_likelihood(model: VAE, X: np.ndarray) -> float:
    """The estimate of log p(x), which is what is wrong of a class with a report of its own."""
    return float(model.log_likelihood(X, N_SAMPLES, rng=0).estimate.mean())


def table(findings: Iterable[Finding]) -> list[tuple[str, ...]]:
    """One row a mistake, below a row of heads."""
    rows: list[tuple[str, ...]] = [("mistake", "gradient check", "what training shows, nats",
                                    "the test that sees it")]
    for found in findings:
        check = "sees it" if found.is_seen else "passes"
        rows.append((found.name, check, found.training, found.mistake.test))
    return rows
