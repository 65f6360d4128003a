"""PyTorch: eager, eager with its fused Adam, and compiled."""
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from machine import threads
from workload import BETA1, BETA2, EPSILON, RATE, Workload

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


def train(work: Workload, fused: bool | None = None, compiled: bool = False) -> Side:
    """One model, one optimiser, one step."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads())

    def mlp(layers):
        parts = []
        for W, b in zip(layers[::2], layers[1::2], strict=True):
            linear = torch.nn.Linear(W.shape[1], W.shape[0])
            linear.weight.data, linear.bias.data = torch.from_numpy(W), torch.from_numpy(b)
            parts += [linear, {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[work.activation]()]
        return torch.nn.Sequential(*parts[:-1])

    theta, split = work.parameters(), 2 * work.n_encoder
    encoder, decoder = mlp(theta[:split]), mlp(theta[split:])
    weights = [*encoder.parameters(), *decoder.parameters()]
    options = {"fused": True} if fused else {}
    adam = torch.optim.Adam(weights, RATE, (BETA1, BETA2), EPSILON, **options)
    pixels, scale = torch.tensor(work.data.pixels), work.data.scale

    def loss(x, eps):
        mu, logvar = encoder(x).chunk(2, dim=1)
        logits = decoder(mu + torch.exp(0.5 * logvar) * eps)
        nll = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * torch.sum(mu * mu + logvar.exp() - 1 - logvar)
        return (nll + kl) / work.M

    if compiled:
        loss = torch.compile(loss, dynamic=False)

    def step(rows, eps):
        x = pixels[rows].float().mul_(scale)
        adam.zero_grad(set_to_none=True)
        value = loss(x, eps)
        value.backward()
        adam.step()
        return value.detach()

    def noise():
        return torch.randn(work.M, work.J)

    return stepwise(
        work, torch.from_numpy, noise, step, lambda: [W.detach().numpy() for W in weights]
    )
