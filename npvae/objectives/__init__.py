"""Gradient estimators of the lower bound."""
from npvae.objectives.families import FamilyA, FamilyB, estimator_for
from npvae.objectives.kl_term import KLTerm, Weighed, mean_weights
from npvae.objectives.sgvb import ESTIMATORS, Draw, Estimator, EstimatorA, EstimatorB

__all__ = [
    "ESTIMATORS", "Draw", "Estimator", "EstimatorA", "EstimatorB", "FamilyA", "FamilyB", "KLTerm",
    "Weighed", "estimator_for", "mean_weights",
]  # fmt: skip
