"""The process of one curve: ``python -m npvae.reproduce.worker FOLDER [likelihood]``.

It trains the run in the folder, from its checkpoint if there is one, and estimates the marginal
likelihood on the way where the figure shows it. It goes on for as long as its standard input is
open: that ends with the process that started it, in whatever way that may end, SIGKILL included.
"""
import _thread
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

from npvae import runs
from npvae.errors import NpvaeError
from npvae.interrupts import exit_code, terminable
from npvae.io.locks import exclusive_folder
from npvae.reproduce.marginal import MarginalLikelihood, estimated


def main(folder: str, likelihood: bool) -> int:
    """Train the run in ``folder``; an exit code as the command line's."""
    try:
        with terminable(), exclusive_folder(Path(folder)):
            Thread(target=end_with_input, daemon=True).start()
            run = runs.open_run(folder)
            watch = [MarginalLikelihood(run)] if likelihood else []
            model, _ = runs.train(run, resume=True, callbacks=watch)
            if watch and estimated(run) < len(model.history_["epoch"]):
                watch[0](model._state)  # there was no epoch left to do it after
    except NpvaeError as error:
        print(f"npvae: error: {error}")
        return 1
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)
    return 0


def end_with_input() -> None:
    """When standard input ends, do as on SIGTERM: checkpoint, and end."""
    with suppress(OSError):  # it was closed from the first
        while os.read(0, 1):  # not by sys.stdin, whose lock a thread may not hold at the end
            pass
    _thread.interrupt_main(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "likelihood" in sys.argv[2:]))
