"""The gradient followed along training: its numbers by hand, and a training left as it is."""
from unittest.mock import patch

import numpy as np
import pytest
import shim
import strict_cupy
from strict_cupy.cublas import Cublas

import npvae
from npvae.errors import DataError, ParameterError
from npvae.evaluation.bound import row_noise
from npvae.evaluation.latent import active_units
from npvae.row_noise import row_keys
from npvae.training import FlowRecord
from npvae.training.gradient_flow import EDGES, gradient_flow, histogram

DIGITS = npvae.data.load_digits()
X = DIGITS.images[:200]
SETTINGS = {"latent_dim": 3, "hidden": (8,), "epochs": 4, "random_state": 0, "verbose": False}


def noise_of(vae, x, L=1):
    """The noise that a record is taken at."""
    return row_noise(vae.engine_, 0, L, row_keys(x), 0, vae.engine_.work).copy()


def by_hand(vae, x, estimator):
    """d_μ and d_log σ² of each datapoint (M, J), by way; of D-H-(J, J)/J-H-D, tanh, Bernoulli."""
    P = {k: np.asarray(v, float) for k, v in vae.parameters.items()}
    W1, W_mu, W_lv, W2, W3, b1, b_mu, b_lv, b2, b3 = P.values()
    h = np.tanh(x @ W1.T + b1)
    mu, logvar = h @ W_mu.T + b_mu, h @ W_lv.T + b_lv
    eps, sigma = noise_of(vae, x)[0], np.exp(logvar / 2)
    z = mu + sigma * eps
    g = np.tanh(z @ W2.T + b2)
    y = 1 / (1 + np.exp(-(g @ W3.T + b3)))
    d_z = (((y - x) @ W3) * (1 - g**2)) @ W2
    sample = d_z, d_z * sigma * eps / 2
    if estimator == "A":  # log q − log p = ½ Σ (z² − ε² − log σ²)
        return {"sample": sample, "kl": (z, z * sigma * eps / 2 - 0.5)}
    return {"sample": sample, "kl": (mu, (sigma**2 - 1) / 2)}


@pytest.mark.parametrize("estimator", ["A", "B"])
def test_each_way_is_what_calculus_says(estimator):
    settings = {**SETTINGS, "dtype": "float64", "estimator": estimator}
    vae = npvae.VAE(**settings).fit(X)
    record, expected = gradient_flow(vae.engine_, X), by_hand(vae, X, estimator)
    assert list(record.ways) == ["mean", "logvar"]
    for way, (d_mu, d_logvar) in expected.items():
        for head, d in (("mean", d_mu), ("logvar", d_logvar)):
            mean_square = (d**2).sum(axis=1).mean()
            assert record.ways[head][way] == pytest.approx(mean_square**0.5, rel=1e-10)
    assert record.share("mean", "kl") + record.share("mean", "sample") == pytest.approx(1)


def test_norms_and_histograms_are_of_the_gradient_that_training_takes():
    vae = npvae.VAE(**{**SETTINGS, "dtype": "float64", "parameter_prior": True}).fit(X)
    record = gradient_flow(vae.engine_, X)
    _, gradient = vae.loss_and_grad(X, noise_of(vae, X))
    assert list(record.norms) == list(gradient)
    for name, g in gradient.items():
        assert record.norms[name] == pytest.approx(np.linalg.norm(g), rel=1e-12)
    for layer, counts in record.histograms.items():
        entries = [gradient[f"{layer}.{kind}"].ravel() for kind in ("weight", "bias")]
        sizes = abs(np.concatenate(entries))
        assert sum(counts) == (sizes > 0).sum()
        within = (sizes >= 10 ** EDGES[10]) & (sizes < 10 ** EDGES[14])
        assert sum(counts[10:14]) == within.sum()


def test_a_bin_has_what_lies_beyond_it():
    assert histogram(np.array([1e-300, -1e300, 0.0]))[:: len(EDGES) - 2] == [1, 1]


