"""Many models of one architecture: trained at once, one after another, and by ``jax.vmap``.

    python benchmarks/many_models.py            two minutes; results/many_models.json

Sides train the same S models, each with a seed of its own, for whole epochs: gather a minibatch of
bytes and scale it, noise, loss, gradient, Adam. ``at once`` is what ``npvae.fit_many`` does and
``one by one`` what S calls of ``fit`` do, without what they measure after an epoch; JAX's is one
compiled ``lax.scan`` of a vmapped step an epoch. First they are shown to reach the same parameters.
"""
import common  # noqa: F401  isort: skip
import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, timing
from common.workload import RATE, Workload, images, layers

import npvae
from npvae import random, training
from npvae.estimators import many
from npvae.optim import Adam, Constant

RESULTS = Path(__file__).with_name("results") / "many_models.json"
DIGITS = npvae.data.load_digits().first(1500)
CASES = {  # model, and how many of it
    "64-32-(2+2), M = 50": (Workload((32,), 2, "tanh", 50, DIGITS), (8, 32)),
    "64-100-(10+10), M = 100": (Workload((100,), 10, "tanh", 100, DIGITS), (8, 32)),
    "784-500-(20+20), M = 100": (Workload((500,), 20, "tanh", 100, images().first(1000)), (4,)),
}


class Models:
    """S models of npvae in the middle of their training."""

    def __init__(self, work: Workload, S: int):
        self.trainings = [self.begin(work, seed) for seed in range(S)]

    @staticmethod
    def begin(work: Workload, seed: int) -> training.Training:
        vae = work.vae().set_params(random_state=seed).initialize(work.data.pixels.shape[1])
        batches = training.Minibatches(
            vae.engine_, work.data.pixels, work.data.scale, work.M, seed, "none"
        )
        config = training.TrainConfig(Adam(), RATE, Constant(), None, 0, 1, seed)
        return training.Training(training.TrainStep(vae._state, batches, config))

    def ask(self, epochs: int) -> None:
        """Have each train for so many epochs more."""
        for one in self.trainings:
            total = one.step.state.epoch + epochs
            one.step.config = replace(one.step.config, epochs=total)

    def at_once(self, epochs: int) -> None:
        self.ask(epochs)
        with np.errstate(all="ignore"):
            many.share_out(self.trainings, self.trainings[0].step.engine.backend)

    def one_by_one(self, epochs: int) -> None:
        self.ask(epochs)
        with np.errstate(all="ignore"):
            for one in self.trainings:
                training.train(one.step.state, one.step.batches, one.step.config)

    def parameters(self) -> list[list[np.ndarray]]:
        return [layers(one.step.engine) for one in self.trainings]


class Vmapped:
    """The same S models as one program of JAX."""

    def __init__(self, work: Workload, S: int):
        from peers.with_jax import Program

        self.work, self.S, self.program = work, S, Program(work)
        self.jax, jnp = self.program.jax, self.program.jax.numpy
        theta = [jnp.stack(all_of) for all_of in
                 zip(*Models(work, S).parameters(), strict=True)]  # fmt: skip
        zeros = [jnp.zeros_like(W) for W in theta]
        self.state = theta, zeros, [z.copy() for z in zeros], jnp.zeros(S, jnp.int32)
        self.step = self.jax.vmap(self.program.update, (None, 0, 0, 0))
        self.given, self.epoch = self.jax.jit(self.scan), self.jax.jit(self.with_noise)
        self.order = self.orders(0)

    def orders(self, epoch: int) -> np.ndarray:
        """Each model's rows.   (steps, S, M)"""
        N, M = len(self.work.data), self.work.M
        rows = [random.permutation(seed, epoch, N).reshape(-1, M) for seed in range(self.S)]
        return np.stack(rows, axis=1)

    def scan(self, state: Any, rows: Any, eps: Any) -> Any:
        """All steps of an epoch."""
        def body(state: Any, batch: Any) -> Any:
            return self.step(self.program.pixels, state, *batch)

        return self.jax.lax.scan(body, state, (rows, eps))

    def with_noise(self, state: Any, rows: Any, key: Any) -> Any:
        """The same with noise of its own."""
        return self.scan(state, rows, self.jax.random.normal(key, (*rows.shape, self.work.J)))

    def rehearse(self) -> list[list[np.ndarray]]:
        """The parameters after an epoch with npvae's noise."""
        L, J, M = 1, self.work.J, self.work.M
        eps = np.stack([
            [random.fill_noise(seed, random.POSTERIOR, t, L, J, M)[0] for seed in range(self.S)]
            for t in range(len(self.order))
        ]).astype(np.float32)  # fmt: skip
        theta = self.given(self.state, self.order, eps)[0][0]
        return [[np.asarray(W[s]) for W in theta] for s in range(self.S)]

    def run(self, epochs: int) -> None:
        for number in range(epochs):
            key = self.jax.random.key(number)
            self.state, losses = self.epoch(self.state, self.order, key)
        self.jax.block_until_ready((self.state, losses))


def compare(work: Workload, S: int, rounds: int) -> dict[str, Any]:
    """Check the sides on one another, then time them."""
    together, apart = Models(work, S), Models(work, S)
    together.at_once(1), apart.one_by_one(1)
    same = [a.tobytes() == b.tobytes() for one, other in
            zip(together.parameters(), apart.parameters(), strict=True)
            for a, b in zip(one, other, strict=True)]  # fmt: skip
    result: dict[str, Any] = {"models": S, "equal_bits": all(same)}
    runs = {"at once": together.at_once, "one by one": apart.one_by_one}
    try:
        vmapped = Vmapped(work, S)
        result["off_jax"] = max(
            float(np.abs(a - b).max()) for one, other in
            zip(vmapped.rehearse(), together.parameters(), strict=True)
            for a, b in zip(one, other, strict=True)
        )  # fmt: skip
        runs["jax.vmap"] = vmapped.run
    except ImportError as error:
        result["skipped"] = str(error)
    epochs = timing.steps_a_round(together.at_once)
    seconds = timing.interleaved(runs, epochs, rounds)
    steps = S * (len(work.data) // work.M)  # an epoch of all models
    return result | {
        "epochs_a_round": epochs, "steps_an_epoch": steps,
        "sides": {
            name: timing.summary(seconds[name], seconds["at once"])
            | {"model_steps_a_second": round(steps / float(np.median(seconds[name])))}
            for name in runs
        },
    }  # fmt: skip


def main() -> int:
    first, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="(default: 9)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="(default: %(default)s)")
    options = parser.parse_args()
    about, results = machine.describe(("numpy", "jax")), dict[str, Any]()
    print(f"{about['cpu']}, {about['cores']} cores; steps of a model a second")
    for name, (work, numbers) in CASES.items():
        results[name] = [compare(work, S, options.rounds) for S in numbers]
        for found in results[name]:
            cells = [f"{side} {of['model_steps_a_second']:,} (x{of['ratio']:.2f} the time)"
                     for side, of in found["sides"].items()]  # fmt: skip
            print(f"{name}, {found['models']} models: {', '.join(cells)}", flush=True)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps({"machine": about, "results": results}, indent=1) + "\n")
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
