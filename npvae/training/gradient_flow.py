"""How the gradient flows along training: where it is large, which way it comes, what it reaches.

The gradient at the parameters of q(z|x), μ and log σ², comes two ways: through the sample, from
log p(x|z), and from the KL, or from log q − log p where that is sampled. The backward pass is
linear in the seeds that it starts from, so each way is a pass that starts from its own. Latents
collapse while the KL's way outweighs the sample's; once they have, what is left is noise of both.

All of it is told of a few fixed datapoints and fixed noise, so that only the parameters differ from
one epoch to the next. It is computed on buffers of its own: training is the same to the last bit.
"""
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from npvae.backend import Array, array_module, to_numpy
from npvae.data import Dataset, check_data
from npvae.errors import ParameterError
from npvae.evaluation import encode
from npvae.evaluation.bound import row_noise
from npvae.evaluation.chunks import load_rows
from npvae.evaluation.latent import variance_by_formula
from npvae.models import Engine, MCEMModel, Noise, VAEModel
from npvae.models.latent import last_d_a
from npvae.options import whole_number
from npvae.records import dataclass
from npvae.row_noise import row_keys
from npvae.training.state import TrainingState

FOLLOWED = 100  # datapoints, where nobody says which
EDGES = np.linspace(-10, 2, 25)  # of the histograms, in log₁₀ |g|; below the first is in its bin
WAYS = {"sample": "through the sample", "kl": "from the KL", "score": "from the score"}


@dataclass(frozen=True)
class FlowRecord:
    """The gradient after an epoch; ∂loss/∂θ, the loss being in nats per datapoint.

    Attributes
    ----------
    epoch : int
        How many there had been.
    norms : dict of str to float
        Euclidean norm of the gradient of each parameter.
    histograms : dict of str to list of int
        Of each layer, how many entries have log₁₀ |g| between two neighbours of ``EDGES``; those
        that are 0 are in no bin.
    ways : dict of str to dict of str to float
        For each head of the encoder, ``"mean"`` and ``"logvar"`` of a normal posterior: the root
        mean square over datapoints of the gradient that reaches it by each way: ``"sample"``,
        ``"kl"`` and, of estimators that have one, ``"score"``. Empty where no bound is descended.
    activity : list of float
        Of each latent, the variance of its posterior mean over that of the prior: it is active
        above 0.01. Empty without a posterior, by one datapoint, or where the prior's variance has
        no formula.
    """

    epoch: int
    norms: Mapping[str, float]
    histograms: Mapping[str, list[int]]
    ways: Mapping[str, Mapping[str, float]]
    activity: list[float]

    def share(self, head: str, way: str = "kl") -> float:
        """The part that one way has in the gradient of a head, between 0 and 1.

        Norms are compared: two ways that cancel have ½ each. 0 where there is no gradient at all.
        """
        norms = self.ways[head]
        return norms[way] / (sum(norms.values()) or 1.0)


class GradientFlow:
    """A callback of ``fit`` that keeps a :class:`FlowRecord` every few epochs.

    :func:`npvae.plotting.gradient_flow` draws them. The loss is that of ``loss_and_grad``, during a
    warm-up of the KL's weight too, with what the weight is after it.

    Parameters
    ----------
    X : array (M, D) or Dataset, optional
        Datapoints whose gradient is followed, as the model is to see them; some hundred will do.
        If not given, up to 100 of those that it is trained on.
    every : int
        Epochs from one record to the next. The first epoch has one in any case.
    n_samples : int, optional
        L, samples of z a datapoint; the model's if not given.
    records : iterable of FlowRecord
        Of a training that is resumed.

    Attributes
    ----------
    records : list of FlowRecord
        In the order of the epochs.
    rows : array (M, D), Dataset or None
        The datapoints of the last training.

    Raises
    ------
    ParameterError
        If a number cannot be used; when it is called, if the model has no encoder, as ``MCEM``, or
        if nobody has given it datapoints.
    DataError
        When it is called, if ``X`` is not of the model's width, or outside its range.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images
    >>> flow = npvae.GradientFlow()
    >>> vae = npvae.VAE(2, (16,), epochs=3, random_state=0).fit(X, callbacks=flow)
    >>> [record.epoch for record in flow.records]
    [1, 2, 3]
    >>> sorted(flow.records[-1].ways["mean"])
    ['kl', 'sample']
    """

    def __init__(
        self, X: Any = None, every: int = 1, n_samples: int | None = None,
        records: Iterable[FlowRecord] = (),
    ):  # fmt: skip
        whole_number("every", every)
        if n_samples is not None:
            whole_number("n_samples", n_samples)
        self.X, self.every, self.n_samples, self.records = X, every, n_samples, list(records)
        self.rows, self.L = X, n_samples or 1

    def begin(self, rows: Array, n_samples: int) -> None:
        """What ``fit`` has to offer: datapoints that it trains on (M, D), and the model's L."""
        self.rows = rows if self.X is None else self.X
        self.L = self.n_samples or n_samples

    def __call__(self, state: TrainingState) -> None:
        """Keep a record, if it is time for one; those of epochs to come are of another past."""
        if self.rows is None:
            raise ParameterError("this GradientFlow has no datapoints to follow; give it some")
        self.records = [record for record in self.records if record.epoch < state.epoch]
        if state.epoch == 1 or state.epoch % self.every == 0:
            self.records.append(gradient_flow(state.engine, self.rows, self.L, state.epoch))

    def __repr__(self) -> str:
        return f"GradientFlow({len(self.records)} records, every={self.every})"


