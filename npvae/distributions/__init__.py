"""Posteriors, priors and likelihoods: sampling, log-density, KL, and the backward of each.

Families are public and work element by element on any arrays; likelihoods are what a model's
decoder speaks, fused for the training step.
"""
from npvae.distributions.bernoulli import Bernoulli
from npvae.distributions.likelihoods import BernoulliLikelihood, Likelihood, NormalLikelihood
from npvae.distributions.normal import Normal

__all__ = ["Bernoulli", "BernoulliLikelihood", "Likelihood", "Normal", "NormalLikelihood"]
