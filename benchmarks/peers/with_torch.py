"""PyTorch: eager, eager with its fused Adam, and compiled."""
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from common.machine import threads
from common.workload import BETA1, BETA2, EPSILON, RATE, Workload

from peers.side import Side, Unavailable, stepwise

PATIENCE = 180  # seconds that torch.compile may take


def torch_eager(work: Workload) -> Side:
    """As the tutorials write it; Adam in its default form."""
    return train(work)


def torch_fused(work: Workload) -> Side:
    """Eager, with Adam as one kernel."""
    return train(work, fused=True)


def torch_compile(work: Workload) -> Side:
    """Loss and gradient compiled into one graph, and Adam as one kernel.

    Raises
    ------
    Unavailable
        If it cannot compile here, or not within ``PATIENCE``.
    """
    side = train(work, fused=True, compiled=True)
    try:
        with time_limit(PATIENCE):
            train(work, fused=True, compiled=True).run(1)  # a twin: this one stays untrained
    except Exception as error:  # no compiler, no Python headers, out of memory, out of time
        raise Unavailable(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
    return side


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """TimeoutError in the block after so many seconds."""

    def stop(number, frame):
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Training:
    """One model, one Adam, one step, on one device.

    Parameters
    ----------
    device : str
        ``"cpu"`` or ``"cuda"``.
    **options
        Adam's, besides its constants.
    """

    def __init__(self, work: Workload, device: str = "cpu", **options: bool):
        import torch

        torch.set_num_threads(threads())
        self.torch, self.work, self.device = torch, work, device
        theta, split = work.parameters(), 2 * work.n_encoder
        self.encoder, self.decoder = self.mlp(theta[:split]), self.mlp(theta[split:])
        self.weights = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.adam = torch.optim.Adam(self.weights, RATE, (BETA1, BETA2), EPSILON, **options)
        self.pixels = torch.tensor(work.data.pixels, device=device)

    def mlp(self, layers: list[Any]) -> Any:
        torch, parts = self.torch, []
        for W, b in zip(layers[::2], layers[1::2], strict=True):
            linear = torch.nn.Linear(W.shape[1], W.shape[0])
            linear.weight.data, linear.bias.data = torch.from_numpy(W), torch.from_numpy(b)
            activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[self.work.activation]
            parts += [linear, activation()]
        return torch.nn.Sequential(*parts[:-1]).to(self.device)

    def gather(self, rows: Any) -> Any:
        """The minibatch, of bytes, as numbers.   rows (M,) → (M, D)"""
        return self.pixels[rows].float().mul_(self.work.data.scale)

    def loss(self, x: Any, eps: Any) -> Any:
        torch = self.torch
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        logits = self.decoder(mu + torch.exp(0.5 * logvar) * eps)
        nll = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * torch.sum(mu * mu + logvar.exp() - 1 - logvar)
        return (nll + kl) / self.work.M

    def step(self, rows: Any, eps: Any) -> Any:
        value = self.loss(self.gather(rows), eps)
        value.backward()
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return value.detach()

    def noise(self) -> Any:
        return self.torch.randn(self.work.M, self.work.J, device=self.device)

    def convert(self, array: np.ndarray) -> Any:
        return self.torch.from_numpy(array).to(self.device)

    def parameters(self) -> list[np.ndarray]:
        return [W.detach().cpu().numpy() for W in self.weights]

    def side(self, step: Callable[..., Any]) -> Side:
        return stepwise(self.work, self.convert, self.noise, step, self.parameters)


def train(work: Workload, compiled: bool = False, **options: bool) -> Side:
    """On the CPU, as a side."""
    training = Training(work, **options)
    if compiled:
        training.loss = training.torch.compile(training.loss, dynamic=False)
    return training.side(training.step)
