"""The process of one curve: ``python -m npvae.reproduce.worker FOLDER [likelihood]``.

It trains the run in the folder, from its checkpoint if there is one, and estimates the marginal
likelihood on the way where the figure shows it.
"""
import os
import sys

from npvae import runs
from npvae.errors import NpvaeError
from npvae.reproduce.marginal import MarginalLikelihood, estimated
from npvae.training import TrainingState


def main(folder: str, likelihood: bool) -> int:
    """Train the run in ``folder``; an exit code as the command line's."""
    parent = os.getppid()

    def orphaned(state: TrainingState) -> bool:
        """Whoever asked is gone: stop, or the next to ask would be a second writer."""
        return os.getppid() != parent

    try:
        run = runs.open_run(folder)
        watch = [MarginalLikelihood(run)] if likelihood else []
        model, _ = runs.train(run, resume=True, callbacks=[*watch, orphaned])
        if watch and estimated(run) < len(model.history_["epoch"]):
            watch[0](model._state)  # there was no epoch left to do it after
    except NpvaeError as error:
        print(f"npvae: error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "likelihood" in sys.argv[2:]))
