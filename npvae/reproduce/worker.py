"""The process of one curve: ``python -m npvae.reproduce.worker FOLDER [likelihood]``.

It trains the run in the folder, from its checkpoint if there is one, and estimates the marginal
likelihood on the way where the figure shows it.
"""
import os
import sys

from npvae import runs
from npvae.errors import NpvaeError
from npvae.reproduce.marginal import MarginalLikelihood


def main(folder: str, likelihood: bool) -> int:
    """Train the run in ``folder``; an exit code as the command line's."""
    parent = os.getppid()
    try:
        run = runs.open_run(folder)
        watch = [MarginalLikelihood(run)] if likelihood else []
        # whoever asked for the curve is gone: stop, or the next to ask would be a second writer
        runs.train(run, resume=True, callbacks=[*watch, lambda state: os.getppid() != parent])
    except NpvaeError as error:
        print(f"npvae: error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "likelihood" in sys.argv[2:]))
