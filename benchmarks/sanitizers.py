"""The compiled ops under sanitizers: no write outside an array, no race, nothing undefined.

    python benchmarks/sanitizers.py                  address, undefined, thread: minutes each
    python benchmarks/sanitizers.py thread --level v3

Each is a build of its own, in a temporary copy of the package, on which the tests of compiled ops
run. A report of a sanitizer ends its run, with exit code 1. Needs GCC and pytest. Python and NumPy
are not built so: what they do by themselves is not looked at.
"""
import common  # noqa: F401  isort: skip
import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from runpy import run_path
from tempfile import TemporaryDirectory

from npvae.ops.cpu import twins

CLONE = Path(__file__).parents[1]
AT_ONCE = ["tests/ops/test_twins_at_once.py", "tests/estimators/test_threads_share_a_model.py"]
EVERY = ["tests/ops/test_twins.py", "tests/ops/test_cpu_products.py", AT_ONCE[0]]
# What each compiles with, what runs on it, and the library that must be loaded before Python's.
SANITIZERS = {
    "address": (["-fsanitize=address"], EVERY, "libasan.so"),
    "undefined": (["-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover"], EVERY, ""),
    "thread": (["-fsanitize=thread"], AT_ONCE, "libtsan.so"),
}
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps what it has until its end
    "TSAN_OPTIONS": "halt_on_error=1 exitcode=66 die_after_fork=0 suppressions=known.txt",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "PYTHONMALLOC": "malloc",  # every block has its own margins
    "OPENBLAS_DEFAULT_NUM_THREADS": "1",  # how its threads wait for one another is not seen
    "NPVAE_PURE_PYTHON": "0",
}
# What the C library does when a thread ends it does by locks of its own, which are not seen.
SUPPRESSED = "race:dl_deallocate_tls\n"


def build(extension, flags: list[str], clone: Path) -> None:
    """Compile an extension of setup.py into ``clone``, with line numbers."""
    target = clone / Path(*extension.name.split("."))
    macros = [f"-D{name}={value}" for name, value in extension.define_macros]
    subprocess.run(
        [os.environ.get("CXX", "g++"), *extension.extra_compile_args, "-O1", "-g", "-shared",
         "-fPIC", *flags, *macros, f"-I{sysconfig.get_path('include')}", *extension.sources,
         "-o", f"{target}{sysconfig.get_config_var('EXT_SUFFIX')}"],
        cwd=clone, check=True,
    )  # fmt: skip


def run(name: str, level: str) -> int:
    """Build for one sanitizer and run its tests; the exit code."""
    flags, tests, preloaded = SANITIZERS[name]
    with TemporaryDirectory() as folder:
        clone = Path(folder)
        shutil.copy(CLONE / "setup.py", clone)
        shutil.copy(CLONE / "pyproject.toml", clone)
        for part in ("npvae", "tests", "benchmarks"):
            ignored = shutil.ignore_patterns("*.so", "__pycache__", "results")
            shutil.copytree(CLONE / part, clone / part, ignore=ignored)
        (clone / "known.txt").write_text(SUPPRESSED)
        os.chdir(clone)  # where setup.py looks for its sources
        for extension in run_path("setup.py")["extensions"]():
            if tests is EVERY or extension.name.endswith(level):
                build(extension, flags, clone)
        variables = OPTIONS | {"NPVAE_TWINS": level}
        if preloaded:
            found = subprocess.run(["g++", f"-print-file-name={preloaded}"], check=True,
                                   capture_output=True, text=True)  # fmt: skip
            variables["LD_PRELOAD"] = found.stdout.strip()
        print(f"{name}: {' '.join(tests)}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-s",
                   "-p", "no:cacheprovider", *tests]  # fmt: skip
        code = subprocess.run(command, env=os.environ | variables).returncode
        os.chdir(CLONE)
    print(f"{name}: {'clean' if code == 0 else f'failed, exit code {code}'}", flush=True)
    return code


def main() -> int:
    """Run the sanitizers that are asked for; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="SANITIZER", default=list(SANITIZERS),
                        help=f"some of {', '.join(SANITIZERS)} (default: all)")  # fmt: skip
    parser.add_argument("--level", choices=twins.LEVELS, default=max(twins.supported(), default=""),
                        help="instruction set (default: the best of this processor)")  # fmt: skip
    options = parser.parse_args()
    if unknown := set(options.names) - SANITIZERS.keys():
        parser.error(f"no sanitizer {' '.join(unknown)}: choose from {', '.join(SANITIZERS)}")
    if not options.level:
        parser.error(f"there are no compiled ops for this processor: {twins.why_none()}")
    return 1 if sum(run(name, options.level) for name in options.names) else 0


if __name__ == "__main__":
    raise SystemExit(main())
