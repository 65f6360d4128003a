"""Monte Carlo EM (appendix E): every datapoint has a chain, which goes on from step to step.

    E    one HMC transition of a minibatch's chains:    z ~ p(z|x) at the current θ
    M    n updates of θ along ∇ log p(x, z), z held where it is

As θ changes slowly, so does p(z|x), and a chain that has reached it stays there. What one step
leaves to the next is kept in the training state, so that a resumed run continues bit for bit:

    z             (N, J)   where each chain is
    step_size     (N,)     of the leapfrog, one for each chain
    age           (1,)     steps since they began
    acceptance    (N,)     of its last proposal
    diverged      (N,)     whether that one's energy rose beyond all bounds
    refused       (N,)     its proposals that were rejected since it last moved
"""

from npvae import random
from npvae.backend import Array
from npvae.errors import NumericalError
from npvae.evaluation.chains import ACCEPTANCE, MIN_ACCEPTANCE
from npvae.evaluation.hmc import Point, transition
from npvae.evaluation.log_joint import LogJointTarget
from npvae.models import Engine, Noise
from npvae.training.batches import Minibatches
from npvae.training.config import TrainConfig
from npvae.training.state import TrainingState
from npvae.training.step import TrainStep

FIRST_STEP_SIZE = 0.5
TUNING_STEPS = 50  # of the step size: by then ε has found its scale
MAX_REJECTIONS = 20  # in a row: at an acceptance of 0.9 there are never so many


def new_chains(engine: Engine, n_data: int, seed: int, step: int = 0) -> dict[str, Array]:
    """Chains that start at samples of the prior N(0, I), at step number ``step``."""
    xp, dtype, J = engine.xp, engine.theta.dtype, engine.model.n_noise
    z = xp.empty((1, n_data, J), dtype)
    number = xp.full(1, step + 1, "int64")  # number 0 of the stream are the first parameters
    engine.ops.fill_noise(seed, random.INITIALIZE, number, 0, z)
    step_size, age = xp.full(n_data, FIRST_STEP_SIZE, dtype), xp.zeros(1, dtype)
    diagnostics = {name: xp.zeros(n_data, dtype) for name in ("acceptance", "diverged", "refused")}
    return {"z": z[0], "step_size": step_size, "age": age, **diagnostics}


class MonteCarloEM(TrainStep):
    """Steps of one run of training.

    Parameters
    ----------
    state, batches, config
        As a :class:`TrainStep` has them; the state has chains, one for each datapoint.
    n_leapfrog : int
        Leapfrog steps of a move.
    n_updates : int
        Updates of θ with one sample.
    """

    def __init__(
        self, state: TrainingState, batches: Minibatches, config: TrainConfig, n_leapfrog: int = 10,
        n_updates: int = 5,
    ):  # fmt: skip
        super().__init__(state, batches, config, n_updates)
        self.n_leapfrog = n_leapfrog

    def one_step(self, M: int, sync: bool = False) -> None:
        """An HMC transition of the minibatch's chains (E), then updates of θ (M)."""
        engine = self.engine
        x = self.fetch(M)  # (M, D)
        z = Noise(self.move(x, self.rows[:M]))  # (1, M, J)
        for k in range(self.n_updates):
            cache = engine.forward(x, z)
            loss = engine.objective(engine.ctx, cache.terms)
            if k == 0:
                self.accumulate(cache.terms, loss)
                if sync:
                    self.sync_and_check(1)
            engine.model.backward(engine.ctx, cache, loss.seeds)
            engine.penalty.backward(engine)
            self.update(k)

    def move(self, x: Array, rows: Array) -> Array:
        """One HMC transition of the chains in ``rows``, of the datapoints x (M, D).   → z (1, M, J)

        ε is tuned on the way (Robbins & Monro 1951). That of all chains follows the minibatch's
        mean acceptance a, log ε += γ (a − 0.9); that of each departs as it needs to, log ε_i +=
        γ_i (a_i − a). Both gains fade, γ = 2/√t after t steps and γ_i = ⅓/√k after k moves of a
        chain: an ε_i that for ever told where its chain has just been would bend p(z|x).
        """
        engine, chains = self.engine, self.state.chains
        xp, target = engine.xp, LogJointTarget(engine, x)
        z = chains["z"][rows][None]  # (1, M, J)
        noise = engine.work("noise", 1, len(rows), z.shape[-1] + 3)
        engine.ops.fill_noise(self.config.seed, random.POSTERIOR, self.step, 0, noise)
        start, step_size = Point(z, *target(z)), chains["step_size"]  # (N,)
        end, (acceptance, diverged) = transition(
            target, start, step_size[rows][None], self.n_leapfrog, noise
        )
        chains["age"] += 1
        mean, gain = acceptance.mean(), 2 / xp.sqrt(chains["age"])  # γ
        moves = xp.maximum(chains["age"] / self.batches.n_batches, 10)  # k; at first as if 10
        share = len(rows) / self.batches.size(0)  # few say little: a ragged last minibatch
        step_size *= xp.exp(share * gain * (mean - ACCEPTANCE))
        step_size[rows] *= xp.exp((acceptance[0] - mean) / (3 * xp.sqrt(moves)))
        chains["z"][rows], chains["acceptance"][rows] = end.z[0], acceptance[0]
        chains["diverged"][rows] = diverged[0]
        stays = (end.z == z).all(axis=-1)[0]  # (M,)
        chains["refused"][rows] = (chains["refused"][rows] + 1) * stays
        return end.z

    def means(self) -> dict[str, float]:
        """What the history keeps of an epoch: means over its datapoints, in nats, and the chains'
        diagnostics.

        Raises
        ------
        NumericalError
            If they do not move: then nothing is sampled.
        """
        reconstruction, distance = (s / self.batches.n_data for s in self.state.sums)
        chains = self.state.chains
        acceptance, diverged = float(chains["acceptance"].mean()), int(chains["diverged"].sum())
        if acceptance < MIN_ACCEPTANCE and float(chains["age"][0]) >= TUNING_STEPS:
            raise NumericalError(
                f"the chains do not move: {100 * acceptance:.2g} % of proposals were accepted in "
                f"epoch {self.state.epoch + 1} and {diverged} diverged, at a step size of "
                f"{float(chains['step_size'].mean()):.2g}; lower the learning rate"
            )
        return {
            "log_joint": reconstruction - distance,
            "reconstruction": reconstruction,
            "log_prior": -distance,
            "acceptance": acceptance,
            "divergences": diverged,
            "step_size": float(chains["step_size"].mean()),
        }


def chain_warning(chains: dict[str, Array]) -> str:
    """A warning of chains that mixed badly in the last epoch; empty if they did not."""
    acceptance, diverged = float(chains["acceptance"].mean()), int(chains["diverged"].sum())
    stuck, N = int((chains["refused"] >= MAX_REJECTIONS).sum()), len(chains["z"])
    faults = []
    if acceptance < ACCEPTANCE - 0.1:
        faults.append(f"{100 * acceptance:.0f} % of proposals were accepted, not 90 %")
    if diverged > 0.01 * N:
        faults.append(f"{diverged} of {N} diverged")
    if stuck:
        epochs = MAX_REJECTIONS
        faults.append(f"the chains of {stuck} datapoints have not moved for {epochs} epochs")
    if not faults:
        return ""
    return (
        f"in the last epoch {', and '.join(faults)}: the chains have not kept up with p(z|x); "
        "train longer or lower the learning rate"
    )
