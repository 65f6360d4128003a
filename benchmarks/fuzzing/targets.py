"""The files that npvae reads, one good one of each; how it reads them; and what would be wrong.

What is wrong is found by another reader than npvae's: the zip by Python and its members by NumPy,
JSON and TOML by Python, tables by a regular expression, pictures by their own checksums. Where
npvae takes a file, what it makes of it must be what that reader finds there.
"""
import gzip
import io
import json
import re
import tomllib
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

import npvae
from fuzzing import damage, forgery
from fuzzing.damage import Damage
from npvae import data, runs
from npvae.data import mnist, sources
from npvae.estimators.model_file import UNSAVED, params_of
from npvae.io import read_toml
from npvae.standardization import NAMES

X = np.random.default_rng(0).random((12, 4)).astype(np.float32)  # of every model here
SMALL = {"latent_dim": 2, "hidden": (3,), "batch_size": 4, "epochs": 2, "random_state": 0,
         "verbose": False}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes
    ----------
    name : str
        What it is.
    file : str
        Where the mutant lies in its folder.
    content : bytes
        A good one.
    read : callable
        npvae's reading of it, of a path.
    wrong : callable
        Of that path and of what was read: why that is wrong, or None.
    forgeries : tuple of callable
        Damage that knows the format.
    """

    name: str
    file: str
    content: bytes
    read: Callable[[Path], Any]
    wrong: Callable[[Path, Any], str | None]
    forgeries: tuple[Damage, ...]


def targets(folder: Path) -> list[Target]:
    """All of them; the other files that a target reads are left in ``folder``."""
    return [*models(folder), *checkpoints(folder), *run_folders(folder), *arrays(), *pictures(),
            *published()]  # fmt: skip


# ---- model files


def models(folder: Path) -> list[Target]:
    made = {
        "vae": npvae.VAE(**SMALL, likelihood="normal", decoder_hidden=(2, 3)),
        "vamp": npvae.VAE(**SMALL, prior="vamp", prior_components=3, estimator="A",
                          optimizer="momentum", schedule={"name": "warmup", "fraction": 0.5}),
        "autoencoder": npvae.Autoencoder(**SMALL),
    }  # fmt: skip
    found = []
    for name, model in made.items():
        model.fit(X).save(folder / "model.npz")
        content = (folder / "model.npz").read_bytes()
        forgeries = (forgery.forge_npz, forgery.forge_config, forgery.forge_config)
        found.append(Target(f"model {name}", "model.npz", content, npvae.load, wrong_model,
                            forgeries))  # fmt: skip
    return found


def contents(path: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Config and arrays of a model file or a checkpoint, as Python and NumPy read them."""
    with zipfile.ZipFile(path) as archive:
        found = {name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)))
                 for name in archive.namelist()}  # fmt: skip
    config = json.loads(found["config"].item(), object_pairs_hook=once)
    return config, {k: v for k, v in found.items() if k not in ("config", "kind", "format_version")}


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of pairs whose keys are all different."""
    if len(dict(pairs)) < len(pairs):
        raise AssertionError("a key stands there twice")
    return dict(pairs)


def same(a: Any, b: Any) -> bool:
    """Equal, and of one type, True not being 1; but 1 may be 1.0."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def wrong_model(path: Path, model: Any) -> str | None:
    config, found = contents(path)
    params = params_of(model) | {"random_state": model.seed_}
    told = {k: v for k, v in config["params"].items() if k not in UNSAVED}
    for name, given in told.items():
        kept = params[name]
        if isinstance(given, dict):  # an object's defaults may be left out
            kept = {k: v for k, v in kept.items() if k in given}
        if not same(given, kept):
            return f"{name} is {kept!r}, the file says {given!r}"
    for name, kept in (("n_features", model.n_features_in_), ("n_data", model.n_data_),
                       ("image_shape", model.image_shape_), ("epoch", model._state.epoch)):
        if not same(config.get(name, kept), kept):
            return f"{name} is {kept!r}, the file says {config[name]!r}"
    own = {name: array for name, array in found.items() if not name.startswith("golden.")}
    return differing(model.parameters, own)


