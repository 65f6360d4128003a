"""The benchmark on a GPU, rehearsed on the stand-in: what goes wrong in a part costs it alone.

Its functions are called in other processes, so what goes wrong there is a function of this module
in the place of one of the benchmark's.
"""
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import gpu
import pytest
import shim
import strict_cupy
from gpu_parts import (
    gpu_checks,
    gpu_curve,
    gpu_nodes,
    gpu_scale,
    gpu_smoke,
    gpu_steps,
    gpu_tests,
    gpu_worker,
)
from gpu_parts.gpu_worker import Deadline, Failed, Place, Worker
from peers import on_gpu

from npvae.backend import why_no_gpu

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    not why_no_gpu() or not shim.COMPILER, reason="a rehearsal is for where there is g++ and no GPU"
)
PART = 1.5  # seconds for a part in which something hangs


# --- what goes wrong, in a worker ---------------------------------------------------------------


def hang(place, *args):
    threading.Event().wait()


def hang_at_10(place, function, setting, epochs):
    return (hang if setting.M == 10 else gpu_steps.visit)(place, function, setting, epochs)


def hang_at_64(place, function, setting, epochs):
    return (hang if setting.M == 64 else gpu_steps.visit)(place, function, setting, epochs)


def build_hangs_at_10(place, function, setting):
    return (hang if setting.M == 10 else gpu_steps.build)(place, function, setting)


def bad_kernel(place, *args):
    strict_cupy.break_device()
    return gpu_checks.parity(place, *args)


def die(place):
    os._exit(1)


def identity(place):
    return os.getpid()


# --- the benchmark ------------------------------------------------------------------------------

PEER = on_gpu.Entry("npvae-peer", "on_gpu_npvae.eager", "a peer")
SCALE = replace(gpu_scale.TINY, visits=1, flat_steps=20)


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """Of two settings, npvae itself standing in for a peer."""
    for module in (gpu, gpu_scale):
        monkeypatch.setattr(module, "PRECISIONS", ("float32",))
    first, *_, last = gpu_scale.settings(SCALE)
    monkeypatch.setattr(gpu_scale, "settings", lambda scale: [first, last])
    monkeypatch.setattr(on_gpu, "SIDES", {"npvae": on_gpu.SIDES["npvae"], "torch": PEER})
    monkeypatch.setattr(gpu_tests, "FILES", ["tests/test_cupy.py"])
    monkeypatch.setattr(gpu_tests, "CHOSEN", ["test_tf32_is_only"])
    monkeypatch.setattr(gpu_tests, "PROCESSES", 0)

    benchmark = gpu.Benchmark(SCALE, rehearse=True, folder=tmp_path)
    yield benchmark
    benchmark.stop()


@pytest.fixture
def run(benchmark):
    """Rehearse it → the report, as it was written."""

    def rehearsed(scale=SCALE):
        benchmark.scale = scale
        benchmark.run()
        return json.loads((benchmark.folder / "gpu.json").read_text())

    return rehearsed


def failed(report):
    """The parts in which something failed, all having been run."""
    assert list(report["parts"]) == list(SCALE.parts)
    return [name for name, part in report["parts"].items() if part["failed"]]


def measured(report):
    """How many sides each comparison has measured."""
    return [len(result["sides"]) for result in report["steps"]]


def test_a_rehearsal_measures_everything(run):
    report = run()
    assert failed(report) == [] and measured(report) == [2, 2]
    assert list(report["smoke"]) == [step.__name__ for step in gpu_smoke.STEPS]
    assert len(report["smoke"]["products"]["products"]) == 11
    assert report["smoke"]["names"]["missing"] == []
    assert report["tests"]["n_passed"] == 1 and report["tests"]["under_way"] == []
    assert report["curve"]["samples"] == SCALE.curve_samples
    assert all(result["profile"]["nodes"] for result in report["steps"])


HANGS = {  # part → what hangs in it
    "smoke": (gpu_smoke, "STEPS", (hang, *gpu_smoke.STEPS)),
    "checks": (gpu_checks, "parity", hang),
    "tests": (gpu_tests, "command",
              lambda chosen: [sys.executable, "-c", "import threading as t; t.Event().wait()"]),
    "goals": (gpu_steps, "visit", hang_at_10),
    "curve": (gpu_curve, "train", hang),
    "others": (gpu_steps, "visit", hang_at_64),
    "profiles": (gpu_nodes, "profile", hang),
}  # fmt: skip


@pytest.mark.parametrize("first", range(3))
def test_a_hang_costs_its_part_alone(first, run, monkeypatch):
    """Every third part hangs, and those between are right."""
    parts = list(SCALE.parts)[first::3]
    for part in parts:
        monkeypatch.setattr(*HANGS[part])
    report = run(replace(SCALE, parts=SCALE.parts | dict.fromkeys(parts, PART)))
    assert failed(report) == parts


def test_a_peer_that_hangs_as_it_is_built_costs_that_setting_alone(benchmark, monkeypatch):
    monkeypatch.setattr(gpu_steps, "build", build_hangs_at_10)
    benchmark.scale = replace(SCALE, build=10)  # which the sound one has, too, with a new process
    benchmark.build("npvae-peer", "float32", Deadline(60))
    first, last = benchmark.ready.values()
    assert "no answer within" in first and len(last[0]) == gpu_steps.STEPS


