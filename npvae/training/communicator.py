"""Data-parallel training: n processes, one model, each with its share of every minibatch.

    rank r of n        rows ⌊rM/n⌋ … ⌊(r+1)M/n⌋ of a minibatch of M
    all ranks agree    whether one has failed, or is to end                     2 numbers
    all ranks sum      (M_r/M) ∂loss_r/∂θ                                       P numbers
    each rank          weight penalties, clipping and the update, all alike

The noise of a datapoint is a function of its place in the whole minibatch. So a loss that is a mean
over datapoints has the gradient that one process would have, to the rounding of the sum, whatever
n is. At the start of every epoch all ranks have rank 0's θ and optimiser state.

Every rank comes to the same meetings in the same order, or those there would wait for ever. So what
fails between two of them on one rank is told at the next, and fails on all.
"""
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter
from typing import Any
from warnings import warn

import numpy as np

from npvae.backend import Array, Backend, to_numpy
from npvae.errors import (
    DataError,
    MissingExtraError,
    NpvaeError,
    ParameterError,
    optional_import,
)
from npvae.ops.cpu import blas, twins
from npvae.ops.cpu.threads import processors

SLOW = 1.5  # times the work of the fastest rank
ENOUGH = 10.0  # seconds of work that say which is slow


class Communicator:
    """One process, which has nobody to wait for.

    Attributes
    ----------
    rank, size : int
        r and n.
    """

    rank, size = 0, 1

    def share(self, M: int) -> tuple[slice, float]:
        """This rank's rows of a minibatch of M, and what part of it they are."""
        return slice(0, M), 1.0

    def together(self) -> AbstractContextManager[None]:
        """What fails inside on one rank fails at the end of the block on all."""
        return nullcontext()

    def guarded(self) -> AbstractContextManager[None]:
        """The same, of a block in which the ranks meet: none may leave it by itself."""
        return nullcontext()

    def heeding(self, interrupted: Callable[[], bool]) -> Callable[[], bool]:
        """Whether any rank was interrupted, as they agreed when they last met."""
        return interrupted

    def any(self, flag: bool) -> bool:
        """Whether it is true of any rank."""
        return flag

    def sum(self, numbers: list[float]) -> list[float]:
        """Their sums over all ranks."""
        return numbers

    def average(self, grad: Array, part: float, backend: Backend) -> None:
        """The mean of all ranks' gradients, each of its part of the minibatch, in place.   (P,)"""

    def begin_epoch(self, arrays: Iterable[Array]) -> None:
        """Overwrite arrays by those of rank 0."""

    def from_root(self, value: Any) -> Any:
        """Rank 0's value, whatever this rank's is."""
        return value

    def check_same(self, what: str, value: Any) -> None:
        """Raise a DataError on all ranks if a value is not the same on all."""

    def threads(self) -> AbstractContextManager[Any]:
        """Inside, BLAS takes this rank's part of the machine's processors."""
        return nullcontext()

    def end_epoch(self, seconds: float) -> None:
        """Warn if one rank keeps the others waiting."""


ALONE = Communicator()


def communicator_of(comm: Any) -> Communicator:
    """What stands for an mpi4py communicator, or for None.

    Raises
    ------
    MissingExtraError
        If there is no mpi4py.
    ParameterError
        If it is something else.
    """
    if comm is None or isinstance(comm, Communicator):
        return comm or ALONE
    mpi = load_mpi()
    if not isinstance(comm, mpi.Intracomm):
        raise ParameterError(
            f"comm={comm!r} is no communicator; pass mpi4py's, as MPI.COMM_WORLD, or None"
        )
    return Ranks(comm, mpi) if comm.size > 1 else ALONE


def world() -> Communicator:
    """All processes that mpiexec has started."""
    return communicator_of(load_mpi().COMM_WORLD)


def load_mpi() -> Any:
    """``mpi4py.MPI``, or a MissingExtraError: of mpi4py, or of an MPI that it could load."""
    try:
        return optional_import("mpi4py.MPI", "mpi")
    except MissingExtraError as error:
        if isinstance(error.__cause__, RuntimeError):
            raise MissingExtraError(
                "mpi4py finds no MPI library: pip install mpich, or load the MPI of the machine"
            ) from error
        raise