def differing(kept: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> str | None:
    """The first array of those kept that is not the one found."""
    for name, array in kept.items():
        if name not in found or not np.array_equal(array, found[name].astype(array.dtype)):
            return f"{name} is not that of the file"
    return None if found.keys() <= {*kept, *NAMES} else "the file has other arrays"


# ---- checkpoints


def checkpoints(folder: Path) -> list[Target]:
    path = folder / "checkpoint.npz"
    found = []
    for name, more in (("", {}), (" early stopping", {"early_stopping": 5})):
        settings = SMALL | more
        held_out = {"validation": X[:4]} if more else {}
        npvae.VAE(**settings).fit(X, **held_out, checkpoint=path)
        content = path.read_bytes()

        def read(path: Path, settings: Any = settings, held_out: Any = held_out) -> Any:
            mutant = path.with_name("mutant.npz")  # it is replaced after the epoch
            mutant.write_bytes(path.read_bytes())
            model = npvae.VAE(**settings | {"epochs": 3})
            return model.fit(X, **held_out, checkpoint=mutant, resume=True)

        forgeries = (forgery.forge_npz, forgery.forge_config, forgery.forge_config)
        wrong = wrong_checkpoint(read(path), content)
        found.append(Target(f"checkpoint{name}", path.name, content, read, wrong, forgeries))
    return found


def wrong_checkpoint(true: Any, content: bytes) -> Callable[[Path, Any], str | None]:
    """Whether one epoch more leads elsewhere than from the file as it was."""

    def wrong(path: Path, model: Any) -> str | None:
        (config, arrays), (_, theirs) = contents(path), contents(io.BytesIO(content))
        told, kept = config["progress"]["history"], model.history_
        for key in told:
            n = len(told[key])
            if not same(kept[key][:n], told[key]) or len(kept[key]) != model._state.epoch:
                return f"the history has {key}={kept[key]}, the file {told[key]}"
        if model._state.epoch != 3 or model._state.step != 9:
            return f"it went on to epoch {model._state.epoch}, step {model._state.step}"
        if theirs.keys() == arrays.keys() and all(  # "best" may be missing: see the loop
            array.tobytes() == arrays[name].tobytes() for name, array in theirs.items()
        ):
            return differing(model.parameters, true.parameters)
        return None

    return wrong


# ---- run folders and TOML


def run_folders(folder: Path) -> list[Target]:
    settings = runs.resolve_settings({
        "hidden": [3], "epochs": 1, "n_train": 20, "validation": 10, "batch_size": 10,
        "early_stopping": 1, "schedule": {"name": "warmup", "fraction": 0.25}, "verbose": False,
    })  # fmt: skip
    with runs.create(settings, folder / "run") as run:
        runs.train(run)
    config, history = (run.folder / name for name in ("config.toml", "history.jsonl"))

    def read(path: Path) -> Any:
        opened = runs.open_run(path.parent)
        runs.build(opened.settings)._check_params()
        return opened.settings

    def wrong(path: Path, settings: Any) -> str | None:
        with open(path, "rb") as file:
            told = tomllib.load(file)
        told.pop("verbose", None)  # it may be anything
        if settings["data"] == str(Path(str(told.get("data"))).resolve()):
            del told["data"]
        lost = [k for k, v in told.items() if not same(v, settings.get(k))]
        return f"{lost[0]} is {settings.get(lost[0])!r}" if lost else None

    def reopen(path: Path) -> Any:
        with runs.reopen_run(path.parent, {"epochs": 2}) as reopened:
            return reopened

    def by_tomllib(path: Path, found: Any) -> str | None:
        return None if repr(found) == repr(tomllib.loads(path.read_text())) else "not what it says"

    forgeries = (forgery.forge_toml, forgery.forge_toml)
    return [
        Target("run config", "run/config.toml", config.read_bytes(), read, wrong, forgeries),
        Target("run history", "run/history.jsonl", history.read_bytes(), reopen,
               lambda path, run: None, (forgery.forge_jsonl,)),
        Target("toml", "a.toml", config.read_bytes(), read_toml, by_tomllib, forgeries),
    ]  # fmt: skip


# ---- arrays and tables


def arrays() -> list[Target]:
    rng = np.random.default_rng(1)
    pixels, floats = rng.integers(0, 256, (7, 16), np.uint8), rng.standard_normal((7, 5))
    npz, packed = io.BytesIO(), io.BytesIO()
    np.savez(npz, X=pixels, y=np.arange(7))
    np.savez_compressed(packed, images=np.zeros((50, 8, 8), np.uint8), labels=np.arange(50))
    table, bare = (
        "\n".join(",".join(map(repr, row)) for row in rows.tolist()) for rows in (floats, pixels)
    )
    npy = (forgery.forge_npy, forgery.forge_npy)
    zipped = (forgery.forge_npz, forgery.forge_npz)
    return [
        Target("npy bytes", "a.npy", saved(pixels), data.load_file, wrong_npy, npy),
        Target("npy floats", "a.npy", saved(floats), data.load_file, wrong_npy, npy),
        Target("npz", "a.npz", npz.getvalue(), data.load_file, wrong_npz, zipped),
        Target("npz packed", "a.npz", packed.getvalue(), data.load_file, wrong_npz, zipped),
        Target("csv header", "a.csv", f"a,b,c,d,e\n{table}".encode(), data.load_file, wrong_csv,
               (forgery.forge_csv, forgery.forge_csv)),
        Target("csv", "a.csv", bare.encode(), data.load_file, wrong_csv,
               (forgery.forge_csv, forgery.forge_csv)),
        Target("csv gzip", "a.csv.gz", gzip.compress(bare.encode()), data.load_file, wrong_csv,
               (forgery.forge_gzip,)),
        Target("idx", "a-idx2-ubyte", idx(pixels), data.load_file, wrong_idx, (damage.claim,)),
        Target("idx gzip", "a-idx2-ubyte.gz", gzip.compress(idx(pixels)), data.load_file, wrong_idx,
               (forgery.forge_gzip,)),
        *matlab(pixels),
    ]  # fmt: skip


def idx(array: np.ndarray) -> bytes:
    """As MNIST's files are."""
    lengths = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes((0, 0, 8, array.ndim)) + lengths + array.tobytes()


def wrong_idx(path: Path, dataset: Any) -> str | None:
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    kinds = {8: "B", 9: "b", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
    lengths = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, 4 + 4 * raw[3], 4)]
    numbers = np.frombuffer(raw[4 + 4 * raw[3] :], kinds[raw[2]])
    return wrong_values(dataset, numbers.reshape(lengths))


