"""A run folder whatever happens: kills, a full disk, another seed of Python's hashes."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npvae import runs
from npvae.errors import ModelFileError

ROOT = Path(__file__).parents[2]
SMALL = {"hidden": [4], "n_train": 60, "validation": 20, "epochs": 2}
SECONDS = re.compile(r'("seconds": )(\[[^]]*\]|[0-9.e-]+)')
KINDS = {
    "vae": {"prior": "mixture", "estimator": "A", "early_stopping": 1, "kl_warmup": 1},
    "iwae": {"model": "vae", "estimator": "iwae", "n_samples": 3},
    "autoencoder": {}, "wake-sleep": {}, "full-vb": {}, "mcem": {"optimizer": "adagrad"},
}  # fmt: skip
TRAIN = f"""if True:
    import pathlib, sys
    from npvae import runs
    for name, settings in {KINDS}.items():
        settings = {SMALL} | {{"model": name}} | settings
        with runs.create(runs.resolve_settings(settings), pathlib.Path(sys.argv[1], name)) as run:
            runs.train(run, quiet=True)
"""


def without_seconds(path):
    """The contents of a file of a run, member by member, with 0 for the values of ``seconds``."""
    if path.suffix != ".npz":
        return SECONDS.sub(r"\g<1>0", path.read_text())
    with np.load(path) as archive:
        return [
            (name, SECONDS.sub(r"\g<1>0", str(archive[name])) if name == "config"
             else (archive[name].dtype, archive[name].shape, archive[name].tobytes()))
            for name in archive
        ]  # fmt: skip


def test_a_run_is_the_same_whatever_the_seed_of_hashes(tmp_path):
    """In the order of keys and members too, which sets of strings would change."""
    for seed in "12":
        subprocess.run([sys.executable, "-c", TRAIN, tmp_path / seed], check=True, cwd=ROOT,
                       env=os.environ | {"PYTHONHASHSEED": seed})  # fmt: skip
    files = sorted(path for path in (tmp_path / "1").rglob("*.*") if path.suffix != ".html")
    assert len(files) == len(KINDS) * 6 - 1  # mcem's gradient is not followed
    for path in files:
        other = tmp_path / "2" / path.relative_to(tmp_path / "1")
        assert without_seconds(path) == without_seconds(other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed as a fork of this one")
def test_a_run_that_is_killed_loses_nothing():
    """Before each of its changes to the disk, and at ten moments; 200 are killed by the command."""
    command = [sys.executable, ROOT / "benchmarks" / "kills.py", "--without-plots", "--require"]
    done = subprocess.run([*command, "--epochs", "1", "--random", "10"], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["changes_to_the_disk"] > 50 and found["killed"] > 60


@pytest.mark.parametrize("size", [300, 3000, 10_000])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(size, tmp_path):
    """The kernel's limit on the size of a file stands for it, as in tests/io."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    folder = tmp_path / "run"
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        new = runs.create(runs.resolve_settings(SMALL | {"hidden": [64]}), folder)
        with pytest.raises(ModelFileError, match="with room") as caught, new as run:
            runs.train(run, quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    if folder.exists():  # else not even its configuration could be written
        assert {path.name for path in folder.iterdir()} <= {
            "config.toml", "data.json", "history.jsonl", "gradient_flow.jsonl"
        }  # fmt: skip
        with runs.reopen_run(folder, {}) as run:
            runs.train(run, resume=True, quiet=True)
        assert run.model_file.exists()
