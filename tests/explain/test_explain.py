"""``npvae explain``: what the page says, does and refuses, in a real browser."""
import json
import re
import sys
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest

import npvae
from npvae.cli import main
from npvae.data import Dataset
from npvae.errors import DataError, ParameterError
from npvae.explain import bundled_model, explain
from npvae.explain import page as page_of
from npvae.explain.code import LIKELIHOODS, LINES, code_lines
from npvae.ops import ACTIVATIONS

ROOT = Path(npvae.__file__).parents[1]
ESTIMATORS = {"B": "B", "A": "A", "stl": "path derivative", "score": "score function"}
MISTAKES = ("deviation", "half", "half_sample", "epsilon", "kl_half", "kl_mean", "kl_sign",
            "kl_dropped")  # fmt: skip


def shown(page, name):
    """The full digits of a number on the page."""
    return float(page.locator(f'[data-npvae="{name}"]').first.get_attribute("data-value"))


def settle(page):
    page.evaluate("npvae.settled()")


def state(page):
    settle(page)
    return page.evaluate("npvae.state()")


def drawn(page):
    """The state once it is drawn; the checks, which follow after a pause, may not be done."""
    return page.evaluate("new Promise(requestAnimationFrame).then(npvae.state)")


def wait_for(page, condition):
    """Until it holds; no string is evaluated in the page, whose policy forbids that."""
    pause = "await new Promise((resolve) => setTimeout(resolve, 20))"
    page.evaluate(f"async () => {{ while (!({condition})) {pause}; }}")


def in_float64(model, estimator="B"):
    """The same parameters in a model that computes with all digits."""
    settings = model.get_params() | {"dtype": "float64", "estimator": estimator, "verbose": False}
    wide = npvae.VAE(**settings).initialize(model.n_features_in_)
    return wide.set_parameters(model.parameters)


@pytest.fixture(scope="module")
def html():
    return explain()


@pytest.fixture
def page(open_page, html):
    return open_page(html)


# ---- numbers


def test_every_number_is_numpys(page):
    """By each estimator: the loss, both ways to mu and logvar, and all gradients of the page."""
    model = bundled_model()
    for estimator, label in ESTIMATORS.items():
        page.get_by_role("group", name="estimator").get_by_text(label, exact=True).click()
        found = state(page)
        assert found["estimator"] == estimator
        x, eps = np.array([found["x"]]), np.array([[found["eps"]]])
        assert (x[0] == npvae.data.load_digits().images[0]).all()
        wide = in_float64(model, estimator)
        loss, gradient = wide.loss_and_grad(x, eps)
        assert shown(page, "loss") == pytest.approx(loss, rel=1e-12)
        bias = {name: gradient[f"encoder.{head}.bias"] for name, head in
                (("mu", "mean"), ("logvar", "logvar"))}  # fmt: skip
        for name, j in (("mu", 0), ("mu", 1), ("logvar", 0), ("logvar", 1)):
            assert shown(page, f"d_{name}.{j}.total") == pytest.approx(bias[name][j], rel=1e-10)
            ways = [shown(page, f"d_{name}.{j}.{way}") for way in ("sample", "prior")]
            assert sum(ways) == pytest.approx(bias[name][j], rel=1e-10, abs=1e-12)
        all_of_it = page.evaluate(
            "([x, eps, estimator]) => npvae.backward(npvae.model, "
            "npvae.forward(npvae.model, x, eps, {estimator}), {estimator}).total",
            [found["x"], found["eps"], estimator],
        )
        for name, value in gradient.items():
            close = {"rtol": 1e-10, "atol": 1e-10 * np.abs(value).max()}
            np.testing.assert_allclose(all_of_it[name], value.ravel(), **close)
    elbo = in_float64(model).elbo(x, eps)
    assert shown(page, "nll") == pytest.approx(-elbo.reconstruction[0], rel=1e-12)
    q = in_float64(model).posterior_of(x)
    np.testing.assert_allclose(found["mu"], q.mean[0], rtol=1e-12)


