"""Parameters that are not finite are named, whatever is asked of the model, and not saved."""
import numpy as np
import pytest

import npvae
from npvae import NumericalError

X = npvae.data.load_digits().images[:40]
KINDS = {
    "VAE": npvae.VAE, "Autoencoder": npvae.Autoencoder, "WakeSleep": npvae.WakeSleep,
    "FullVB": npvae.FullVB, "MCEM": npvae.MCEM,
}  # fmt: skip
ASKED = {
    "transform": lambda m: m.transform(X[:2]),
    "inverse_transform": lambda m: m.inverse_transform(np.zeros((2, 2))),
    "score": lambda m: m.score(X[:2]),
    "score_samples": lambda m: m.score_samples(X[:2]),
    "elbo": lambda m: m.elbo(X[:2]),
    "iwae_bound": lambda m: m.iwae_bound(X[:2], k=(1, 2), n_samples=4),
    "log_likelihood": lambda m: m.log_likelihood(X[:2], n_samples=4),
    "sample": lambda m: m.sample(2, rng=0),
    "loss_and_grad": lambda m: m.loss_and_grad(X[:2]),
}
METHODS = [(k, name) for k, kind in KINDS.items() for name in ASKED if hasattr(kind, name)]


def made(kind="VAE", **settings):
    defaults = {"latent_dim": 2, "hidden": (5,), "random_state": 0, "verbose": False}
    return KINDS[kind](**defaults | settings).initialize(64)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "asked"), METHODS)
def test_a_parameter_that_is_not_finite_is_named(kind, asked, bad):
    """An infinite bias, too, which a tanh hides; in either network, before it is computed with."""
    for last in (False, True):
        model = made(kind)
        name = list(model.parameters)[-1 if last else 0]
        model.parameters[name].flat[1] = bad
        with pytest.raises(NumericalError) as error:
            ASKED[asked](model)
        assert str(error.value).startswith(f"the parameter {name} holds NaN or infinity; ")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("asked", ["transform", "inverse_transform", "score", "elbo", "sample"])
def test_so_is_one_that_was_written_to_by_a_view_of_old(asked):
    """Where it reaches the result: parameters are not all looked at in every call."""
    model = made()
    views = model.parameters
    ASKED[asked](model)
    name = "encoder.mean.bias" if asked == "transform" else "decoder.logits.bias"
    views[name][0] = np.nan
    with pytest.raises(NumericalError, match=f"the parameter {name} holds"):
        ASKED[asked](model)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_not_saved_and_the_old_file_stays(kind, tmp_path):
    model, path = made(kind), tmp_path / "model.npz"
    model.save(path)
    before = path.read_bytes()
    name, view = list(model.parameters.items())[-1]
    for bad in (np.nan, np.inf):
        view.flat[0] = bad
        with pytest.raises(NumericalError, match=f"the parameter {name} holds NaN or infinity"):
            model.save(path)
        assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    view.flat[0] = 1
    model.save(path)
    assert path.read_bytes() != before


def test_a_training_that_overflowed_leaves_a_model_that_says_so(tmp_path):
    model = made(learning_rate=1e38, optimizer="sgd", epochs=3, batch_size=20)
    with pytest.raises(NumericalError):
        model.fit(X)
    if not all(np.isfinite(p).all() for p in model.parameters.values()):
        with pytest.raises(NumericalError, match="the parameter"):
            model.transform(X)


def test_large_but_finite_results_are_no_error():
    """Squares of these overflow, which only has the parameters looked at."""
    model = made(likelihood="normal")
    model.parameters["encoder.mean.bias"][...] = 1e30
    assert (model.transform(X[:2]) == np.float32(1e30)).all()


def test_a_model_whose_training_failed_is_looked_through_again():
    """Behind a tanh no code shows an infinite bias, which a callback left here."""
    model = npvae.VAE(latent_dim=2, hidden=(5,), epochs=1, random_state=0, verbose=False)

    def spoil(_):
        bias = model.parameters["encoder.hidden.0.bias"]
        model.score(X)  # looks the parameters through, and finds them finite
        bias[0] = np.inf

    with pytest.raises(NumericalError, match="overflowed"):
        model.fit(X, callbacks=[spoil])
    with pytest.raises(NumericalError, match=r"encoder\.hidden\.0\.bias"):
        model.transform(X)
