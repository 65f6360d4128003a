"""Pictures, checked by what they hold: pixels, points, axis labels and the z they decode.

The model is linear, so what belongs in each picture can be said in one line of NumPy.
"""
import subprocess
import sys

import numpy as np
import pytest

import npvae
from npvae import plotting
from npvae.data import Dataset
from npvae.distributions import Elliptical, Normal
from npvae.errors import (
    DataError,
    MissingExtraError,
    ModelFileError,
    NotFittedError,
    ParameterError,
)
from npvae.evaluation import PosteriorDistribution

pytest.importorskip("matplotlib")

PNG = b"\x89PNG\r\n\x1a\n"
SHAPE = (3, 2)  # height and width differ, so that a transposed image cannot pass


class Linear:
    """x = ½ + z W, and back; it remembers what it was asked."""

    has_prior, has_bound, takes_validation, image_shape_ = False, False, True, None
    posterior = prior = "normal"

    def __init__(self, J=2, D=6, scale=0.05):
        self.latent_dim = J
        self.W = np.linalg.qr(np.random.default_rng(0).standard_normal((D, J)))[0].T * scale
        self.encoded, self.decoded = [], []

    def transform(self, X):
        self.encoded.append(X)
        return (X - 0.5) @ np.linalg.pinv(self.W)

    def inverse_transform(self, Z):
        self.decoded.append(Z)
        return 0.5 + Z @ self.W


class Generative(Linear):
    """The same with a prior."""

    has_prior = True

    def sample(self, n, rng=None):
        self.asked = n, rng
        return self.inverse_transform(
            np.random.default_rng(rng).standard_normal((n, self.latent_dim)))


def data(n=50, D=6, seed=1):
    return np.random.default_rng(seed).random((n, D))


def history(n=4, kl=True):
    kls = [float(kl * i) for i in range(1, n + 1)]
    reconstruction = [-100.0 / i for i in range(1, n + 1)]
    return {"epoch": list(range(1, n + 1)), "reconstruction": reconstruction, "kl": kls,
            "elbo": [r - k for r, k in zip(reconstruction, kls, strict=True)],
            "samples": [1500 * i for i in range(1, n + 1)]}


def pixels(fig):
    """The one image of a figure, as it is plotted: grey from 0 to 1, and no pixel invented."""
    (image,) = fig.axes[0].images
    assert image.get_clim() == (0, 1) and image.get_cmap().name == "gray"
    assert image.get_interpolation() == "nearest" and image.origin == "upper"
    return np.asarray(image.get_array())


def points(ax):
    """All scattered points of an axes, (N, 2), in the order in which they were plotted."""
    return np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])


def one_line(error, *parts):
    message = str(error.value)
    return "\n" not in message and all(part in message for part in parts)


# --- tile ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_tiles_lie_in_reading_order(gap):
    images = data(6).astype(np.float32)
    tiled = plotting.tile(images, SHAPE, rows=2, cols=3, gap=gap)
    assert tiled.shape == (2 * 3 + gap, 3 * 2 + 2 * gap) and tiled.dtype == np.float32
    expected = np.ones_like(tiled)
    for i, image in enumerate(images):
        top, left = i // 3 * (3 + gap), i % 3 * (2 + gap)
        for row in range(3):
            for col in range(2):
                expected[top + row, left + col] = image[2 * row + col]
    np.testing.assert_array_equal(tiled, expected)


def test_colours_are_tiled_as_three_grey_pictures_are():
    images = np.random.default_rng(0).random((5, 3 * 2 * 3)).astype(np.float32)
    tiled = plotting.tile(images, (3, 2, 3), rows=2, cols=3, gap=1)
    for k in range(3):
        of_one = np.ascontiguousarray(images[:, k::3])
        np.testing.assert_array_equal(tiled[..., k], plotting.tile(of_one, (3, 2), 2, 3, gap=1))