class Ranks(Communicator):
    """One of several processes.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
        Of all of them.
    mpi : module
        ``mpi4py.MPI``.
    """

    def __init__(self, comm: Any, mpi: Any):
        self.comm, self.mpi = comm, mpi
        self.rank, self.size = comm.rank, comm.size
        self.worked = self.waited = 0.0  # seconds, these of the epoch
        self.warned = False
        self._interrupted: Callable[[], bool] = lambda: False
        self._ending = False
        self._agreed: BaseException | None = None  # the error that has ended all
        self._sum: Callable[[Array], None] | None = None

    def share(self, M: int) -> tuple[slice, float]:
        """Where there are fewer rows than ranks, some take the first one as no part of it."""
        start, stop = (r * M // self.size for r in (self.rank, self.rank + 1))
        return slice(start, stop) if start < stop else slice(0, 1), (stop - start) / M

    @contextmanager
    def together(self) -> Iterator[None]:
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:  # an interrupt too
            error = raised
        flags, began = np.array([error is not None, self._interrupted()], np.int64), perf_counter()
        self.comm.Allreduce(self.mpi.IN_PLACE, flags)  # here the fast wait for the slow
        self.waited += perf_counter() - began
        self._ending = bool(flags[1])
        if flags[0]:
            self._agreed = self._first_error(error)
            raise self._agreed

    @contextmanager
    def guarded(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if error is not self._agreed:
                with self.together():  # where the others are, or will come to
                    raise
            raise

    def _first_error(self, error: BaseException | None) -> BaseException:
        """The error of the first rank that has one: itself there, and in words elsewhere."""
        mine = None if error is None else (type(error), " ".join(str(error).split()))
        everyones = self.comm.allgather(mine and (mine if _travels(mine[0]) else
                                                  (NpvaeError, f"{mine[0].__name__}: {mine[1]}")))
        rank = next(r for r, told in enumerate(everyones) if told)
        if error is not None and rank == self.rank:
            return error
        kind, message = everyones[rank]
        return kind(f"rank {rank} of {self.size}: {message}")

    def heeding(self, interrupted: Callable[[], bool]) -> Callable[[], bool]:
        self._interrupted = interrupted
        return lambda: self._ending

    def any(self, flag: bool) -> bool:
        return bool(self.comm.allreduce(bool(flag), self.mpi.LOR))

    def sum(self, numbers: list[float]) -> list[float]:
        total = np.array(numbers, np.float64)
        self.comm.Allreduce(self.mpi.IN_PLACE, total)
        return [float(number) for number in total]

    def average(self, grad: Array, part: float, backend: Backend) -> None:
        if self._sum is None:
            self._sum = backend.sum_over(self.comm)
        grad *= part
        self._sum(grad)

    def begin_epoch(self, arrays: Iterable[Array]) -> None:
        self.waited = 0.0
        for array in arrays:
            host = to_numpy(array)
            self.comm.Bcast(host)
            if host is not array:
                array.set(host)  # type: ignore[attr-defined]  # CuPy's own

    def from_root(self, value: Any) -> Any:
        return self.comm.bcast(value)

    def check_same(self, what: str, value: Any) -> None:
        others = self.comm.allgather(value)
        for rank, other in enumerate(others):
            if other != others[0]:
                raise DataError(
                    f"{what} is {other!r:.200} on rank {rank} and {others[0]!r:.200} on rank 0; "
                    "pass the same to all ranks: each takes its share by itself"
                )

    def threads(self) -> AbstractContextManager[Any]:
        if blas.user_setting():
            return nullcontext()
        here = self.comm.Split_type(self.mpi.COMM_TYPE_SHARED).size  # ranks on this machine
        return held_to(max(1, processors() // here))

    def end_epoch(self, seconds: float) -> None:
        self.worked += seconds - self.waited
        everyones = self.comm.gather((self.worked, platform.node()))
        if self.rank == 0 and not self.warned and (what := straggler(everyones)):
            self.warned = True
            warn(what, stacklevel=2)


@contextmanager
def held_to(threads: int) -> Iterator[None]:
    """Inside, products and all that lies between them take so many threads."""
    with blas.held(threads), twins.on_threads(threads):
        yield


def straggler(work: list[tuple[float, str]]) -> str:
    """A word on the slowest rank if it is much slower than the fastest; else empty.

    Parameters
    ----------
    work : list of (float, str)
        Seconds that each rank has worked, and the machine that it is on.

    Examples
    --------
    >>> straggler([(20.0, "a"), (21.0, "a")])
    ''
    >>> straggler([(20.0, "a"), (50.0, "b")])
    'rank 1, on b, takes 2.5 times as long as rank 0, and all wait for it at every step'
    """
    slowest, fastest = (work.index(pick(work)) for pick in (max, min))
    times = work[slowest][0] / max(work[fastest][0], 1e-9)
    if times < SLOW or work[slowest][0] < ENOUGH:
        return ""
    return (
        f"rank {slowest}, on {work[slowest][1]}, takes {times:.1f} times as long as rank "
        f"{fastest}, and all wait for it at every step"
    )


def _travels(kind: type[BaseException]) -> bool:
    """Whether an error of this kind is one on all ranks."""
    return issubclass(kind, (NpvaeError, KeyboardInterrupt, MemoryError))
