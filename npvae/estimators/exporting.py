"""A fitted model in the formats of other programs."""
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npvae import evaluation, random
from npvae.backend import Array, to_numpy
from npvae.distributions.priors import Mixture
from npvae.distributions.special import special_functions
from npvae.estimators import coding
from npvae.estimators.model_file import contents_of, load

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
    from npvae.export import Comparison, Description, Runner
    from npvae.export.format import Outputs


def export(
    model: "GenerativeModel", path: str | Path, format: str, overwrite: bool = False, **options: Any
) -> list[Path]:
    """Write the model in the format of another program.

    Parameters
    ----------
    path : path
        The file to write, or of ``"onnx"`` the folder. Its name ends as the format's do.
    format : str
        A name in :data:`npvae.export.FORMATS`: ``"onnx"``, three graphs that ONNX Runtime runs;
        ``"safetensors"``, parameters by PyTorch's names; :func:`npvae.load` reads these two.
        ``"torch"``, the source of a PyTorch module that loads such a file beside it. ``"python"``,
        ``"c"`` and ``"js"`` are source text, the forward pass written out: a module that NumPy
        alone runs, a C99 header that allocates nothing, and a module for web pages.
    overwrite : bool
        Whether files that are there already are replaced.
    **options
        The format's own. Of ``"onnx"`` ``opset`` and ``ir_version``, whole numbers: if not given
        those of 2022, which every runtime since has. Of ``"python"`` ``inside``, whether the
        weights are in the module, as they are if not given where they take 64 kB or less.

    Returns
    -------
    list of Path
        The files that were written, each of which appears complete or not at all.

    Raises
    ------
    ParameterError
        If the format is not known, cannot hold such a model, or has no such option; or as ``save``.
    ModelFileError
        If a file is there already, or cannot be written.
    MissingExtraError
        If the format's package is not installed.
    NotFittedError, NumericalError
        As ``save``.

    Warns
    -----
    UserWarning
        If ``"onnx"`` leaves ``sample.onnx`` out, for a prior whose samples are no elementary
        function of noise, or ``"torch"`` the loss, for a KL that is not written there; or if data
        lie so far from 0 that a format which reads them as float32 loses them.
    """
    from npvae import export as formats  # what nobody asks for costs nothing

    return formats.write(describe(model), path, format, overwrite, **options)


def describe(model: "GenerativeModel") -> "Description":
    """What formats are made from."""
    from npvae.export import Description

    contents, engine = contents_of(model), model.engine_
    with engine.backend.oom_guard():
        prior = engine.model.prior_at(engine.ctx) if model.has_prior else None
    return Description(*contents, engine.model, prior)


def check(model: "GenerativeModel", path: str | Path, format: str, n: int = 100) -> "Comparison":
    """What was exported to ``path`` beside the model, on ``n`` rows that the model makes up.

    Raises
    ------
    MissingExtraError
        If what runs the format is not installed.
    ModelFileError
        If the export cannot be read.
    """
    from npvae.export import FORMATS, compare

    form = FORMATS[format]
    runner = runner_of(load(path)) if form.open is None else form.open(Path(path))
    x, z = synthetic_rows(model, n)
    own = runner_of(model)
    wanted = {"encoder": own.encode(x), "decoder": own.decode(z)}
    ours = {"encoder": model.transform, "decoder": model.inverse_transform}
    rows = {"encoder": x, "decoder": z}
    if runner.sample is not None:
        rows["sample"], wanted["sample"] = prior_noise(model, n), {"x": wanted["decoder"]["mean"]}
        ours["sample"] = lambda noise: coding.sample(model, len(noise), rng=0)
    return compare(form, runner, wanted, ours, rows)


def synthetic_rows(model: "GenerativeModel", n: int) -> tuple[np.ndarray, np.ndarray]:
    """Data (n, D) and latents (n, J) in the model's dtype, without a row of anybody's data.

    z is a sample of the prior, or of N(0, I) without one, and x one of p(x|z).
    """
    engine = model._ready_engine()
    with engine.backend.oom_guard():
        z = standard_normals(model, n)
        if model.has_prior:
            prior = engine.model.prior_at(engine.ctx)
            z, _ = prior.transform(prior.rsample(z))
        return to_numpy(evaluation.draw(engine, z, seed=0)), to_numpy(z)


def prior_noise(model: "GenerativeModel", n: int) -> np.ndarray:
    """The noise of these latents as exports read it, with uniforms where the prior has them."""
    engine = model._ready_engine()
    with engine.backend.oom_guard():
        prior, eps = engine.model.prior_at(engine.ctx), standard_normals(model, n)
        parts = []
        if isinstance(prior, Mixture):
            parts.append(special_functions(eps).ndtr(eps[:, :1]))
            prior, eps = prior.components, eps[:, 1:]
        planes = prior.noise(eps)
        parts += [planes] if planes.ndim == 2 else [*planes]
        return np.concatenate([to_numpy(part) for part in parts], axis=1)


def standard_normals(model: "GenerativeModel", n: int) -> Array:
    """Noise of n latents, always the same."""
    engine = model._ready_engine()
    J = engine.model.decoder.n_in
    width = engine.model.prior.n_noise(J) if model.has_prior else J
    eps = random.as_generator(0).standard_normal((n, width))
    return engine.xp.asarray(eps, dtype=engine.theta.dtype)


def runner_of(model: "GenerativeModel") -> "Runner":
    """The model itself, as an export of it would be run."""
    from npvae.export import Runner

    engine = model._ready_engine()
    J, posterior = engine.model.decoder.n_in, engine.model.posterior

    def encode(x: np.ndarray) -> "Outputs":
        if posterior is None:
            return {"code": to_numpy(evaluation.encode(engine, x))}
        parameters = evaluation.posterior_of(engine, x).parameters.values()
        named = zip(posterior.heads(J), map(to_numpy, parameters), strict=False)
        return {**dict(named), "location": to_numpy(posterior.family.location(*parameters))}

    def decode(z: np.ndarray) -> "Outputs":
        p = evaluation.likelihood_of(engine, z)
        parameters = {name: to_numpy(array) for name, array in p.parameters.items()}
        return {**parameters, "mean": to_numpy(p.mean)}

    return Runner(encode, decode)
