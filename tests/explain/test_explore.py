"""The explorer in a browser: what it shows is what npvae says, by pointer, keys and address."""
import json
import re
from math import prod

import numpy as np
import pytest

import npvae
from npvae.errors import DataError, ParameterError
from npvae.explain import explore

pytestmark = pytest.mark.filterwarnings("ignore:no latent is active")  # after one epoch
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
STATE = "npvae.state()"


def fitted(X, scale=0.3, **settings):
    """A float64 model of data after one epoch, with parameters that are all somewhere."""
    rng = np.random.default_rng(0)
    settings = {"hidden": (9,), "dtype": "float64", "epochs": 1, "random_state": 0} | settings
    model = npvae.VAE(verbose=False, **settings).fit(X)
    moved = {k: v + scale * rng.standard_normal(v.shape) for k, v in model.parameters.items()}
    return model.set_parameters(moved)


def images(n=60, shape=(6, 5), levels=256, labels=True, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, levels, (n, prod(shape)), np.uint8)
    return npvae.data.Dataset(pixels, np.arange(n) % 4 if labels else None, shape, "squares")


def rows(data):
    """The values that a float64 model sees; ``images`` are float32."""
    return data.pixels * data.scale


def table():
    """Three features in units of their own, with names."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    X = np.array([1e-3, 5, 2e4]) * (3 + rng.standard_normal((50, 3)))
    return pandas.DataFrame(X, columns=["width", "<b>height</b>", "mass"])


def frame(view):
    """Wait until all that was asked for has been drawn."""
    view.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def number(view, name):
    """The full digits of a number that is shown."""
    return float(view.locator(f"[data-npvae='{name}']").first.get_attribute("data-value"))


def at(view, x, y):
    """A place of the plane by its shares of width and height, on the screen."""
    box = view.locator("#plane").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def held(html):
    """What Python wrote into the page."""
    return json.loads(re.search(r'id="npvae-data">(.*?)</script>', html, re.S)[1])


@pytest.fixture(scope="module")
def squares():
    data = images()
    return fitted(data), data


def check_shown(view, model):
    """What is decoded is E[x|z] of the z that the page says."""
    frame(view)
    state = view.evaluate(STATE)
    mean = model.inverse_transform(np.array([state["shown"]]))[0]
    np.testing.assert_allclose(state["mean"], mean, **CLOSE)
    shown = [number(view, f"z{j + 1}") for j in range(model.latent_dim)]
    assert shown == state["shown"]
    return state


def check_datapoint(view, model, x, elbo=None):
    """Posterior, and bound: npvae's own of a datapoint, else that of the page's noise."""
    frame(view)
    state = view.evaluate(STATE)
    found, q = state["datapoint"], model.posterior_of(x[None])
    bound = model.elbo(x[None], eps=np.array(state["eps"])[:, None])
    np.testing.assert_allclose(found["mu"], q.mean[0], **CLOSE)
    np.testing.assert_allclose(found["sigma"], q.std[0], **CLOSE)
    np.testing.assert_allclose(found["kl"], bound.kl[0], **CLOSE)
    np.testing.assert_allclose(found["elbo"], bound.total[0] if elbo is None else elbo, **CLOSE)
    np.testing.assert_allclose(found["elbo"], found["reconstruction"] - found["kl"], **CLOSE)
    for name in ("elbo", "reconstruction", "kl"):
        assert number(view, name) == found[name]
    for j in (k - 1 for k in state["axes"]):
        assert number(view, f"mu{j + 1}") == found["mu"][j]
        assert number(view, f"sigma{j + 1}") == found["sigma"][j]
    return state


def test_moving_by_pointer_and_keys(squares, open_page):
    model, data = squares
    view = open_page(explore(model, data))
    start = check_shown(view, model)
    view.mouse.move(*at(view, 0.7, 0.3))
    looking = check_shown(view, model)
    assert looking["z"] == start["z"] and looking["shown"] != start["z"]
    view.mouse.move(1, 1)
    assert check_shown(view, model)["shown"] == start["z"]  # having looked, one is where one was

    view.mouse.move(*at(view, 0.3, 0.2))
    view.mouse.down()
    view.mouse.move(*at(view, 0.4, 0.75), steps=3)
    view.mouse.up()
    dragged = check_shown(view, model)["z"]
    assert dragged[0] < start["z"][0] and dragged[1] < start["z"][1]

    view.evaluate("document.activeElement.blur()")  # keys are the plane's where nobody has them
    for key, axis, sign in (("ArrowRight", 0, 1), ("ArrowLeft", 0, -1),
                            ("ArrowUp", 1, 1), ("ArrowDown", 1, -1)):  # fmt: skip
        before = view.evaluate(STATE)["z"]
        view.keyboard.press(key)
        small = check_shown(view, model)["z"]
        view.keyboard.press("Shift+" + key)
        large = check_shown(view, model)["z"]
        assert 0 < sign * (small[axis] - before[axis]) < sign * (large[axis] - small[axis])
        assert before[1 - axis] == small[1 - axis] == large[1 - axis]


def test_pixels_are_those_of_the_mean(squares, open_page):
    model, data = squares
    view = open_page(explore(model, data), "#z=0.5,-1.25")
    pixels = view.evaluate("""() => {
        const canvas = document.querySelector("#decoded-picture canvas");
        return [...canvas.getContext("2d").getImageData(0, 0, 5, 6).data];
    }""")
    grey = np.rint(255 * model.inverse_transform(np.array([[0.5, -1.25]]))[0])
    rgba = np.array(pixels).reshape(-1, 4)
    assert (rgba[:, :3] == grey[:, None]).all() and (rgba[:, 3] == 255).all()


def test_a_point_is_taken_by_its_number(squares, open_page):
    model, data = squares
    view = open_page(explore(model, data))
    elbo = model.score_samples(data)
    view.fill("#index", "17")
    view.keyboard.press("Enter")
    state = check_datapoint(view, model, rows(data)[17], elbo[17])
    assert state["point"] == 17 and state["z"] == list(model.transform(data)[17])
    assert state["datapoint"]["x"] is None


def test_the_click_takes_the_nearest(squares, open_page):
    """By where NumPy puts them on a plane that the page says the scale of."""
    model, data = squares
    view = open_page(explore(model, data))
    codes = model.transform(data)
    box = view.locator("#plane").bounding_box()
    for i in (3, 20, 41):
        place = view.evaluate("""([u, v]) => {
            const [x0, y0] = plane.values_at(0, 0), [x1, y1] = plane.values_at(100, 100);
            return [100 * (u - x0) / (x1 - x0), 100 * (v - y0) / (y1 - y0)];
        }""", codes[i].tolist())
        view.mouse.click(box["x"] + place[0], box["y"] + place[1])
        frame(view)
        taken = view.evaluate(STATE)["point"]
        assert np.hypot(*(codes[taken] - codes[i])) < 0.02  # a pixel or so


def test_one_draws_a_datapoint(squares, open_page):
    model, data = squares
    view = open_page(explore(model, data))
    view.click("#draw")
    box = view.locator("#sketch canvas").bounding_box()
    view.mouse.move(box["x"] + 20, box["y"] + 20)
    view.mouse.down()
    view.mouse.move(box["x"] + 80, box["y"] + 20, steps=4)
    view.mouse.move(box["x"] + 40, box["y"] + 120, steps=4)
    view.mouse.up()
    frame(view)
    state = view.evaluate(STATE)
    x = np.array(state["datapoint"]["x"])
    assert 0 < x.mean() < 1 and x.max() == 1 and (np.rint(255 * x) == 255 * x).all()
    check_datapoint(view, model, x)
    assert state["z"] == state["datapoint"]["mu"]
    check_shown(view, model)

    view.click("#erase")
    view.mouse.move(box["x"] + 20, box["y"] + 20)
    view.mouse.down()
    view.mouse.up()
    frame(view)
    erased = np.array(view.evaluate(STATE)["datapoint"]["x"])
    assert (erased <= x).all() and erased.sum() < x.sum()
    view.click("#clear")
    frame(view)
    assert not any(view.evaluate(STATE)["datapoint"]["x"])
    view.locator("#sketch canvas").focus()
    view.keyboard.press("ArrowRight")
    view.keyboard.press("Space")
    check_datapoint(view, model, np.eye(30)[3 * 5 + 3])  # the middle, and one to the right
    view.click("#copy")
    frame(view)
    state = view.evaluate(STATE)
    check_datapoint(view, model, np.array(state["datapoint"]["x"]))
    view.click("#draw")
    frame(view)
    assert view.evaluate(STATE)["datapoint"] is None


def test_rows_are_in_the_page_only_if_asked_for(squares, open_page):
    model, data = squares
    assert held(explore(model, data))["points"].keys() == {"n", "mean", "logvar", "elbo",
                                                           "names", "labels"}  # fmt: skip
    view = open_page(explore(model, data, embed_data=True), "#point=5")
    state = check_datapoint(view, model, rows(data)[5], model.score_samples(data)[5])
    assert state["datapoint"]["x"] == list(rows(data)[5])
    assert view.locator("#x-picture canvas").is_visible()
    with pytest.raises(ParameterError, match="no data to put into the page"):
        explore(model, embed_data=True)


def test_the_address_holds_the_state(squares, open_page):
    model, data = squares
    html = explore(model, data)
    view = open_page(html)
    view.locator("#plane").focus()
    view.keyboard.press("Shift+ArrowRight")
    view.click("#from")
    view.keyboard.press("Tab")
    view.fill("#index", "9")
    view.keyboard.press("Enter")
    view.locator("#along").fill("0.25")
    view.check("#tiles")
    view.wait_for_function("location.hash.includes('t=0.25') && location.hash.includes('images')")
    state, address = view.evaluate(STATE), view.evaluate("location.hash")
    again = open_page(html, address)
    assert again.evaluate(STATE) == state
    again.evaluate("location.hash = '#z=1,2'")
    again.wait_for_function("npvae.state().z[0] === 1")
    assert again.evaluate(STATE)["datapoint"] is None and not again.is_checked("#tiles")

    view.click("#draw")
    view.click("#copy")
    view.wait_for_function("location.hash.includes(sketch.text())")
    state, address = view.evaluate(STATE), view.evaluate("location.hash")
    assert open_page(html, address).evaluate(STATE)["datapoint"] == state["datapoint"]


@pytest.mark.parametrize("address", [
    "#z=a,b", "#z=1", "#point=-1", "#point=1e9", "#axes=1,1", "#axes=0,9", "#own=%%%", "#own=AAAA",
    "#t=x&a=,&b=1,2,3", "#=", "#point=toString", "#z=Infinity,0",
])  # fmt: skip
def test_an_address_that_makes_no_sense_is_passed_over(address, squares, open_page):
    view = open_page(explore(*squares), address)
    assert view.evaluate(STATE)["z"] == check_shown(view, squares[0])["z"]
    assert all(map(np.isfinite, view.evaluate(STATE)["z"]))


def test_axes_and_sliders_of_many_latents(open_page):
    data = images()
    model = fitted(data, latent_dim=5)
    view = open_page(explore(model, data), "#axes=2,4")
    assert view.evaluate(STATE)["axes"] == [2, 4]
    view.select_option("#up", "1")  # z2, which is across: the two change places
    assert view.evaluate(STATE)["axes"] == [4, 2]
    view.select_option("#across", "0")
    assert view.evaluate(STATE)["axes"] == [1, 2]
    view.locator("#sliders input").nth(4).fill("1.5")
    state = check_shown(view, model)
    assert state["z"] == [0, 0, 0, 0, 1.5]
    view.locator("#sliders input").nth(2).focus()
    view.keyboard.press("ArrowRight")
    assert check_shown(view, model)["z"][2] > 0
    view.mouse.click(*at(view, 0.05, 0.05))
    moved = check_shown(view, model)["z"]
    assert moved[4] == 1.5 and moved[0] < 0 < moved[1]
    view.fill("#index", "3")
    view.keyboard.press("Enter")
    check_datapoint(view, model, rows(data)[3], model.score_samples(data)[3])
    view.click("#origin")
    assert check_shown(view, model)["z"] == [0] * 5
    view.click("#prior")
    assert all(check_shown(view, model)["z"])


def test_a_path_is_straight(squares, open_page):
    model, data = squares
    view = open_page(explore(model, data), "#a=-1,0.5&b=1,1.5")
    view.locator("#along").fill("0.75")
    state = check_shown(view, model)
    assert (state["z"], state["along"]) == ([0.5, 1.25], 0.75)
    view.click("#origin")
    view.click("#to")
    assert view.evaluate(STATE)["b"] == [0, 0]
    view.click("#play")
    view.wait_for_function("npvae.state().playing && npvae.state().along < 0.9")
    view.click("#play")
    assert not view.evaluate(STATE)["playing"]
    still = view.evaluate(STATE)["z"]
    assert check_shown(view, model)["z"] == still


def test_who_wants_no_motion_goes_step_by_step(squares, open_page):
    view = open_page(explore(*squares), "#a=-1,0&b=1,0", reduced_motion="reduce")
    for k in range(1, 9):
        view.click("#play")
        assert view.evaluate(STATE)["along"] == k / 8
        assert not view.evaluate(STATE)["playing"]
    view.click("#play")
    assert view.evaluate(STATE)["along"] == 0


def test_an_image_is_saved(squares, open_page, tmp_path):
    view = open_page(explore(*squares))
    with view.expect_download() as download:
        view.click("#save")
    download.value.save_as(tmp_path / "saved.png")
    image = pytest.importorskip("matplotlib.image").imread(tmp_path / "saved.png")
    assert image.shape[1] >= 512 and image.shape[0] / image.shape[1] == 6 / 5


def test_zoom_keeps_its_centre(squares, open_page):
    view = open_page(explore(*squares))
    view.locator("#plane").focus()
    corner = "plane.values_at(0, 0)"
    whole = view.evaluate(corner)
    view.keyboard.press("+")
    near = view.evaluate(corner)
    assert abs(near[0]) < abs(whole[0]) and abs(near[1]) < abs(whole[1])
    view.keyboard.press("-")
    np.testing.assert_allclose(view.evaluate(corner), whole)
    view.click("#nearer")
    view.click("#whole")
    np.testing.assert_allclose(view.evaluate(corner), whole)
    for _ in range(100):  # farther than is seen: the view goes along
        view.keyboard.press("Shift+ArrowRight")
    (left, _), (right, _) = view.evaluate("[plane.values_at(0, 0), plane.values_at(2000, 0)]")
    assert left < view.evaluate(STATE)["z"][0] < right


def test_one_latent(open_page):
    data = images()
    model = fitted(data, latent_dim=1)
    view = open_page(explore(model, data), "#point=7")
    check_datapoint(view, model, rows(data)[7], model.score_samples(data)[7])
    view.mouse.move(*at(view, 0.8, 0.5))
    assert check_shown(view, model)["shown"][0] > 0
    view.mouse.move(*at(view, 0.2, 0.98))
    view.mouse.down()
    view.mouse.up()
    view.locator("#plane").focus()
    before = check_shown(view, model)["z"][0]
    view.keyboard.press("ArrowUp")
    assert check_shown(view, model)["z"] == [before]  # there is no up
    view.keyboard.press("ArrowRight")
    assert check_shown(view, model)["z"][0] > before
    view.locator("#along").fill("0.5")
    check_shown(view, model)


def test_features_in_their_own_units(open_page):
    X = table()
    model = fitted(X, likelihood="normal")
    view = open_page(explore(model, X, labels=np.linspace(0, 1, 50), embed_data=True), "#point=4")
    x = X.to_numpy()
    state = check_shown(view, model)
    named = [number(view, name) for name in X.columns]
    np.testing.assert_allclose(named, state["mean"], rtol=0)
    elbo = model.score_samples(X)[4]
    q = model.posterior_of(X)
    found = state["datapoint"]
    np.testing.assert_allclose(found["elbo"], elbo, **CLOSE)
    np.testing.assert_allclose(found["sigma"], q.std[4], **CLOSE)
    np.testing.assert_allclose(found["x"], x[4], rtol=0)
    view.click("#draw")  # which is to type here
    for d, value in enumerate(x[9]):
        view.locator("#sketch input[type=number]").nth(d).fill(repr(float(value)))
    frame(view)
    state = view.evaluate(STATE)
    np.testing.assert_allclose(state["datapoint"]["x"], x[9], rtol=0)
    np.testing.assert_allclose(state["datapoint"]["mu"], q.mean[9], **CLOSE)
    bound = model.elbo(X[9:10], eps=np.array(state["eps"])[:, None])
    np.testing.assert_allclose(state["datapoint"]["elbo"], bound.total[0], **CLOSE)
    view.locator("#sketch input[type=range]").nth(1).focus()
    view.keyboard.press("ArrowLeft")
    assert view.evaluate(STATE)["datapoint"]["x"][1] < x[9, 1]


@pytest.mark.parametrize(("likelihood", "x"), [
    ("bernoulli", [0, 0.25, 1]), ("continuous-bernoulli", [0, 0.25, 1]), ("poisson", [0, 0, 7]),
    ("normal", [-3, 0.25, 7.4]),
])  # fmt: skip
def test_what_is_typed_becomes_data_that_the_model_may_have(likelihood, x, open_page):
    """Outside of its support a likelihood has a formula, but nothing that it says."""
    model = npvae.VAE(hidden=(2,), likelihood=likelihood, dtype="float64").initialize(3)
    view = open_page(explore(model), "#own=-3,0.25,7.4")
    assert check_datapoint(view, model, np.array(x, float))["datapoint"]["x"] == x


@pytest.mark.parametrize(("settings", "data"), [
    ({"likelihood": "poisson"}, images(levels=9)),
    ({"likelihood": "normal", "likelihood_mean": "sigmoid"}, images(shape=(4, 5, 3))),
    ({"likelihood": "continuous-bernoulli"}, images(labels=False)),
    ({"binarize": "threshold"}, images()),
    ({"likelihood": "laplace"}, npvae.data.Dataset(np.random.default_rng(0).normal(size=(40, 90)))),
], ids=["counts", "colours", "no labels", "binarized", "long rows"])  # fmt: skip
def test_other_data(settings, data, open_page):
    model = fitted(data, 0.05, **settings)
    view = open_page(explore(model, data, embed_data=True), "#point=2&z=0.5,0.25")
    check_shown(view, model)
    x = rows(data.scaled_for(model.engine_.model.likelihood.support))[2]
    assert view.evaluate(STATE)["datapoint"]["x"] == list(x)
    np.testing.assert_allclose(
        view.evaluate(STATE)["datapoint"]["elbo"], model.score_samples(data)[2], **CLOSE
    )
    if data.image_shape:
        view.click("#draw")
        view.click("#copy")
        frame(view)
        x = np.array(view.evaluate(STATE)["datapoint"]["x"])
        check_datapoint(view, model, x)  # data that the model may be given
        if "binarize" in settings:
            assert set(x) <= {0, 1}


def test_without_data_there_are_samples_of_the_prior(open_page):
    model = npvae.VAE(hidden=(4,), latent_dim=3).initialize(6)
    html = explore(model)
    view = open_page(html)
    assert held(html)["points"]["n"] == 2000
    codes = np.array(view.evaluate("[...npvae.points.mean]")).reshape(2000, 3)
    assert abs(codes.mean(0)).max() < 0.1 and abs(codes.std(0) - 1).max() < 0.1
    view.mouse.click(*at(view, 0.5, 0.5))
    frame(view)
    assert view.evaluate(STATE)["datapoint"] is None
    assert "samples of the prior" in view.locator("#nobody").inner_text()
    view.click("#draw")
    assert view.evaluate(STATE)["datapoint"]["x"]


def test_labels_are_one_each():
    model = npvae.VAE(hidden=(2,)).initialize(3)
    with pytest.raises(DataError, match=r"labels of shape \(2,\) are not one for each of 4"):
        explore(model, np.zeros((4, 3)), labels=[0, 1])


def test_sparse_rows_are_embedded_as_they_are(open_page):
    sparse = pytest.importorskip("scipy.sparse")
    X = np.eye(5)[np.arange(20) % 5]
    model = npvae.VAE(hidden=(2,), dtype="float64").initialize(5)
    labels = ["x", None] * 10  # a label that is missing is one too
    html = explore(model, sparse.csr_array(X), labels=labels, embed_data=True)
    view = open_page(html, "#point=7")
    assert view.evaluate(STATE)["datapoint"]["x"] == list(X[7])
    assert view.locator("#legend li").all_inner_texts() == ["None", "x"]


def test_labels_may_be_any_words(open_page):
    data = images(n=40, labels=False)
    names = np.array(["</script><script>boom()</script>", "<img src=x onerror=boom()>", "é", "b"])
    view = open_page(explore(fitted(data), data, labels=names[np.arange(40) % 4]))
    assert sorted(view.locator("#legend li").all_inner_texts()) == sorted(names)
    assert view.locator("#legend img").count() == 0


@pytest.mark.parametrize(("kind", "settings"), [
    (images, {"latent_dim": 12}), (images, {"latent_dim": 1}), (table, {"likelihood": "normal"}),
], ids=["plane", "line", "table"])  # fmt: skip
def test_nothing_sticks_out(kind, settings, open_page):
    X = kind()
    view = open_page(explore(fitted(X, **settings), X, embed_data=True), "#point=1")
    for _ in range(2):
        for width in (360, 390, 700, 1280):
            view.set_viewport_size({"width": width, "height": 800})
            frame(view)
            assert view.evaluate("document.documentElement.scrollWidth") <= width
        view.click("#draw")


def test_in_the_dark_all_is_drawn_again(squares, open_page):
    view = open_page(explore(*squares), "#point=1")
    view.emulate_media(color_scheme="dark")
    frame(view)
    ground = """() => [...document.querySelector("#plane").getContext("2d")
        .getImageData(3, 3, 1, 1).data]"""
    assert view.evaluate(ground) == [0x16, 0x16, 0x18, 255]  # --ground of style.css


def test_everything_can_be_reached_by_keys_and_has_a_name(squares, open_page):
    """Tab goes through all controls that are seen, in their order, and each says what it is."""
    view = open_page(explore(*squares), "#point=1")
    view.click("#draw")
    frame(view)
    controls = """[...document.querySelectorAll("button, input, select, canvas[tabindex]")]
        .filter(one => one.checkVisibility() && !one.disabled)"""
    names = view.evaluate(controls + """.map(one =>
        one.ariaLabel || [...(one.labels ?? [])].map(l => l.innerText).join() || one.innerText)""")
    assert all(name.strip() for name in names) and len(names) > 15
    view.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    view.mouse.click(2, 2)
    reached = []
    for _ in names:
        view.keyboard.press("Tab")
        reached.append(view.evaluate(controls + ".indexOf(document.activeElement)"))
    assert reached == list(range(len(names)))
    spoken = view.locator("#spoken")
    view.locator("#plane").focus()
    view.keyboard.press("ArrowRight")
    view.wait_for_function("document.querySelector('#spoken').textContent.includes('z₁')")
    assert "ELBO" in spoken.inner_text()
