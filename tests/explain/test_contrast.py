"""Colours of the pages can be told from their ground, in light and in dark (WCAG 2.1, AA)."""
import re

import pytest

from npvae.explain.page import STATIC

TEXT = [("ink", "ground"), ("ink", "raised"), ("soft", "ground"), ("soft", "raised"),
        ("accent", "ground"), ("on-accent", "accent"), ("sample", "ground"), ("prior", "ground"),
        ("good", "ground"), ("bad", "ground")]  # fmt: skip
DRAWN = [("edge", "ground"), ("edge", "raised"), ("posterior", "ground"),
         *((f"label-{k}", "ground") for k in range(10))]  # fmt: skip


def palettes():
    """{scheme: {name: colour}} of style.css; the dark one is the light one but for what it has."""
    blocks = re.findall(r":root \{(.*?)\}", (STATIC / "style.css").read_text("utf-8"), re.S)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6});", block)) for block in blocks)
    assert light.keys() == dark.keys()
    return {"light": light, "dark": dark}


def luminance(colour):
    """Relative luminance of #rrggbb."""
    channels = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the classic near miss


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT, 4.5), (DRAWN, 3)], ids=["text", "drawn"])
def test_contrast(pairs, least, scheme):
    palette = palettes()[scheme]
    low = {p: contrast(palette[p[0]], palette[p[1]]) for p in pairs}
    assert not {p: value for p, value in low.items() if value < least}
