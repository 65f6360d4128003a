"""Published behaviour of estimators of the gradient, reproduced: a command and a picture each.

    python benchmarks/estimators.py normal      Mohamed et al. 2020, figure 2
    python benchmarks/estimators.py gamma       Figurnov et al. 2018 against Naesseth et al. 2017
    python benchmarks/estimators.py bounds      Rainforth et al. 2018 and Tucker et al. 2018
    python benchmarks/estimators.py bias        every estimator against quadrature, 100,000 draws
    python benchmarks/estimators.py latents     the score function by the number of latents
    python benchmarks/estimators.py posterior   the path derivative as q(z|x) nears p(z|x)
    python benchmarks/estimators.py training    A, B, path derivative: the digits, learned

Each is a file of benchmarks/gradients/, which says what is measured.
"""
import common  # noqa: F401  isort: skip
import argparse
import sys

from common import machine
from gradients import bias, bounds, gamma, latents, normal, posterior, training
from train_step import RESULTS, save

from npvae import plotting

PARTS = {"normal": normal, "gamma": gamma, "bounds": bounds, "bias": bias, "latents": latents,
         "posterior": posterior, "training": training}  # fmt: skip


def main() -> int:
    """Run what was asked for; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--draws", type=int, help="of each estimator")
    options = parser.parse_args()
    part = PARTS[options.part]
    results, figure = part.run(options.draws or part.DRAWS)
    print(save(f"estimators_{options.part}", results, machine.describe(("numpy",))))
    print(plotting.save(figure, RESULTS / f"estimators_{options.part}.png"))
    for row in results.get("rows", ()):
        print("  ", *(f"{v:.4g}" if isinstance(v, float) else v for v in row.values()))
    for name, row in results.get("slopes", {}).items():
        others = (f"{k} {v:+.3f}" for k, v in row.items() if isinstance(v, float) and
                  k not in ("slope", "standard_error"))  # fmt: skip
        print(f"  {name}: {row['slope']:+.3f} ± {row['standard_error']:.3f}", *others, sep=", ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
