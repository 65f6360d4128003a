"""The 2-D manifold of MNIST while it forms, as an animation: the picture at the top of README.

    NPVAE_DATA=data python examples/manifold_forming.py manifold.gif

A few minutes of training, looked at after steps that grow by a constant factor: most of what
happens to a manifold happens in its first epoch. Beside it are the codes of 1,000 digits that are
not trained on, by label, and their lower bound. Without MNIST, ``--data digits``.
"""
import argparse
import io
from collections.abc import Iterator

import numpy as np

import npvae
from npvae.io import atomic_write
from npvae.plotting.style import new_figure

SIDE, FRAMES, DOTS = 11, 32, 28  # images a side of the manifold; frames; dots a side of an image
PAUSE, LAST = 130, 3000  # milliseconds that a frame stays
GREYS, DPI = 14, 100
GROUND, INK, LINE = "#0f0f13", "#d6d6d2", "#8fd0f5"
LABELS = np.array(["#8f7bff", "#7cc8f2", "#41b464", "#e8d36b", "#f0707f", "#d56fc8", "#58d0bd",
                   "#b9b93f", "#c2528b", "#a8a8a8"])  # fmt: skip


def train(vae: npvae.VAE, X: np.ndarray, steps: list[int]) -> Iterator[int]:
    """Train to each number of steps in turn, by shuffled epochs one after the other."""
    rng, order, done = np.random.default_rng(0), np.zeros(0, int), 0
    for step in steps:
        n = (step - done) * vae.batch_size
        while len(order) < n:
            order = np.concatenate([order, rng.permutation(len(X))])
        vae.partial_fit(X[order[:n]])
        order, done = order[n:], step
        yield step


def frame(vae: npvae.VAE, held_out: npvae.data.Dataset, curve: list[tuple[int, float]], end: int):
    """One picture: the manifold, the codes, and the bound until here."""
    pixels = npvae.plotting.manifold_pixels(vae, held_out.image_shape, SIDE)  # (S, S)
    side = held_out.image_shape[0] + 1
    pixels[side - 1 :: side] = pixels[:, side - 1 :: side] = 0  # white between images, else
    S = len(pixels) * round(DOTS / (side - 1))  # dots
    fig = new_figure(1.85 * S / DPI, S / DPI)
    fig.set_facecolor(GROUND)
    ax = fig.add_axes((0, 0, 1 / 1.85, 1))
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    ax.axis("off")
    ax = fig.add_axes((0.56, 0.35, 0.43, 0.64))
    ax.scatter(*vae.transform(held_out.images).T, s=5, linewidths=0, antialiased=False,
               c=LABELS[held_out.labels.astype(int)])  # fmt: skip
    ax.set(xlim=(-4.3, 4.3), ylim=(-3.7, 3.7))
    ax.axis("off")
    ax = fig.add_axes((0.59, 0.06, 0.38, 0.17))
    steps, bounds = zip(*curve, strict=True)
    ax.plot(steps, bounds, color=LINE, linewidth=1.5)
    ax.plot(steps[-1], bounds[-1], "o", color=LINE, markersize=4, clip_on=False)
    ax.set(xscale="log", xlim=(1, end), ylim=(curve[0][1], 0.7 * curve[0][1]))
    ax.axis("off")
    seen = f"{steps[-1] * vae.batch_size:,} digits seen"
    fig.text(0.59, 0.27, f"ELBO  −{abs(bounds[-1]):.1f} nats", color=INK, fontsize=9)
    fig.text(0.97, 0.27, seen, color=INK, fontsize=7.5, alpha=0.75, ha="right")
    return fig


def animate(figures, path: str) -> int:
    """Write figures as a GIF of one palette, greys and the colours above; its bytes."""
    from PIL import Image, ImageColor

    greys = np.linspace([*ImageColor.getrgb(GROUND)], 255, GREYS)  # (GREYS, 3)
    colours = [ImageColor.getrgb(c) for c in (*LABELS, LINE)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([greys, colours]).round().astype(np.uint8).tobytes())
    frames = []
    for fig in figures:
        with io.BytesIO() as file:
            fig.savefig(file, format="png", dpi=DPI, facecolor=fig.get_facecolor())
            picture = Image.open(file).convert("RGB")
        frames.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    gif = io.BytesIO()
    frames[0].save(gif, format="gif", save_all=True, append_images=frames[1:], loop=0,
                   optimize=True, duration=[PAUSE] * (len(frames) - 1) + [LAST])  # fmt: skip
    with atomic_write(path) as file:
        file.write(gif.getbuffer())
    return len(gif.getbuffer())


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("out", help="the GIF to write")
    p.add_argument("--data", default="mnist", choices=("mnist", "digits"))
    p.add_argument("--steps", type=int, default=9000)
    p.add_argument("--frames", type=int, default=FRAMES)
    a = p.parse_args()
    if a.data == "mnist":
        training, held_out = npvae.data.load_mnist("train"), npvae.data.load_mnist("test")
        held_out = held_out.first(1000)
    else:
        training, held_out = npvae.data.load_digits().split(500, seed=0)
    vae = npvae.VAE(2, (500,), learning_rate=1.5e-3, random_state=0)
    steps = np.unique(np.geomspace(1, a.steps, a.frames).astype(int)).tolist()
    curve: list[tuple[int, float]] = []

    def figures():
        for step in train(vae, training.images, steps):
            curve.append((step, vae.score(held_out.images)))
            print(f"step {step:>6}   ELBO {curve[-1][1]:.2f} nats", flush=True)
            yield frame(vae, held_out, curve, a.steps)

    print(f"{a.out}: {animate(figures(), a.out):,} bytes")


if __name__ == "__main__":
    main()
