"""NumPy alone: the same file, and the lines of lesson 11 in ``examples/``; nothing is checked."""
import numpy as np


def export(vae, folder):
    """npvae's own file is an ordinary ``.npz``."""
    vae.save(folder / "model.npz")


def layers(folder, *names):
    """W, b, W, b of those layers."""
    P = np.load(folder / "model.npz")
    return [P[f"{name}.{kind}"] for name in names for kind in ("weight", "bias")]


def decoder(folder, threads):
    """z (M, J) → images (M, D)."""
    W, b, V, c = layers(folder, "decoder.hidden.0", "decoder.logits")

    def decode(z):
        h = np.tanh(z @ W.T + b)  # (M, H)
        logits = h @ V.T + c  # (M, D)
        return 1 / (1 + np.exp(-logits))

    return decode


def encoder(folder, threads):
    """Images (M, D) → posterior means (M, J)."""
    W, b, V, c = layers(folder, "encoder.hidden.0", "encoder.mean")
    return lambda x: np.tanh(x @ W.T + b) @ V.T + c
