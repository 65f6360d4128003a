"""Gradient estimators of the lower bound."""
from npvae.objectives.sgvb import (
    ESTIMATORS,
    Draw,
    Estimator,
    EstimatorA,
    EstimatorB,
    mean_weights,
)

__all__ = ["ESTIMATORS", "Draw", "Estimator", "EstimatorA", "EstimatorB", "mean_weights"]
