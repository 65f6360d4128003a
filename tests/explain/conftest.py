"""Pages in a real browser: a headless Chromium, where there is one."""
import shutil
from dataclasses import dataclass, field
from typing import Any

import pytest

from npvae.explain.page import SHARED, STATIC

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass
class Watched:
    """What a page must not do: complain in the console, or ask for anything beside itself."""

    address: str
    faults: list[str] = field(default_factory=list)

    def listen(self, page: Any) -> None:
        page.on("console", lambda message: self.console(message.type, message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self.request(request.url))

    def console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(text)

    def request(self, url: str) -> None:
        if url.partition("#")[0] != self.address and not url.startswith(("data:", "blob:")):
            self.faults.append(f"request: {url}")


@pytest.fixture(scope="module")  # no longer: while it lives no other event loop runs in the process
def browser():
    reason = "no playwright: pip install '.[browser]'"
    api = pytest.importorskip("playwright.sync_api", reason=reason)
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def blank(browser):
    """The formulas that all pages share, to be asked, and nothing else."""
    scripts = [(STATIC / f"{name}.js").read_text("utf-8") for name in SHARED]
    tags = "".join(f"<script>{script}</script>" for script in [*scripts, "publish({})"])
    view = browser.new_page()
    view.set_content(f'<script type="application/json" id="npvae-data">{{}}</script>{tags}')
    yield view
    view.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a page from the disk, once it is ready; at the end it must have done nothing wrong.

    ``open_page(html, hash="", width=1280, height=800, **options)``; options are those of a
    context: ``color_scheme``, ``reduced_motion``, ``has_touch``.
    """
    opened = []

    def open_page(html, hash="", width=1280, height=800, **options):
        file = tmp_path / f"page-{len(opened)}.html"
        file.write_text(html, encoding="utf-8")
        watched = Watched(file.as_uri())
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, **options)
        page = context.new_page()
        page.set_default_timeout(10_000)
        watched.listen(page)
        page.goto(watched.address + hash)
        page.evaluate("window.npvae?.ready")
        opened.append((context, watched))
        return page

    open_page.opened = opened
    yield open_page
    for context, watched in opened:
        context.close()
        assert not watched.faults, watched.faults
