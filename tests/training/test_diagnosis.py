"""What a message says of a loss that is not finite: the data's scale, or the rate; and rightly."""
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits

import npvae
from npvae.errors import NumericalError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))


def failing(data, validation=None, likelihood="normal", **settings):
    """The message of a training that must fail: one line."""
    defaults = {"hidden": (8,), "epochs": 5, "batch_size": 20, "random_state": 0, "verbose": False}
    model = npvae.VAE(**defaults | {"likelihood": likelihood} | settings)
    with pytest.raises(NumericalError) as caught:
        model.fit(data, validation=validation)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500
    return text


def with_outlier(value):
    data = X.copy()
    data[33, 2] = value
    return data


RATE = {"learning_rate": 1e38, "optimizer": "sgd"}


@pytest.mark.parametrize("settings", [{}, {"activation": "relu"}, RATE], ids=str)
def test_counts_of_a_million_are_to_blame(settings):
    """First of all, whatever the rate is; the value, its row and its column."""
    counts = RNG.poisson(3.0, (60, 4)).astype(float)
    counts[33, 2] = 1e6
    text = failing(counts, likelihood="poisson", activation=settings.pop("activation", "relu"),
                   **settings)  # fmt: skip
    assert "; X[33, 2] is 1e+06: rescale the data; if that is not it, " in text
    assert "clip_norm" not in text


def test_a_column_is_named():
    pandas = pytest.importorskip("pandas")
    counts = RNG.poisson(3.0, (60, 4)).astype(float)
    counts[33, 2] = 1e6
    table = pandas.DataFrame(counts, columns=["a", "b", "visits", "d"])
    text = failing(table, likelihood="poisson", activation="relu")
    assert "X[33, 'visits'] is 1e+06: rescale" in text


def test_data_held_out_are_looked_at_where_they_are_scored():
    """In their own units, and in deviations of the data that the model was standardised by."""
    held_out = X[:5].copy()
    held_out[4, 1] = 1e30
    text = failing(X, validation=held_out)
    assert text.startswith("the validation ELBO is -inf after epoch 1; ")
    assert "; validation[4, 1] is 1e+30, 1" in text and "deviations from the mean" in text


ORDINARY = {
    "standardised by itself": (X, {}),
    "diabetes": (load_diabetes().data, {"likelihood": "laplace"}),
    "grey pixels": (load_digits().data[:60] / 16, {"likelihood": "bernoulli"}),
    "small counts": (load_digits().data[:60], {"likelihood": "poisson"}),
    "a millionth": (X * 1e-6, {}), "a million": (X * 1e6 + 1e7, {}),
    "heavy tails": (RNG.standard_t(2, (60, 4)) * 1e3, {}),
    "not standardised": (X, {"standardize": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDINARY)
def test_data_of_an_ordinary_scale_are_not_to_blame_for_a_rate(name):
    data, settings = ORDINARY[name]
    text = failing(data, **RATE, **settings)
    assert text.endswith("; lower the learning rate or set clip_norm")


def test_before_the_first_update_it_is_not_the_rate():
    """Data are named there from 10 on, for a network begins at 1/√in; ordinary ones are not."""
    for data, fragment in (
        (X, "no update has been made, and the data are of an ordinary size"),
        (with_outlier(40), "X[33, 2] is 40: rescale the data"),
    ):
        text = failing(data, initial_std=1e30, standardize=False)
        assert "at step 1, in epoch 1" in text and fragment in text
        assert "initial_std" in text and "learning rate" not in text


def test_it_costs_nothing_until_then(monkeypatch):
    monkeypatch.setattr("npvae.training.batches.Minibatches.seen", None)
    npvae.VAE(hidden=(8,), likelihood="normal", epochs=2, verbose=False).fit(X, validation=X)
