"""npvae on a GPU, settled in one call: its tests, the time of a step against its peers, figure 2.

    python benchmarks/gpu.py --smoke      the first minute: does it work, what does a step take?
    python benchmarks/gpu.py              that and everything else, in under nine minutes
    python benchmarks/gpu.py --rehearse   without a GPU, tiny: does this program run?

npvae need not be installed. Whatever of PyTorch and JAX is installed takes part. Every part has a
deadline; what fails or hangs is named and left out, and every result is written as it comes, so
that a run that is cut short leaves what it had. Figure 2 needs MNIST: set NPVAE_DATA.
"""
import common  # noqa: F401  isort: skip
import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from time import perf_counter
from typing import Any

from common import machine
from common.workload import has_mnist
from gpu_parts import (
    gpu_checks,
    gpu_curve,
    gpu_nodes,
    gpu_scale,
    gpu_smoke,
    gpu_steps,
    gpu_table,
    gpu_tests,
)
from gpu_parts.gpu_scale import PRECISIONS, Scale, Setting
from gpu_parts.gpu_worker import Deadline, Failed, Place, Worker, in_one_line
from peers import on_gpu

from npvae.backend import why_no_gpu

RESULTS = Path(__file__).with_name("results")
REHEARSED = Path(__file__).parents[1] / "runs" / "rehearsal"
PACKAGES = ("numpy", "cupy-cuda13x", "cupy-cuda12x", "torch", "triton", "jax", "jaxlib")


