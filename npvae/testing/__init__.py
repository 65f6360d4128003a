"""Is a gradient right? The question that this package exists to answer, as one function."""
from npvae.testing.gradients import check_gradients
from npvae.testing.report import GradientReport, ParameterCheck

__all__ = ["GradientReport", "ParameterCheck", "check_gradients"]


def __dir__() -> list[str]:
    return __all__