def matlab(pixels: np.ndarray) -> list[Target]:
    try:
        from scipy.io import savemat
    except ImportError:
        return []
    found = []
    for name, packed in (("mat", False), ("mat packed", True)):
        file = io.BytesIO()
        savemat(file, {"X": pixels, "y": np.arange(7)}, do_compression=packed)
        content = file.getvalue()
        found.append(Target(name, "a.mat", content, data.load_file, wrong_mat, (damage.claim,)))
    return found


def wrong_mat(path: Path, dataset: Any) -> str | None:
    """SciPy reads it; what is compressed must have the right checksum."""
    from scipy.io import loadmat, whosmat

    raw, at = path.read_bytes(), 128
    order = "little" if raw[126:128] == b"IM" else "big"
    while at < len(raw):
        kind, n = (int.from_bytes(raw[i : i + 4], order) for i in (at, at + 4))
        if kind == 15:
            zlib.decompress(raw[at + 8 : at + 8 + n])
        at += 8 + n
    names = {name for name, *_ in whosmat(path)}
    name = "X" if "X" in names else min(names - {"y"})
    return wrong_values(dataset, loadmat(path, variable_names=[name])[name])


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def wrong_values(dataset: Any, found: np.ndarray) -> str | None:
    """Whether a Dataset has other numbers than the array."""
    rows = found.reshape(len(found), -1)
    same_numbers = np.array_equal(dataset.pixels, rows, equal_nan=rows.dtype.kind == "f")
    return None if same_numbers else "its numbers are not those of the file"


def wrong_npy(path: Path, dataset: Any) -> str | None:
    return wrong_values(dataset, np.load(io.BytesIO(path.read_bytes())))


