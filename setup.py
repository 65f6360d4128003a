"""The compiled twins of the ops, one build for each instruction set; the rest is in pyproject.toml.

They are optional: without a C++ compiler npvae is installed without them, and runs on NumPy alone.
``NPVAE_PURE_PYTHON=1`` leaves them out, ``NPVAE_REQUIRE_TWINS=1`` makes a failed build an error.
"""
import platform
import sys
from runpy import run_path
from types import SimpleNamespace

from setuptools import Extension, setup

FLAGS = [
    "-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd",
    "-finline-limit=100000",  # no loop that calls is vectorised
    "--param=max-unswitch-insns=1000",  # a flag of a whole kernel is looked at outside its loops
    "--param=unroll-jam-max-unroll=1",  # two rows at a time, of which it makes no vectors
    "-g0", "-fvisibility=hidden", "-Wno-unused-function", "-Wno-unknown-pragmas",
    # Clang has no such flags, and tells of loops that stay loops.
    "-Wno-ignored-optimization-argument", "-Wno-unused-command-line-argument", "-Wno-pass-failed",
]  # fmt: skip
LEVELS = {
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],  # AVX-512
    "v3": ["-march=x86-64-v3"],  # AVX2 and FMA
}
FOLDER = "npvae/ops/cpu"
build = SimpleNamespace(**run_path(f"{FOLDER}/build.py"))


def extensions() -> list[Extension]:
    """One a level; none where they are not wanted, or a compiler has no such levels."""
    try:
        wanted = not build.is_set("NPVAE_PURE_PYTHON")
        optional = not build.is_set("NPVAE_REQUIRE_TWINS")
    except ValueError as error:
        sys.exit(str(error))
    if not wanted or sys.platform == "win32" or platform.machine() not in ("x86_64", "AMD64"):
        return []
    macros = [("CHECKSUM", f"{build.checksum('npvae/ops')}u")]
    return [
        Extension(
            f"npvae.ops.cpu._twins_{level}", [f"{FOLDER}/twins.cpp"],
            depends=["setup.py", *build.sources("npvae/ops")],
            define_macros=[("MODULE", f"_twins_{level}"), *macros], optional=optional,
            extra_compile_args=FLAGS + march,
            extra_link_args=["-Wl,-s"] if sys.platform == "linux" else [],
        )
        for level, march in LEVELS.items()
    ]  # fmt: skip


if __name__ == "__main__":
    setup(ext_modules=extensions())
