"""Processes of MPI, started as a user does: by mpiexec."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install mpi4py mpich")


def mpiexec(n, *command, **options):
    """``n`` ranks of this Python: what they said, and how they ended."""
    beside = Path(sys.executable).with_name("mpiexec")  # of the package mpich
    launcher = str(beside) if beside.exists() else shutil.which("mpiexec")
    if launcher is None:
        pytest.skip("there is no mpiexec: pip install mpich")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [launcher, "-n", str(n), sys.executable, *map(str, command)],
        capture_output=True, text=True, check=False, env=env, timeout=240, **options,
    )  # fmt: skip


def said(done):
    """The lines of npvae's own, without the launcher's."""
    return [line for line in done.stderr.splitlines() if line.startswith("npvae: ")]
