"""Active latents are counted after every epoch, and a model without any says so."""
import sys
import warnings

import numpy as np
import pytest

import npvae
from npvae import cli, plotting
from npvae.estimators.collapse import warn_collapse
from npvae.evaluation import active_units, prior_variance

DIGITS = npvae.data.load_digits()
X = DIGITS.images[:400]


def model(cls=npvae.VAE, **settings):
    defaults = {"hidden": (16,), "epochs": 4, "random_state": 0, "verbose": False}
    return cls(**defaults | settings)


def collapsed(cls=npvae.VAE, **settings):
    """A trained model, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained = model(cls, **settings).fit(X)
    return trained, [str(w.message) for w in caught]


COLLAPSED = {  # each ends without an active latent, and what it is told to do
    "weight": ({"kl_weight": 8.0, "learning_rate": 0.01, "epochs": 20},
               "lower kl_weight=8 or set free_bits=0.1"),
    "warm-up": ({"kl_weight": 30.0, "kl_warmup": 9, "learning_rate": 0.01, "epochs": 30},
                "lower kl_weight=30"),
    "noise": ({"likelihood": "normal", "likelihood_std": 9.0, "learning_rate": 0.01, "epochs": 9},
              "lower likelihood_std=9 or set free_bits=0.1"),
    "start": ({"initial_std": 1e-4, "epochs": 1}, "; set free_bits=0.1"),
    "start, A": ({"initial_std": 1e-4, "epochs": 1, "estimator": "A"}, "; train for longer"),
    "other family": ({"initial_std": 1e-4, "epochs": 1, "posterior": "gamma", "prior": "gamma"},
                     "; train for longer"),
}  # fmt: skip


@pytest.mark.parametrize("how", COLLAPSED)
def test_a_model_that_collapsed_says_so_in_one_line(how):
    settings, words = COLLAPSED[how]
    trained, told = collapsed(**settings)
    (line,) = (text for text in told if text.startswith("no latent is active"))
    assert words in line and "\n" not in line
    assert trained.history_["active_latents"][-1] == 0
    scale = prior_variance(trained.engine_)
    assert not active_units(trained.transform(X), prior_variance=scale).any()


@pytest.mark.parametrize("how", ["weight", "noise"])
def test_what_it_says_to_do_helps(how):
    """Free bits of 0.1 nats a latent, with everything else as it was."""
    trained, told = collapsed(**COLLAPSED[how][0] | {"free_bits": 0.1})
    assert trained.history_["active_latents"][-1] == 2 and not told


@pytest.mark.parametrize("cls", [npvae.WakeSleep, npvae.FullVB], ids=lambda cls: cls.__name__)
def test_other_classes_say_so_too(cls):
    trained, told = collapsed(cls, initial_std=1e-4, epochs=1)
    assert trained.history_["active_latents"] == [0] and "no latent is active" in told[0]


@pytest.mark.parametrize("settings", [
    {"latent_dim": 5}, {"posterior": "beta", "prior": "beta", "estimator": "A"},
    {"prior": "mixture", "prior_components": 3, "estimator": "A"},
    {"prior": "vamp", "prior_components": 3, "estimator": "A"}, {"binarize": "threshold"},
], ids=str)  # fmt: skip
def test_the_count_is_of_active_units(settings):
    """Of 400 datapoints every eighth is looked at; latents near the threshold may differ."""
    trained, told = collapsed(**settings)
    codes, scale = trained.transform(X[::8]), prior_variance(trained.engine_)
    if settings.get("binarize"):
        codes = trained.transform((X[::8] > 0.5).astype("float32"))
    assert trained.history_["active_latents"][-1] == active_units(codes, prior_variance=scale).sum()
    assert len(trained.history_["active_latents"]) == 4 and not told


@pytest.mark.parametrize("made", [
    lambda: model(npvae.Autoencoder).fit(X), lambda: model(npvae.MCEM, epochs=1).fit(X[:50]),
    lambda: model().fit(X[:1]),  # one datapoint varies not at all
    lambda: model(posterior="dirichlet", prior="dirichlet", latent_dim=3, epochs=1).fit(X),
], ids=["no prior", "no encoder", "one row", "a prior without a formula"])  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_where_there_is_nothing_to_count_by_there_is_no_column(made):
    assert "active_latents" not in made().history_


@pytest.mark.parametrize(("best", "told"), [(1, 0), (2, 1), (0, 1)])
def test_early_stopping_counts_in_the_epoch_that_is_kept(best, told):
    """The best epoch is kept; the last, if there is none after the warm-up."""
    trained = model(early_stopping=3, epochs=2).fit(X, validation=X[:50])
    trained.history_["active_latents"], trained._state.best_epoch = [2, 0], best
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_collapse(trained)
    assert len(caught) == told


def test_resumed_it_counts_the_same(tmp_path):
    path = tmp_path / "checkpoint.npz"
    settings = {"latent_dim": 8, "kl_weight": 3.0, "epochs": 6}
    straight = model(**settings).fit(X)
    model(**settings).fit(X, checkpoint=path, callbacks=lambda state: state.epoch == 2)
    resumed = model(**settings).fit(X, checkpoint=path, resume=True)
    counts = straight.history_["active_latents"]
    assert resumed.history_["active_latents"] == counts and all(type(n) is int for n in counts)


def test_the_count_changes_nothing_in_training(monkeypatch):
    from npvae.estimators import training

    with_count = model().fit(X).engine_.theta.tobytes()
    monkeypatch.setattr(training, "activity", lambda *_: None)
    assert model().fit(X).engine_.theta.tobytes() == with_count


def test_the_command_line_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # plots take seconds
    argv = ["train", "--hidden", "16", "--epochs", "20", "--kl-weight", "30", "--n-train", "400",
            "--learning-rate", "0.01", "--out", str(tmp_path / "run")]  # fmt: skip
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    assert "latents    0 of 2 active" in out
    assert "npvae: warning: no latent is active" in err
    assert '"active_latents": 0' in (tmp_path / "run" / "history.jsonl").read_text()


def test_its_latent_plot_is_at_the_prior_s_scale():
    """Two deviations of N(0, I) either way, where the codes lie within a tenth of one."""
    pytest.importorskip("matplotlib")
    trained, _ = collapsed(**COLLAPSED["weight"][0])
    assert abs(trained.transform(X)).max() < 0.5
    (ax, *_) = plotting.latent_scatter(trained, X, DIGITS.labels[:400]).axes
    for low, high in (ax.get_xlim(), ax.get_ylim()):
        assert low < -2 and high > 2
    np.testing.assert_allclose(trained.posterior_of(X).std, 1, atol=0.3)
