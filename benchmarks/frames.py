"""Frames of a page in a headless Chromium: whether the explorer keeps up with a hand.

    python benchmarks/frames.py

The page of a model P (784-500-20) with 70,000 points is moved through. A frame is all that follows
a move: decoding, drawing, and the layout of the page. Then a path plays for three seconds, and its
frames are counted; a screen asks for 60 a second.
"""
import common  # noqa: F401  isort: skip
import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import machine
from train_step import save

import npvae
from npvae.errors import optional_import

N = 70_000
MOVES = """n => {
    const time = (what) => {
        const start = performance.now();
        what();
        return performance.now() - start;
    };
    const frame = () => { draw(); document.body.offsetHeight; };
    const z = Array.from({ length: n }, (_, i) => normals(i, J));
    const measured = {
        decode: z.map((there) => time(() => decode(model, there))),
        frame: z.map((there) => time(() => { go_to(there); frame(); })),
        zoom: z.map((_, i) => time(() => { zoom(i % 2 ? 1.4 : 1 / 1.4); frame(); })),
    };
    return measured;  // milliseconds
}"""
PLAY = """() => new Promise((done) => {
    let frames = 0;
    const start = performance.now();
    const count = () => {
        frames++;
        const seconds = (performance.now() - start) / 1000;
        if (seconds > 3) done(frames / seconds);
        else requestAnimationFrame(count);
    };
    play();
    requestAnimationFrame(count);
})"""


def page() -> str:
    """Of a model as it was initialized: what it says does not matter, only how long it takes."""
    rng = np.random.default_rng(0)
    X = (rng.random((N, 784)) < 0.2).astype(np.float32)
    data = npvae.data.Dataset(X, np.arange(N) % 10, (28, 28), "noise")
    vae = npvae.VAE(latent_dim=20, hidden=(500,), random_state=0).initialize(784)
    return npvae.explain.explore(vae, data)


def measure(html: str, moves: int) -> dict[str, Any]:
    """Milliseconds of each kind of move, and frames a second of a path."""
    api = optional_import("playwright.sync_api", "browser")
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if chromium is None:
        sys.exit("no Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, api.sync_playwright() as playwright:
        file = Path(folder, "page.html")
        file.write_text(html, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1280, "height": 800})
        view.goto(file.as_uri())
        view.evaluate("npvae.ready")
        times = view.evaluate(MOVES, moves)
        found = {
            "chromium": browser.version, "frames_a_second": view.evaluate(PLAY),
            "ms": {name: dict(zip(("median", "p95"), np.percentile(ms, (50, 95)), strict=True))
                   for name, ms in times.items()},
        }  # fmt: skip
        browser.close()
    return found


def main() -> int:
    """Measure, and print; the exit code."""
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moves", type=int, default=200, help="of each kind (default: 200)")
    options = parser.parse_args()
    about, result = machine.describe(("playwright",)), measure(page(), options.moves)
    print(f"{about['cpu']}, {about['cores']} cores; Chromium {result['chromium']}\n")
    for name, ms in result["ms"].items():
        print(f"  {name:8}{ms['median']:6.1f} ms, 95 of 100 below {ms['p95']:.1f}")
    print(f"  {result['frames_a_second']:.0f} frames a second while a path plays")
    print(save("frames", result, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
