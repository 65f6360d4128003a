"""One training step of a VAE: npvae, the matrix products it cannot do without, and its peers.

    python benchmarks/train_step.py                        the tables for models P and S
    python benchmarks/train_step.py --sweep width          cost against work, with a plot
    python benchmarks/train_step.py --profile              where npvae's own time goes

All sides do the same step in the same process, in rounds: gather a minibatch of bytes and scale
it, fill noise, loss, gradient, Adam. First they are shown to agree; then they are timed.
"""
import common  # noqa: F401  isort: skip
import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peers
from common import agreement, machine, step_profile, sweep, timing, workload
from common.workload import Workload

RESULTS = Path(__file__).with_name("results")


def compare(work: Workload, names: Sequence[str], rounds: int) -> dict[str, Any]:
    """Check, then time, npvae, its products and the sides of those names on one workload."""
    sides, skipped = {}, {}
    for name in dict.fromkeys(("npvae", "products", *names)):
        try:
            sides[name] = peers.build(name, work)
        except peers.Unavailable as reason:
            skipped[name] = str(reason)
    agreed = agreement.disagreement(work, sides)
    steps = timing.steps_a_round(sides["npvae"].run)
    seconds = timing.interleaved({name: side.run for name, side in sides.items()}, steps, rounds)
    return {
        "workload": str(work),
        "flops": work.flops,
        "steps_a_round": steps,
        "rounds": rounds,
        "sides": {
            name: timing.summary(seconds[name], seconds["npvae"]) | agreed.get(name, {})
            for name in sides
        },
        "skipped": skipped,
    }


def table(result: dict[str, Any]) -> str:
    """One comparison, fastest first."""
    lines = [
        f"{result['workload']}: {result['rounds']} rounds of {result['steps_a_round']} steps",
        f"  {'':20s}{'ms a step':>10s}  {'quartiles':>15s}{'÷ npvae':>9s}"
        f"{'loss':>10s}{'Δ loss':>9s}{'Δ θ':>9s}",
    ]
    for name, side in sorted(result["sides"].items(), key=lambda item: item[1]["median_ms"]):
        low, high = side["quartiles_ms"]
        line = f"  {peers.SIDES[name][1]:20s}{side['median_ms']:10.2f}  {low:7.2f}–{high:<7.2f}"
        line += f"{side['ratio']:9.2f}"
        if "loss" in side:
            line += f"{side['loss']:10.3f}{side['loss_error']:9.0e}{side['parameter_error']:9.0e}"
        lines.append(line)
    lines += [f"  {peers.SIDES[k][1]}: skipped, {why}" for k, why in result["skipped"].items()]
    return "\n".join(lines)


def save(name: str, results: Any, about: dict[str, Any]) -> Path:
    """Write numbers and where they come from to ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": about, "results": results}, indent=1) + "\n")
    return path


def chosen(known: Sequence[str]) -> Any:
    """An argparse type: names separated by commas, each a known one."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return names

    return parse


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--models", type=chosen("PS"), default=["P", "S"], metavar="P,S")
    add("--peers", type=chosen(tuple(peers.SIDES)), metavar="NAMES", help=", ".join(peers.SIDES))
    add("--rounds", type=int, default=15, help="rounds of every comparison (default: 15)")
    add("--sweep", choices=sweep.SWEEPS, help="vary one size of model P")
    add("--profile", action="store_true", help="npvae's step, op by op")
    add("--require", type=float, metavar="RATIO", help="exit with 1 if npvae takes more than RATIO "
        "x its matrix products on model P")  # fmt: skip
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds} must be at least 1")
    if options.require and "P" not in options.models:
        parser.error(f"--require {options.require} needs --models P")
    return options


def main() -> int:
    """Run what was asked for; the exit code."""
    options, about = arguments(), machine.describe(peers.PACKAGES)
    models = workload.models(workload.images())
    print(f"{about['cpu']}, {about['cores']} cores; NumPy with {about['blas']}\n")
    if options.profile:
        for name in options.models:
            step_profile.profile(models[name])
        return 0
    if options.sweep:
        points = []
        for value, work in sweep.workloads(options.sweep, models["P"]):
            names = options.peers or sweep.PEERS
            points.append({"value": value} | compare(work, names, options.rounds))
            print(table(points[-1]), flush=True)
        path = save(f"sweep_{options.sweep}", points, about)
        print(f"{path}, {sweep.plot(options.sweep, points, path.with_suffix('.png'))}")
        return 0
    results = {}
    for name in options.models:
        results[name] = compare(models[name], options.peers or tuple(peers.SIDES), options.rounds)
        print(f"{name}: {table(results[name])}\n", flush=True)
    print(save("train_step", results, about))
    if options.require:
        ratio = 1 / results["P"]["sides"]["products"]["ratio"]
        print(f"npvae / matrix products on P: {ratio:.2f}, at most {options.require} required")
        return int(ratio > options.require)
    return 0


if __name__ == "__main__":
    sys.exit(main())
