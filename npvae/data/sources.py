"""Published files: found on this machine, else downloaded, and believed by their contents.

A file is looked for in ``$NPVAE_DATA`` and then in the user's cache, each time in the folder of
its dataset and then beside it, compressed or not. What is found nowhere is downloaded into the
cache, by https alone and never more than its size. The checksum is of what a file *holds*, since
mirrors compress the same data differently.
"""
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from sys import stderr
from typing import Any
from urllib.parse import urljoin, urlsplit

from npvae import install
from npvae.errors import DataError, MissingExtraError, optional_import

SCHEME = "https"
CONTAINER = 4096  # bytes that a file may have beside its contents


@dataclass(frozen=True)
class Source:
    """One published file.

    Parameters
    ----------
    folder, file : str
        Where it lies below a data folder.
    sha256, size : str, int
        Checksum and length of its decoded contents.
    mirrors : tuple of str
        Complete addresses, the best first.
    """

    folder: str
    file: str
    sha256: str
    size: int
    mirrors: tuple[str, ...]


def read(source: Source, decode: Callable[[Path], bytes]) -> bytes:
    """The contents of a published file, downloaded if need be.

    Parameters
    ----------
    source : Source
    decode : callable
        Path to contents. May raise anything on a file that is damaged.

    Raises
    ------
    DataError
        If the file is damaged, or is neither here nor to be had.
    """
    path = find(source)
    return _download(source, decode) if path is None else _verified(path, source, decode)


def find(source: Source) -> Path | None:
    """Where the file lies on this machine, or None."""
    names = (source.file, source.file.removesuffix(".gz"))
    candidates = (root / folder / name
                  for root in _roots() for folder in (source.folder, "") for name in names)
    return next((path for path in candidates if path.is_file()), None)


def whereabouts(sources: Sequence[Source]) -> tuple[bool, str]:
    """Whether all of these files are here; and where, or else what to do about it."""
    try:
        found = [find(source) for source in sources]
        home = _roots()[0] / sources[0].folder
    except DataError as error:
        return False, str(error)
    folders = {str(path.parent) for path in found if path is not None}
    missing = [s.file for s, path in zip(sources, found, strict=True) if path is None]
    if not missing:
        return True, ", ".join(sorted(folders))
    fetch = "will be downloaded when used" if find_spec("pooch") else _hint()
    return False, f"{fetch}; or put {', '.join(missing)} in {home}"


def _hint() -> str:
    return f"to download: {install.command('download')}"


def _roots() -> list[Path]:
    """Folders to look in, the first being where a person should put a file."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "npvae"
    named = os.environ.get("NPVAE_DATA")
    if not named:
        return [cache]
    if not Path(named).is_dir():
        raise DataError(f"NPVAE_DATA is {named!r}, which is no folder: correct it or unset it")
    return [Path(named), cache]


def _verified(path: Path, source: Source, decode: Callable[[Path], bytes]) -> bytes:
    cure = f"delete it and get it from {' or '.join(source.mirrors)}"
    try:
        contents = decode(path)
    except DataError as error:
        raise DataError(f"{path} is not the published file, which holds {source.size:,} bytes: "
                        f"{cure}") from error
    except Exception as error:  # parsers raise whatever they stumble on
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise DataError(f"{path} is damaged ({reason}): {cure}") from error
    found = sha256(contents).hexdigest()
    if found != source.sha256:
        raise DataError(f"{path} is not the published file (the SHA-256 of its contents is "
                        f"{found}, not {source.sha256}): {cure}")
    return contents


def _download(source: Source, decode: Callable[[Path], bytes]) -> bytes:
    home, cache = (_roots()[i] / source.folder for i in (0, -1))
    by_hand = f"put it in {home} by hand, from"
    try:
        pooch = optional_import("pooch", "download")
    except MissingExtraError as error:
        raise DataError(f"{source.file} is not on this machine ({_hint()}): {by_hand} "
                        f"{' or '.join(source.mirrors)}") from error
    failures = []
    for url in source.mirrors:
        try:
            return _download_from(url, cache / source.file, source, decode, pooch)
        except (OSError, ValueError) as error:  # network, disk; no such scheme, wrong contents
            failures.append(f"{url} ({type(error).__name__})")
    raise DataError(f"{source.file} is not on this machine and no mirror gave it: {by_hand} "
                    f"{' or '.join(failures)}")


def _download_from(
    url: str, path: Path, source: Source, decode: Callable[[Path], bytes], pooch: Any
) -> bytes:
    """Only a file with the right contents ever takes its place in the cache."""
    pooch.get_logger().setLevel("WARNING")  # else it asks for a checksum of the container
    progress = stderr.isatty() and find_spec("tqdm") is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    fetch = pooch.HTTPDownloader(progressbar=progress, hooks={"response": _check_scheme})

    def download(url: str, target: str, pooch: Any) -> None:
        if urlsplit(url).scheme != SCHEME:
            raise ValueError(f"{url} is not {SCHEME}")
        with Capped(target, source.size + CONTAINER) as file:
            fetch(url, file, pooch)

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(pooch.retrieve(url, None, path.name, folder, downloader=download))
        contents = _verified(part, source, decode)
        part.replace(path)
    return contents


def _check_scheme(response: Any, *args: Any, **options: Any) -> None:
    """Raise a ValueError at a redirection, which others may read or change on its way."""
    there = urljoin(response.url, response.headers.get("location", ""))
    if urlsplit(there).scheme != SCHEME:
        raise ValueError(f"{response.url} leads to {there}, which is not {SCHEME}")


class Capped(io.BufferedWriter):
    """A file that takes so many bytes and no more, whatever a server sends."""

    def __init__(self, path: str, most: int):
        super().__init__(io.FileIO(path, "w"))
        self.most, self.taken = most, 0

    def write(self, data: Any) -> int:
        self.taken += len(data)
        if self.taken > self.most:
            raise ValueError(f"it is longer than {self.most:,} bytes")
        return super().write(data)