def test_the_ways_by_b_are_the_papers(page):
    """d_mu = d_z + μ and d_logvar = d_z ½ σ ε + ½ (σ² − 1), written out from the page's own z."""
    found = state(page)
    mu, logvar, eps = (np.array(found[name]) for name in ("mu", "logvar", "eps"))
    d_z = np.array(found["gradient"]["total"]["z"])
    sigma = np.exp(logvar / 2)
    ways = found["gradient"]
    np.testing.assert_allclose(found["z"], mu + sigma * eps, rtol=1e-14)
    np.testing.assert_allclose(ways["sample"]["mu"], d_z, rtol=1e-14)
    np.testing.assert_allclose(ways["prior"]["mu"], mu, rtol=1e-14)
    np.testing.assert_allclose(ways["sample"]["logvar"], d_z * sigma * eps / 2, rtol=1e-14)
    np.testing.assert_allclose(ways["prior"]["logvar"], (sigma**2 - 1) / 2, rtol=1e-12)
    size = {way: np.hypot(*(np.linalg.norm(ways[way][n]) for n in ("mu", "logvar")))
            for way in ("sample", "prior")}  # fmt: skip
    share = size["prior"] / (size["sample"] + size["prior"])
    assert shown(page, "share.prior") == pytest.approx(share, rel=1e-12)


def test_a_thousand_draws_are_numpys(page):
    """Mean and deviation of one gradient, by the noise that the page says it took."""
    model, found = bundled_model(), state(page)
    noise = np.reshape(page.evaluate("npvae.normals(1, 2000)"), (1000, 1, 1, 2))
    for estimator in ESTIMATORS:
        wide = in_float64(model, estimator)
        each = [wide.loss_and_grad([found["x"]], eps)[1]["encoder.logvar.bias"][0] for eps in noise]
        assert shown(page, f"draws.{estimator}.mean") == pytest.approx(np.mean(each), rel=1e-8)
        deviation = np.std(each, ddof=1)
        assert shown(page, f"draws.{estimator}.deviation") == pytest.approx(deviation, rel=1e-8)
        half = shown(page, f"draws.{estimator}.half")
        assert half == pytest.approx(1.96 * deviation / 1000**0.5, rel=1e-8)


# ---- hands on it


def test_arrow_keys_step_forward_and_backward(page):
    found = state(page)
    assert (found["step"], found["direction"], found["node"]) == (0, "backward", "q")
    assert page.locator("#flow .cell.faint").count() == 0
    order = ["x", "encoder.hidden.0", "q", "kl", "z", "decoder.hidden.0", "p", "loss"]
    for step, node in enumerate([*order, *order[::-1]], 1):
        page.keyboard.press("ArrowRight")
        found = drawn(page)
        direction = "forward" if step <= 8 else "backward"
        assert (found["step"], found["node"], found["direction"]) == (step, node, direction)
        assert direction in page.locator("#step").inner_text().lower()
        assert page.locator("#node-text math").count() > 0
        assert page.locator("#node-text code").count() > 0
    page.keyboard.press("ArrowRight")  # there the way ends
    assert state(page)["step"] == 16
    page.keyboard.press("ArrowLeft")
    assert state(page)["step"] == 15
    page.keyboard.press("Home")
    assert state(page)["step"] == 0
    page.locator("#forth").click()
    assert state(page)["step"] == 1
    assert page.locator("#flow .cell.faint").count() > 10  # all that is not reached


def test_equations_say_what_is_computed(open_page, html):
    """A fraction is one over J alone; z − ε/σ is none of a difference."""
    page = open_page(html, "#estimator=A&step=13")
    settle(page)
    lines = page.locator("#node-text .equations").first.locator("math").all_text_contents()
    assert lines == ["dz=z−ε/σ", "dμ=dz+ε/σ", "dlogσ2=dz½σε+½(ε2−1)"]
    assert page.locator("#node-text mfrac").count() == 0
    page.locator('[data-mistake="kl_mean"]').click()
    settle(page)
    assert page.locator("#break mfrac").all_text_contents() == ["1J"]
    weighted = npvae.VAE(2, (3,), kl_weight=4.0, random_state=0).initialize(5)
    page = open_page(explain(weighted), "#step=14")
    settle(page)
    lines = page.locator("#node-text .equations").first.locator("math").all_text_contents()
    assert lines == ["dμ=dz+β(μ)", "dlogσ2=dz½σε+β(½(σ2−1))"]


def test_a_node_is_chosen_by_its_head_or_its_picture(page):
    page.get_by_role("button", name="decoder hidden 1").click()
    assert state(page)["node"] == "decoder.hidden.0"
    page.locator('.cell:not(.between)[data-node="loss"][data-direction="forward"]').click()
    assert (state(page)["node"], state(page)["direction"]) == ("loss", "forward")
    page.locator('.cell:not(.between)[data-node="loss"][data-direction="gradient"]').click()
    assert state(page)["direction"] == "backward"


