"""A page is one file: it asks nothing of anyone, and what is in it cannot end its scripts."""
import json
import re
import tomllib
from html.parser import HTMLParser

import pytest

import npvae
from npvae.explain import explore, page
from npvae.explain.page import STATIC

NASTY = "</script><script>alert(1)</script><!-- ]]> & \u2028 é"


class Reader(HTMLParser):
    """Elements, and the text of each script."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.scripts, self.title, self.inside = [], [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts.append(data)
        elif self.inside == "title":
            self.title += data


def test_nothing_is_asked_for():
    read = Reader(page("explore", "t", {}))
    addresses = [v for _, a in read.tags for k, v in a.items() if k in ("src", "href")]
    assert addresses == ["data:,"]  # the icon, which a browser would ask for otherwise
    assert not re.search(r"url\(|@import", page("explore", "t", {}))
    (policy,) = (a["content"] for _, a in read.tags if "http-equiv" in a)
    assert policy.startswith("default-src 'none';")


def test_whatever_the_data_say_they_stay_data():
    read = Reader(page("explore", NASTY, {"label": NASTY, "z": [1e-300, 0.1]}))
    plain = [a for tag, a in read.tags if tag == "script"]
    assert len(plain) == len(Reader(page("explore", "", {})).scripts) == len(read.scripts)
    data = next(text for text in read.scripts if text.startswith("{"))
    assert json.loads(data) == {"label": NASTY, "z": [1e-300, 0.1]}
    assert read.title == NASTY


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        page("explore", "t", {"z": float("nan")})


def test_every_file_of_a_page_is_part_of_the_package():
    with (STATIC.parents[2] / "pyproject.toml").open("rb") as file:
        kinds = tomllib.load(file)["tool"]["setuptools"]["package-data"]["*"]
    assert {"*" + file.suffix for file in STATIC.iterdir()} <= set(kinds)


def test_own_code_is_small():
    assert len(page("explore", "", {}).encode()) < 120_000


def test_a_page_that_asks_for_something_is_told_of(open_page):
    """So that the tests of other pages can fail."""
    html = explore(npvae.VAE(hidden=(2,)).initialize(3))
    open_page(html + '<img src="https://example.org/x.png" alt="">')
    open_page(html.replace("default-src", "nothing") + '<img src="file:///x.png" alt="">')
    open_page(html + "<script>missing()</script>")
    (_, policy), (_, request), (_, error) = open_page.opened
    assert any("Content Security Policy" in fault for fault in policy.faults)
    assert any(fault.startswith("request: file:///x.png") for fault in request.faults)
    assert any("missing is not defined" in fault for fault in error.faults)
    for watched in (policy, request, error):
        watched.faults.clear()