@pytest.mark.parametrize(("settings", "ways"), [
    ({"estimator": "stl"}, "sample kl score"), ({"estimator": "dreg", "n_samples": 3},
                                                "sample kl score"),
    ({"estimator": "score"}, "score"), ({"estimator": "iwae", "n_samples": 3}, "sample kl"),
    ({"kl_weight": 0.0}, "sample"), ({"free_bits": 100.0}, "sample"),
    ({"posterior": "gamma", "prior": "gamma"}, "sample kl"),
    ({"prior": "vamp", "estimator": "A", "prior_components": 3}, "sample kl"),
    ({"likelihood": "normal"}, "sample kl"),
], ids=str)  # fmt: skip
def test_ways_are_those_that_an_estimator_has(settings, ways):
    """A path derivative's score weighs nothing; a score function's is all there is."""
    model = npvae.VAE(**{**SETTINGS, "epochs": 1, **settings})
    flow = npvae.GradientFlow(X[:50], n_samples=model.n_samples)
    model.fit(X, callbacks=flow)
    (record,) = flow.records
    for norms in record.ways.values():
        felt = {way for way, norm in norms.items() if norm > 0}
        without_score = set(ways.split()) - ({"score"} if "sample" in ways else set())
        assert felt == without_score and set(norms) >= felt
    assert ("score" in record.ways[next(iter(record.ways))]) == ("score" in ways)


@pytest.mark.parametrize("cls", [npvae.VAE, npvae.WakeSleep, npvae.FullVB, npvae.Autoencoder])
def test_training_is_the_same_to_the_last_bit(cls, tmp_path):
    """Parameters, moments and history, with early stopping, clipping and a checkpoint."""
    found = []
    for callbacks in ((), [npvae.GradientFlow(X[:70])]):
        settings = {"clip_norm": 1.0, "early_stopping": 3, "batch_size": 30, **SETTINGS}
        model = cls(**settings).fit(X[:150], validation=X[150:], callbacks=callbacks,
                                    checkpoint=tmp_path / f"{len(found)}.npz")  # fmt: skip
        arrays = [model.engine_.theta, *model._state.moments.values()]
        history = {k: v for k, v in model.history_.items() if k != "seconds"}
        found.append(([a.tobytes() for a in arrays], history))
    assert found[0] == found[1]
    (flow,) = callbacks
    assert [record.epoch for record in flow.records] == [1, 2, 3, 4]
    descends = cls in (npvae.VAE, npvae.FullVB)
    assert all(bool(record.ways) == descends for record in flow.records)
    assert all(min(record.norms.values()) >= 0 for record in flow.records)


def test_activity_is_that_of_burda():
    vae = npvae.VAE(**SETTINGS).fit(X)
    activity = gradient_flow(vae.engine_, X).activity
    np.testing.assert_allclose(activity, vae.transform(X).var(axis=0), rtol=1e-5)
    assert gradient_flow(vae.engine_, X[:1]).activity == []  # one mean has no variance
    assert [a > 0.01 for a in activity] == active_units(vae.transform(X)).tolist()


def test_a_collapse_is_the_kl_outweighing_the_sample():
    flow = npvae.GradientFlow(X)
    with pytest.warns(UserWarning, match="no latent is active"):
        vae = npvae.VAE(**{**SETTINGS, "kl_weight": 50.0, "epochs": 60, "learning_rate": 3e-3})
        vae.fit(X, callbacks=flow)
    assert flow.records[0].share("mean") > 0.9
    assert max(flow.records[-1].activity) < 0.01


def test_records_come_every_few_epochs_and_go_on_after_a_resume(tmp_path):
    path, settings = tmp_path / "c.npz", {**SETTINGS, "epochs": 7}
    whole = npvae.GradientFlow(X, every=3)
    npvae.VAE(**settings).fit(X, callbacks=whole)
    assert [record.epoch for record in whole.records] == [1, 3, 6]
    first = npvae.GradientFlow(X, every=3)
    npvae.VAE(**{**settings, "epochs": 4}).fit(X, callbacks=first, checkpoint=path)
    rest = npvae.GradientFlow(X, every=3, records=[*first.records, whole.records[-1]])
    npvae.VAE(**settings).fit(X, callbacks=rest, checkpoint=path, resume=True)
    assert rest.records == whole.records
    assert repr(rest) == "GradientFlow(3 records, every=3)"


@pytest.mark.parametrize("binarize", ["none", "threshold", "fixed", "dynamic"])
@pytest.mark.parametrize("kind", ["bytes", "sparse", "array"])
def test_without_datapoints_it_takes_evenly_spaced_ones_as_they_are_trained_on(binarize, kind):
    sparse = pytest.importorskip("scipy.sparse")
    data = {"bytes": DIGITS, "sparse": sparse.csr_array(DIGITS.images), "array": DIGITS.images}
    flow = npvae.GradientFlow()
    npvae.VAE(**{**SETTINGS, "epochs": 1, "binarize": binarize}).fit(data[kind], callbacks=flow)
    grey = DIGITS.images[::18]  # 1,797 / 100, rounded up
    assert flow.rows.shape == grey.shape == (100, 64) and len(flow.records) == 1
    if binarize == "none":
        np.testing.assert_allclose(flow.rows, grey, rtol=1e-6)
    elif binarize == "threshold":
        assert ((grey > 0.5) == flow.rows).all()
    else:  # of 6,400 pixels the mean has a deviation of at most 0.0057; here within 4 of it
        assert set(np.unique(flow.rows)) == {0, 1} and abs(flow.rows.mean() - grey.mean()) < 0.023