def test_cells_left_over_are_white_and_the_images_stay_as_they_were():
    images = data(4)
    before = images.copy()
    tiled = plotting.tile(images, SHAPE, rows=2, cols=3)
    assert (tiled[3:, 2:] == 1).all() and (tiled[:3] < 1).all()
    counts = plotting.tile(255 * images, SHAPE, rows=2, cols=3)  # the largest of them is white
    np.testing.assert_allclose(counts[:3], tiled[:3] / images.max(), rtol=1e-6)
    tiled[:] = 0
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(("shape", "parts"), [
    ((6,), ("(6,)", "(N, 6)")), ((2, 7), ("(2, 7)", "3 x 2")), ((5, 6), ("5 images", "2 rows of 2"))
])
def test_images_that_do_not_fit_are_answered_in_one_line(shape, parts):
    with pytest.raises(ParameterError) as error:
        plotting.tile(np.ones(shape), SHAPE, rows=2, cols=2)
    assert one_line(error, *parts)


# --- manifold -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_the_manifold_decodes_the_normal_quantiles_of_the_cell_centres(n):
    norm = pytest.importorskip("scipy.stats").norm
    model = Linear()
    fig = plotting.manifold(model, SHAPE, n)
    (z,) = model.decoded
    # From the top left: z1 grows along a row, and z2 falls from row to row.
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    expected = [(z1, z2) for z2 in quantiles[::-1] for z1 in quantiles]
    # Both are good to a few units in the last place of numbers below 2.
    np.testing.assert_allclose(z, expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(
        pixels(fig), plotting.tile(model.inverse_transform(z), SHAPE, n, n, gap=1))


def test_the_manifold_is_oriented_as_its_axes_say():
    norm = pytest.importorskip("scipy.stats").norm

    class Meter(Linear):
        def inverse_transform(self, Z):  # an image of two pixels: Φ(z1), Φ(z2)
            return norm.cdf(Z)

    ax = plotting.manifold(Meter(), (1, 2), n=4).axes[0]
    shown = pixels(ax.figure)[::2]  # without the gaps
    u1, u2 = shown[:, 0::3], shown[:, 1::3]
    np.testing.assert_allclose(u1, np.tile([1 / 8, 3 / 8, 5 / 8, 7 / 8], (4, 1)), rtol=1e-14)
    np.testing.assert_allclose(u2, u1.T[::-1], rtol=1e-14)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_1$", "$z_2$")
    left, right, bottom, top = ax.images[0].get_extent()
    assert (left, right, bottom, top) == (0, 1, 0, 1)  # so that a tick lies at u = Φ(z)
    for axis in (ax.xaxis, ax.yaxis):
        named = [float(t.get_text().replace("−", "-")) for t in axis.get_ticklabels()]
        np.testing.assert_allclose(axis.get_ticklocs(), norm.cdf(named), rtol=1e-14)


def test_a_manifold_of_another_dimension_is_refused():
    for J in (1, 3):
        with pytest.raises(ParameterError) as error:
            plotting.manifold(Linear(J), SHAPE)
        assert one_line(error, f"this model has {J}", "latent_dim=2")
    with pytest.raises(ParameterError) as error:
        plotting.manifold(Linear(), SHAPE, n=0)
    assert one_line(error, "n = 0", "1 or more")


# --- reconstructions and samples ----------------------------------------------------------


def test_each_image_has_its_reconstruction_below():
    model, x = Linear(), data(14)
    x_hat = 0.5 + (x - 0.5) @ np.linalg.pinv(model.W) @ model.W
    shown = pixels(plotting.reconstructions(model, x, SHAPE))
    # Two bands of twelve; a gap of 1 within a pair, 3 between bands: 3+1+3 +3+ 3+1+3.
    assert shown.shape == (17, 12 * 2 + 11)
    np.testing.assert_array_equal(shown[:3, :2], x[0].reshape(SHAPE))
    np.testing.assert_allclose(shown[4:7, :2], x_hat[0].reshape(SHAPE), rtol=1e-12)
    np.testing.assert_array_equal(shown[10:13, 3:5], x[13].reshape(SHAPE))
    np.testing.assert_allclose(shown[14:, 3:5], x_hat[13].reshape(SHAPE), rtol=1e-12)
    assert (shown[[3, 7, 8, 9, 13]] == 1).all() and (shown[10:, 5:] == 1).all()


def test_of_many_images_evenly_spaced_ones_are_encoded():
    model, x = Linear(), data(351)
    plotting.reconstructions(model, x, SHAPE)
    np.testing.assert_array_equal(model.encoded[0], x[::10])


def test_samples_are_the_models_own():
    model = Generative()
    shown = pixels(plotting.samples(model, SHAPE, n=10, rng=3))
    assert model.asked == (10, 3)
    np.testing.assert_array_equal(shown, plotting.tile(model.sample(10, 3), SHAPE, 3, 4, gap=1))


@pytest.mark.parametrize("D", [1, 2, 3, 5])
def test_data_that_are_no_images_are_drawn_as_points_or_lines(D):
    model, x = Generative(1, D), data(30, D)
    pair = plotting.reconstructions(model, x, None)
    cloud = plotting.samples(model, None, n=40, rng=1).axes[0]
    sampled, x_hat = model.sample(40, 1), model.inverse_transform(model.transform(x))
    if D == 2:
        np.testing.assert_array_equal(points(pair.axes[0]), x)
        np.testing.assert_array_equal(points(pair.axes[1]), x_hat)
        assert pair.axes[0].get_xlim() == pair.axes[1].get_xlim()
        np.testing.assert_array_equal(points(cloud), sampled)
    elif D == 3:
        assert pair.axes[1].name == cloud.name == "3d"
        assert pair.axes[0].get_zlim() == pair.axes[1].get_zlim()
        np.testing.assert_array_equal(np.stack(cloud.collections[0]._offsets3d, 1), sampled)
    else:
        assert len(pair.axes) == 6
        original, reconstruction = pair.axes[0].lines
        np.testing.assert_array_equal(original.get_ydata(), x[0])
        # Six rows are encoded rather than thirty: the products may round differently.
        np.testing.assert_allclose(reconstruction.get_ydata(), x_hat[0], rtol=1e-12)
        np.testing.assert_array_equal([line.get_ydata() for line in cloud.lines], sampled)


# --- the latent space ---------------------------------------------------------------------


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_whole_labels_are_coloured_and_named():
    model, x = Linear(), data(12)
    labels = np.array([7, 3, 5] * 4, np.uint8)
    fig = plotting.latent_scatter(model, x, labels)
    (ax,) = fig.axes
    z = model.transform(x)
    np.testing.assert_array_equal(points(ax), z)
    assert legend(ax) == ["3", "5", "7"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_{1}$", "$z_{2}$")
    colours = ax.collections[0].get_facecolors()  # a colour a point, in the order of the data
    keys = dict(zip(legend(ax), (c.get_facecolors()[0] for c in ax.collections[2:]), strict=True))
    np.testing.assert_array_equal(colours, [keys[str(label)] for label in labels])


def test_more_than_ten_labels_differ_in_shape_too():
    labels = np.array([f"class {i:02}" for i in range(15)])
    (ax,) = plotting.latent_scatter(Linear(), data(15), labels).axes
    assert legend(ax) == list(labels)
    looks = {(tuple(c.get_facecolors()[0]), len(c.get_paths()[0])) for c in ax.collections[2:]}
    assert len(looks) == 15


def test_other_numbers_get_a_colour_scale():
    from matplotlib.cm import ScalarMappable

    for labels in (np.linspace(4.7, 14.1, 30), np.arange(30)):
        ax, bar = plotting.latent_scatter(Linear(), data(30), labels).axes
        shades = ax.collections[0].get_facecolors()
        viridis = ScalarMappable(cmap="viridis").to_rgba(labels)  # from their least to their most
        np.testing.assert_array_equal(shades, viridis)
        np.testing.assert_allclose(bar.get_ylim(), (labels.min(), labels.max()), rtol=1e-12)
        assert ax.get_legend() is None


@pytest.mark.parametrize("labels", [None, np.array([f"file {i}" for i in range(30)])])
def test_without_labels_to_tell_apart_there_is_one_colour(labels):
    (ax,) = plotting.latent_scatter(Linear(), data(30), labels).axes
    assert len(np.unique(ax.collections[0].get_facecolors(), axis=0)) == 1
    assert ax.get_legend() is None and "label" not in ax.get_title(loc="left")


def test_of_many_latents_the_two_that_vary_most_are_shown():
    class Wide(Linear):
        def transform(self, X):
            return np.random.default_rng(0).standard_normal((len(X), 4)) * [0.1, 2, 0.5, 3]

    model, x = Wide(4), data(200)
    (ax,) = plotting.latent_scatter(model, x).axes
    z = model.transform(x)
    np.testing.assert_array_equal(points(ax), z[:, [1, 3]])
    assert ax.get_xlabel() == "$z_{2}$" + f"   (variance {z[:, 1].var():.2f})"
    assert ax.get_ylabel() == "$z_{4}$" + f"   (variance {z[:, 3].var():.2f})"


def test_a_single_latent_is_spread_out_by_label():
    model, x = Linear(1), data(40)
    z = model.transform(x)[:, 0]
    labels = np.arange(40) % 4
    (ax,) = plotting.latent_scatter(model, x, labels).axes
    np.testing.assert_array_equal(points(ax)[:, 0], z)
    np.testing.assert_array_equal(points(ax)[:, 1].round(), labels)  # no label's band meets another
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "1", "2", "3"]
    position = np.linspace(0, 1, 40)
    (ax,) = plotting.latent_scatter(model, x, position).axes
    np.testing.assert_array_equal(points(ax), np.stack([z, position], axis=1))
    (ax,) = plotting.latent_scatter(model, x).axes
    np.testing.assert_array_equal(points(ax)[:, 0], z)


def test_the_priors_circles_are_the_images_of_a_normals():
    """For an Exponential prior F⁻¹(Φ(u)) = −log Φ(−u), a coordinate at a time."""
    norm = pytest.importorskip("scipy.stats").norm
    angle = np.linspace(0, 2 * np.pi, 181)
    for prior, image in (("normal", lambda u: u), ("exponential", lambda u: -norm.logcdf(-u))):
        model = Generative()
        model.posterior = model.prior = prior
        (ax,) = plotting.latent_scatter(model, data(12)).axes
        for radius, line in zip((1, 2), ax.lines, strict=True):
            circle = radius * np.array([np.cos(angle), np.sin(angle)])
            # quantiles are of shares rounded near 1, at 2 deviations by 1e-16 / 0.023
            np.testing.assert_allclose(line.get_xydata().T, image(circle), rtol=0, atol=1e-12)
    single = Generative(1)
    (ax,) = plotting.latent_scatter(single, data(12)).axes
    sides = [line.get_xdata()[0] for line in ax.lines]
    np.testing.assert_allclose(sides, [-1, 1, -2, 2], rtol=1e-14)


class Encoded(Generative):
    """A q(z|x) of its own kind for every datapoint."""

    has_bound = True

    def __init__(self, family, spread, J=2):
        super().__init__(J)
        self.family, self.spread = family, spread

    def posterior_of(self, X):
        heads = {name: np.tile(self.spread[name], (len(X), 1)) for name in self.spread}
        return PosteriorDistribution(self.family, {"mu": self.transform(X)} | heads, 2)


def ellipse(line):
    """Centre and covariance of the density that is uniform along the angles of an ellipse."""
    path = line.get_xydata()[:-1]  # closed: the last is the first
    return path.mean(axis=0), 2 * np.cov(path.T, bias=True)


def test_an_ellipse_is_one_deviation_of_the_posterior():
    model, x = Encoded(Normal(), {"logvar": np.log([0.25, 4.0])}), data(100)
    (ax,) = plotting.latent_scatter(model, x).axes
    _, _, _, *ellipses = ax.lines  # the prior's, and the key of the ellipses
    some = np.linspace(0, 99, 30).astype(int)
    assert len(ellipses) == len(some)
    for line, z in zip(ellipses, model.transform(x)[some], strict=True):
        centre, covariance = ellipse(line)
        np.testing.assert_allclose(centre, z, rtol=0, atol=1e-12)
        np.testing.assert_allclose(covariance, np.diag([0.25, 4.0]), rtol=0, atol=1e-12)


def test_an_ellipse_leans_as_its_posterior_does():
    L = np.array([[1.0, 0.0], [1.5, 0.5]])
    heads = {"log_diagonal": np.log(L.diagonal()), "lower": [L[1, 0]]}
    (ax,) = plotting.latent_scatter(Encoded(Elliptical(), heads), data(5)).axes
    for line in ax.lines[3:]:
        # of 1,000 draws: √(2/1000) = 4.5 % of each variance, held to five times that
        np.testing.assert_allclose(ellipse(line)[1], L @ L.T, rtol=0.23)


def test_training_data_lie_below_what_was_held_out_and_fainter():
    model, x, seen = Generative(), data(12), data(30, seed=2)
    labels = np.arange(12) % 3
    held, training = Dataset(x, labels, SHAPE), Dataset(seen, np.arange(30) % 7)
    (ax,) = plotting.latent_scatter(model, held, training=training).axes
    first, second = ax.collections[:2]
    np.testing.assert_array_equal(first.get_offsets(), model.transform(seen))
    np.testing.assert_array_equal(second.get_offsets(), model.transform(x))
    assert (first.get_alpha(), second.get_alpha()) == (0.5, None)
    assert legend(ax) == ["0", "1", "2"]  # a Dataset brings its labels
    (below,) = ax.figure.legends
    assert [text.get_text() for text in below.get_texts()] == [
        "prior, 1 deviation", "prior, 2 deviations", "training data"
    ]  # fmt: skip


def test_a_collapsed_model_is_drawn_at_the_priors_scale():
    (ax,) = plotting.latent_scatter(Generative(scale=1e6), data(50)).axes
    assert np.ptp(points(ax)) < 1e-5
    for low, high in (ax.get_xlim(), ax.get_ylim()):
        assert low <= -2 and high >= 2


# --- the learning curve -------------------------------------------------------------------


def test_the_learning_curve_shows_the_history():
    told = history() | {"validation_elbo": [None, -60.0, None, -40.0]}
    bound, reconstruction, kl = plotting.learning_curve(told).axes
    training, validation = bound.lines
    np.testing.assert_array_equal(training.get_xydata(), list(zip(told["epoch"], told["elbo"],
                                                                  strict=True)))
    np.testing.assert_array_equal(validation.get_xydata(), [(2, -60), (4, -40)])
    np.testing.assert_array_equal(reconstruction.lines[0].get_ydata(), told["reconstruction"])
    np.testing.assert_array_equal(kl.lines[0].get_ydata(), told["kl"])
    assert {ax.get_ylabel() for ax in (bound, reconstruction, kl)} == {"nats per datapoint"}
    assert kl.get_xlabel() == "epoch (6,000 datapoints seen)"
    assert legend(bound) == ["training, −29.00 at the end", "validation, −40.00 at the end"]


def test_without_kl_or_validation_their_lines_are_left_out():
    told = history(kl=False)
    del told["samples"]
    (ax,) = plotting.learning_curve(told).axes
    assert len(ax.lines) == 1 and ax.get_xlabel() == "epoch"
    assert "ELBO" not in ax.get_title(loc="left")  # an auto-encoder bounds no likelihood


def test_one_epoch_is_a_point_and_none_is_an_error():
    bound = plotting.learning_curve(history(1)).axes[0]
    assert bound.lines[0].get_marker() == "o" and all(t % 1 == 0 for t in bound.get_xticks())
    for empty in ({}, {"epoch": []}):
        with pytest.raises(DataError) as error:
            plotting.learning_curve(empty)
        assert one_line(error, "no epoch", "train")


def test_the_learning_curve_takes_a_fitted_model():
    model = Generative()
    model.history_ = history()
    of_the_model, of_the_history = (
        [ax.lines[0].get_xydata().tolist() for ax in plotting.learning_curve(fitted).axes]
        for fitted in (model, model.history_)
    )
    assert of_the_model == of_the_history
    with pytest.raises(NotFittedError) as error:
        plotting.learning_curve(npvae.VAE())
    assert one_line(error, "this VAE has no history yet", "fit(X)")


# --- where the shape of an image comes from -----------------------------------------------


def test_a_model_that_saw_images_is_shown_by_images():
    model, x = Generative(), data(9)
    model.image_shape_ = SHAPE
    for found, told in [
        (plotting.samples(model, n=9), plotting.samples(model, SHAPE, n=9)),
        (plotting.manifold(model, n=3), plotting.manifold(model, SHAPE, n=3)),
        (plotting.reconstructions(model, x), plotting.reconstructions(model, x, SHAPE)),
    ]:
        np.testing.assert_array_equal(pixels(found), pixels(told))
    other = plotting.reconstructions(model, Dataset(x, image_shape=(2, 3)))
    np.testing.assert_array_equal(pixels(other), pixels(plotting.reconstructions(model, x, (2, 3))))
    with pytest.raises(ParameterError) as error:
        plotting.manifold(Linear())
    assert one_line(error, "not trained on images", "image_shape=(height, width)")


def test_a_fitted_model_keeps_the_shape_of_its_images(tmp_path):
    digits, settings = npvae.data.load_digits().first(50), {"hidden": (4,), "random_state": 0}
    for fit in (npvae.VAE.fit, npvae.VAE.partial_fit):
        model = fit(npvae.VAE(2, epochs=1, **settings), digits)
        assert model.image_shape_ == (8, 8)
        model.save(tmp_path / "model.npz")
        assert npvae.load(tmp_path / "model.npz").image_shape_ == (8, 8)
        model.partial_fit(digits.images)
        assert model.image_shape_ == (8, 8)
        assert model.fit(digits.images).image_shape_ is None


def test_a_dataset_is_drawn_as_the_model_sees_it():
    """Stored bytes are counts for a Poisson likelihood, and grey values for others."""
    counts = np.random.default_rng(0).integers(0, 9, (40, 6), np.uint8)
    vae = npvae.VAE(2, (4,), likelihood="poisson", epochs=1, random_state=0)
    dataset = Dataset(counts, image_shape=SHAPE)
    vae.fit(dataset)
    for draw in (plotting.reconstructions, plotting.latent_scatter):
        found, told = draw(vae, dataset).axes[0], draw(vae, counts.astype(float)).axes[0]
        if draw is plotting.latent_scatter:
            np.testing.assert_array_equal(points(found), points(told))
        else:
            np.testing.assert_array_equal(pixels(found.figure), pixels(told.figure))


# --- files --------------------------------------------------------------------------------


def names(paths):
    return [path.name for path in paths]


@pytest.fixture
def unsaved(monkeypatch):
    """Figures are made and not rendered, which is what takes the time."""
    monkeypatch.setattr("npvae.plotting.run.save", lambda fig, path: path)


EVERY = ["learning_curve.png", "reconstructions.png", "samples.png", "manifold.png", "latent.png"]


def test_a_run_gets_every_picture(tmp_path):
    images = Dataset(data(60), labels=np.arange(60) % 3, image_shape=SHAPE)
    paths = plotting.write_plots(Generative(2), history(), images, tmp_path / "run" / "plots")
    assert names(paths) == EVERY
    assert sorted((tmp_path / "run" / "plots").iterdir()) == sorted(paths)  # and nothing else
    assert all(path.read_bytes().startswith(PNG) for path in paths)


@pytest.mark.parametrize(("model", "image_shape", "told", "left_out"), [
    (Generative(3), SHAPE, history(), {"manifold.png"}),
    (Linear(2), SHAPE, history(kl=False), {"manifold.png", "samples.png"}),
    (Generative(2), None, history(), {"manifold.png"}),
    (Generative(2), SHAPE, {}, {"learning_curve.png"}),
])
def test_a_picture_that_does_not_apply_is_left_out(
        model, image_shape, told, left_out, tmp_path, unsaved):
    paths = plotting.write_plots(model, told, Dataset(data(), image_shape=image_shape), tmp_path)
    assert names(paths) == [name for name in EVERY if name not in left_out]


def test_of_large_data_evenly_spaced_datapoints_are_encoded(tmp_path, unsaved):
    model = Linear()
    large = Dataset(np.arange(12_000 * 6).reshape(-1, 6), labels=np.arange(12_000), scale=1e-5)
    plotting.write_plots(model, {}, large, tmp_path)
    np.testing.assert_array_equal(model.encoded[-1], large.images[::3])


def test_the_public_classes_are_models(tmp_path, unsaved):
    import npvae

    digits = npvae.data.load_digits()
    for cls in (npvae.VAE, npvae.Autoencoder):
        model = cls(latent_dim=2, hidden=(8,), epochs=1, random_state=0, verbose=False)
        paths = plotting.write_plots(model.fit(digits), model.history_, digits, tmp_path)
        assert "learning_curve.png" in names(paths) and "latent.png" in names(paths)
        assert ("manifold.png" in names(paths)) == (cls is npvae.VAE)


def test_one_picture_gives_one_file(tmp_path):
    for suffix, magic in ((".png", PNG), (".pdf", b"%PDF"), (".SVG", b"<?xml")):
        path = plotting.save(plotting.manifold(Linear(), SHAPE, 2), tmp_path / f"a{suffix}")
        assert path.read_bytes().startswith(magic)
    again = plotting.save(plotting.manifold(Linear(), SHAPE, 2), tmp_path / "b.png")
    assert again.read_bytes() == (tmp_path / "a.png").read_bytes()


def test_what_cannot_be_written_is_one_line_and_loses_nothing(tmp_path):
    fig = plotting.manifold(Linear(), SHAPE, 2)
    kept = tmp_path / "kept.png"
    kept.write_text("an older picture")
    for name, parts in (("a.xyz", ("'.xyz'", ".png")), ("a", ("''", ".png"))):
        with pytest.raises(ParameterError) as error:
            plotting.save(fig, tmp_path / name)
        assert one_line(error, *parts)
    with pytest.raises(ModelFileError) as error:
        plotting.save(fig, tmp_path / "no" / "a.png")
    assert one_line(error, "no folder", "make it first")
    with pytest.raises(ModelFileError) as error:  # a file where the folder should be
        plotting.write_plots(Linear(), {}, Dataset(data(), image_shape=SHAPE), kept / "plots")
    assert one_line(error, "cannot be made", "choose a folder")
    fig.savefig = lambda file, **_: file.write(b"half a picture") and 1 / 0
    with pytest.raises(ZeroDivisionError):
        plotting.save(fig, kept)
    assert [p.name for p in tmp_path.iterdir()] == ["kept.png"]
    assert kept.read_text() == "an older picture"


# --- manners ------------------------------------------------------------------------------


def pictures(D=6, shape=SHAPE):
    """Every public function that plots, ready to be called."""
    model, x = Generative(2, D), data(20, D)
    return {
        "learning_curve": lambda: plotting.learning_curve(history()),
        "reconstructions": lambda: plotting.reconstructions(model, x, shape),
        "samples": lambda: plotting.samples(model, shape),
        "manifold": lambda: plotting.manifold(model, SHAPE),
        "latent_scatter": lambda: plotting.latent_scatter(model, x),
    }


@pytest.mark.parametrize("name", pictures())
def test_without_matplotlib_one_line_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # importing it now fails
    with pytest.raises(MissingExtraError) as error:
        pictures()[name]()
    assert one_line(error, "needs matplotlib", "[plot]'")


def test_the_data_are_not_modified():
    x, labels = data(40), np.arange(40) % 5
    before = x.copy(), labels.copy()
    for shape in (SHAPE, None):
        plotting.reconstructions(Linear(), x, shape)
    plotting.latent_scatter(Linear(), x, labels)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_nothing_global_is_loaded_or_changed():
    code = """
import sys
from npvae import plotting
assert not any(m.startswith("matplotlib") for m in sys.modules), "loaded by the import"
import matplotlib, numpy, io
settings = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != "backend"}
before = settings()  # asking for the backend would itself load pyplot
class Model:
    latent_dim, posterior, prior, image_shape_ = 2, "normal", "normal", None
    has_prior, has_bound = True, False
    transform = staticmethod(lambda X: X[:, :2])
    inverse_transform = staticmethod(lambda Z: numpy.pad(Z, ((0, 0), (0, 1))))
    sample = staticmethod(lambda n, rng: numpy.ones((n, 3)))
x = numpy.random.default_rng(0).random((9, 3))
for fig in (plotting.reconstructions(Model, x, None), plotting.samples(Model, None),
            plotting.samples(Model, (1, 3)), plotting.manifold(Model, (1, 3), 2),
            plotting.latent_scatter(Model, x, x[:, 0]), plotting.learning_curve(
                {"epoch": [1], "elbo": [1.], "reconstruction": [2.], "kl": [1.]})):
    fig.savefig(io.BytesIO(), format="png")
assert settings() == before, "rcParams changed"
print("matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


@pytest.mark.parametrize(("cmap", "bands"), [("gray", 1), ("viridis", 3)])
def test_a_png_has_every_dot_and_no_more_bands_than_it_needs(tmp_path, cmap, bands):
    """Against what matplotlib writes by itself."""
    from matplotlib.figure import Figure
    from PIL import Image

    fig = Figure((2, 1))
    fig.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((15, 30)), cmap=cmap)
    fig.savefig(tmp_path / "theirs.png", dpi=150, facecolor="white")
    ours = Image.open(plotting.save(fig, tmp_path / "ours.png"))
    assert len(ours.getbands()) == bands
    theirs = Image.open(tmp_path / "theirs.png").convert("RGB")
    np.testing.assert_array_equal(np.asarray(ours.convert("RGB")), np.asarray(theirs))
    assert (tmp_path / "ours.png").stat().st_size < (tmp_path / "theirs.png").stat().st_size
