"""Is a gradient right? The question that this package exists to answer, as two functions:
of a model, and of one backward pass that someone has just written.
"""
from npvae.testing.backward import BackwardCheck, check_backward
from npvae.testing.gradients import check_gradients
from npvae.testing.report import GradientReport, ParameterCheck

__all__ = [
    "BackwardCheck",
    "GradientReport",
    "ParameterCheck",
    "check_backward",
    "check_gradients",
]


def __dir__() -> list[str]:
    return __all__
