"""Coding a few rows again and again is coding them once: captured passes read what is there now."""
import threading
from dataclasses import replace

import numpy as np
import pytest

import npvae
from npvae.backend import Backend
from npvae.distributions import BernoulliLikelihood
from npvae.evaluation import few_rows
from npvae.ops.cpu import twins

DIGITS = npvae.data.load_digits().images[:200]
compiled = pytest.mark.skipif(not twins.library()[1], reason="no compiled twins")


def fitted(**settings):
    defaults = {"hidden": (9,), "epochs": 1, "random_state": 2, "verbose": False}
    return npvae.VAE(**(defaults | settings)).fit(DIGITS)


def codes(vae, rows):
    z = vae.transform(DIGITS[:rows])
    return z.tobytes(), vae.inverse_transform(z).tobytes()


@pytest.mark.parametrize(
    "settings",
    [{}, {"dtype": "float64"}, {"likelihood": "normal"}, {"posterior": "laplace"},
     {"likelihood": "categorical", "n_levels": 17}, {"activation": "gelu", "hidden": (9, 7)}],
    ids=str,
)  # fmt: skip
def test_every_pass_is_the_first(settings, monkeypatch):
    """Over any number of rows, in any order of sizes, and between large batches."""
    vae, sizes = fitted(**settings), (1, 1, 1, 3, 1, 32, 32, 33, 200, 1, 3, 32, 33)
    found = [codes(vae, rows) for rows in sizes]
    monkeypatch.setattr(Backend, "capture", lambda *_: None)
    assert found == [codes(fitted(**settings), rows) for rows in sizes]


@compiled
def test_passes_over_few_rows_are_captured():
    vae = fitted()
    for rows in (1, 1, few_rows.FEW, few_rows.FEW, few_rows.FEW + 1, few_rows.FEW + 1):
        codes(vae, rows)
    passes = vae.engine_.mine.passes
    assert {shape[0] for _, shape in passes} == {1, few_rows.FEW}
    assert {name for name, _ in passes} == {"encode", "decode"}
    assert all(one.launch is not None for one in passes.values())


def test_parameters_that_change_are_read_anew():
    """By further training, by hand, and by another standardization."""
    vae = fitted(likelihood="normal")
    for change in (
        lambda: vae.partial_fit(DIGITS),
        lambda: vae.set_parameters({k: 2 * v for k, v in vae.parameters.items()}),
        lambda: vae.engine_.standardize(
            replace(vae.engine_.standardization, scale=3 * vae.engine_.standardization.scale)
        ),
    ):
        before = [codes(vae, 1) for _ in range(3)]
        change()
        after = [codes(vae, 1) for _ in range(3)]
        assert len(set(before)) == len(set(after)) == 1 and before[0] != after[0]
        vae.engine_.mine.passes.clear()
        assert codes(vae, 1) == after[0]


class Counting(BernoulliLikelihood):
    """A likelihood of one's own, which does more with every call."""

    calls = 0

    def mean(self, ctx, a, bias, out):
        Counting.calls += 1
        super().mean(ctx, a, bias, out)


def test_a_likelihood_of_ones_own_is_asked_every_time():
    vae = fitted(likelihood=Counting())
    Counting.calls = 0
    for _ in range(5):
        vae.inverse_transform(np.zeros((1, 2), np.float32))
    assert Counting.calls == 5


def test_threads_have_passes_of_their_own():
    vae = fitted()
    expected = [codes(vae, rows) for rows in (1, 2, 5)]
    wrong = []

    def code():
        for _ in range(50):
            for rows, right in zip((1, 2, 5), expected, strict=True):
                if codes(vae, rows) != right:
                    wrong.append(rows)

    threads = [threading.Thread(target=code) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
