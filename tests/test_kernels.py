"""The kernel set is chosen where the processor allows it, and nowhere else."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from npvae.kernels import NEEDED, WAIT, advice, processor

ROOT = Path(__file__).parent.parent
FLAGS = "fpu sse2 avx2 fma " + " ".join(sorted(NEEDED))


def cpuinfo(vendor: str, flags: str) -> str:
    one = f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: some\nflags\t\t: {flags}\n"
    return one + "\n" + one.replace(": 0", ": 1")


def test_an_amd_processor_with_every_feature_gets_avx512():
    assert advice({}, cpuinfo("AuthenticAMD", FLAGS))[0] == "SkylakeX"


@pytest.mark.parametrize("feature", sorted(NEEDED))
def test_one_missing_feature_is_enough_to_do_nothing(feature):
    kernels, why = advice({}, cpuinfo("AuthenticAMD", FLAGS.replace(feature, "")))
    assert kernels == "" and feature in why


def test_features_are_whole_words():
    assert advice({}, cpuinfo("AuthenticAMD", FLAGS.replace("avx512f ", "avx512fp16 ")))[0] == ""


@pytest.mark.parametrize("text", ["", "nonsense", cpuinfo("GenuineIntel", FLAGS)])
def test_other_processors_are_left_to_openblas(text):
    assert advice({}, text)[0] == ""


def test_a_users_choice_stands():
    kernels, why = advice({"OPENBLAS_CORETYPE": "Haswell"}, cpuinfo("AuthenticAMD", FLAGS))
    assert kernels == "" and "Haswell" in why


@pytest.mark.parametrize(
    ("flags", "first", "expected"),
    [(FLAGS, "", "SkylakeX"), ("fpu avx2", "", None), (FLAGS, "import numpy", None)],
)
def test_the_variable_is_set_before_numpy_or_not_at_all(flags, first, expected):
    code = f"""{first}
import os, sys
from npvae import cli, kernels
kernels.choose(cpuinfo={cpuinfo("AuthenticAMD", flags)!r})
print(os.environ.get("OPENBLAS_CORETYPE"), "numpy" in sys.modules)
"""
    clean = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=clean | {"PYTHONPATH": str(ROOT)},
    ).stdout  # fmt: skip
    assert out.split() == [str(expected), str(bool(first))]


def test_a_users_waiting_time_stands():
    code = "from npvae import kernels, cli; kernels.choose(); import os; print(os.environ[%r])"
    name, value = next(iter(WAIT.items()))
    for given, expected in (({name: "20"}, "20"), ({}, value)):
        clean = {k: v for k, v in os.environ.items() if k != name}
        done = subprocess.run(
            [sys.executable, "-c", code % name], capture_output=True, text=True, check=True,
            env=clean | given | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.stdout.strip() == expected


def test_this_machine_is_read():
    vendor, flags = processor()
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert vendor and "sse2" in flags
