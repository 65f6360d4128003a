"""Every method takes a sparse matrix as it takes the dense one, and never makes that of it."""
import tracemalloc
from functools import partial

import numpy as np
import pytest

import npvae
from npvae.errors import DataError

sparse = pytest.importorskip("scipy.sparse")
X = npvae.data.load_digits().images[:60].copy()  # (N, D), half of it 0
SPARSE = sparse.csr_matrix(X)
CLASSES = {
    "VAE": npvae.VAE, "Autoencoder": npvae.Autoencoder, "WakeSleep": npvae.WakeSleep,
    "FullVB": npvae.FullVB, "MCEM": npvae.MCEM,
}  # fmt: skip
ASKED = {
    "transform": lambda m, X: [m.transform(X)],
    "reconstruct": lambda m, X: [m.reconstruct(X)],
    "score": lambda m, X: [m.score(X)],
    "score_samples": lambda m, X: [m.score_samples(X)],
    "elbo": lambda m, X: vars(m.elbo(X)).values(),
    "iwae_bound": lambda m, X: [m.iwae_bound(X, k=(1, 2), n_samples=4, rng=0).estimate],
    "log_likelihood": lambda m, X: [m.log_likelihood(X, 8, rng=0, **few(m)).estimate],
    "posterior_of": lambda m, X: [m.posterior_of(X).mean],
    "loss_and_grad": lambda m, X: [m.loss_and_grad(X)[0], *m.loss_and_grad(X)[1].values()],
}
METHODS = [(k, name) for k, kind in CLASSES.items() for name in ASKED if hasattr(kind, name)]


def few(model):
    """Temperatures, where it takes a thousand else."""
    return {"n_temperatures": 10} if type(model) is npvae.MCEM else {}


def made(kind="VAE", **settings):
    defaults = {"latent_dim": 2, "hidden": (5,), "epochs": 2, "batch_size": 25, "random_state": 0}
    return CLASSES[kind](**defaults | {"verbose": False} | settings)


def same(ours, theirs):
    """To rounding: of the moments, and of products whose rows lie elsewhere in memory."""
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("kind", "asked"), METHODS)
def test_every_method_answers_as_for_the_dense_matrix(kind, asked):
    model = made(kind).initialize(64)
    same(ASKED[asked](model, SPARSE[:6]), ASKED[asked](model, X[:6]))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("likelihood", ["bernoulli", "normal"])  # of which one is standardized
@pytest.mark.parametrize("kind", CLASSES)
def test_training_is_the_same(kind, likelihood):
    model = partial(made, kind, likelihood=likelihood, dtype="float64")
    for train in (
        lambda data: model().fit(data),
        lambda data: model().partial_fit(data).partial_fit(data[:30]),
    ):
        same(train(SPARSE).parameters.values(), train(X).parameters.values())


@pytest.mark.parametrize("binarize", ["none", "threshold", "fixed", "dynamic"])
def test_so_it_is_binarised_and_held_out_data_too(binarize):
    ours, theirs = (
        made(binarize=binarize, early_stopping=1).fit(data, validation=data[40:])
        for data in (SPARSE, X)
    )
    same(ours.parameters.values(), theirs.parameters.values())
    same([ours.history_["validation_elbo"]], [theirs.history_["validation_elbo"]])
    same([ours.score_samples(SPARSE)], [theirs.score_samples(X)])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("method", ["importance", "annealed", "harmonic", "prior"])
def test_every_estimator_of_the_likelihood_takes_it(method):
    model, options = made().fit(X), {"n_temperatures": 5} if method == "annealed" else {}
    ours, theirs = (
        model.log_likelihood(data[:12], 50, rng=0, method=method, **options).estimate
        for data in (SPARSE, X)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


@pytest.mark.parametrize(("values", "settings", "parts"), [
    ([0.5, np.nan], {}, ["X[2, 3] is NaN", "impute"]),
    ([0.5, -np.inf], {"likelihood": "normal"}, ["X[2, 3] is -inf"]),
    ([0.5, 1.25], {}, ["X[2, 3] = 1.25", "[0, 1]", "divide"]),
    ([1.0, 2.5], {"likelihood": "poisson"}, ["X[2, 3] = 2.5", "count"]),
    ([0.5, 1e300], {"likelihood": "normal"}, ["X[2, 3] = 1e+300", "float32"]),
    ([0.5, 1j], {}, ["Complex data not supported"]),
])  # fmt: skip
def test_bad_numbers_have_their_row_and_column(values, settings, parts):
    bad = sparse.coo_array((values, ([0, 2], [1, 3])), shape=(4, 5))
    with pytest.raises(DataError) as error:
        made(**settings).fit(bad)
    assert all(part in str(error.value) for part in parts) and "\n" not in str(error.value)


def test_rows_columns_and_axes_are_counted():
    model = made().initialize(64)
    for bad, part in (
        (SPARSE[:, :60], "60 features"), (SPARSE[:0], "0 sample(s)"),
        (sparse.csr_array((5, 0)), "0 feature(s)"), (sparse.coo_array(X[0]), "Reshape"),
    ):  # fmt: skip
        with pytest.raises(DataError) as error:
            model.transform(bad)
        assert part in str(error.value)


@pytest.mark.filterwarnings("error")
def test_it_comes_from_scikit_learns_encoders_and_is_cut_into_folds():
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    words = ["the cat sat", "the dog ran", "a cat ran", "dogs and cats"] * 5
    pipeline = make_pipeline(CountVectorizer(), made(likelihood="poisson"))
    search = GridSearchCV(pipeline, {"vae__latent_dim": [1, 2]}, cv=2).fit(words)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    one_hot = make_pipeline(OneHotEncoder(), made()).fit_transform([[word[0]] for word in words])
    assert one_hot.shape == (20, 2)


@pytest.mark.parametrize(("N", "D", "use"), [
    (500_000, 500, lambda model, X: model.transform(X)),
    (200_000, 80, lambda model, X: model.fit(X, validation=X[:500])),
    (200_000, 80, lambda model, X: model.score(X, n_samples=1)),
])  # fmt: skip
def test_a_matrix_whose_dense_form_would_not_fit_is_read_in_parts(N, D, use):
    """2 GB of float64 for the encoder alone, 128 MB where all is computed; 40 MB are allowed."""
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(N, size=N), rng.integers(D, size=N)
    big = sparse.csr_array((np.ones(N, np.float32), (rows, columns)), shape=(N, D))
    big.data[:] = 1
    model = made(latent_dim=1, hidden=(1,), epochs=1, batch_size=2000).initialize(D)
    tracemalloc.start()
    use(model, big)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
