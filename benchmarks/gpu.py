"""npvae on a GPU, settled in one call: its tests, the time of a step against its peers, figure 2.

    python benchmarks/gpu.py                        under nine minutes on an H200
    python benchmarks/gpu.py --rehearse             the same without a GPU, tiny: does it run?

Whatever of PyTorch and JAX is installed takes part. What fails is named and left out, and the
numbers are written after every part, so that a run that is cut short leaves what it had.
"""
import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import start  # noqa: F401  isort: skip
import gpu_checks
import gpu_curve
import gpu_nodes
import gpu_scale
import gpu_steps
import gpu_table
import machine
from gpu_scale import PRECISIONS, Scale
from gpu_worker import Failed, Place, Worker, in_one_line
from peers import on_gpu

from npvae.backend import why_no_gpu

RESULTS = Path(__file__).with_name("results")
LAST = 45  # seconds more for what has begun to compile: to end it would lose its process
PACKAGES = ("numpy", "cupy-cuda13x", "cupy-cuda12x", "torch", "triton", "jax", "jaxlib")


class Benchmark:
    """The parts, and the report that they fill.

    Parameters
    ----------
    paths : list of Path
        Where the report is written.
    """

    def __init__(self, scale: Scale, rehearse: bool, paths: list[Path]):
        self.scale, self.rehearse, self.paths = scale, rehearse, paths
        self.began = perf_counter()
        rooms = dict.fromkeys(entry.room for entry in on_gpu.SIDES.values())
        self.workers = {
            (room, precision): Worker(Place(room, precision, rehearse))
            for room in rooms for precision in PRECISIONS
        }  # fmt: skip
        self.ready: dict[Any, Any] = {}  # (name, setting) → a side built beforehand, or why not
        self.report: dict[str, Any] = {
            "machine": machine.describe(PACKAGES) | nvidia_smi(), "checks": {}, "tests": {},
            "steps": [], "curve": {}, "goals": [],
        }  # fmt: skip

    def run(self) -> None:
        """All parts, in order."""
        self.checks()
        with ThreadPoolExecutor() as pool:  # what compiles does so beside the tests
            for key, worker in self.workers.items():
                if key[0] in on_gpu.SLOW:
                    pool.submit(self.build_all, worker)
            self.tests()
        self.say("compiled what can be compiled")
        self.steps()
        self.profiles()
        self.curve()

    def checks(self) -> None:
        """Is npvae right on the device?"""
        found = self.attempt(self.npvae("float32"), gpu_checks.device)
        self.report["machine"] |= found if "failed" not in found else {"gpu": found["failed"]}
        self.say(str(self.report["machine"].get("gpu")))
        for precision in PRECISIONS:
            for model in "PS":
                for check in (gpu_checks.parity, gpu_checks.recorded_is_eager):
                    name = f"{check.__name__}, {model}, {precision}"
                    self.check(name, precision, check, model)
        self.check("memory is flat", "float32", gpu_checks.flat, self.scale.flat_steps)

    def check(self, name: str, precision: str, check: Any, *args: Any) -> None:
        found = self.attempt(self.npvae(precision), check, *args)
        self.report["checks"][name] = found
        verdict = "passed" if found.get("passed") else "FAILED"
        self.say(f"{name}: {verdict}  {gpu_table.remark(found)}")
        self.save()

    def tests(self) -> None:
        """The test file of CuPy."""
        self.report["tests"] = found = gpu_checks.tests(self.scale.tests)
        self.say(f"tests: {found['summary']}")
        for line in found.get("failures", []):
            print(f"  {line}")
        self.save()

    def build_all(self, worker: Worker) -> None:
        """Build a worker's side for every setting, as far as time allows."""
        side = next(name for name, entry in on_gpu.SIDES.items() if entry.room == worker.place.room)
        for setting in gpu_scale.settings(self.scale):
            if setting.precision != worker.place.precision:
                continue
            left = self.scale.compiled - self.elapsed()
            try:
                if left < 5:
                    raise Failed(f"not compiled in the first {self.scale.compiled:.0f} s")
                answer = worker.ask(left + LAST, gpu_steps.build, side, setting)
            except Failed as reason:
                answer = str(reason)
            self.ready[side, setting] = answer

    def steps(self) -> None:
        """A training step against its peers."""
        for setting in gpu_scale.settings(self.scale):
            if self.elapsed() > self.scale.compared:
                self.say(f"{setting}: no time left")
                continue
            try:
                found = gpu_steps.Comparison(
                    setting, self.scale, self.workers, self.ready, self.rehearse
                ).results()
            except Exception as error:  # nothing that one setting meets may cost the others
                self.say(f"{setting}: failed, {in_one_line(error)}")
                continue
            account = self.attempt(self.npvae(setting.precision), gpu_nodes.account, setting)
            self.report["steps"].append(found | {"account": account})
            self.say(gpu_table.comparison(found))
            self.refresh()
            self.save()

    def profiles(self) -> None:
        """Where npvae's step goes, for all settings."""
        for result in self.report["steps"]:
            setting = gpu_scale.Setting(**result["setting"])
            rows = self.attempt(self.npvae(setting.precision), gpu_nodes.profile, setting)
            if isinstance(rows, dict):
                self.say(f"{setting}: no profile, {rows['failed']}")
                continue
            result["profile"] = rows
            self.say("\n".join([f"{setting}", *gpu_table.profile(rows)]))
        self.save()

    def curve(self) -> None:
        """Figure 2."""
        self.npvae("float32").stop()  # whatever happened there, this begins anew
        left = max(self.scale.finished - self.elapsed(), 10)
        self.report["curve"] = self.attempt(
            self.npvae("float32"), gpu_curve.train, self.scale.curve_samples, left,
            seconds=left + 20,
        )  # fmt: skip
        self.save()

    def npvae(self, precision: str) -> Worker:
        return self.workers["npvae", precision]

    def attempt(self, worker: Worker, task: Any, *args: Any, seconds: float = 0) -> Any:
        """What the task finds, or ``{"failed": why}``."""
        try:
            return worker.ask(seconds or self.scale.check, task, *args)
        except Failed as reason:
            worker.renew()
            return {"failed": str(reason)}

    def refresh(self) -> None:
        """What follows from the numbers."""
        self.report["summary"] = [gpu_table.summary(result) for result in self.report["steps"]]
        self.report["goals"] = gpu_table.goals(self.report, self.scale)

    def elapsed(self) -> float:
        return perf_counter() - self.began

    def say(self, what: str) -> None:
        print(f"[{self.elapsed():5.0f} s] {what}", flush=True)

    def save(self) -> None:
        """Write what there is."""
        self.refresh()
        self.report["seconds"] = round(self.elapsed(), 1)
        text = json.dumps(self.report, indent=1, ensure_ascii=False) + "\n"
        for path in self.paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop()


