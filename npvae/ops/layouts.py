"""How the work of an op is laid over a GPU's blocks of threads.

A layout takes sizes, all dimensions of the arrays that an op's declaration names, and gives the
launch of its twin. It depends on sizes alone, so the same arguments give the same bits. The
layouts of the kernels themselves are in ``gpu/common.cuh``.
"""
from math import prod
from typing import NamedTuple

THREADS = 256  # of most blocks
MAX_THREADS = 1024  # of any block
MAX_BLOCKS = 4096  # side by side; beyond that a thread takes several elements
STRIP = 8  # columns that a block sums, as common.cuh has it


class Launch(NamedTuple):
    """Blocks, threads of a block, and the sizes that the kernel takes."""

    grid: tuple[int, ...]
    threads: int
    sizes: tuple[int, ...]


def elements(*shape: int) -> Launch:
    """A thread for each element, all in a row."""
    n = prod(shape)
    return Launch((min(-(-n // THREADS), MAX_BLOCKS),), THREADS, (n,))


def shaped_elements(*shape: int) -> Launch:
    """A thread for each element, for a kernel that takes the whole shape."""
    return elements(*shape)._replace(sizes=shape)


def matrix(M: int, H: int) -> Launch:
    """A thread for each element: columns across the grid, rows down it."""
    threads = power_of_two(H, THREADS)
    return Launch((-(-H // threads), min(M, MAX_BLOCKS)), threads, (M, H))


def matrix_of_levels(heads: int, M: int, D: int) -> Launch:
    """As a matrix, for a kernel that takes how many levels an element has."""
    return matrix(M, D)._replace(sizes=(M, D, heads // D))


def rows(L: int, M: int, D: int) -> Launch:
    """A block for each of L · M rows."""
    return Launch((L * M,), power_of_two(D, THREADS), (L, M, D))


def datapoints(L: int, M: int, J: int) -> Launch:
    """A block for each of M datapoints, which takes all its samples."""
    return Launch((M,), power_of_two(J, THREADS), (L, M, J))


def features(L: int, M: int, _: int, D: int) -> Launch:
    """A block for each of L · M rows, a thread for each of D features and all its heads."""
    return Launch((L * M,), power_of_two(D, THREADS), (L, M, D))


def features_of_levels(L: int, M: int, heads: int, _: int, D: int) -> Launch:
    """As features, for a kernel that takes how many levels one has."""
    return features(L, M, M, D)._replace(sizes=(L, M, D, heads // D))


def columns(*shape: int, heads: int = 1) -> Launch:
    """A block for every few columns, of one head or of two side by side; four rows a thread."""
    quarter = power_of_two(-(-prod(shape[:-1]) // 4), MAX_THREADS // STRIP)
    return Launch((-(-heads * shape[-1] // STRIP),), STRIP * quarter, shape)


def columns_of_two(*shape: int) -> Launch:
    """As columns, of two heads side by side."""
    return columns(*shape, heads=2)


def one_block(*shape: int) -> Launch:
    """One block for everything."""
    return Launch((1,), power_of_two(prod(shape), MAX_THREADS), shape)


def block_per_part(parts: int, P: int) -> Launch:
    """So many blocks, whatever there is to sum."""
    return Launch((parts,), THREADS, (P,))


def power_of_two(n: int, most: int) -> int:
    """The smallest power of two that is not below ``n``, or ``most``: a tree of sums halves it."""
    return min(1 << max(n - 1, 0).bit_length(), most)
