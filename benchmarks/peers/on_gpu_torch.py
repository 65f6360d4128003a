"""PyTorch on a GPU: eager, the whole step compiled, and the whole step as a CUDA graph.

On a CPU, for rehearsal, the same lines run but for the recording of a graph.
"""
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from common.workload import Workload
from gpu_parts.gpu_worker import Place

from peers.side import Side
from peers.with_torch import Training


class OnDevice(Training):
    """The training step with what differs on a GPU."""

    def gather(self, rows: Any) -> Any:
        return self.pixels.index_select(0, rows) * self.work.data.scale  # uint8 · float: float32

    def wait(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def waiting(self, side: Side) -> Side:
        """``side``, its run being over when the device is done."""

        def run(steps: int) -> None:
            side.run(steps)
            self.wait()

        return replace(side, run=run)


def eager(work: Workload, place: Place) -> Side:
    """A launch an operation, and Adam as one kernel."""
    training = OnDevice(work, place.device, fused=True)
    return training.waiting(training.side(training.step))


def compiled(work: Workload, place: Place, mode: str | None = None) -> Side:
    """The whole step compiled, its optimiser inside."""
    training = OnDevice(work, place.device, foreach=True, capturable=place.device == "cuda")
    whole_step = compile_(training, training.step, mode)

    def step(rows: Any, eps: Any) -> Any:
        training.torch.compiler.cudagraph_mark_step_begin()
        return whole_step(rows, eps)

    return training.waiting(training.side(step))


def compile_(
    training: Training, function: Callable[..., Any], mode: str | None = None
) -> Callable[..., Any]:
    """``function`` by Inductor, for the shapes that it meets."""
    torch = training.torch
    torch._dynamo.config.recompile_limit = 64  # or the ninth setting of this process runs eager
    return torch.compile(function, dynamic=False, mode=mode)


def compiled_overhead(work: Workload, place: Place) -> Side:
    """The same with CUDA graphs of the compiler's making."""
    return compiled(work, place, "reduce-overhead")


class Recorded(OnDevice):
    """The whole step in static memory: minibatches counted on the device, noise generated there."""

    def __init__(self, work: Workload, device: str):
        super().__init__(work, device, fused=True, capturable=device == "cuda")
        torch = self.torch
        self.start = [W.detach().clone() for W in self.weights]
        self.order = self.convert(work.order)  # (B, M)
        self.turn = torch.zeros(1, dtype=torch.int64, device=device)
        self.rows = self.order[0].clone()  # (M,)
        self.eps = self.noise()  # (M, J)
        self.value = torch.zeros((), device=device)

    def given(self) -> None:
        """A step on the rows and the noise that stand in memory; its loss stays there."""
        self.value.copy_(self.step(self.rows, self.eps))

    def with_fresh_noise(self, steps: int = 1) -> None:
        """The next minibatches of the epoch, with new noise."""
        for _ in range(steps):
            rows = self.order.index_select(0, self.turn)[0]
            self.turn.add_(1)
            self.step(rows, self.eps.normal_())

    def reset(self) -> None:
        """First parameters, Adam before its first step, the first minibatch."""
        with self.torch.no_grad():
            for W, first in zip(self.weights, self.start, strict=True):
                W.copy_(first)
            for moments in self.adam.state.values():
                for moment in moments.values():
                    moment.zero_()
        self.turn.zero_()

    def warm_up(self, steps: int) -> None:
        """What a capture must find done, on another stream, as PyTorch asks."""
        if self.device == "cpu":
            return
        torch = self.torch
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(steps):
                self.given()
                self.turn.zero_()
                self.with_fresh_noise()
        torch.cuda.current_stream().wait_stream(stream)
        self.reset()

    def record(self, work: Callable[..., None], *args: int) -> Callable[[], None]:
        """What repeats ``work(*args)`` in one launch."""
        if self.device == "cpu":
            return lambda: work(*args)
        self.adam.zero_grad(set_to_none=True)  # so that gradients are made in the graph's memory
        recording = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(recording):
            work(*args)
        self.torch.cuda.synchronize()
        return recording.replay


def graph(work: Workload, place: Place, at_once: int = 1, compiled: bool = False) -> Side:
    """The whole step captured by hand, ``at_once`` of them in a graph; replayed only."""
    training = Recorded(work, place.device)
    if compiled:
        training.loss = compile_(training, training.loss)
    training.warm_up(3)
    given = training.record(training.given)
    one = training.record(training.with_fresh_noise)
    several = training.record(training.with_fresh_noise, at_once) if at_once > 1 else one

    def run(steps: int) -> None:
        for _ in range(steps // at_once):
            several()
        for _ in range(steps % at_once):
            one()
        training.wait()

    def rehearse(steps: int) -> list[float]:
        losses = []
        for t in range(steps):
            training.rows.copy_(training.convert(work.order[t]))
            training.eps.copy_(training.convert(work.noise(t)))
            given()
            losses.append(float(training.value))
        return losses

    return Side(run, rehearse, training.parameters, training.turn.zero_)


def graph_16(work: Workload, place: Place) -> Side:
    """Sixteen steps a graph, as npvae has it."""
    return graph(work, place, 16)


def graph_16_compiled(work: Workload, place: Place) -> Side:
    """Sixteen steps a graph, forward and backward pass of the compiler's kernels."""
    return graph(work, place, 16, compiled=True)
