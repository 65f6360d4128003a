"""What every side of a benchmark works on: a model, its first parameters, batches and noise.

Parameters are a list ``[W, b, W, b, ...]`` from the encoder's input to its heads, then from z
to the logits; heads that share an input are one matrix, on every side. W is (out, in).
"""
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle
from typing import Any

import numpy as np

import npvae
from npvae import random
from npvae.data import Dataset
from npvae.models import Engine

SEED, RATE = 0, 1e-3
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, the same in every library


@dataclass(frozen=True)
class Workload:
    """A VAE with Bernoulli likelihood, trained by SGVB B with L = 1 and Adam, in float32.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the encoder's hidden layers; the decoder's are the reverse.
    J, M : int
        Latents, and datapoints a minibatch.
    activation : str
        ``"tanh"`` or ``"relu"``.
    data : Dataset
        N images of D pixels, as bytes.
    """

    hidden: tuple[int, ...]
    J: int
    activation: str
    M: int
    data: Dataset

    @cached_property
    def order(self) -> np.ndarray:
        """The rows of every full minibatch of an epoch.   (B, M) int64"""
        rows = random.permutation(SEED, 0, len(self.data))
        return rows[: len(rows) // self.M * self.M].reshape(-1, self.M)

    def turns(self) -> Iterator[int]:
        """Numbers of the minibatches, epoch after epoch."""
        return cycle(range(len(self.order)))

    def noise(self, step: int) -> np.ndarray:
        """ε of npvae's step number ``step``, which every side is checked with.   (M, J)"""
        eps = random.fill_noise(SEED, random.POSTERIOR, step, 1, self.J, self.M)
        return eps[0].astype(np.float32)

    def vae(self) -> npvae.VAE:
        """The model with its first parameters, always the same ones."""
        vae = npvae.VAE(
            self.J, self.hidden, self.activation, batch_size=self.M, learning_rate=RATE,
            random_state=SEED, verbose=False,
        )  # fmt: skip
        return vae.initialize(self.data.pixels.shape[1])

    def parameters(self) -> list[np.ndarray]:
        """Copies of the first parameters."""
        return [view.copy() for view in layers(self.vae().engine_)]

    @property
    def n_encoder(self) -> int:
        """How many of the layers are the encoder's."""
        return len(self.hidden) + 1

    @property
    def flops(self) -> int:
        """Of a step's products: three a weight and datapoint, the input needing no gradient."""
        weights = [W.size for W in layers(self.vae().engine_)[::2]]
        return 2 * self.M * (3 * sum(weights) - weights[0])

    def __str__(self) -> str:
        D, J = self.data.pixels.shape[1], self.J
        there = "-".join(map(str, (D, *self.hidden, f"({J}+{J})")))
        back = "-".join(map(str, (J, *self.hidden[::-1], D)))
        return f"{there} / {back}, {self.activation}, M = {self.M}, {self.data.name}"


def layers(engine: Engine) -> list[np.ndarray]:
    """Views of npvae's parameters in the order of this module."""
    names = [
        f"{net.name}.{layer}"
        for net in (engine.model.encoder, engine.model.decoder)
        for layer in (*(f"hidden.{i}" for i in range(len(net.hidden))), "heads")
    ]
    return [engine.P[f"{name}.{kind}"] for name in names for kind in ("weight", "bias")]


def replace_ops(engine: Engine, **ops: Any) -> None:
    """Have an engine run other ops of those names."""
    engine.mine.ctx = replace(engine.ctx, ops=replace(engine.ops, **ops))


def models(data: Dataset) -> dict[str, Workload]:
    """The two models of the tables: P, the paper's with a wider latent space, and S."""
    return {
        "P": Workload((500,), 20, "tanh", 100, data),
        "S": Workload((512, 256), 2, "relu", 128, data),
    }


def has_mnist() -> bool:
    """Whether MNIST is on this machine."""
    return any(name == "mnist" and here for name, here, _ in npvae.data.available())


def images() -> Dataset:
    """MNIST where it is on this machine, else the bundled digits enlarged to its shape."""
    if has_mnist():
        return npvae.data.load_mnist()
    digits = npvae.data.load_digits()
    enlarged = np.kron(digits.pixels.reshape(-1, 8, 8), np.ones((3, 3), np.uint8))  # (N, 24, 24)
    pixels = np.pad(enlarged, ((0, 0), (2, 2), (2, 2))).reshape(-1, 784)
    return Dataset(np.resize(pixels, (60_000, 784)), name="digits enlarged", scale=digits.scale)
