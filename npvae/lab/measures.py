"""From draws to records: what of a comparison is a number."""
from collections.abc import Sequence
from itertools import combinations
from math import nan

import numpy as np

from npvae.lab.comparison import WHOLE, Difference, Gradient
from npvae.lab.draws import Draws, parts_of
from npvae.lab.statistics import (
    gram,
    interval,
    log_interval,
    mean,
    median_interval,
    norm_of_mean,
    product_of_means,
    root_interval,
)
from npvae.lab.truth import Truth
from npvae.models import Engine

Triple = tuple[float, float, float]


class Blocks:
    """The blocks of an engine's parameters: each by itself, encoder, decoder, and all."""

    def __init__(self, engine: Engine):
        parts = parts_of(engine.layout)
        self.parts = list(parts.values())
        whole = [[name.startswith(side) for name in parts] for side in WHOLE[:2]]
        self.names = [*parts, *WHOLE]
        self.members = np.concatenate([np.eye(len(parts)), whole, np.ones((1, len(parts)))])

    def gram(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Inner products of batch means x and y (B, P), by block.   (blocks, B, B)"""
        return np.tensordot(self.members, gram(x, y, self.parts), 1)

    def sums(self, q: np.ndarray) -> np.ndarray:
        """Numbers of each parameter and batch (B, parameters), by block.   (blocks, B)"""
        return self.members @ q.T

    def norm(self, g: np.ndarray) -> np.ndarray:
        """Of a vector (P,), by block.   (blocks,)"""
        squares = np.array([(g[part] ** 2).sum() for part in self.parts])
        return np.sqrt(self.members @ squares)


def variance(draws: Draws, blocks: Blocks) -> np.ndarray:
    """tr Var g, and without each batch.   (blocks, 1 + B)"""
    own = blocks.gram(draws.means, draws.means)
    return np.maximum(mean(blocks.sums(draws.squares)) - product_of_means(own), 0)


def gradient_rows(
    every: Sequence[Draws], truths: Sequence[tuple[Truth, Draws | None]], label: str, engine: Engine
) -> list[Gradient]:
    """A record a block of each estimator that was asked for."""
    blocks = Blocks(engine)
    eps = float(np.finfo(engine.theta.dtype).eps)
    rows = []
    for draws, (truth, reference) in zip(every, truths, strict=True):
        if not draws.asked:
            continue
        g = draws.gradients  # (B, P)
        K = blocks.gram(g, g)
        square, V = product_of_means(K), variance(draws, blocks)  # (blocks, 1 + B)
        norm = np.sqrt(np.maximum(square[:, 0], 0))
        bias, bias_se, cosine = against(draws, truth, reference, blocks, K)
        rounding = eps * blocks.norm(g.mean(axis=0))  # of the engine's own dtype
        bias_se = np.where(bias_se > 0, np.hypot(bias_se, rounding), bias_se)
        spread = log_interval(V)  # (3, blocks)
        signal = root_interval(square / np.where(V > 0, V, 1)) / (V[:, 0] > 0)
        seconds = median_interval(draws.seconds)
        rows += [
            Gradient(
                label, draws.estimator, name, draws.samples, draws.noise, engine.model.decoder.n_in,
                draws.n_draws, truth.kind, float(bias[i]), float(bias_se[i]), float(norm[i]),
                *triple(spread[:, i]), *triple(signal[:, i]), *triple(cosine[:, i]),
                *triple(seconds), *product(triple(spread[:, i]), triple(seconds)),
            )
            for i, name in enumerate(blocks.names)
        ]  # fmt: skip
    return rows


def against(
    draws: Draws, truth: Truth, reference: Draws | None, blocks: Blocks, K: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias, its standard error, and the cosine to the truth with its interval.

    (blocks,) twice, (3, blocks)
    """
    g, n = draws.gradients, len(blocks.names)
    if truth.kind == "unknown":
        return np.full(n, nan), np.full(n, nan), np.full((3, n), nan)
    if reference is draws:  # the bound's own, which has no bias
        return np.zeros(n), np.zeros(n), np.ones((3, n))
    if truth.mean is not None:
        t, off = truth.mean, g - truth.mean
        error = np.zeros(n) if truth.check is None else blocks.norm(t - truth.check)
        inner = mean(np.array(blocks.sums(np.stack([g[:, p] @ t[p] for p in blocks.parts], 1))))
        length = blocks.norm(t)[:, None] ** 2  # (blocks, 1)
    else:
        assert reference is not None
        h, error = reference.gradients, np.zeros(n)
        off = draws.means - reference.means + (draws.shift - reference.shift)
        inner, length = product_of_means(blocks.gram(g, h)), product_of_means(blocks.gram(h, h))
    bias, bias_se = norm_of_mean(blocks.gram(off, off))
    squares = product_of_means(K) * length  # (blocks, 1 + B)
    known = np.all(squares > 0, axis=1)
    cosine = interval(inner / np.sqrt(np.where(known[:, None], squares, 1)))
    cosine = np.where(known, np.clip(cosine, -1, 1), nan)
    return bias, np.hypot(bias_se, error), cosine


def paired_rows(every: Sequence[Draws], label: str, engine: Engine) -> list[Difference]:
    """A record a block of each pair that took the same noise."""
    blocks, rows = Blocks(engine), []
    for one, other in combinations([draws for draws in every if draws.asked], 2):
        if (one.samples, one.noise) != (other.samples, other.noise):
            continue
        off = one.means - other.means + (one.shift - other.shift)
        size, error = norm_of_mean(blocks.gram(off, off))
        over, under = variance(one, blocks), variance(other, blocks)  # (blocks, 1 + B)
        known = np.all(under > 0, axis=1)
        ratio = log_interval(over / np.where(known[:, None], under, 1))
        ratio = np.where(known, ratio, nan)
        rows += [
            Difference(label, one.estimator, other.estimator, name, one.samples, one.noise,
                       float(size[i]), float(error[i]), *triple(ratio[:, i]))
            for i, name in enumerate(blocks.names)
        ]  # fmt: skip
    return rows


def triple(values: np.ndarray) -> Triple:
    """Value, from and to as plain numbers."""
    value, low, high = map(float, values)
    return value, low, high


def product(a: Triple, b: Triple) -> Triple:
    """Of two that are independent: the widths of their logarithms' intervals add in squares."""
    value = a[0] * b[0]
    if not (a[1] > 0 and b[1] > 0):
        return value, 0.0, max(a[2] * b[2], value)
    down = np.hypot(np.log(a[0] / a[1]), np.log(b[0] / b[1]))
    up = np.hypot(np.log(a[2] / a[0]), np.log(b[2] / b[0]))
    return value, float(value * np.exp(-down)), float(value * np.exp(up))
