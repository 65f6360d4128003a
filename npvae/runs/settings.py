"""Settings of a run: what was asked for, over a file, over what suits its data, over defaults."""
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from npvae import data, install
from npvae.backend import get_backend
from npvae.data import Dataset
from npvae.data.catalogue import LOADERS
from npvae.errors import ParameterError
from npvae.estimators import MCEM, VAE, Autoencoder, FullVB, WakeSleep
from npvae.estimators.base import GenerativeModel
from npvae.io import read_toml
from npvae.options import DATA_DEFAULTS, OPTIONS, READING, RUN

MODELS: dict[str, type[GenerativeModel]] = {
    "vae": VAE, "autoencoder": Autoencoder, "wake-sleep": WakeSleep, "full-vb": FullVB,
    "mcem": MCEM,
}  # fmt: skip

# What a run is beside the model's own parameters.
RUN_DEFAULTS: dict[str, Any] = {option.name: option.default for option in RUN}


def resolve_settings(options: dict[str, Any], file: str | Path | None = None) -> dict[str, Any]:
    """Resolve the settings of a run: options, over a file's, over the data's, over the class's.

    Raises
    ------
    ParameterError
        If a setting is unknown, or has no meaning for the model.
    """
    told = read_toml(file) if file else {}
    for name in sorted(told.keys() - OPTIONS.keys() - RUN_DEFAULTS.keys()):
        raise ParameterError(
            f"{file}: there is no setting {name!r:.60}; correct it, or, if a newer npvae made the "
            f"file, update npvae: {install.update()}"
        )
    explicit = RUN_DEFAULTS | told | options
    for option in RUN:
        option.validate(explicit[option.name])
    explicit["model"] = RUN[0].canonical_name(explicit["model"])
    if explicit["validation"] == 0 and explicit.get("early_stopping") is not None:
        raise ParameterError(
            f"early_stopping={explicit['early_stopping']} watches held-out data, and validation=0 "
            "leaves none; leave one of them out"
        )
    if explicit["data"] not in LOADERS and Path(explicit["data"]).exists():
        explicit["data"] = str(Path(explicit["data"]).resolve())  # from whatever folder it is asked
    cls = MODELS[explicit["model"]]
    params = cls().get_params()
    for name in sorted(explicit.keys() - params.keys() - RUN_DEFAULTS.keys()):
        raise ParameterError(
            f"{name}={explicit[name]!r} is no setting of model {explicit['model']!r}; "
            f"it has {', '.join(sorted(params))}"
        )
    defaults = DATA_DEFAULTS.get(str(explicit["data"]), {})
    settings = params | {k: v for k, v in defaults.items() if k in params} | explicit
    if settings["random_state"] is None:
        settings["random_state"] = 0  # a run can be repeated
    return settings


def build(settings: dict[str, Any]) -> GenerativeModel:
    """The untrained model of some settings."""
    cls = MODELS[settings["model"]]
    params = {k: v for k, v in settings.items() if k not in RUN_DEFAULTS}
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in params.items()})


def check(settings: dict[str, Any]) -> None:
    """Raise a ParameterError or a BackendError unless a model of these settings can train here."""
    build(settings)._check_params()
    get_backend(settings["backend"], settings["tf32"])


def load_data(
    settings: dict[str, Any], name: str | None = None, split: str | None = None
) -> Dataset:
    """The data of a run, or others read in the same way, scaled as its likelihood needs."""
    name = name or settings["data"]
    dataset = data.load(name, split, **{option.name: settings[option.name] for option in READING})
    return dataset.scaled_for(build(settings)._likelihood().support)


def summary(settings: dict[str, Any]) -> Iterable[str]:
    """What a run will do, in a few lines."""
    model = build(settings)
    yield f"data       {settings['data']}, grey pixels: {settings['binarize']}"
    yield f"model      {model}"
    yield f"backend    {get_backend(settings['backend'], settings['tf32']).device}"
