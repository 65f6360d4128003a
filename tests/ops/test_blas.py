"""BLAS's number of threads: chosen by the size of products, borrowed by one, and given back.

The library is one that remembers what it was told, so that no test depends on the machine's.
"""
import subprocess
import sys
import threading

import numpy as np
import pytest

import npvae
from npvae.doctor import report
from npvae.ops.cpu import blas, threads

X = np.random.default_rng(0).random((50, 9))


class Recorded:
    """A BLAS with its history."""

    def __init__(self, n):
        self.numbers = [n]

    def get(self):
        return self.numbers[-1]

    def set(self, n):
        self.numbers.append(n)


@pytest.fixture
def library(monkeypatch):
    """A BLAS that has as many threads as there are processors, four."""
    for name in blas.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for module in (blas, threads):
        monkeypatch.setattr(module, "count", lambda: 4)
    found = Recorded(4)
    monkeypatch.setattr(blas, "libraries", lambda: [blas.Library(found.get, found.set)])
    assert not blas._holders
    return found


def vae(callback=None, **settings):
    """Its largest product has 9 · 20 multiply-adds a datapoint."""
    model = npvae.VAE(2, (20,), epochs=1, random_state=0, **settings)
    return model.fit(X, callbacks=callback or (lambda state: None))


def in_thread(work, **options):
    thread = threading.Thread(target=work, **options)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_a_training_of_small_products_takes_one_thread(library):
    seen = []
    vae(lambda state: seen.append(library.get()))
    assert seen == [1] and library.numbers == [4, 1, 4]


@pytest.mark.parametrize(("M", "L", "expected"), [(50, 1, 1), (50, 2, 4), (51, 1, 1)])
def test_the_size_is_that_of_the_largest_product(library, monkeypatch, M, L, expected):
    """A batch is no larger than the data, of 50; the samples of z are rows of the decoder."""
    monkeypatch.setattr(blas, "SMALL", 50 * 9 * 20 + 1)
    seen = []
    vae(lambda state: seen.append(library.get()), batch_size=M, n_samples=L)
    assert seen == [expected] and library.get() == 4


def test_the_number_is_given_back_after_an_error(library):
    with pytest.raises(ZeroDivisionError):
        vae(lambda state: 1 / 0)
    assert library.numbers == [4, 1, 4] and not blas._holders


@pytest.mark.parametrize("name", blas.VARIABLES)
def test_a_variable_of_the_environment_wins(library, monkeypatch, name):
    monkeypatch.setenv(name, "3")
    vae()
    assert library.numbers == [4]


@pytest.mark.parametrize("limit", [2, 3])
def test_a_limit_of_the_user_wins(library, limit):
    library.set(limit)
    vae()
    assert library.numbers == [4, limit]
    assert any(f"a limit of {limit}" in line for line in report())


def test_more_processors_than_openblas_has_threads_for_are_no_limit(library, monkeypatch):
    for module in (blas, threads):
        monkeypatch.setattr(module, "count", lambda: 128)
    library.set(64)
    vae()
    assert library.numbers == [4, 64, 1, 64]


def test_it_is_not_changed_while_another_thread_computes(library):
    """The main thread is in the middle of a training when another begins and ends one."""
    inside = []

    def callback(state):
        library.set(4)  # so that the other would have something to change
        for daemon in (True, False):
            in_thread(lambda: vae(lambda state: inside.append(library.get())), daemon=daemon)

    vae(callback)
    assert inside == [4, 4] and library.numbers == [4, 1, 4]


def test_the_last_thread_to_leave_gives_it_back(library):
    entered, leave = threading.Event(), threading.Event()

    def second():
        with blas.held_for(1):
            entered.set()
            assert leave.wait(60)

    thread = threading.Thread(target=second, daemon=True)
    with blas.held_for(1):
        thread.start()
        assert entered.wait(60)
    assert library.numbers == [4, 1]  # the second thread computes still
    leave.set()
    thread.join(60)
    assert library.numbers == [4, 1, 4]


def test_it_is_not_changed_beside_a_thread_of_the_users(library):
    """Nobody knows what a thread computes; those that end with the process wait for something."""
    for daemon, expected in ((False, [4]), (True, [4, 1, 4])):
        stop = threading.Event()
        thread = threading.Thread(target=stop.wait, daemon=daemon)
        thread.start()
        try:
            vae()
        finally:
            stop.set()
            thread.join(60)
        assert library.numbers == expected


def test_an_estimate_inside_a_training_has_every_thread(library):
    """One a chunk, each with products on its own, and the training's number afterwards."""
    found = []

    def callback(state):
        with blas.one_thread_each() as n:
            found.append((n, library.get()))
        found.append(library.get())

    vae(callback)
    assert found == [(4, 1), 1] and library.numbers == [4, 1, 4]
    with blas.one_thread_each() as n:
        assert (n, library.get()) == (4, 1)
    library.set(1)
    with blas.one_thread_each() as n:
        assert n == 1  # the user's limit


def test_where_nothing_can_be_held_everything_works(monkeypatch):
    monkeypatch.setattr(blas, "libraries", lambda: [])
    monkeypatch.setattr(blas, "count", lambda: 4)
    vae()
    with blas.one_thread_each() as n:
        assert n == 1


def test_the_doctor_says_what_was_chosen(library, monkeypatch):
    monkeypatch.setattr("npvae.doctor.count", lambda: 4)
    (line,) = [line for line in report() if line.startswith("  training takes")]
    assert "1 thread where all products have fewer than 8,388,608 multiply-adds, else 4" in line
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    (line,) = [line for line in report() if line.startswith("  training takes")]
    assert line.endswith("OMP_NUM_THREADS=2")


def test_numpys_own_library_is_found_without_threadpoolctl():
    pytest.importorskip("threadpoolctl")
    program = """
import sys
from npvae.ops.cpu import blas
theirs = blas.libraries()
sys.modules["threadpoolctl"] = None
blas.libraries.cache_clear()
for library in blas.libraries():  # none where NumPy was built with another BLAS
    before = library.get()
    library.set(1)
    assert {other.get() for other in theirs} == {1}
    library.set(before)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
