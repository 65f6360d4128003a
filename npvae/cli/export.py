"""``npvae export``: a trained model in the format of another program."""
import argparse

from npvae.cli.common import find, free_path, note
from npvae.cli.flags import Commands, add_command, with_model, with_out

NAMES = ("onnx", "safetensors")  # of npvae.export.FORMATS, which are not imported for a help text

def add_to(commands: Commands) -> None:
    p = add_command(commands, export, "export", "the model in the format of another program",
                    "None of the files needs npvae, and nothing random is in them: what samples "
                    "does so outside.")  # fmt: skip
    with_model(p)
    p.add_argument("--format", default="safetensors", metavar="NAME",
                   help=f"{', '.join(NAMES)} (default: safetensors)")
    with_out(p, "PATH", "file or folder to write; RUN_OR_MODEL with the format's suffix if not "
                        "given")  # fmt: skip


def export(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    from npvae.export import FORMATS
    from npvae.options import one_of

    form = FORMATS[one_of("--format", arguments.format, FORMATS)]
    path = free_path(arguments, Path(arguments.model).stem + form.suffixes[0])
    model, _ = find(arguments.model)
    for file in model.export(path, form.name, overwrite=arguments.force):
        note(arguments, f"{file}: {file.stat().st_size / 1000:,.1f} kB")
