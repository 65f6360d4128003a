"""``npvae explain``: the page on which the gradient of one datapoint flows.

The model that comes with it, ``digits.npz``, is 64-16-2-16-64: so small that every number of it can
be seen. This made it, ``model.npz`` being what is kept:

    npvae train --data digits --hidden 16 --epochs 500 --validation 0 --out runs/explain
"""
from pathlib import Path
from typing import Any

import numpy as np

from npvae.data import Dataset, load_digits
from npvae.errors import ParameterError
from npvae.estimators import VAE, load
from npvae.estimators.base import GenerativeModel
from npvae.explain.code import code_lines
from npvae.explain.page import pack, page
from npvae.explain.weights import describe
from npvae.plotting.inputs import shape_of

TITLE = "How the gradient of a VAE flows"
ESTIMATORS = ("B", "A", "stl", "score")  # those of static/explain-gradient.js
MAX_PARAMETERS = 8_000_000  # 43 MB of float32, in base64
FEWEST, MOST, BYTES = 10, 100, 100_000  # datapoints, and what they may take if they are many


def bundled_model() -> GenerativeModel:
    """The model of the page that is given none."""
    return load(Path(__file__).with_name("digits.npz"))


def explain(model: GenerativeModel | None = None, data: Any = None) -> str:
    """The page that shows how a model's gradient flows.

    Parameters
    ----------
    model : VAE, optional
        Trained; as :func:`~npvae.explain.describe` takes it, without free bits. A small one of the
        digits if not given.
    data : Dataset or array (N, D), optional
        Datapoints to choose from, of which the first 10 to 100 go into the page. If not given, the
        digits; or samples of the prior, if a model is.

    Returns
    -------
    str
        HTML that asks nothing of anyone.

    Raises
    ------
    ParameterError
        If a page cannot show the gradient of such a model.
    DataError
        If the data are not what the model takes.
    NotFittedError
        If the model has no parameters yet.

    Examples
    --------
    >>> html = explain()
    >>> html.startswith("<!DOCTYPE html>"), len(html) < 700_000
    (True, True)
    """
    if model is None:
        model, data = bundled_model(), load_digits() if data is None else data
    if not (data is None or isinstance(data, Dataset)):
        data = Dataset(np.asarray(data))
    vae = explainable(model)
    description = describe(vae) | {"image_shape": shape_of(vae, None, data)}
    name = vae._objective().name
    if data is None:
        draw = description["likelihood"]["name"] == "poisson"  # its means are no counts
        rows, labels = np.asarray(vae.sample(FEWEST, rng=0, draw=draw)), None
    else:
        rows, labels = datapoints(vae, data)
    return page("explain", TITLE, {
        "model": description,
        "estimator": name if name in ESTIMATORS else "B",
        "notes": notes(vae),
        "data": "samples of its prior" if data is None else data.name,
        "datapoints": pack(rows),
        "labels": labels,
        "code": code_lines(description["activation"], description["likelihood"]["name"]),
    })  # fmt: skip


def explainable(model: GenerativeModel) -> VAE:
    """The model, if the page shows the gradient that it is trained by.

    Raises
    ------
    ParameterError
        If it does not.
    """
    if not isinstance(model, VAE):
        raise ParameterError(
            f"the page shows the gradient of a VAE, and this is {type(model).__name__}; train a VAE"
        )
    if model.free_bits:
        raise ParameterError(
            f"free_bits={model.free_bits} are of a minibatch's mean KL, and the page shows "
            "one datapoint; train with free_bits=0"
        )
    if (size := model._ready_engine().layout.size) > MAX_PARAMETERS:
        raise ParameterError(
            f"{size:,} parameters are too many for a page, which holds {MAX_PARAMETERS:,}; train a "
            "smaller model"
        )
    return model


def datapoints(model: VAE, data: Dataset) -> tuple[np.ndarray, list[str] | None]:
    """The first rows of the data, (n, D), and their labels.

    Raises
    ------
    DataError
        If the model does not take them.
    """
    n = min(MOST, max(FEWEST, BYTES // (4 * data.pixels.shape[1])))
    some = data.first(min(n, len(data)))
    model.score_samples(some)  # which refuses what the model does not take
    some = some.scaled_for(model.engine_.model.likelihood.support)
    if some.labels is None:
        return some.images, None
    numbers = some.labels.dtype.kind == "f"
    return some.images, [f"{label:.3g}" if numbers else str(label) for label in some.labels]


def notes(model: VAE) -> list[str]:
    """What the model was trained by that the page does not show."""
    name, found = model._objective().name, []
    if name not in ESTIMATORS:
        found.append(f"Trained with estimator {name or 'of its own'}; shown are four of the bound.")
    elif model.n_samples > 1:
        found.append(f"Trained with {model.n_samples} samples a datapoint; shown is one.")
    if model.parameter_prior:
        found.append("The prior on its weights, which adds to their gradient, is left out.")
    return found
