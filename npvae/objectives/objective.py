"""The objective: terms in, a loss and the seeds of the backward pass out.

The forward page of a model gives *terms*, in nats, of each sample. An objective makes of them the
number that is minimised, and says how much of each term is in it: the *seeds*, from which the
backward page starts. That page knows no objective, and no objective knows a model.

With f_l = log p(x, z_l) − log q(z_l|x) every estimator of a gradient is then a row of coefficients,

    θ        of ∂log p(x, z_l)/∂θ
    path     of ∂f_l/∂z_l · ∂z_l/∂φ
    score    of ∂log q(z_l|x)/∂φ, with z_l held where it is

A, for L samples of M datapoints, has 1/LM, 1/LM and −1/LM. The decoder's backward pass to z_l is
linear in the θ that it started with. So the path is kept as what θ has to be multiplied by to get
it, a factor for each sample, and takes no second backward pass.
"""
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from npvae.backend import Array
from npvae.memory import Context, Workspace

State = Mapping[str, Array]
STATELESS: State = {}


class NormalParameters(NamedTuple):
    """Of q(z|x) = N(μ, σ²)."""

    a: Array  # [μ | log σ²]     (M, 2J)
    sigma: Array  # σ            (M, J)


class Terms(NamedTuple):
    """What a forward page tells an objective, in nats: log p(x|z_l), and how far q is from p."""

    nll: Array  # −log p(x|z_l)                                                       (L, M)
    kl: Array  # KL(q‖p) in closed form (1, M), or log q(z_l|x) − log p(z_l)          (L, M)
    q: NormalParameters | None = None  # where q is normal: for the KL of each latent


class Seeds(NamedTuple):
    """Where the backward page starts: what the loss makes of the terms."""

    theta: Array  # ∂loss/∂nll: for what generates x                                   (L, M)
    kl: Array  # ∂loss/∂kl: the same, and for q by way of z                            (1 or L, M)
    score: Array  # ∂loss/∂log q(z_l|x), z_l held; kl itself in a plain derivative     (L, M)
    path: Array | None = None  # what multiplies all that comes by way of z_l; None is 1   (L, M)
    above_threshold: Array | None = None  # latents whose KL is felt, 1 or 0; None: all     (J,)


class Loss(NamedTuple):
    """What is minimised: the mean of ``nll`` plus the mean of ``kl``; and its seeds."""

    nll: Array  # (L, M), or (1, M) where the samples are within it
    kl: Array  # (1 or L, M)
    seeds: Seeds


class Objective:
    """What training asks of an objective; one's own subclasses it and goes in as ``estimator=``.

    Those of this package are frozen dataclasses, whose fields are settings of the same name.

    Attributes
    ----------
    name : str
        That of ``estimator=``; empty where an object alone will do.
    min_samples : int
        The fewest samples of a datapoint that it can do with.
    analytic_kl : bool
        Whether ``terms.kl`` is to be the KL in closed form.
    exact : bool
        Whether the seeds are the derivative of the loss. Where they are those of another estimator
        of the same gradient, the gradient checker differentiates the surrogate that has them.
    moves_ends : bool
        Whether q(z|x) may be positive on an interval whose ends depend on φ. They may not where the
        seeds rest on E[∂log q/∂φ] = 0, which does not hold then.
    dependent_samples : bool
        Whether samples of a datapoint may depend on one another, each with the right distribution
        by itself. They may where the loss asks no more, and the seeds are its derivative or a mean
        over samples; and not where one sample's baseline or path is told by the others.
    with_one_sample : str
        The name of the simpler one that it is with L = 1; empty if it is itself.
    maximised : str
        What is maximised where it is not the lower bound, in a few words.
    """

    name: ClassVar[str] = ""
    min_samples: ClassVar[int] = 1
    analytic_kl: ClassVar[bool] = False
    exact: ClassVar[bool] = True
    moves_ends: ClassVar[bool] = True
    dependent_samples: ClassVar[bool] = False
    with_one_sample: ClassVar[str] = ""
    maximised: ClassVar[str] = "the objective"

    def __call__(
        self, ctx: Context, terms: Terms, scalars: tuple[Array, ...] = (), state: State = STATELESS
    ) -> Loss:
        """The loss of some terms. It may write to ``state``, and to buffers of ``ctx.work``."""
        raise NotImplementedError

    @property
    def separable(self) -> bool:
        """Whether the loss of a minibatch is the mean of the losses of its datapoints."""
        return True

    @property
    def warmup_epochs(self) -> int:
        """Epochs from the first over which what is maximised still changes.

        One of them is not to be compared with those that follow: early stopping leaves it out.
        """
        return 0

    def scalars(self, step: int, n_batches: int) -> tuple[float, ...]:
        """Numbers that change from step to step, ``n_batches`` of which are an epoch.

        They are handed to a step's call as arrays without dimensions; a call without any is one
        of no step of training, and takes their final values.
        """
        return ()

    def init_state(self, ctx: Context) -> dict[str, Array]:
        """What it carries from step to step, by name; kept in checkpoints."""
        return {}


def mean_grad(work: Workspace, terms: int, M: int) -> Array:
    """The gradient of a mean: ∂(mean of all terms)/∂(each term) = 1/(their number).

    (terms, M), terms being L or 1
    """
    return work.constant(1 / (terms * M), terms, M)
