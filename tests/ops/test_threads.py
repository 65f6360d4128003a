"""Work split among threads is the same work: all of it, once, to the bit, or an error."""
import multiprocessing
import threading
from itertools import pairwise

import numpy as np
import pytest

import npvae
from npvae.ops import reference
from npvae.ops.cpu import blas, on_host, threads
from npvae.optim import OPTIMIZERS

RNG = np.random.default_rng(0)


@pytest.fixture
def three(monkeypatch):
    """Three threads, whatever the machine has."""
    monkeypatch.setattr(threads, "count", lambda: 3)


def test_every_item_is_done_once(three):
    done = []
    threads.parallel_for(lambda i, j: done.append((i, j)), [[(0, 1), (2, 3)], [(4, 5)], [(6, 7)]])
    assert sorted(done) == [(0, 1), (2, 3), (4, 5), (6, 7)]


def test_ranges_are_worked_through_at_the_same_time(three):
    """Each waits for the others: one after the other they would wait for ever."""
    together = threading.Barrier(3, timeout=30)
    threads.parallel_for(lambda: together.wait(), [[()], [()], [()]])


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_failure_on_any_thread_is_raised_and_stops_the_rest(three, bad):
    """The others stop at the next item: here they would go on for ever."""

    def work(i):
        if i == bad:
            raise ValueError("the bad one")

    def endless(i):
        while True:
            yield (i,)

    with pytest.raises(ValueError, match="the bad one"):
        threads.parallel_for(work, [endless(i) for i in range(3)])


@pytest.mark.parametrize("n", [0, 1, 63, 64, 1000, 12345])
def test_ranges_cover_everything_on_whole_lines(three, n):
    cuts = threads.split_ranges(n, least=64)
    assert cuts[0][0] == 0 and cuts[-1][1] == n
    assert all(before[1] == after[0] for before, after in pairwise(cuts))
    assert all(start % threads.ALIGNMENT == 0 for start, _ in cuts)
    assert len(cuts) == (1 if n < 128 else 3)


def test_blas_threads_of_the_environment_are_the_threads(monkeypatch):
    for value, wanted in (("5", 5), ("0", 1)):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", value)
        assert threads.count.__wrapped__() == wanted
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "many")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads.count.__wrapped__() == 2


def updated(ops, size=5000):
    theta = np.sin(np.arange(size, dtype=np.float32))
    adam = OPTIMIZERS["adam"]()
    state, scratch = adam.init(np, theta), np.empty_like(theta)
    for t in range(1, 4):
        adam.update(ops, theta, np.cos(theta), state, scratch, 0.01, t)
    return theta


def test_an_update_by_three_is_the_update_by_one(three):
    np.testing.assert_array_equal(updated(on_host(reference(np), size=100)), updated(reference(np)))


def test_a_likelihood_by_three_is_the_likelihood_by_one(monkeypatch):
    vae = npvae.VAE(2, (16,), random_state=0, verbose=False).initialize(9)
    X = RNG.random((20, 9))
    with blas.held(1):  # products differ in the last bit by BLAS's threads
        one = vae.log_likelihood(X, 3000, rng=1)
        monkeypatch.setattr(threads, "count", lambda: 3)
        three = vae.log_likelihood(X, 3000, rng=1)
    for name in ("estimate", "standard_error", "effective_sample_size", "pareto_k"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def run_in_a_fork(queue):
    done = []
    threads.parallel_for(done.append, [[(1,)], [(2,)], [(3,)]])
    queue.put(sorted(done))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_the_pool_is_made_anew_in_a_fork(three):
    """A fork inherits the pool but not its threads: handing them work would hang."""
    threads.parallel_for(lambda i: None, [[(1,)], [(2,)], [(3,)]])  # the pool exists
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=run_in_a_fork, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == [1, 2, 3]
    child.join(60)
    assert child.exitcode == 0
