"""A run that is killed loses nothing: at every write, and at any moment.

    python benchmarks/kills.py --require

``npvae train`` is killed by SIGKILL before each of its changes to the disk in turn, and at random
moments. What stands in the folder must be readable; then it is resumed, and must come to the same
bytes as a run that was never killed (but for the seconds that an epoch took), with no file beside.
"""
import common  # noqa: F401  isort: skip
import argparse
import io
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

from common import machine
from train_step import save

from npvae import load
from npvae.cli import main as npvae
from npvae.io import read_archive, read_jsonl, read_toml
from npvae.runs.record import read_record

TRAIN = ["train", "--hidden", "8", "--n-train", "300", "--validation", "100", "--epochs"]
# what Python announces before it asks the system for it
CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.chown",
           "os.truncate", "fcntl.flock"}  # fmt: skip


def command(folder: Path, epochs: int) -> int:
    """``npvae train`` in a folder, or ``--resume`` if it was killed in it; the exit code."""
    resume = (folder / "config.toml").exists()
    argv = ["train", "--resume", str(folder)] if resume else [*TRAIN, str(epochs), "--out",
                                                              str(folder)]  # fmt: skip
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return npvae(argv)


def forked(work: Callable[[], int], after: float | None = None) -> int:
    """Do it in a process of its own, killed after so many seconds; how that ended, 0 if well."""
    child = os.fork()
    if child == 0:
        os._exit(work())
    if after is not None:
        sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def killed_before(change: int, work: Callable[[], int]) -> Callable[[], int]:
    """``work`` that is killed before its change of that number to the disk."""
    left = [change]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if event in CHANGES and writes:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    def watched() -> int:
        sync = os.fsync

        def fsync(descriptor: int) -> None:  # which Python does not announce
            watch("fcntl.flock", ())
            sync(descriptor)

        os.fsync = fsync
        sys.addaudithook(watch)
        return work()

    return watched


def content(folder: Path) -> dict[str, Any]:
    """What a run folder holds, by the names of its files; without seconds, which differ."""

    def read(path: Path) -> Any:
        if path.name == "history.jsonl":
            return [{k: v for k, v in row.items() if k != "seconds"} for row in read_jsonl(path)]
        if path.name == "checkpoint.npz":
            config, arrays = read_archive(path, "checkpoint")
            config["progress"]["history"].pop("seconds", None)
            return config, {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}
        if path.name == "report.html":  # it tells seconds, and when it was written
            return path.read_bytes().endswith(b"</html>\n")
        return path.read_bytes()

    return {
        str(path.relative_to(folder)): read(path) for path in folder.rglob("*") if path.is_file()
    }


def unreadable(folder: Path) -> list[str]:
    """The files of a run, by their proper names, that cannot be read; none if all is well."""
    readers: dict[str, Callable[[Path], Any]] = {
        "config.toml": read_toml, "data.json": read_record, "history.jsonl": read_jsonl,
        "gradient_flow.jsonl": read_jsonl,
        "checkpoint.npz": lambda path: read_archive(path, "checkpoint"), "model.npz": load,
    }  # fmt: skip
    wrong = []
    for name, reader in readers.items():
        try:
            if (folder / name).exists():
                reader(folder / name)
        except Exception as error:
            wrong.append(f"{name}: {error}")
    pictures = folder.glob("plots/*.png")
    return wrong + [str(p) for p in pictures if not p.read_bytes().endswith(b"IEND\xaeB`\x82")]


def trial(
    straight: dict[str, Any], epochs: int, change: int | None = None, after: float | None = None
) -> dict[str, Any]:
    """Kill a run at a change to the disk or a moment; look at what is left, and go on."""

    def run() -> int:
        return command(folder, epochs)

    with TemporaryDirectory() as place:
        folder = Path(place) / "run"
        status = forked(run if change is None else killed_before(change, run), after)
        found = content(folder) if (wrong := unreadable(folder)) == [] else {}
        left = sorted(name for name in found if name not in straight)
        status_after = forked(run)
        end = content(folder)
    return {
        "killed": os.WIFSIGNALED(status), "unreadable": wrong, "left_until_the_next_start": left,
        "resumed": status_after == 0, "strays": sorted(end.keys() - straight.keys()),
        "identical": end == straight,
    }  # fmt: skip


def main() -> int:
    """Kill, resume, compare; print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=200, help="kills at random moments (200)")
    parser.add_argument("--epochs", type=int, default=3, help="of the run (3)")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th change (1)")
    parser.add_argument("--without-plots", action="store_true", help="a tenth of the time")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--require", action="store_true", help="exit with 1 if anything was lost")
    parser.add_argument("--save", action="store_true", help="write results/kills.json")
    arguments = parser.parse_args()
    if arguments.without_plots:
        sys.modules["matplotlib"] = None  # type: ignore[assignment]  # as if it were not installed

    with TemporaryDirectory() as place:
        folder = Path(place) / "run"
        command(Path(place) / "first", arguments.epochs)  # imports, which children inherit
        began = perf_counter()
        if forked(lambda: command(folder, arguments.epochs)):
            raise SystemExit("a run that is not killed fails")
        duration, straight = perf_counter() - began, content(folder)
    trials: list[dict[str, Any]] = []
    change = 0
    while not trials or trials[-1]["killed"]:
        trials.append(trial(straight, arguments.epochs, change=change))
        change += arguments.every
    points = len(trials) - 1  # the last one had no such change
    moments = random.Random(arguments.seed)
    while sum(t["killed"] for t in trials) < points + arguments.random:  # some come after its end
        after = moments.uniform(0, duration)
        trials.append(trial(straight, arguments.epochs, after=after))
    count = Counter(
        unreadable=sum(bool(t["unreadable"]) for t in trials),
        not_resumed=sum(not t["resumed"] for t in trials),
        strays=sum(bool(t["strays"]) for t in trials),
        not_identical=sum(not t["identical"] for t in trials),
    )
    result = {
        "changes_to_the_disk": points, "random_moments": arguments.random,
        "killed": sum(t["killed"] for t in trials), **count,
        "left_until_the_next_start": Counter(
            "temporary" if name.endswith(".tmp") else name
            for t in trials for name in t["left_until_the_next_start"]
        ),
    }  # fmt: skip
    print(json.dumps(result, indent=2))
    for wrong in [t for t in trials if t["unreadable"] or not t["identical"]][:5]:
        print(wrong)
    if arguments.save:
        result["pictures"] = not arguments.without_plots
        save("kills", result, machine.describe(("numpy",)))
    return int(arguments.require and any(count.values()))


if __name__ == "__main__":
    sys.exit(main())
