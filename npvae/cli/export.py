"""``npvae export`` and ``npvae import``: models in the formats of other programs."""
import argparse

from npvae.cli.common import find, free_path, note
from npvae.cli.flags import Commands, add_command, add_number, with_model, with_out
from npvae.cli.terminal import say
from npvae.errors import ModelFileError, NumericalError, ParameterError

# of npvae.export.FORMATS, which are not imported for a help text
NAMES = ("c", "js", "onnx", "python", "safetensors", "torch")


def add_to(commands: Commands) -> None:
    p = add_command(commands, export, "export", "the model in the format of another program",
                    "None of the files needs npvae, and nothing random is in them: what samples "
                    "does so outside.")  # fmt: skip
    with_model(p)
    p.add_argument("--format", default="safetensors", metavar="NAME",
                   help=f"{', '.join(NAMES)} (default: safetensors)")
    with_out(p, "PATH", "file or folder to write; RUN_OR_MODEL with the format's suffix if not "
                        "given")  # fmt: skip
    p.add_argument("--check", action="store_true",
                   help="run what was written beside npvae: is it the same model, and how fast")
    for name in ("opset", "ir-version"):
        add_number(p, f"--{name}", help="of onnx; 2022's, which every runtime has, if not given")
    p = add_command(commands, import_, "import", "a model.npz of what other programs wrote",
                    "Of npvae's own exports any; of others a VAE of linear layers with a Bernoulli "
                    "likelihood.")  # fmt: skip
    p.add_argument("source", metavar="SOURCE",
                   help="a folder with encoder.onnx and decoder.onnx, or a .safetensors or .npz")
    p.add_argument("--names", nargs="+", metavar="THEIRS=OURS",
                   help="their layers, or the outputs of encoder.onnx; found out if not given")
    p.add_argument("--activation", default="relu", metavar="NAME",
                   help="of a file's hidden layers, which it does not say (default: relu)")
    with_out(p, "MODEL.npz", "file to write; SOURCE.npz here if not given")


def export(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    from npvae.estimators.exporting import check
    from npvae.export import FORMATS
    from npvae.options import one_of

    form = FORMATS[one_of("--format", arguments.format, FORMATS)]
    path = free_path(arguments, Path(arguments.model).stem + form.suffixes[0])
    model, _ = find(arguments.model)
    asked = {name: vars(arguments)[name] for name in ("opset", "ir_version")}
    options = {name: value for name, value in asked.items() if value is not None}
    for file in model.export(path, form.name, overwrite=arguments.force, **options):
        note(arguments, f"{file}: {file.stat().st_size / 1000:,.1f} kB")
    if arguments.check:
        found = check(model, path, form.name)
        say(*str(found).splitlines())
        if not found.ok:
            raise NumericalError(f"{path} is not the model that {arguments.model} is; this is a "
                                 "mistake of npvae's, so tell of it")  # fmt: skip


def import_(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    import npvae
    from npvae.export import is_own

    source = Path(arguments.source)
    path = free_path(arguments, source.stem + ".npz", (".npz",))
    if not source.is_file() and not (source / "encoder.onnx").exists():
        raise ModelFileError(f"{source}: no such file, nor a folder with encoder.onnx; name that "
                             "folder, or a .safetensors or .npz file")  # fmt: skip
    names = dict(pair_of(word) for word in arguments.names) if arguments.names else None
    if is_own(source):
        model = npvae.load(source)
    elif source.is_dir():
        model = npvae.load_onnx(source, names)
    else:
        model = npvae.load_state_dict(source, names, arguments.activation)
    model.save(path)
    note(arguments, f"{path}: {model!r}")


def pair_of(word: str) -> tuple[str, str]:
    """THEIRS=OURS, apart."""
    theirs, sign, ours = word.partition("=")
    if not sign:
        raise ParameterError(f"--names {word!r} is no THEIRS=OURS, as fc1=encoder.hidden.0")
    return theirs, ours