def test_a_bad_kernel_costs_its_check_alone(run, monkeypatch):
    monkeypatch.setattr(gpu_checks, "parity", bad_kernel)
    report = run()
    assert failed(report) == ["checks"]
    assert [name for name, found in report["checks"].items() if not found.get("passed")] == [
        "bad_kernel, P, float32", "bad_kernel, S, float32",
    ]  # fmt: skip
    assert "cudaErrorIllegalAddress" in report["checks"]["bad_kernel, P, float32"]["failed"]


@pytest.fixture
def starts(monkeypatch):
    """How the starts of a package go, one after the other, before they go well."""
    how, call = {}, Worker._call

    def started(self, seconds, task, *args):
        if task is gpu_worker.load_library and how.get(self.place.package):
            task = how[self.place.package].pop()
        return call(self, seconds, task, *args)

    monkeypatch.setattr(Worker, "_call", started)
    return how


def test_a_slow_start_costs_its_part_alone(run, starts):
    starts["npvae"] = [hang]
    report = run(replace(SCALE, parts=SCALE.parts | {"smoke": PART}))
    assert failed(report) == ["smoke"] and measured(report) == [2, 2]


def test_a_peer_that_starts_too_slowly_twice_is_skipped(run, starts):
    starts["npvae-peer"] = [hang, hang]
    report = run(replace(SCALE, start=PART))
    assert failed(report) == [] and measured(report) == [1, 1]
    assert all("could not be started" in r["skipped"]["torch"] for r in report["steps"])


def test_a_peer_may_fail_to_start_once(benchmark, starts):
    starts["npvae-peer"] = [die]
    benchmark.build("npvae-peer", "float32", Deadline(60))
    assert not any(isinstance(answer, str) for answer in benchmark.ready.values())


# --- its pieces ---------------------------------------------------------------------------------


@pytest.fixture
def worker():
    worker = Worker(Place("npvae", "float32", rehearse=True))
    yield worker
    worker.stop()


def test_a_worker_begins_anew_after_a_failure_and_only_then(worker):
    first = worker.ask(60, identity)
    assert worker.ask(60, identity) == first
    with pytest.raises(Failed, match="IllegalAddress"):
        worker.ask(60, bad_kernel, "P")
    second = worker.ask(60, identity)
    assert second != first
    with pytest.raises(Failed, match="no answer within"):
        worker.ask(0.5, hang)
    assert worker.ask(60, identity) != second


def test_nothing_is_begun_when_no_time_is_left(worker):
    with pytest.raises(Failed, match="no time left"):
        worker.ask(Deadline(60, within=Deadline(0)).left(), identity)
    assert worker.process is None


def test_all_is_over_in_nine_minutes():
    assert gpu_scale.FULL.parts["smoke"] < 60 and gpu_scale.FULL.end < 540
    assert gpu_scale.FULL.prepared < gpu_scale.FULL.end


OPS = ["begin_step", "gather", "gemm", "tanh", "gemm", "gemm", "tanh_backward", "gemm"]
NODES = ["npvae_begin_step", "npvae_gather_uint8", "sgemm", "npvae_tanh", "splitk", "MEMSET",
         "reduce", "sgemm", "npvae_tanh_backward", "sgemm"]  # fmt: skip


@pytest.mark.parametrize(("absent", "missing"), [
    ((), []), ((2,), ["gemm before tanh"]), ((4, 6), ["gemm before tanh_backward"]),
    ((9,), ["gemm before the end"]),
])  # fmt: skip
def test_products_that_escape_a_capture_are_found(absent, missing):
    assert gpu_nodes.escaped(OPS, [n for i, n in enumerate(NODES) if i not in absent]) == missing


def test_a_kernel_that_escapes_a_capture_is_found():
    (missing,) = gpu_nodes.escaped(OPS, [n for n in NODES if n != "npvae_tanh"])
    assert "became" in missing


def test_pytest_s_lines_are_read_though_cut_short():
    text = """
tests/test_cupy.py::test_one[{'a': 1}] PASSED [ 10%]
[gw1] [ 20%] FAILED tests/test_cupy.py::test_two[float64-B]
tests/test_cupy.py::test_three
[gw0] [ 30%] PASSED tests/test_cupy.py::test_four
FAILED tests/test_cupy.py::test_two[float64-B] - AssertionError: off by 2e-3
"""
    assert gpu_tests.verdicts(text) == {
        "n_passed": 2, "under_way": ["tests/test_cupy.py::test_three"],
        "failures": ["tests/test_cupy.py::test_two[float64-B]: AssertionError: off by 2e-3"],
    }  # fmt: skip


def test_figure_2_is_not_made_of_other_data(monkeypatch):
    monkeypatch.setattr(gpu_curve, "has_mnist", lambda: False)
    with pytest.raises(Failed, match="MNIST is not here: set NPVAE_DATA"):
        gpu_curve.train(Place("npvae", "float32", rehearse=False), 1e8, 60)


def test_the_smoke_test_runs_from_anywhere_and_writes_its_own_file(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "gpu.py", "--smoke", "--rehearse", "--out", "."],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["gpu_smoke.json"]
    assert "a_step" in json.loads((tmp_path / "gpu_smoke.json").read_text())