def test_a_click_checks_a_unit_a_weight_and_a_pixel(page):
    page.locator('.cell [data-pick="encoder.hidden.0:5"]').first.click()
    found = state(page)["picked"]
    assert (found["name"], found["index"]) == ("encoder.hidden.0", 5)
    assert found["difference"] == pytest.approx(found["hand"], rel=1e-5)
    assert shown(page, "check.hand") == found["hand"]
    weights = page.locator('canvas[data-pick="decoder.hidden.0.weight"]').first
    weights.click(position={"x": 3, "y": 3})
    found = state(page)["picked"]
    assert found["name"] == "decoder.hidden.0.weight"
    assert found["difference"] == pytest.approx(found["hand"], rel=1e-5)
    page.locator('canvas[data-pick="a_x"]').click()
    assert state(page)["picked"]["name"] == "a_x"
    page.get_by_label("Parameter or unit").select_option("encoder.hidden.0.weight")
    page.get_by_label("row", exact=True).fill("3")
    page.get_by_label("row", exact=True).press("Tab")
    page.get_by_label("column", exact=True).fill("20")
    page.get_by_label("column", exact=True).press("Tab")
    assert state(page)["picked"]["index"] == 3 * 64 + 20
    page.locator('#numbers [data-pick="mu:1"]').first.click()
    assert (state(page)["picked"]["name"], state(page)["picked"]["index"]) == ("mu", 1)


def test_the_error_over_the_step_is_a_v(page):
    """O(h²) down to rounding, O(1/h) from there: slopes 2 and −1 on logarithmic axes."""
    curve = page.evaluate("""() => {
        const {x, eps, picked} = npvae.state();
        return npvae.error_curve(npvae.moved_loss(npvae.model, x, eps, "logvar", 0), picked.hand);
    }""")
    h, error = (np.log10([point[k] for point in curve]) for k in ("h", "error"))
    assert error.min() < -7.5
    assert np.polyfit(h[:7], error[:7], 1)[0] == pytest.approx(2, abs=0.3)
    assert np.polyfit(h[14:], error[14:], 1)[0] == pytest.approx(-1, abs=0.3)
    assert page.locator("#check polyline").count() == 1


def test_sliders_hold_the_noise_and_the_latents(page):
    page.get_by_label("noise 2").fill("1.5")
    found = state(page)
    assert found["eps"][1] == 1.5
    assert shown(page, "z.1") == pytest.approx(found["z"][1])
    page.get_by_label("latent 1").fill("-0.5")
    found = state(page)
    assert found["z"][0] == pytest.approx(-0.5, abs=1e-12)
    sigma = np.exp(found["logvar"][0] / 2)
    assert found["eps"][0] == pytest.approx((-0.5 - found["mu"][0]) / sigma, rel=1e-12)
    page.get_by_label("latent 1").press("ArrowRight")  # a slider's own, and no step
    assert state(page)["z"][0] == pytest.approx(-0.49, abs=1e-9)
    assert state(page)["step"] == 0


def test_noise_is_drawn_anew_and_may_run(page):
    first = state(page)
    page.keyboard.press("r")
    second = state(page)
    assert second["seed"] == first["seed"] + 1 and second["eps"] != first["eps"]
    np.testing.assert_allclose(second["eps"], page.evaluate("npvae.normals(2, 2)"))
    page.locator("#freeze").click()
    wait_for(page, f"npvae.state().seed > {second['seed'] + 1}")
    page.locator("#freeze").click()
    settle(page)
    assert state(page)["frozen"]


def test_the_sample_follows_the_pointer(page):
    settle(page)
    plane = page.locator("svg.plane")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.25, steps=3)
    page.mouse.up()
    np.testing.assert_allclose(state(page)["z"], [1.6, 1.6], atol=0.06)


