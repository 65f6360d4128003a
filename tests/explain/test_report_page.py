"""The report of a run in a real browser: no script, no request, and it fits every screen."""
import pytest

from npvae import runs
from npvae.runs.overview import summarise
from npvae.runs.report import Report, read_flow


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    settings = runs.resolve_settings({"hidden": [8, 8], "epochs": 4, "latent_dim": 2})
    with runs.create(settings, folder) as run:
        runs.train(run, quiet=True)
    told = ["log p(x) = " + "a-long-word-that-has-no-space-" * 8]
    return Report(folder, settings, summarise(folder).columns(), read_flow(folder),
                  likelihood=told).html()  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 780), (1280, 800)])
def test_it_fits_and_is_seen(open_page, page, width, height, scheme):
    shown = open_page(page, width=width, height=height, color_scheme=scheme)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.locator("svg").count() == 3 + 4 + 7  # curves, flow, layers
    sizes = shown.evaluate(
        "[...document.querySelectorAll('svg')].map(s => s.querySelector('text')"
        ".getBoundingClientRect().height)"
    )
    assert min(sizes) >= 9  # CSS pixels: small, and readable
    ground, ink = shown.evaluate(
        "[getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('svg text')).fill]"
    )
    dark = sum(map(int, ground[4:-1].split(","))) < 300
    assert dark == (scheme == "dark") and ink != ground
