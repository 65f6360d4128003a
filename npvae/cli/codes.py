"""``npvae encode`` and ``npvae decode``: from data to latents and back, as files."""
import argparse
from pathlib import Path

from npvae.cli.common import DATA_KINDS, find, find_data, free_path, note, write_data
from npvae.cli.flags import Commands, add_command, with_model, with_out


def add_to(commands: Commands) -> None:
    p = add_command(commands, encode, "encode", "the latents of data, as a table",
                    "Columns: mean and std of q(z|x), one a latent; the ELBO of each datapoint; "
                    "its label, where there is one.")  # fmt: skip
    with_model(p, data=True)
    with_out(p, "FILE.csv|npy", "table to write; RUN_OR_MODEL-codes.csv here if not given")
    p = add_command(commands, decode, "decode", "the data that latents stand for")
    with_model(p)
    p.add_argument("codes", metavar="CODES",
                   help="what encode wrote, whose means are taken, or any table of J columns")
    with_out(p, "FILE.npy|csv|FOLDER",
             "table, or folder of images; RUN_OR_MODEL-decoded.npy here if not given")  # fmt: skip


def encode(arguments: argparse.Namespace) -> None:
    from npvae import io

    path = free_path(arguments, f"{Path(arguments.model).stem}-codes.csv", (".csv", ".npy"))
    model, run = find(arguments.model)
    dataset = find_data(arguments, model, run, every=True)
    columns = {"mean": model.transform(dataset)}  # (N, J)
    if model.has_bound:
        columns["std"] = model.posterior_of(dataset).std  # (N, J)
        columns["elbo"] = model.score_samples(dataset)  # (N,)
    if dataset.labels is not None:
        named = dataset.labels.dtype.kind == "O"
        columns["label"] = dataset.labels.astype(str) if named else dataset.labels
    io.write_columns(path, columns)
    note(arguments, f"{path}: {len(dataset)} rows: {', '.join(columns)}")


def decode(arguments: argparse.Namespace) -> None:
    from npvae import io

    path = free_path(arguments, f"{Path(arguments.model).stem}-decoded.npy", DATA_KINDS)
    model, _ = find(arguments.model)
    X = model.inverse_transform(io.read_column(arguments.codes, "mean"))  # (N, D)
    write_data(arguments, path, X, model.image_shape_)
