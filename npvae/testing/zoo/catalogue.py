"""The mistakes by name: how each is trained, and the test of ours that fails where it is planted.

``tests/testing/test_zoo.py`` puts the methods of each into the class that they are wrong versions
of, and runs that test.
"""
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import getdoc
from typing import Any

from npvae.distributions import Family
from npvae.estimators import VAE
from npvae.objectives import Objective
from npvae.testing.zoo import mistakes

SETTINGS: Mapping[str, Any] = {
    "latent_dim": 5, "hidden": (64,), "epochs": 30, "learning_rate": 3e-3, "random_state": 0,
    "verbose": False,
}  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """A mistake, and what it takes to see it.

    Attributes
    ----------
    wrong : type
        The class that has it, in methods that it overrides.
    seen_by : str
        A test, as pytest names it, that fails where the class it derives from has those methods.
    settings : dict
        Of the model, beside :data:`SETTINGS` and with the mistake or without.
    pixels : (float, float)
        Where black and white pixels lie.
    """

    wrong: type
    seen_by: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    pixels: tuple[float, float] = (0.0, 1.0)

    @property
    def formula(self) -> str:
        """What is wrong, in a line."""
        return (getdoc(self.wrong) or "").partition("\n")[0]

    @property
    def test(self) -> str:
        """The name of the test's function."""
        return self.seen_by.rpartition("::")[2].partition("[")[0]

    def right_model(self, **settings: Any) -> VAE:
        """An untrained model without it."""
        return VAE(**{**SETTINGS, **self.settings, **settings})

    def wrong_model(self, **settings: Any) -> VAE:
        """An untrained model with it."""
        own = {**SETTINGS, **self.settings, **settings}
        if issubclass(self.wrong, VAE):
            return self.wrong(**own)
        one = self.wrong()
        if isinstance(one, Family):
            return VAE(**{**own, "posterior": one, "prior": one})  # its KL is to its own kind
        return VAE(**{**own, "estimator" if isinstance(one, Objective) else "likelihood": one})


NORMAL = "tests/distributions/test_distributions.py::test_normal_family_"
SAMPLES, SCIPY = NORMAL + "s_samples_fit_its_density", NORMAL + "is_scipy_s"
ELBO = "tests/objectives/test_objectives.py::test_the_loss_is_minus_the_mean_elbo[1-bernoulli-B]"
BERNOULLI = ("tests/distributions/test_distributions.py::"
             "test_bernoulli_is_the_cross_entropy_of_the_logits[float64]")
IWAE = "tests/objectives/test_gradient_estimators.py::test_the_gradient_is_that_of_its_definition"
EVALUATION = "tests/evaluation/test_evaluation.py::test_"
OF_FIVE = {"estimator": "iwae", "n_samples": 5}

ZOO: dict[str, Mistake] = {
    "variance-as-deviation": Mistake(mistakes.VarianceAsDeviation, SAMPLES),
    "half-twice": Mistake(mistakes.HalfTwice, SAMPLES),
    "half-the-noise": Mistake(mistakes.HalfTheNoise, SAMPLES),
    "noise-forgotten": Mistake(mistakes.NoiseForgotten, SAMPLES),
    "half-lost-on-the-way-back": Mistake(
        mistakes.HalfLostOnTheWayBack, NORMAL + "s_backward_passes_agree_with_the_complex_step"),
    "kl-of-log-sigma": Mistake(mistakes.KLOfLogSigma, SCIPY),
    "kl-averaged": Mistake(mistakes.KLAveraged, SCIPY),
    "kl-scaled": Mistake(mistakes.KLScaled, ELBO),
    "kl-dropped": Mistake(mistakes.KLDropped, ELBO),
    "kl-sign": Mistake(mistakes.KLSign, ELBO),
    "pixels-averaged": Mistake(mistakes.PixelsAveraged, BERNOULLI),
    "pixels-anywhere": Mistake(
        mistakes.PixelsAnywhere,
        "tests/distributions/test_distributions.py::test_likelihoods_say_what_their_heads_are",
        pixels=(-1.0, 1.0)),
    "probabilities-clipped": Mistake(  # a start so wild that some pixels are wrong for certain
        mistakes.ProbabilitiesClipped, BERNOULLI, {"learning_rate": 0.3, "schedule": "cosine"}),
    "softmax-of-the-loss": Mistake(mistakes.SoftmaxOfTheLoss, IWAE + "[iwae-5]", OF_FIVE),
    "weights-attached": Mistake(mistakes.WeightsAttached, IWAE + "[iwae-5]", OF_FIVE),
    "report-of-wrong-sign": Mistake(
        mistakes.ReportOfWrongSign, EVALUATION + "an_exact_posterior_leaves_no_error"),
    "samples-by-batch": Mistake(
        mistakes.SamplesByBatch, EVALUATION + "effective_sample_size_is_that_of_the_weights"),
}  # fmt: skip