class Benchmark:
    """The parts, each a method of its name, and the reports that they fill.

    Parameters
    ----------
    folder : Path
        Where the reports are written: ``gpu_smoke.json``, ``gpu.json`` and ``gpu_tests.txt``.
    """

    def __init__(self, scale: Scale, rehearse: bool, folder: Path):
        self.scale, self.rehearse, self.folder = scale, rehearse, folder
        self.began, self.end = perf_counter(), Deadline(scale.end)
        self.deadline = self.end  # of the part under way
        self.failed: list[str] = []  # what has failed in it
        packages = dict.fromkeys(entry.package for entry in on_gpu.SIDES.values())
        self.workers = {
            (package, precision): Worker(Place(package, precision, rehearse))
            for package in packages for precision in PRECISIONS
        }  # fmt: skip
        self.building: list[Future[None]] = []
        self.ready: dict[Any, Any] = {}  # (name, setting) → a side built beforehand, or why not
        self.report: dict[str, Any] = {
            "machine": machine.describe(PACKAGES) | nvidia_smi(), "parts": {}, "smoke": {},
            "checks": {}, "tests": {}, "steps": [], "curve": {}, "goals": [],
        }  # fmt: skip

    def run(self) -> None:
        """All parts, in order; from the second one on the peers are being built beside them."""
        if not (self.rehearse or has_mnist()):
            self.say(f"there will be no figure 2: {gpu_curve.NO_MNIST}")
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(max(1, cores - gpu_tests.PROCESSES)) as pool:
            for name in self.scale.parts:
                self.part(name)
                self.save()
                if name == "smoke":  # which has the machine to itself
                    deadline = Deadline(self.scale.prepared, self.end)
                    self.building = [pool.submit(self.build, *key, deadline)
                                     for key in self.workers if key[0] != "npvae"]  # fmt: skip

    def part(self, name: str) -> None:
        """A part, which may fail or reach its deadline, and costs the others nothing."""
        began, self.failed = perf_counter(), []
        self.deadline = Deadline(self.scale.parts[name], self.end)
        try:
            if not self.deadline.left():
                raise Failed("no time left")
            getattr(self, name)()
        except Exception as error:
            self.failed.append(in_one_line(error))
        seconds = round(perf_counter() - began, 1)
        self.report["parts"][name] = {"seconds": seconds, "failed": self.failed}
        self.say("; ".join([f"{name}: done", *self.failed]))

    def build(self, package: str, precision: str, deadline: Deadline) -> None:
        """Build a peer's sides for every setting, the most telling ones first."""
        worker, missing = self.workers[package, precision], ""
        for attempt in (1, 2):  # a cold disk, with all packages on it at once, may be slow
            try:
                worker.start(deadline.left(self.scale.start))
                break
            except Failed as reason:
                missing = f"could not be started: {reason}" * (attempt == 2)
        for setting in gpu_scale.settings(self.scale):
            for name, entry in on_gpu.SIDES.items():
                if (entry.package, setting.precision) != (package, precision):
                    continue
                try:
                    if missing:
                        raise Failed(missing)
                    seconds = deadline.left(self.scale.build)
                    answer = worker.ask(seconds, gpu_steps.build, entry.function, setting)
                except Failed as reason:
                    answer = str(reason)
                self.ready[name, setting] = answer

    def smoke(self) -> None:
        """The first minute."""
        machine, smoke = self.report["machine"], self.report["smoke"]
        for task in gpu_smoke.STEPS:
            limit = 0 if smoke else self.deadline.left()  # the first one begins a process
            smoke[task.__name__] = found = self.attempt("float32", task, seconds=limit)
            write(self.folder / "gpu_smoke.json", {"machine": machine} | smoke)
            self.say(f"{task.__name__}: {gpu_table.smoke(found)}")

    def checks(self) -> None:
        """Is npvae right on the device?"""
        for precision in PRECISIONS:
            for model in "PS":
                for check in (gpu_checks.parity, gpu_checks.captured_is_eager):
                    name = f"{check.__name__}, {model}, {precision}"
                    self.check(name, precision, check, model)
        self.check("memory is flat", "float32", gpu_checks.flat, self.scale.flat_steps)

    def check(self, name: str, precision: str, check: Any, *args: Any) -> None:
        found = self.attempt(precision, check, *args)
        self.report["checks"][name] = found
        verdict = "passed" if found.get("passed") else "FAILED"
        self.say(f"{name}: {verdict}  {gpu_table.remark(found)}")
        self.save()

    def tests(self) -> None:
        """pytest's."""
        log = self.folder / "gpu_tests.txt"
        self.report["tests"] = found = gpu_tests.run(self.deadline.left(), log)
        self.say("\n  ".join([f"tests: {found['summary']}", *found["failures"]]))
        if not found["passed"]:
            self.failed.append(found["summary"])

    def goals(self) -> None:
        """A step of P at the smallest minibatch against its peers: most goals are about it."""
        wait(self.building)  # which has a deadline of its own
        self.deadline = Deadline(self.scale.parts["goals"], self.end)
        for setting in gpu_scale.settings(self.scale)[: len(PRECISIONS)]:
            self.compare(setting)

    def others(self) -> None:
        """All other comparisons."""
        for setting in gpu_scale.settings(self.scale)[len(PRECISIONS) :]:
            self.compare(setting)

    def compare(self, setting: Setting) -> None:
        """A training step of every side."""
        if not self.deadline.left():
            self.failed.append(f"{setting}: no time left")
            return
        found = gpu_steps.Comparison(
            setting, self.scale, self.workers, self.ready, self.deadline, self.rehearse
        ).results()
        self.report["steps"].append(found)
        self.failed += [f"{setting}, {name}: {why}" for name, why in found["skipped"].items()
                        if name in on_gpu.OWN]  # fmt: skip
        self.say(gpu_table.comparison(found))
        self.save()

    def curve(self) -> None:
        """Figure 2."""
        left = self.deadline.left()
        self.report["curve"] = self.attempt(
            "float32", gpu_curve.train, self.scale.curve_samples, 0.8 * left, seconds=left
        )

    def profiles(self) -> None:
        """Where npvae's step goes, for all settings."""
        for result in self.report["steps"]:
            setting = Setting(**result["setting"])
            precision = setting.precision
            result["account"] = self.attempt(precision, gpu_nodes.account, setting)
            result["profile"] = found = self.attempt(precision, gpu_nodes.profile, setting)
            self.say("\n".join([f"{setting}", *gpu_table.profile(found)]))
            self.save()

    def attempt(self, precision: str, task: Any, *args: Any, seconds: float = 0) -> dict[str, Any]:
        """What a task of npvae's finds, or ``{"failed": why}``; noted if it is not right."""
        limit = self.deadline.left(seconds or self.scale.task)
        try:
            found = self.workers["npvae", precision].ask(limit, task, *args)
        except Failed as reason:
            found = {"failed": str(reason)}
        if "failed" in found or not found.get("passed", True):
            self.failed.append(f"{task.__name__}: {found.get('failed', 'not right')}")
        return found

    def passed(self) -> bool:
        """Whether all that was run is right."""
        return not any(part["failed"] for part in self.report["parts"].values())

    def say(self, what: str) -> None:
        print(f"[{perf_counter() - self.began:5.0f} s] {what}", flush=True)

    def save(self) -> None:
        """Write what there is, and what follows from it."""
        self.report["summary"] = [gpu_table.summary(result) for result in self.report["steps"]]
        self.report["goals"] = gpu_table.goals(self.report, self.scale)
        self.report["seconds"] = round(perf_counter() - self.began, 1)
        write(self.folder / "gpu.json", self.report)

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()


def write(path: Path, report: dict[str, Any]) -> None:
    """A whole file or, if it is cut short, the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def nvidia_smi() -> dict[str, str]:
    """Clocks and limits of the GPU, where the tool that tells them is there."""
    query = "name,driver_version,clocks.max.sm,clocks.max.memory,power.limit,compute_mode"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"nvidia_smi": result.stdout.strip()}


def main() -> int:
    """Run it; the exit code: 1 without a GPU, or if anything but a peer failed."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="the first minute alone")
    parser.add_argument("--rehearse", action="store_true", help="without a GPU, at a tiny size")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write the results; "
        "otherwise benchmarks/results, or runs/rehearsal")  # fmt: skip
    options = parser.parse_args()
    if not options.rehearse and (reason := why_no_gpu()):
        print(f"no GPU to measure: {reason}")
        return 1
    folder = options.out or (REHEARSED if options.rehearse else RESULTS)
    benchmark = Benchmark(
        gpu_scale.TINY if options.rehearse else gpu_scale.FULL, options.rehearse, folder
    )
    try:
        if options.smoke:
            benchmark.part("smoke")
        else:
            benchmark.run()
    finally:
        benchmark.stop()
    if not options.smoke:
        print(f"\n{gpu_table.whole(benchmark.report)}")
    print(f"written to {folder}")
    return int(not benchmark.passed())


if __name__ == "__main__":
    sys.exit(main())