def wrong_npz(path: Path, dataset: Any) -> str | None:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]

        def member(name: str) -> np.ndarray:
            return np.load(io.BytesIO(archive.read(archive.infolist()[names.index(name)])))

        if len(set(names)) < len(names):
            return "two of its members have one name"
        labels = next((name for name in ("labels", "y") if name in names), None)
        others = [name for name in ("images", "X", "pixels", *names) if name in names]
        kept = next(name for name in others if name != labels)
        theirs = None if labels is None else member(labels).squeeze()
        is_float = theirs is not None and theirs.dtype.kind in "fc"
        if not np.array_equal(theirs, dataset.labels, equal_nan=is_float):  # None equals None
            return "its labels are not those of the file"
        return wrong_values(dataset, member(kept))


NUMBER = re.compile(
    r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*|true|false|[+-]?(nan|inf)", re.I
)
WORDS = {"true": "1", "false": "0"}


def wrong_csv(path: Path, dataset: Any) -> str | None:
    """Every line but a header is a row, and every field a number, in any common dialect."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = [line for line in re.split("\r\n|\r|\n", text) if line.strip()]
    rows = []
    while lines and lines[0].startswith("# "):  # a comment above the table
        del lines[0]
    for i, line in enumerate(lines):
        comma = next((c for c in ",;\t|" if c in line), " ")
        fields = [field.strip().strip('"') for field in line.split(comma)]
        if all(map(NUMBER.fullmatch, fields)):
            rows.append([float(WORDS.get(field.strip().lower(), field)) for field in fields])
        elif i:  # the first may be a header
            return f"line {i + 1} is no row of numbers: {line[:60]!r}"
    if len({len(row) for row in rows}) != 1:
        return "its lines are of different lengths"
    return wrong_values(dataset, np.array(rows))


# ---- pictures


def pictures() -> list[Target]:
    try:
        from PIL import Image
    except ImportError:
        return []
    rng = np.random.default_rng(2)
    grey, colour = rng.integers(0, 256, (9, 8), np.uint8), rng.integers(0, 256, (9, 8, 3), np.uint8)
    found = []
    for suffix in ("png", "png colour", "jpg", "bmp", "gif"):
        array = colour if "colour" in suffix else grey
        file = io.BytesIO()
        format = suffix.split()[0].replace("jpg", "jpeg")
        Image.fromarray(array).save(file, format)
        forgeries = (forgery.forge_png,) * 2 if format == "png" else (damage.claim,)
        found.append(Target(suffix, f"{suffix}/a.{suffix.split()[0]}", file.getvalue(),
                            lambda path: data.load_file(path.parent), wrong_picture, forgeries))
    return found


def wrong_picture(path: Path, dataset: Any) -> str | None:
    """The size must be that of the header; of a PNG every checksum must be right."""
    from PIL import Image

    if path.suffix == ".png" and (name := broken_chunk(path.read_bytes())):
        return f"the checksum of {name!r} is wrong"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            width, height = image.size
    found = dataset.pixels.size // 3 if dataset.pixels.size % (width * height * 3) == 0 else 0
    return None if width * height in (found, dataset.pixels.size) else "it is of another size"


def broken_chunk(png: bytes) -> bytes | None:
    """The first chunk of a PNG whose checksum is not its own, up to the end of the picture."""
    at = 8
    while at < len(png):
        n = int.from_bytes(png[at : at + 4], "big")
        body, crc = png[at + 4 : at + 8 + n], png[at + 8 + n : at + 12 + n]
        if body[:4] == b"IEND":
            return None
        if zlib.crc32(body).to_bytes(4, "big") != crc:
            return body[:4]
        at += n + 12
    return None


# ---- published files: the contents are vouched for, so a mutant is the same or refused


def published() -> list[Target]:
    images = np.random.default_rng(3).integers(0, 256, (5, 28, 28), np.uint8)
    header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in images.shape)
    contents = header + images.tobytes()
    return [
        Target("idx, published", "train-images-idx3-ubyte.gz", gzip.compress(contents),
               read_published(contents),
               lambda path, found: None if found == contents else "it has other contents",
               (forgery.forge_gzip,)),
    ]  # fmt: skip


def read_published(contents: bytes) -> Callable[[Path], bytes]:
    source = replace(mnist.SOURCES["train"][0], sha256=sha256(contents).hexdigest(),
                     size=len(contents))  # fmt: skip
    decode = partial(mnist.decompress, room=source.size, ratio=0)
    return lambda path: sources._verified(path, source, decode)
