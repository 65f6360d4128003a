"""Training runs as folders: settings, what they were trained on, and how they compare."""
from npvae.runs.folders import FolderNotEmpty
from npvae.runs.run import Run, assist, create, find_model, open_run, reopen_run, train
from npvae.runs.settings import MODELS, build, load_data, resolve_settings, summary

__all__ = [
    "MODELS",
    "FolderNotEmpty",
    "Run",
    "assist",
    "build",
    "create",
    "find_model",
    "load_data",
    "open_run",
    "reopen_run",
    "resolve_settings",
    "summary",
    "train",
]
