"""Gradient estimators of the lower bound."""
from npvae.objectives.sgvb import ESTIMATORS, Estimator, EstimatorA, EstimatorB, mean_weights

__all__ = ["ESTIMATORS", "Estimator", "EstimatorA", "EstimatorB", "mean_weights"]
