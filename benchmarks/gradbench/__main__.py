"""npvae as a tool of GradBench: hold a session, or be one side of it.

    python benchmarks/gradbench run                            our eval, by npvae, JAX and PyTorch
    python benchmarks/gradbench run --clone DIR                GradBench's, by npvae
    python benchmarks/gradbench run --eval "sgvb -w 50 -n 1" --tool npvae
    python benchmarks/gradbench tool npvae                     a tool, on standard input and output
    python benchmarks/gradbench eval sgvb                      an eval, likewise

DIR is a clone of GradBench, where ``make -C tools/manual`` has built what its evals check by. A
tool runs on one processor, as GradBench's do by default.
"""
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from statistics import median

# ruff: noqa: E402  that this folder's parent is where to import from has to be said first
sys.path[0] = str(Path(__file__).resolve().parents[1])
import common  # noqa: F401  this clone's npvae

from gradbench import protocol, session

THEIRS = ("hello", "lse", "llsq", "kmeans", "gmm")


def run(evals: list[str] | None, tools: list[str] | None, clone: Path | None) -> int:
    """Hold sessions, and print and save what they say; the exit code."""
    from common import machine
    from train_step import save

    records = []
    for words in evals or (THEIRS if clone else session.OURS):
        for tool in tools or (("npvae",) if clone else protocol.TOOLS):
            records += session.hold(words, tool, clone)
            print(f"{words}, {tool}: done", file=sys.stderr)
    print(session.table(records))
    for record in records:
        ms = record.pop("ms")
        record |= {"runs": len(ms), "median_ms": round(median(ms), 4) if ms else None}
    about = machine.describe(("numpy", "torch", "jax", "jaxlib"))
    print(save("gradbench" if clone else "gradbench_sgvb", records, about))
    return int(not all(record["valid"] for record in records))


def main() -> int:
    """Do what the command line asks for; the exit code."""
    if sys.argv[1:2] == ["tool"] and sys.platform == "linux":
        # before a BLAS is loaded, which then starts a thread for each processor that it has
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from gradbench import sgvb

    first, _, rest = (__doc__ or "").partition("\n")
    parser = ArgumentParser(
        description=first, epilog=rest, formatter_class=RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    holding = commands.add_parser("run", help="evals against tools")
    holding.add_argument("--eval", nargs="+", metavar="'NAME OPTIONS'")
    holding.add_argument("--tool", nargs="+", choices=protocol.TOOLS)
    holding.add_argument("--clone", type=Path, metavar="DIR", help="of GradBench, for its evals")
    commands.add_parser("tool", help="answer an eval").add_argument("name", choices=protocol.TOOLS)
    asking = commands.add_parser("eval", help="ask a tool")
    asking.add_argument("name", choices=session.OURS)
    sgvb.arguments(asking)
    options = parser.parse_args()
    if options.command == "run":
        return run(options.eval, options.tool, options.clone)
    if options.command == "eval":
        sgvb.converse(options)
        return 0
    for line in protocol.responses(options.name, sys.stdin):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