def test_a_datapoint_is_chosen_or_drawn(page):
    page.locator("#next").click()
    digits = npvae.data.load_digits()
    assert state(page)["x"] == digits.images[1].tolist()
    page.locator("#previous").click()
    page.locator("#previous").click()
    assert state(page)["datapoint"] == 99
    page.get_by_label("Datapoint", exact=True).last.select_option("7")
    assert state(page)["x"] == digits.images[7].tolist()
    page.get_by_role("button", name="Draw your own").click()
    assert state(page)["x"] == [0] * 64
    box = page.locator('canvas[data-layout="x"]').bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.8, steps=9)
    page.mouse.up()
    image = np.reshape(state(page)["x"], (8, 8))
    assert (image[2:6, 3] > 0.9).all() and not image[:, [0, 7]].any()
    found = state(page)
    loss, _ = in_float64(bundled_model()).loss_and_grad([found["x"]], [[found["eps"]]])
    assert found["loss"] == pytest.approx(loss, rel=1e-12)


def test_a_datapoint_is_drawn_by_keys(page):
    page.get_by_role("button", name="Draw your own").click()
    page.locator('canvas[data-layout="x"]').focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", " ", "ArrowLeft", " "):
        page.keyboard.press(key)
    x = np.reshape(state(page)["x"], (8, 8))
    assert np.argwhere(x).tolist() == [[2, 0], [2, 1]] and x.max() == 1
    assert state(page)["step"] == 0


# ---- the address


def test_a_pasted_address_restores_the_page(open_page, html, page):
    page.get_by_role("button", name="Draw your own").click()
    page.locator('canvas[data-layout="x"]').click(position={"x": 40, "y": 50})
    page.get_by_label("noise 1").fill("0.77")
    page.get_by_role("group", name="estimator").get_by_text("path derivative", exact=True).click()
    page.locator('[data-mistake="epsilon"]').click()
    page.locator('[data-home="backward"]').click()
    page.locator('.cell [data-pick="decoder.hidden.0:3"]').first.click()
    page.locator("#forth").click()
    page.get_by_label("Array").select_option("encoder.mean.weight")
    page.locator('[data-what="prior"]').click()
    before = state(page)
    address = page.evaluate("location.hash")
    again = open_page(html, address)
    after = state(again)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] == value, name
    assert again.evaluate("location.hash") == address
    assert again.locator('[data-what="prior"]').get_attribute("aria-pressed") == "true"
    page.evaluate("location.hash = '#x=5&step=3'")  # in a page that is open
    wait_for(page, "npvae.state().datapoint === 5")
    assert state(page)["node"] == "q"


@pytest.mark.parametrize("address", [
    "#x=1e9&eps=1,2,3&estimator=C&break=all&step=-1&pick=mu:7&drawn=%%%&seed=x&show=nothing",
    "#eps=NaN,1&x=&pick=&drawn=AAAA&step=99&open=2&in=here", "#%E0%A4%A", "#&&==&x=1=2",
])  # fmt: skip
def test_an_address_that_says_nothing_right_is_none(open_page, html, address):
    found = state(open_page(html, address))
    assert (found["datapoint"], found["estimator"], found["mistake"]) == (0, "B", "")
    assert found["step"] == 0 and found["picked"]["name"] == "logvar"
    assert np.isfinite(found["loss"])


# ---- break it


def test_every_mistake_turns_the_check_red_and_says_why(page):
    settle(page)
    lamp = page.locator("#lamp")
    assert lamp.get_attribute("class") == "good" and shown(page, "check.worst") < 1e-6
    for mistake in MISTAKES:
        page.locator(f'[data-mistake="{mistake}"]').click()
        settle(page)
        assert lamp.get_attribute("class") == "bad" and shown(page, "check.worst") > 1e-3
        rows = state(page)["check"]
        own = max(row["own"] for row in rows)
        verdict = page.locator("#verdict").inner_text()
        if mistake == "half":  # the forward pass has no such mistake to make
            assert own > 1e-3 and verdict.startswith("Any gradient check sees it")
            assert page.locator('[data-home="both"]').is_disabled()
        else:
            assert own < 1e-6 and verdict.startswith("A gradient check sees nothing")
            page.locator('[data-home="backward"]').click()
            settle(page)
            assert max(row["own"] for row in state(page)["check"]) > 1e-3
            assert page.locator("#verdict").inner_text().startswith("Any gradient check sees it")
            page.locator('[data-home="both"]').click()
        assert page.locator("#break math").count() == 2  # what is wrong, and what is right
        assert page.locator("#flow .broken").count() == 1
    page.locator('[data-mistake=""]').click()
    settle(page)
    assert lamp.get_attribute("class") == "good" and page.locator("#verdict").count() == 0