def nvidia_smi() -> dict[str, str]:
    """Clocks and limits of the GPU, where the tool that tells them is there."""
    query = "name,driver_version,clocks.max.sm,clocks.max.memory,power.limit,compute_mode"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"nvidia_smi": said.stdout.strip()}


def main() -> int:
    """Run it; the exit code: 1 without a GPU, or if a check or a test failed."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rehearse", action="store_true", help="without a GPU, at a tiny size; "
        "nothing is written but to --out")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON here, too")
    options = parser.parse_args()
    if not options.rehearse and (reason := why_no_gpu()):
        print(f"no GPU to measure: {reason}")
        return 1
    paths = [] if options.rehearse else [RESULTS / "gpu.json"]
    paths += [options.out] if options.out else []
    scale = gpu_scale.TINY if options.rehearse else gpu_scale.FULL
    benchmark = Benchmark(scale, options.rehearse, paths)
    try:
        benchmark.run()
    finally:
        benchmark.stop()
        benchmark.save()
        print(f"\n{gpu_table.whole(benchmark.report)}\n{', '.join(map(str, paths))}")
    found = [*benchmark.report["checks"].values(), benchmark.report["tests"]]
    return int(not all(each.get("passed") for each in found))


if __name__ == "__main__":
    sys.exit(main())
