"""What npvae keeps on disk, none of it executable.

=================  =======================================================  =====================
model, checkpoint  named arrays and a JSON config in one ``.npz``           :mod:`.archive`
state_dict         arrays by name, as other programs keep them              :mod:`.state_dict`
history            one JSON object a line, one line an epoch                 :mod:`.jsonl`
config             the options of a run, one ``key = value`` a line         :mod:`.toml`
columns            codes and data by column, in ``.csv`` or ``.npy``         :mod:`.columns`
shared             one vector, mapped by the processes of a machine         :mod:`.mapping`
images             a folder of them, one file a datapoint                   :mod:`.images`
locks              one process a folder, one a file that is being written    :mod:`.locks`
=================  =======================================================  =====================

This package knows nothing of models: whoever calls it gives names to the arrays and meaning to
the config. Every failure is one line in a ``ModelFileError`` or a ``ParameterError``.
"""
from typing import TYPE_CHECKING

from npvae import lazy

if TYPE_CHECKING:
    from npvae.io.archive import check_arrays, check_suffix, newer_file, read_archive, write_archive
    from npvae.io.atomic import atomic_write
    from npvae.io.columns import read_column, write_columns
    from npvae.io.images import write_images
    from npvae.io.jsonl import read_jsonl, to_json, write_jsonl
    from npvae.io.mapping import shared
    from npvae.io.state_dict import as_numpy, read_state_dict
    from npvae.io.toml import read_toml, write_toml

_HOMES = {
    "archive": ("check_arrays", "check_suffix", "newer_file", "read_archive", "write_archive"),
    "atomic": ("atomic_write",),
    "columns": ("read_column", "write_columns"),
    "images": ("write_images",),
    "mapping": ("shared",),
    "jsonl": ("read_jsonl", "to_json", "write_jsonl"),
    "state_dict": ("as_numpy", "read_state_dict"),
    "toml": ("read_toml", "write_toml"),
}
__getattr__ = lazy.of_files(__name__, _HOMES)

__all__ = [
    "as_numpy",
    "atomic_write",
    "check_arrays",
    "check_suffix",
    "newer_file",
    "read_archive",
    "read_column",
    "read_jsonl",
    "read_state_dict",
    "read_toml",
    "shared",
    "to_json",
    "write_archive",
    "write_columns",
    "write_images",
    "write_jsonl",
    "write_toml",
]
