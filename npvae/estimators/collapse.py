"""Posterior collapse: how many latents are active after each epoch, and a word where none is.

Where the KL weighs more than what z tells of x, the encoder gives the prior whatever x is, and the
decoder the mean of the data whatever z is (Bowman et al. 2016). Losses look as they should all the
same, so the history counts active latents: those whose posterior mean varies over the data by more
than a hundredth of the prior's variance (:func:`npvae.evaluation.active_units`).
"""
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from npvae import evaluation
from npvae.backend import Array, to_numpy
from npvae.distributions.priors import NORMAL
from npvae.estimators.scoring import binarize_held_out
from npvae.evaluation.chunks import on_device
from npvae.evaluation.latent import THRESHOLD, variance_by_formula
from npvae.objectives import ELBO

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
FEWEST, MOST, SHARE = 50, 1000, 16  # datapoints that are coded after an epoch: one of 16


def activity(
    model: "GenerativeModel", pixels: Array, scale: float
) -> Callable[[], dict[str, int]] | None:
    """A function that counts active latents, by evenly spaced datapoints of the training data.

    None where there is nothing to count by: without an encoder or a prior, by one datapoint, or
    by a prior whose variance takes samples.
    """
    engine = model.engine_
    n = min(MOST, max(FEWEST, len(pixels) // SHARE))  # to code one is a sixth of a step with it
    some = pixels[:: -(-len(pixels) // n)]
    if not model.has_bound or len(some) < 2 or variance_by_formula(engine) is None:
        return None
    some, scale = binarize_held_out(model, some, scale)
    with engine.backend.oom_guard():
        some = on_device(engine, some)

    def count() -> dict[str, int]:
        Z = to_numpy(evaluation.encode(engine, some, scale)).astype(np.float64)  # (n, J)
        prior_variance: Any = variance_by_formula(engine)  # (J,), of a prior that learns anew
        return {"active_latents": int((Z.var(axis=0) > THRESHOLD * prior_variance).sum())}

    if engine.xp is not np:
        count()  # it makes its buffers now, and not once a CUDA graph holds where a step's lie
    return count


def warn_collapse(model: "GenerativeModel") -> None:
    """Warn if no latent is active in the epoch whose parameters the model has."""
    active, best = model.history_.get("active_latents"), model._state.best_epoch
    kept = best - 1 if model.early_stopping is not None and best else -1
    if not active or active[kept] != 0:
        return
    warn(
        "no latent is active: q(z|x) has collapsed to the prior, and z says nothing of x; "
        + remedy(model),
        stacklevel=3,
    )


def remedy(model: "GenerativeModel") -> str:
    """What to change, of what this model has."""
    cures = []
    if model.kl_weight > 1:
        cures.append(f"lower kl_weight={model.kl_weight:g}")
    if model.likelihood_std is not None:
        cures.append(f"lower likelihood_std={model.likelihood_std:g}")
    q, p = model._latents()
    takes_free_bits = isinstance(model.engine_.objective, ELBO) and q == NORMAL == p.variables
    if takes_free_bits and "free_bits" in model._parameter_names():
        cures.append(f"set free_bits={2 * model.free_bits or 0.1:g}")
    return " or ".join(cures or ["train for longer"])