def test_what_a_flow_is_given_comes_first_and_what_fit_offers_is_of_that_fit():
    flow, given = npvae.GradientFlow(), npvae.GradientFlow(X[:7], n_samples=2)
    for data, estimator in ((X, "B"), (X[:, :50], "vimco")):
        some = npvae.GradientFlow(X[:7, : data.shape[1]], n_samples=2)
        npvae.VAE(**{**SETTINGS, "estimator": estimator, "n_samples": 3}).fit(
            data, callbacks=[flow, some])  # fmt: skip
        assert flow.rows.shape == (100, data.shape[1]) and len(some.rows) == 7
        assert (flow.L, some.L) == (3, 2)
    with pytest.raises(ParameterError, match="has no datapoints to follow"):
        npvae.GradientFlow()(type("State", (), {"epoch": 1}))
    assert given.rows is given.X


def test_a_dataset_is_scaled_as_the_model_wants_it():
    vae = npvae.VAE(**SETTINGS).fit(DIGITS)
    assert gradient_flow(vae.engine_, DIGITS.first(50)) == gradient_flow(vae.engine_, X[:50])


@pytest.mark.skipif(not shim.COMPILER, reason="no g++, which the stand-in for CuPy needs")
def test_on_a_device_it_is_the_same():
    settings, found = {**SETTINGS, "dtype": "float64"}, []
    fake = patch("npvae.ops.gpu.cublas.library", lambda xp: Cublas())
    for backend in ("numpy", "cupy"):
        with fake, strict_cupy.installed() as cupy:
            flow = npvae.GradientFlow(X[:30] if backend == "numpy" else cupy.asarray(X[:30]))
            npvae.VAE(**settings, backend=backend).fit(X, callbacks=flow)
            found.append(flow.records)
    for one, other in zip(*found, strict=True):
        for name, norm in one.norms.items():
            assert other.norms[name] == pytest.approx(norm, rel=1e-9)
        assert other.activity == pytest.approx(one.activity)
        assert [*other.ways["mean"].values()] == pytest.approx([*one.ways["mean"].values()])


def test_what_makes_no_sense_is_refused():
    for settings in ({"every": 0}, {"n_samples": 0}, {"every": 1.5}):
        with pytest.raises(ParameterError):
            npvae.GradientFlow(X, **settings)
    with pytest.raises(DataError, match="has 3 features"):
        npvae.VAE(**SETTINGS).fit(X, callbacks=npvae.GradientFlow(X[:, :3]))
    with pytest.raises(DataError, match="outside"):
        npvae.VAE(**SETTINGS).fit(X, callbacks=npvae.GradientFlow(X - 1))
    with pytest.raises(ParameterError, match="leave GradientFlow out"):
        npvae.MCEM(3, (8,), epochs=1, random_state=0).fit(X, callbacks=npvae.GradientFlow(X))
    with pytest.raises(ParameterError, match="needs 2 samples or more"):
        npvae.VAE(**SETTINGS, estimator="vimco", n_samples=2).fit(
            X, callbacks=npvae.GradientFlow(X, n_samples=1))  # fmt: skip


def test_its_picture_has_every_part(tmp_path):
    pytest.importorskip("matplotlib")
    flow = npvae.GradientFlow(X)
    npvae.VAE(**SETTINGS).fit(X, callbacks=flow)
    fig = npvae.plotting.gradient_flow(flow)
    assert [ax.get_title(loc="left") for ax in fig.axes] == [
        "Norm of the gradient", "At mean of q(z|x)", "At logvar of q(z|x)",
        "Var(E z) of each latent, of the prior's", *flow.records[0].histograms,
    ]  # fmt: skip
    assert npvae.plotting.save(fig, tmp_path / "flow.png").stat().st_size > 10_000
    with pytest.raises(DataError, match="no record"):
        npvae.plotting.gradient_flow([])
    lone = FlowRecord(1, {"encoder.code.weight": 0.0}, {"encoder.code": [0] * 24}, {}, [])
    assert len(npvae.plotting.gradient_flow([lone]).axes) == 2
