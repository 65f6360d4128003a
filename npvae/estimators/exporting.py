"""A fitted model in the formats of other programs."""
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npvae.estimators.model_file import contents_of

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
    from npvae.export import Description


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
        ``"safetensors"``, parameters by PyTorch's names. :func:`npvae.load` reads these two.
    overwrite : bool
        Whether files that are there already are replaced.
    **options
        The format's own. Of ``"onnx"`` ``opset`` and ``ir_version``, whole numbers: if not given
        those of 2022, which every runtime since has.

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
        function of noise.
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
