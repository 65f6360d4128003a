"""Compiled ops on several threads, in several models and in forks: what they give alone.

Arrays are larger than those of other tests, so that kernels let go of the interpreter and run
side by side. benchmarks/sanitizers.py runs these under the thread sanitizer.
"""
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_checks import BODIES

import npvae
from npvae.ops.cpu import twins

TWINS = twins.with_twins(BODIES)
RNG = np.random.default_rng(0)
X = RNG.random((400, 200), np.float32)
SETTINGS = {"latent_dim": 8, "hidden": (300,), "epochs": 2, "batch_size": 100, "verbose": False}
forks = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork here"
)


def train(seed, optimizer="adam"):
    return npvae.VAE(**SETTINGS, random_state=seed, optimizer=optimizer).fit(X)


def at_once(work, items):
    """``work(item)`` of each item on a thread of its own, all started together."""
    items = list(items)
    together = threading.Barrier(len(items))

    def run(item):
        together.wait()
        return work(item)

    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(run, items))


def test_two_models_train_at_once_as_they_do_alone():
    seeds = [(0, "adam"), (1, "adagrad")]
    alone = [train(*seed).engine_.theta for seed in seeds]
    for theta, other in zip(at_once(lambda seed: train(*seed).engine_.theta, seeds), alone,
                            strict=True):  # fmt: skip
        np.testing.assert_array_equal(theta, other)


def test_many_threads_read_a_model_as_one_does():
    model = train(0)

    def read(i):
        rows = X[i : i + 40 * (i + 1)]
        Z = model.transform(rows)
        return np.hstack([Z, model.inverse_transform(Z), model.score_samples(rows)[:, None]])

    expected = [read(i) for i in range(8)]
    for _ in range(5):
        for found, alone in zip(at_once(read, range(8)), expected, strict=True):
            np.testing.assert_array_equal(found, alone)


def in_a_fork(work):
    """What ``work()`` gives in a child of this process, which must end by itself."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(work()))
    child.start()
    try:
        assert receiver.poll(60), "the child hangs"
        return receiver.recv()
    finally:
        child.kill()
        child.join()


@forks
def test_a_fork_of_a_process_that_trained_reads_and_trains():
    """Twice: the child of a child, too, inherits no thread."""
    model = train(0)
    expected = model.transform(X), train(1).engine_.theta

    def work():
        return model.transform(X), train(1).engine_.theta

    for found in (in_a_fork(work), in_a_fork(lambda: in_a_fork(work))):
        for value, alone in zip(found, expected, strict=True):
            np.testing.assert_array_equal(value, alone)


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_kernel_waits_for_nobody():
    """Whatever another thread was at in the parent: its locks and its helpers are not inherited."""
    a, bias = RNG.standard_normal((300, 1000), np.float32), np.zeros(1000, np.float32)
    expected, stop = np.empty_like(a), threading.Event()
    TWINS.sigmoid(a.copy(), bias, expected)

    def sigmoid():
        h = np.empty_like(a)
        TWINS.sigmoid(a.copy(), bias, h)
        return h

    def go_on():
        while not stop.is_set():
            sigmoid()

    busy = threading.Thread(target=go_on)
    busy.start()
    try:
        for _ in range(20):
            np.testing.assert_array_equal(in_a_fork(sigmoid), expected)
    finally:
        stop.set()
        busy.join()


@forks
def test_a_fork_may_fork_by_hand():
    """os.fork and nothing else, as web servers do; the child ends without Python's clean-up."""
    model = train(0)
    expected = model.transform(X)
    child = os.fork()
    if child == 0:
        same = False
        try:
            same = bool(np.array_equal(model.transform(X), expected))
            model.partial_fit(X)
        finally:
            os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