def test_the_buttons_are_all_mistakes(page):
    settle(page)
    names = page.locator("[data-mistake]").evaluate_all("all => all.map(b => b.dataset.mistake)")
    assert names == ["", *MISTAKES]


def test_one_latent_has_a_mean_that_is_its_sum(open_page):
    vae = npvae.VAE(1, (3,), random_state=0).initialize(4)
    page = open_page(explain(vae), "#break=kl_mean")
    settle(page)
    assert page.locator("#lamp").get_attribute("class") == "good"
    assert "one latent" in page.locator("#verdict").inner_text()


# ---- every number


def test_every_number_of_the_small_model_can_be_seen(page):
    model = bundled_model()
    for name, value in model.parameters.items():
        settle(page)
        page.get_by_label("Array").select_option(name)
        settle(page)
        cells = page.locator(f'#numbers td[data-pick^="{name}:"]').evaluate_all(
            "all => all.map(cell => +cell.dataset.value)"
        )
        flat = value.ravel().astype(float).tolist()
        assert cells[: len(flat)] == flat, name  # of a bias the gradients follow
        assert shown(page, f"{name}.{len(flat) - 1}") == flat[-1]


def test_a_large_matrix_is_turned_by_rows(open_page):
    vae = npvae.VAE(2, (150,), random_state=0).initialize(64)
    page = open_page(explain(vae), "#show=encoder.hidden.0.weight:value")
    settle(page)
    weights = vae.parameters["encoder.hidden.0.weight"].ravel()
    cells = page.locator("#numbers td").evaluate_all("all => all.map(cell => +cell.dataset.value)")
    assert cells == weights[:4096].astype(float).tolist()
    page.get_by_role("button", name="rows after").click()
    settle(page)
    first = page.locator("#numbers td").first
    assert float(first.get_attribute("data-value")) == float(weights[4096])


# ---- other models


def deep():
    rng = np.random.default_rng(0)
    data = Dataset(rng.random((12, 20)), image_shape=(4, 5))
    vae = npvae.VAE(5, (9, 8, 7), activation="relu", dtype="float64", epochs=1, verbose=False,
                    random_state=0, estimator="iwae", n_samples=3)  # fmt: skip
    return vae.fit(data), data


def real():
    data = npvae.data.make_swiss_roll(50, 0)
    vae = npvae.VAE(2, (6,), likelihood="normal", dtype="float64", epochs=1, verbose=False,
                    random_state=0, estimator="A", parameter_prior=True)  # fmt: skip
    return vae.fit(data), data


def counts():
    X = np.random.default_rng(1).poisson(4, (30, 6)).astype(float)
    vae = npvae.VAE(3, (), decoder_hidden=(4,), likelihood="poisson", dtype="float64", epochs=1,
                    activation="silu", kl_weight=0.5, verbose=False, random_state=0)  # fmt: skip
    return vae.fit(X), None


def colours():
    rng = np.random.default_rng(2)
    data = Dataset(rng.random((12, 48)), image_shape=(4, 4, 3))
    vae = npvae.VAE(2, (70,), likelihood="normal", likelihood_mean="sigmoid", dtype="float64",
                    epochs=1, activation="gelu", verbose=False, random_state=0)  # fmt: skip
    return vae.fit(data), data


@pytest.mark.filterwarnings("ignore:no latent is active", "ignore:grey|Bernoulli")
@pytest.mark.parametrize("make", [deep, real, counts, colours])
def test_any_model_is_explained(make, open_page):
    """Every step of it, by numbers that are NumPy's."""
    model, data = make()
    page = open_page(explain(model, data))
    found = state(page)
    assert page.locator("#lamp").get_attribute("class") == "good"
    assert found["estimator"] == ("A" if make is real else "B")
    settings = {"estimator": found["estimator"], "n_samples": 1, "parameter_prior": False}
    same = npvae.VAE(**model.get_params() | settings).initialize(len(found["x"]))
    same.set_parameters(model.parameters, model.standardization_)
    loss, gradient = same.loss_and_grad([found["x"]], [[found["eps"]]])
    assert found["loss"] == pytest.approx(loss, rel=1e-10)
    d_mu = gradient["encoder.mean.bias"]
    np.testing.assert_allclose(found["gradient"]["total"]["mu"], d_mu, rtol=1e-9, atol=1e-12)
    for step in range(1, found["steps"] + 1):
        page.keyboard.press("ArrowRight")
        assert drawn(page)["step"] == step
        text = page.locator("body").inner_text()
        assert "undefined" not in text and "NaN" not in text


