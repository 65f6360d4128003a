"""The names of columns, by scikit-learn's rules: of the data a model was fitted to, and of latents.

The names of a table's columns are kept in ``feature_names_in_`` if all of them are strings. A table
with other names, or the same in another order, is another one and is refused. Latents are named
after the class, and ``transform`` gives them as a table where ``set_output`` has asked for one.
"""
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar
from warnings import warn

import numpy as np

from npvae.backend import Array, to_numpy
from npvae.data.frames import column_names
from npvae.errors import DataError, MissingExtraError, ParameterError

if TYPE_CHECKING:
    from npvae.estimators.base import GenerativeModel
M = TypeVar("M", bound="GenerativeModel")
OUTPUTS = ("default", "pandas", "polars")
SHOWN = 5  # names in a message, at most


def names_of(X: Any) -> np.ndarray | None:
    """The names of a table's columns if all are strings, else None.   (D,) of objects

    Raises
    ------
    DataError
        If some of them are strings and some are not.
    """
    names = column_names(X)
    kinds = sorted({type(name).__name__ for name in names})
    if "str" in kinds and len(kinds) > 1:
        raise DataError(
            "Feature names are only supported if all input features have string names, but your "
            f"input has {kinds} as column name types; X.columns = X.columns.astype(str) names all"
        )
    return np.array(names, object) if kinds == ["str"] else None


def known_names(model: "GenerativeModel") -> np.ndarray | None:
    """The names of the columns that the model was fitted to, if they had any."""
    return vars(model).get("feature_names_in_")


def keep_names(model: "GenerativeModel", names: np.ndarray | None) -> None:
    """Make ``names`` those that the model was fitted to; of None there is no attribute."""
    vars(model).pop("feature_names_in_", None)
    if names is not None:
        model.feature_names_in_ = names


def checked_names(names: Any, n_features: int) -> np.ndarray | None:
    """Names of a file, which has none or as many as there are features; else a ValueError."""
    if names is None:
        return None
    if not (isinstance(names, list) and len(names) == n_features and
            all(isinstance(name, str) for name in names)):  # fmt: skip
        raise ValueError(f"feature_names are not {n_features} names")
    return np.array(names, object)


def check_names(names: np.ndarray | None, X: Any, who: str) -> None:
    """Raise a DataError if ``X`` is a table of other columns than ``names``, in that order.

    Warns
    -----
    UserWarning
        If only one of the two has names.
    """
    given = names_of(X)
    if given is None or names is None:
        if given is not None:
            warn(f"X has feature names, but {who} was fitted without feature names", stacklevel=4)
        elif names is not None:
            warn(f"X does not have valid feature names, but {who} was fitted with feature names",
                 stacklevel=4)  # fmt: skip
    elif list(given) != list(names):
        message = "The feature names should match those that were passed during fit."
        unseen, missing = sorted({*given} - {*names}), sorted({*names} - {*given})
        if unseen:
            message += f" Feature names unseen at fit time: {listed(unseen)}."
        if missing:
            message += f" Feature names seen at fit time, yet now missing: {listed(missing)}."
        if not (unseen or missing):
            message += " Feature names must be in the same order as they were in fit."
        cure = "rename or add them" if missing else "X[list(model.feature_names_in_)] takes them so"
        raise DataError(f"{message} {cure}")


def listed(names: list[str]) -> str:
    """The first of some names."""
    return ", ".join(map(repr, names[:SHOWN])) + ", …" * (len(names) > SHOWN)


def get_feature_names_out(model: "GenerativeModel", input_features: Any = None) -> np.ndarray:
    """The names of the latents: the class and a number, ``vae0``, ``vae1``, …   (J,) of str

    Parameters
    ----------
    input_features : array-like of str (D,), optional
        For scikit-learn's sake: checked, and not used.

    Raises
    ------
    ParameterError
        If ``input_features`` are not those that the model was fitted to.
    NotFittedError
        If there are no parameters yet.
    """
    n_latents, D = model._engine().model.decoder.n_in, model.n_features_in_
    if input_features is not None:
        given, names = list(input_features), known_names(model)
        if names is not None and given != list(names):
            raise ParameterError(
                f"input_features is not equal to feature_names_in_, {listed(list(names))}; "
                "leave it out"
            )
        if len(given) != D:
            raise ParameterError(
                f"input_features should have length equal to number of features ({D}), got "
                f"{len(given)}; leave it out"
            )
    return np.array([f"{type(model).__name__.lower()}{j}" for j in range(n_latents)], object)


def check_latent_names(model: "GenerativeModel", Z: Any) -> None:
    """Raise a DataError if ``Z`` is a table with the latents' names in another order."""
    given, ours = names_of(Z), list(get_feature_names_out(model))
    if given is not None and list(given) != ours and sorted(given) == sorted(ours):
        raise DataError(
            f"the latents are in the order {listed(list(given))}, not {listed(ours)}; "
            "Z[list(model.get_feature_names_out())] puts them in theirs"
        )


def set_output(model: M, *, transform: str | None = None) -> M:
    """Set what ``transform`` and ``fit_transform`` give, as scikit-learn's ``set_output`` does.

    Parameters
    ----------
    transform : {"default", "pandas", "polars"}, optional
        An array, or a table with the names of ``get_feature_names_out``. None changes nothing.

    Raises
    ------
    ParameterError
        If it is none of these.
    """
    if transform is not None:
        if transform not in OUTPUTS:
            raise ParameterError(f"transform={transform!r} is not one of {', '.join(OUTPUTS)}")
        model._sklearn_output_config = {"transform": transform}  # what scikit-learn's clone copies
    return model


def as_asked(model: "GenerativeModel", X: Any, z: Array) -> Any:
    """Latents z (N, J) of ``X`` as ``set_output`` of the model has it, or scikit-learn's config."""
    output = "default"
    if config := vars(model).get("_sklearn_output_config"):
        output = config["transform"]
    elif sklearn := sys.modules.get("sklearn"):
        output = sklearn.get_config()["transform_output"]
    if output == "default":
        return z
    try:
        tables = import_module(output)
    except ImportError as error:
        raise MissingExtraError(
            f"set_output(transform={output!r}) needs {output}, which is not installed: "
            f"pip install {output}"
        ) from error
    names, z = get_feature_names_out(model), to_numpy(z)
    if output == "polars":
        return tables.DataFrame(z, schema=list(names), orient="row")
    index = X.index if isinstance(X, tables.DataFrame) else None
    return tables.DataFrame(z, columns=names, index=index)