def gradient_flow(engine: Engine, X: Any, n_samples: int = 1, epoch: int = 0) -> FlowRecord:
    """The flow of the gradient at the parameters as they are; see :class:`GradientFlow`."""
    if isinstance(engine.model, MCEMModel):
        raise ParameterError(
            "the gradient of MCEM is that of its chains, and no minibatch has it by itself; leave "
            "GradientFlow out"
        )
    least = engine.objective.min_samples
    if n_samples < least:
        raise ParameterError(
            f"n_samples={n_samples}: {type(engine.objective).__name__} needs {least} samples or "
            "more; give GradientFlow as many as the model has"
        )
    engine = Engine(engine.base, engine.backend, engine.theta, engine.penalty, engine.objective,
                    engine.standardization)  # fmt: skip
    with engine.backend.oom_guard():
        support = engine.model.likelihood.support
        rows = X.scaled_for(support).images if isinstance(X, Dataset) else X
        rows = check_data(rows, engine.model.n_features, support, xp=array_module(rows))
        x = load_rows(engine, rows[:], 1.0, engine.work).copy()  # (M, D)
        eps = row_noise(engine, 0, n_samples, row_keys(to_numpy(x)), 0, engine.work)
        activity, ways = latent_activity(engine, rows), two_ways(engine, x, eps)
        engine.loss_and_grad(x, Noise(eps))
        gradient = engine.layout.named(to_numpy(engine.grad))
    layers = dict[str, list[np.ndarray]]()
    for name, g in gradient.items():
        layers.setdefault(name.rpartition(".")[0], []).append(g.ravel())
    return FlowRecord(
        epoch, {name: float(np.linalg.norm(g)) for name, g in gradient.items()},
        {layer: histogram(np.concatenate(parts)) for layer, parts in layers.items()},
        ways, activity,
    )  # fmt: skip


def two_ways(engine: Engine, x: Array, eps: Array) -> dict[str, dict[str, float]]:
    """What reaches each head of the encoder, way by way.   x (M, D), eps (L, M, ·)

    The seeds of one way are those of the objective with the others at 0. An objective whose score
    has a weight of its own has a third way: log q(z|x) at samples that are held.
    """
    model, ctx, M = engine.model, engine.ctx, len(x)
    if not (isinstance(model, VAEModel) and model.descends):
        return {}
    found: dict[str, dict[str, float]] = {head: {} for head in model.encoder.heads}
    for way in WAYS:
        cache = engine.forward(x, Noise(eps))
        seeds = engine.objective(ctx, cache.terms).seeds
        plain = seeds.score is seeds.kl
        if plain and way == "score":
            continue
        none, no_kl = (ctx.work.constant(0, *seed.shape) for seed in (seeds.theta, seeds.kl))
        theta, kl = (seeds.theta if way == "sample" else none), (seeds.kl if way == "kl" else no_kl)
        score = kl if plain else seeds.score if way == "score" else none
        model.backward(ctx, cache, seeds._replace(theta=theta, kl=kl, score=score))
        d_a = to_numpy(last_d_a(ctx, M, sum(model.encoder.heads.values()))).astype(np.float64)
        start = 0
        for head, width in model.encoder.heads.items():  # seeds are 1/M of a datapoint's own
            found[head][way] = float(M**0.5 * np.linalg.norm(d_a[:, start : start + width]))
            start += width
    return found


def latent_activity(engine: Engine, rows: Array) -> list[float]:
    """Var_x(E_q[z_j]) over the prior's variance, of each latent; see :class:`FlowRecord`."""
    if engine.model.posterior is None or len(rows) < 2:
        return []
    if (variance := variance_by_formula(engine)) is None:
        return []
    Z = to_numpy(encode(engine, rows)).astype(np.float64)  # (M, J)
    return (Z.var(axis=0) / variance).tolist()


def histogram(g: np.ndarray) -> list[int]:
    """How many entries lie between neighbours of ``EDGES``; what lies beyond is in the end bins.

    Examples
    --------
    >>> [n for n in histogram(np.array([1e-30, 0.0, 0.02, 0.03])) if n]
    [1, 2]
    """
    sizes = np.log10(np.abs(g[g != 0]).astype(np.float64))
    counts, _ = np.histogram(np.clip(sizes, EDGES[0], EDGES[-1]), EDGES)
    return counts.tolist()
