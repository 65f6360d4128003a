"""Ctrl-C and other requests to end, held back until no step is torn.

A terminal sends SIGINT on Ctrl-C and SIGHUP when it closes; ``kill``, a job scheduler and a
machine that shuts down send SIGTERM. Python turns the first into ``KeyboardInterrupt``. A program
that enters :func:`terminable`, as the command line does, has the others turned into one as well:
then whatever handles Ctrl-C handles all of them.
"""
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATION: tuple[signal.Signals, ...] = (signal.SIGTERM,)
if sys.platform != "win32":
    TERMINATION += (signal.SIGHUP,)


class Terminated(KeyboardInterrupt):
    """A request to end that is no Ctrl-C.

    Attributes
    ----------
    number : int
        Of the signal.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """A shell's code for a process that the signal has ended.

    Examples
    --------
    >>> exit_code(KeyboardInterrupt()), exit_code(Terminated(15))
    (130, 143)
    """
    return 128 + (interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT)


@contextmanager
def terminable() -> Iterator[None]:
    """Raise :class:`Terminated` on SIGTERM and SIGHUP, where nobody has said what they do.

    Under ``nohup``, which ignores SIGHUP, it stays ignored.
    """
    default = [n for n in TERMINATION if signal.getsignal(n) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        default = []  # Python lets no other thread say what a signal does
    try:
        for number in default:
            signal.signal(number, _terminate)
        yield
    finally:
        for number in default:
            signal.signal(number, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Hold an interrupt back until the block ends, and say whether there is one.

    That is Ctrl-C, unless it is ignored, and within :func:`terminable` SIGTERM and SIGHUP. A
    second one is not held back.
    """
    seen: list[KeyboardInterrupt] = []
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, *TERMINATION)}
    held = {
        n: handler for n, handler in before.items()
        if handler is _terminate or (n == signal.SIGINT and handler not in (signal.SIG_IGN, None))
    }  # fmt: skip
    if threading.current_thread() is not threading.main_thread():
        held = {}  # the main thread alone is interrupted

    def restore() -> None:
        for number, handler in held.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(KeyboardInterrupt() if number == signal.SIGINT else Terminated(number))
        restore()

    try:
        for number in held:
            signal.signal(number, note)
        yield lambda: bool(seen)
    finally:
        restore()
    if seen:
        raise seen[0]
