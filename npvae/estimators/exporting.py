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
        A name in :data:`npvae.export.FORMATS`: ``"safetensors"``.
    overwrite : bool
        Whether files that are there already are replaced.
    **options
        The format's own.

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
    """
    from npvae import export as formats  # what nobody asks for costs nothing

    return formats.write(describe(model), path, format, overwrite, **options)


def describe(model: "GenerativeModel") -> "Description":
    """What formats are made from."""
    from npvae.export import Description

    return Description(*contents_of(model), model.engine_.model)
