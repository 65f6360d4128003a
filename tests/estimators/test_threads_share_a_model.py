"""One model, several threads: every answer is that of one thread alone.

Each thread works on rows of its own, of its own number, so that buffers which were shared would
show; they start together at a barrier, and a short switch interval makes them meet in mid-pass.
"""
import gc
import multiprocessing
import sys
import threading
import tracemalloc

import numpy as np
import pytest

import npvae
from npvae.errors import ParameterError

N_THREADS, ROUNDS = 8, 12
X = npvae.data.load_digits().images[:200]
SETTINGS = {"latent_dim": 2, "hidden": (16,), "random_state": 0, "verbose": False}


@pytest.fixture(autouse=True)
def switching():
    """Threads take turns every few microseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def vae(**settings):
    return npvae.VAE(**(SETTINGS | settings)).initialize(64)


def at_once(work, n=N_THREADS):
    """``work(i)`` in n threads that start together; what they return, or the first error."""
    barrier, found, errors = threading.Barrier(n), [None] * n, []

    def run(i):
        barrier.wait()
        try:
            found[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found


def rows(i):
    return X[i : i + 3 + 5 * i]


def every_array(result, i):
    """The parameters, moments and draws of a distribution, side by side."""
    arrays = [*result.parameters.values(), result.mean, result.std, *result.sample(i, 2)]
    return np.concatenate(arrays, axis=1)


CALLS = {
    "transform": lambda m, i: m.transform(rows(i)),
    "inverse_transform": lambda m, i: m.inverse_transform(np.full((3 + i, 2), 0.1 * i)),
    "reconstruct": lambda m, i: m.reconstruct(rows(i)),
    "likelihood_of": lambda m, i: every_array(m.likelihood_of(np.full((3 + i, 2), 0.1 * i)), i),
    "score_samples": lambda m, i: m.score_samples(rows(i)),
    "score": lambda m, i: np.array(m.score(rows(i))),
    "loss_and_grad": lambda m, i: np.concatenate(
        [g.ravel() for g in m.loss_and_grad(rows(i))[1].values()]
    ),
}
OF_A_BOUND = {
    "posterior_of": lambda m, i: every_array(m.posterior_of(rows(i)), i),
    "elbo": lambda m, i: m.elbo(rows(i)).total,
    "iwae_bound": lambda m, i: m.iwae_bound(rows(i), k=5, n_samples=10, rng=0).estimate,
}
OF_A_PRIOR = {
    "sample": lambda m, i: m.sample(4 + i, rng=i),
    "draw": lambda m, i: m.sample(4 + i, rng=i, draw=True),
    "log_likelihood": lambda m, i: m.log_likelihood(
        rows(i)[:4], 8, rng=0, **({"n_temperatures": 3} if isinstance(m, npvae.MCEM) else {})
    ).estimate,
    "prior": lambda m, i: m.log_likelihood(rows(i), 20, rng=0, method="prior").estimate,
}
CASES = [
    (kind, name, call)
    for kind, calls in {
        npvae.VAE: CALLS | OF_A_BOUND | OF_A_PRIOR,
        npvae.WakeSleep: CALLS | OF_A_BOUND | OF_A_PRIOR,
        npvae.FullVB: CALLS | OF_A_BOUND | OF_A_PRIOR,
        npvae.Autoencoder: CALLS,
        npvae.MCEM: {"inverse_transform": CALLS["inverse_transform"],
                     "likelihood_of": CALLS["likelihood_of"],
                     "loss_and_grad": CALLS["loss_and_grad"]} | OF_A_PRIOR,
    }.items()
    for name, call in calls.items()
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "call"), CASES, ids=[f"{kind.__name__}-{name}" for kind, name, _ in CASES]
)
def test_every_reading_method_is_right_under_eight_threads(kind, name, call):
    """Equal to the bit to a thread alone; at the commit before, most of these were not."""
    model = kind(**SETTINGS).initialize(64)
    alone = [call(model, i) for i in range(N_THREADS)]
    rounds = 2 if name == "log_likelihood" and kind is npvae.MCEM else ROUNDS

    def work(i):
        return [call(model, i) for _ in range(rounds)]

    for i, found in enumerate(at_once(work)):
        for value in found:
            np.testing.assert_array_equal(value, alone[i])


@pytest.mark.parametrize("settings", [
    {"posterior": "elliptical"}, {"prior": "vamp", "prior_components": 3, "estimator": "A"},
    {"likelihood": "discretized-logistic", "n_levels": 17}, {"estimator": "dreg", "n_samples": 3},
    {"likelihood": "normal"},
], ids=str)  # fmt: skip
def test_so_are_other_models(settings):
    model = vae(**settings)
    for name, call in (CALLS | OF_A_BOUND).items():
        alone = [call(model, i) for i in range(N_THREADS)]
        for i, value in enumerate(at_once(lambda i, call=call: call(model, i))):
            np.testing.assert_array_equal(value, alone[i], err_msg=name)


def test_a_model_trains_while_others_read_another():
    """Two models share nothing: the same parameters as without the company."""
    alone = npvae.VAE(**SETTINGS, epochs=2, batch_size=50).fit(X)
    reader = vae()
    expected = reader.transform(X)

    def work(i):
        if i == 0:
            return npvae.VAE(**SETTINGS, epochs=2, batch_size=50).fit(X).engine_.theta
        return [reader.transform(X) for _ in range(20)]

    theta, *read = at_once(work, 4)
    np.testing.assert_array_equal(theta, alone.engine_.theta)
    for found in read:
        for value in found:
            np.testing.assert_array_equal(value, expected)


def test_memory_does_not_grow_with_finished_threads():
    """200 threads, one after the other, keep no more than one does: their buffers end with them."""
    model = vae(hidden=(256,))
    model.transform(X)

    def held(n):
        for _ in range(n):
            at_once(lambda i: model.transform(X), 1)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        once, often = held(5), held(200)
    finally:
        tracemalloc.stop()
    assert often - once < 100_000  # bytes; a context of this model has 600,000


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_two_trainings_at_once_are_refused_in_one_line(method):
    """The second is; the first goes on, and afterwards another may begin."""
    model, began, done = npvae.VAE(**SETTINGS, epochs=1, batch_size=50), threading.Event(), []
    go_on = threading.Event()

    def first():
        def wait(state):
            began.set()
            go_on.wait(30)

        model.fit(X, callbacks=[wait])
        done.append(True)

    thread = threading.Thread(target=first)
    thread.start()
    began.wait(30)
    try:
        with pytest.raises(ParameterError, match="being trained already") as caught:
            getattr(model, method)(X)
    finally:
        go_on.set()
        thread.join()
    assert "\n" not in str(caught.value) and done
    getattr(model, method)(X)


def read_and_train(model, queue):
    queue.put((model.transform(X), model.partial_fit(X).n_data_))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_fork_reads_and_trains():
    """In the middle of the parent's own training, whose state a fork must not inherit."""
    model, context, found = npvae.VAE(**SETTINGS, epochs=1, batch_size=50), None, []
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def fork(state):
        child = context.Process(target=read_and_train, args=(model, queue))
        child.start()
        found.append(queue.get(timeout=60))
        child.join()

    model.fit(X, callbacks=[fork])
    codes, n = found[0]
    np.testing.assert_array_equal(codes, model.transform(X))
    assert n == len(X)
