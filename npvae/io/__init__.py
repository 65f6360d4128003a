"""What npvae keeps on disk, none of it executable.

=================  =======================================================  =====================
model, checkpoint  named arrays and a JSON config in one ``.npz``           :mod:`.archive`
state_dict         arrays by name, as other programs keep them              :mod:`.state_dict`
history            one JSON object a line, one line an epoch                 :mod:`.jsonl`
config             the options of a run, one ``key = value`` a line         :mod:`.toml`
locks              one process a folder, one a file that is being written    :mod:`.locks`
=================  =======================================================  =====================

This package knows nothing of models: whoever calls it gives names to the arrays and meaning to
the config. Every failure is one line in a ``ModelFileError`` or a ``ParameterError``.
"""
from npvae.io.archive import check_arrays, read_archive, write_archive
from npvae.io.jsonl import read_jsonl, to_json, write_jsonl
from npvae.io.state_dict import read_state_dict
from npvae.io.toml import read_toml, write_toml

__all__ = [
    "check_arrays",
    "read_archive",
    "read_jsonl",
    "read_state_dict",
    "read_toml",
    "to_json",
    "write_archive",
    "write_jsonl",
    "write_toml",
]