@pytest.mark.filterwarnings("ignore:no latent is active", "ignore:grey|Bernoulli")
def test_what_does_not_fit_can_be_opened(open_page):
    model, data = deep()
    page = open_page(explain(model, data), "#step=23")  # of all 24
    assert state(page)["steps"] == state(page)["step"] == 2 * 10  # of 12 nodes, there and back
    assert "Trained with estimator iwae" in page.locator("#summary").inner_text()
    page.get_by_role("button", name="+ 1 layer").first.click()
    assert state(page)["steps"] == 2 * 12
    assert page.get_by_role("button", name="encoder hidden 2").is_visible()
    page.get_by_role("button", name="Fold").click()
    assert state(page)["steps"] == 2 * 10


def test_weights_in_64_bits_come_through_whole(open_page):
    vae = npvae.VAE(2, (4,), dtype="float64", random_state=3).initialize(5)
    found = state(open_page(explain(vae)))
    loss, _ = vae.loss_and_grad([found["x"]], [[found["eps"]]])
    assert found["loss"] == pytest.approx(loss, rel=1e-13)


# ---- how it looks


def test_it_fits_a_phone_and_is_named(open_page, html):
    page = open_page(html, "#break=deviation&step=15", width=390, height=844, has_touch=True)
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    flow = page.locator("#flow").bounding_box()
    current = page.locator(".cell.current").bounding_box()
    page.locator("#back").click()  # brings the column into sight
    at = "document.querySelector('.cell.current').getBoundingClientRect()"
    wait_for(page, f"{at}.left >= 0 && {at}.right <= 390")
    assert flow["width"] <= 390 and current is not None
    unnamed = page.evaluate("""() => [...document.querySelectorAll(
        "button, select, input, canvas, svg[role=img], [tabindex]")].filter((e) => !(
        e.innerText?.trim() || e.ariaLabel || e.closest("label")?.innerText.trim()))
        .map((e) => e.outerHTML.slice(0, 80))""")
    assert unnamed == []


CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const rgb = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return {parts: [r, g, b], a: a / 255};
    };
    const light = (parts) => parts.map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((total, v, k) => total + v * [0.2126, 0.7152, 0.0722][k], 0);
    const ground = (element) => {
        if (!element) return rgb(getComputedStyle(document.body).backgroundColor).parts;
        const {parts, a} = rgb(getComputedStyle(element).backgroundColor);
        if (a === 0) return ground(element.parentElement);
        const below = ground(element.parentElement);
        return parts.map((v, k) => a * v + (1 - a) * below[k]);
    };
    const bad = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!text || element.closest("script, .faint, :disabled, option")) continue;
        if (!element.checkVisibility()) continue;
        const [a, b] = [light(rgb(getComputedStyle(element).color).parts), light(ground(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) bad.push([ratio.toFixed(2), element.outerHTML.slice(0, 90)]);
    }
    return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(open_page, html, scheme):
    """By 4.5 to 1, which WCAG asks of text, in either scheme."""
    page = open_page(html, "#break=half&estimator=A", color_scheme=scheme)
    settle(page)
    assert page.evaluate(CONTRAST) == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_all_of_it_is_in_sight_at_1280_by_800(page):
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    flow = page.locator("#flow")
    assert flow.evaluate("box => box.scrollWidth <= box.clientWidth")
    box = flow.bounding_box()
    assert box["y"] + box["height"] < 600


# ---- the file, and the command


def test_it_is_small(html):
    assert len(page_of("explain", "", {}).encode()) < 120_000
    digits = npvae.VAE(2, (64,), random_state=0).initialize(64)
    assert len(explain(digits, npvae.data.load_digits()).encode()) < 700_000


def test_lines_of_code_are_where_the_page_says():
    pairs = [(name, "bernoulli") for name in ACTIVATIONS] + [("tanh", name) for name in LIKELIHOODS]
    for pair in pairs:
        for found in code_lines(*pair).values():
            file, line = found["where"].split(":")
            lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
            assert lines[int(line) - 1].strip() == found["text"] != ""


def test_a_step_of_the_page_points_to_lines_that_it_has(html):
    keys = json.loads(re.search(r'id="npvae-data">(.*?)</script>', html).group(1))["code"]
    nodes = (Path(npvae.__file__).parent / "explain/static/explain-nodes.js").read_text("utf-8")
    assert set(LINES) < set(keys)
    assert all(f'"{key}"' in nodes for key in keys)  # and none for nothing


def test_the_bundled_model_is_what_its_command_makes():
    """500 epochs are too long for a test; what the file says of itself is that command's."""
    from npvae.explain import explain as module

    words = re.search(r"npvae train (.*) --out", module.__globals__["__doc__"]).group(1)
    model = bundled_model()
    assert words == "--data digits --hidden 16 --epochs 500 --validation 0"
    assert model.hidden == (16,) and model._state.epoch == 500 and model.n_data_ == 1797
    differs = {name for name, value in model.get_params().items()
               if value != npvae.VAE(hidden=(16,), epochs=500).get_params()[name]}  # fmt: skip
    assert differs <= {"random_state", "verbose"}


@pytest.mark.parametrize(("model", "words"), [
    (npvae.WakeSleep(hidden=(3,)), "this is WakeSleep; train a VAE"),
    (npvae.Autoencoder(hidden=(3,)), "this is Autoencoder"),
    (npvae.MCEM(hidden=(3,)), "this is MCEM"),
    (npvae.FullVB(hidden=(3,)), "this is FullVB"),
    (npvae.VAE(hidden=(3,), free_bits=0.5), "free_bits=0.5"),
    (npvae.VAE(hidden=(3,), posterior="laplace", prior="laplace", estimator="A"), "posterior="),
])  # fmt: skip
def test_what_a_page_cannot_carry_is_refused_in_one_line(model, words):
    with pytest.raises(ParameterError, match=words) as caught:
        explain(model.initialize(4))
    assert "\n" not in str(caught.value)


def test_a_model_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(sys.modules["npvae.explain.explain"], "MAX_PARAMETERS", 50)
    with pytest.raises(ParameterError, match="56 parameters are too many for a page"):
        explain(npvae.VAE(2, (3,)).initialize(4))


def test_an_array_is_data_too():
    digits = npvae.data.load_digits().images[:9]
    html = explain(data=digits)
    shown = json.loads(re.search(r'id="npvae-data">(.*?)</script>', html).group(1))
    assert shown["labels"] is None and shown["model"]["image_shape"] == [8, 8]
    values = np.frombuffer(b64decode(shown["datapoints"]["base64"]), "float32")
    assert (values == digits.ravel()).all()


def test_data_of_another_width_are_refused():
    with pytest.raises(DataError, match="3 features"):
        explain(None, npvae.data.make_swiss_roll(20, 0))


@pytest.mark.filterwarnings("ignore:grey|Bernoulli")
def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "--out", "page.html"]) == 0
    assert "page.html: 1" in capsys.readouterr().out
    assert Path("page.html").read_text("utf-8") == explain()
    assert main(["explain", "--out", "page.html"]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["explain", "--out", "page.png"]) == 1
    capsys.readouterr()
    assert main(["explain", "--scale", "2", "--out", "x.html"]) == 1
    assert "is of --data" in capsys.readouterr().err
    train = ["train", "--hidden", "4", "--epochs", "1", "--n-train", "100", "-q", "--out", "run"]
    assert main([*train, "--validation", "20"]) == 0
    assert main(["explain", "run", "-q"]) == 0
    data = json.loads(re.search(r'id="npvae-data">(.*?)</script>',
                                Path("run-explain.html").read_text("utf-8")).group(1))  # fmt: skip
    assert data["data"] == "digits" and len(data["labels"]) == 20
    Path("run/data.json").unlink()  # nothing is known of what was held out
    config = Path("run/config.toml").read_text("utf-8")
    Path("run/config.toml").write_text(config.replace("validation = 20", "validation = 0"), "utf-8")
    assert main(["explain", "run", "--out", "a.html"]) == 0
    assert "samples of the prior, for run held no data out" in capsys.readouterr().out
    assert "samples of its prior" in Path("a.html").read_text("utf-8")
    assert main(["explain", "run/model.npz", "--out", "m.html", "-q"]) == 0
    assert "samples of its prior" in Path("m.html").read_text("utf-8")
    assert main(["explain", "run/model.npz", "--data", "digits", "--out", "d.html", "-q"]) == 0
    assert main(["explain", "run/model.npz", "--data", "swiss-roll", "--out", "s.html"]) == 1
    assert "3 features" in capsys.readouterr().err
    assert not Path("s.html").exists()
