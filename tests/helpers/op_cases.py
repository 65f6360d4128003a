"""One table of cases that drives every test of the ops.

A case writes down how an op is called, argument by argument:

    tanh a~ bias h!                        a plain word is read and left alone;
    tanh_backward d_h h d_a! d_bias!       word! is written, all of it, and not read;
                                           word~ is read and changed

and the rest follows from the names. The backward pass reads ``d_v`` for some outputs ``v`` and
gives ``d_v`` for some inputs ``v``: the latter must be the derivatives of S = Σ_v Σ d_v · v over
the former. ``a~`` is the matrix product that an op may use up.
"""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from npvae.ops import ACTIVATIONS, DECLARED, Ops

Arrays = dict[str, Any]

DOUBLE = ("parts", "step_scalars", "sums")  # float64 whatever the dtype of the model

SIZES = {
    "ones": {"L": 1, "M": 1, "H": 1, "J": 1, "D": 1, "P": 1},
    "odd": {"L": 3, "M": 5, "H": 7, "J": 2, "D": 9, "P": 11},
    "one sample": {"L": 1, "M": 4, "H": 1, "J": 3, "D": 2, "P": 8},
}


@dataclass(frozen=True)
class Call:
    """One call: the op's name, and its arguments with their marks."""

    op: str
    arguments: tuple[tuple[str, str], ...]  # (name, mark), the mark one of "", "!", "~"

    def words(self, *marks: str) -> list[str]:
        """The arguments that carry one of these marks, in order; "" is a plain word."""
        return [name for name, mark in self.arguments if mark in marks]

    @property
    def results(self) -> list[str]:
        """The arguments that it leaves results in: twins do without working space."""
        scratch = DECLARED[self.op].scratch
        return [word for word in self.words("!", "~") if word not in scratch]

    def __call__(self, ops: Ops, arrays: Arrays) -> Any:
        return getattr(ops, self.op)(*(look_up(arrays, name) for name, _ in self.arguments))


def look_up(arrays: Arrays, name: str) -> Any:
    """The array called ``name``, transposed if it is called ``name.T``."""
    return arrays[name[:-2]].T if name.endswith(".T") else arrays[name]


def calls(text: str) -> list[Call]:
    """What "op word word!; op word~" says."""
    parsed = []
    for call in filter(None, text.split(";")):
        op, *words = call.split()
        names = [word.rstrip("!~") for word in words]
        marks = [word[len(name) :] for word, name in zip(words, names, strict=True)]
        parsed.append(Call(op, tuple(zip(names, marks, strict=True))))
    return parsed


@dataclass(frozen=True)
class Case:
    """How an op and its backward are called, and on what.

    ``given`` maps each argument to its shape ("L M 2J", filled with standard normal numbers),
    to ``(shape, maker)``, or to a constant. ``d_v`` has the shape of ``v``.
    """

    forward: str
    backward: str
    given: Arrays

    @property
    def calls(self) -> list[Call]:
        return calls(self.forward) + calls(self.backward)

    @property
    def upstream(self) -> list[str]:
        """The outputs v whose d_v the backward pass reads."""
        written = [word for call in calls(self.forward) for word in call.words("!")]
        read = {word.removesuffix(".T") for call in calls(self.backward) for word in call.words("")}
        return [v for v in written if "d_" + v in read]

    @property
    def differentiable(self) -> list[str]:
        """The inputs v whose d_v the backward pass gives."""
        given = [word for call in calls(self.backward) for word in call.words("!", "~")]
        return [word.removeprefix("d_") for word in given if word.startswith("d_")]

    def arrays(self, sizes: dict[str, int], dtype: Any = np.float64, seed: int = 0) -> Arrays:
        """All arguments, the outputs filled with NaN (or 255, where there is none)."""
        rng = np.random.default_rng(seed)
        arrays = {name: make(rng, spec, sizes) for name, spec in self.given.items()}
        for v in self.upstream + self.differentiable:
            arrays["d_" + v] = rng.standard_normal(arrays[v].shape)
        for name, value in arrays.items():
            if isinstance(value, np.ndarray) and value.dtype == np.float64 and name not in DOUBLE:
                arrays[name] = value.astype(dtype)
        poison(arrays, {word for call in self.calls for word in call.words("!")})
        for word in (w for call in calls(self.backward) for w in call.words("~")):
            arrays[word][...] = 0  # what a backward adds to
        return arrays


def make(rng: np.random.Generator, spec: Any, sizes: dict[str, int]) -> Any:
    """The value of one argument."""
    if not isinstance(spec, (str, tuple)):
        return spec
    text, maker = (spec, np.random.Generator.standard_normal) if isinstance(spec, str) else spec
    return maker(rng, tuple(length(word, sizes) for word in text.split()))


def length(word: str, sizes: dict[str, int]) -> int:
    """M → M, 2J → 2 · J, 1 → 1."""
    letter = word.lstrip("0123456789")
    return int(word[: len(word) - len(letter)] or 1) * (sizes[letter] if letter else 1)


def poison(arrays: Arrays, names: set[str]) -> None:
    """Fill with what no correct result contains."""
    for name in names:
        arrays[name][...] = np.nan if arrays[name].dtype.kind in "fc" else 255


def copied(arrays: Arrays, dtype: Any = None) -> Arrays:
    """The same values in memory of their own, floating-point ones as ``dtype`` if given."""
    return {
        name: value.astype(
            dtype if dtype and value.dtype.kind == "f" and name not in DOUBLE else value.dtype
        )
        if isinstance(value, np.ndarray)
        else value
        for name, value in arrays.items()
    }


# --- derivatives --------------------------------------------------------------------------


def complex_step(f: Callable[[Any], Any]) -> float:
    """Im f(ih) / h. Nothing is subtracted, so h can be far below the rounding error."""
    return f(1e-30j).imag / 1e-30


def three_point(f: Callable[[Any], Any]) -> float:
    """(f(h) − f(−h)) / 2h. At h = 1e-5 the h² of the formula and ε/h of rounding balance."""
    return (f(1e-5) - f(-1e-5)) / 2e-5


def gradients(
    ops: Ops, case: Case, sizes: dict[str, int], rule: Callable[[Callable[[Any], Any]], float]
) -> Iterator[tuple[str, Any, Any]]:
    """For each differentiable input: its name, the backward's gradient, the numerical one."""
    arrays = case.arrays(sizes)

    def objective(v: str, index: tuple[int, ...], step: Any) -> Any:
        point = copied(arrays, np.result_type(np.float64, step))
        point[v][index] += step
        for forward in calls(case.forward):
            returned = forward(ops, point)
        if case.upstream:
            return sum((point["d_" + v] * point[v]).sum() for v in case.upstream)
        return returned  # l2 returns its number

    numerical = {v: np.empty(arrays[v].shape) for v in case.differentiable}
    for v, gradient in numerical.items():
        for index in np.ndindex(gradient.shape):
            gradient[index] = rule(lambda step, v=v, index=index: objective(v, index, step))
    for call in case.calls:
        call(ops, arrays)
    for v, gradient in numerical.items():
        yield v, arrays["d_" + v], gradient


def relative_error(a: Any, b: Any) -> float:
    """max |a − b| / max |b|: of the array, for an element may be zero by cancellation."""
    return float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-300))


# --- the table ----------------------------------------------------------------------------


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.exponential(size=shape)


def unit(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.random(shape)


def pixels(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.integers(0, 256, shape, dtype=np.uint8)


def counts(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return np.floor(3000.0 ** (rng.random(shape) * 1.2 - 0.2))  # some 0, some beyond the table


def five_levels(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.integers(0, 5, shape) / 4


def row_numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.integers(0, shape[0] + 2, shape)  # of M + 2 rows; some twice


def number_41(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return np.full(shape, 41)


def number_40(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return np.full(shape, 40)


DENSE = {"a": "M H", "bias": "H", "h": "M H"}
SAVED = {"output": "h", "input": "a"}  # what an activation's backward reads, and where it is
LATENT = {
    "a": "M 2J", "bias": "2J", "eps": "L M J",
    "sigma": "M J", "z": "L M J", "kl": "1 M", "log_ratio": "L M",
}  # fmt: skip
BERNOULLI = {
    "a": "L M D", "bias": "D", "x": ("M D", unit),
    "y": "L M D", "scratch": "L M D", "nll": "L M",
}  # fmt: skip
NORMAL = {
    "a": "L M 2D", "bias": "2D", "x": "M D",
    "inv_sigma": "L M D", "residual": "L M D", "nll": "L M", "limit": inf,
}  # fmt: skip
ONE_HEAD = {"a": "L M D", "bias": "D", "x": ("M D", unit), "d_nll_d_a": "L M D", "nll": "L M"}
TWO_HEADS = ONE_HEAD | {"a": "L M 2D", "bias": "2D", "x": "M D", "d_nll_d_a": "L M 2D"}
LOGISTIC = TWO_HEADS | {
    "x": ("M D", five_levels), "levels": 5, "scratch": "3 L M D", "mask": "M D"
}  # fmt: skip
CATEGORICAL = {
    "a": "L M 5D", "bias": "5D", "x": ("M D", five_levels),
    "d_nll_d_a": "L M 5D", "scratch": "L M D", "mask": "M D", "nll": "L M",
}  # fmt: skip
FUSED_GRAD_BACKWARD = "nll_backward d_nll d_nll_d_a d_a! d_bias!"
UPDATE = {
    "theta": "P", "grad": "P", "scratch": "P",
    "velocity": "P", "mean": "P", "square": ("P", positive),
    "rate": 0.1, "mu": 0.9, "decay": 0.99, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
}  # fmt: skip
GATHER = {
    "data": ("M D", lambda rng, shape: pixels(rng, (shape[0] + 2, shape[1]))),
    "rows": ("M", row_numbers), "scale": 1 / 255, "gathered": ("M D", pixels), "x": "M D",
}  # fmt: skip
STREAM = {"seed": 2**64 - 59, "stream": 2, "step": ("1", number_41)}
BEGIN_STEP = {
    "next_step": ("1", number_41), "step": ("1", number_40), "epoch_start": ("1", number_40),
    "order": ("3M", row_numbers), "batch_size": 2, "step_scalars": "3 3",
    "rows": ("M", row_numbers), "current_scalars": "3",
}  # fmt: skip
NORMAL_CASE = (
    "normal_nll a~ bias x sigmoid_mean limit inv_sigma! residual! nll!",
    "normal_nll_backward d_nll a sigmoid_mean limit inv_sigma residual d_a! d_bias!",
)
LAPLACE_CASE = "laplace_nll a~ bias x limit d_nll_d_a! nll!", FUSED_GRAD_BACKWARD

CASES: dict[str, Case] = {
    "gemm": Case(
        "gemm left right out!",
        "gemm d_out right.T d_left!; gemm left.T d_out d_right!",
        {"left": "M D", "right": "D H", "out": "M H"},
    ),
    "gather": Case("gather data rows scale gathered! x!", "", GATHER),
    "binarize": Case("binarize x~ threshold", "", {"x": ("M D", unit), "threshold": ("M D", unit)}),
    "sample_bernoulli": Case(
        "sample_bernoulli seed stream step start x~", "",
        STREAM | {"start": 21, "x": ("M D", unit)},
    ),
    **{
        name: Case(
            f"{name} a~ bias h!", f"{name}_backward d_h {SAVED[op.reads]} d_a! d_bias!", DENSE
        )
        for name, op in ACTIVATIONS.items()
    },
    "normal_kl": Case(
        "normal_kl a~ bias eps sigma! z! kl!",
        "normal_kl_backward d_z d_kl a eps sigma d_a! d_bias!",
        LATENT,
    ),
    "normal_log_ratio": Case(
        "normal_log_ratio a~ bias eps sigma! z! log_ratio!",
        "normal_log_ratio_backward d_z d_log_ratio d_log_ratio a eps sigma z d_a! d_bias!",
        LATENT,
    ),
    "fill_noise_normal_kl": Case(
        "fill_noise_normal_kl seed stream step a~ bias eps! sigma! z! kl!",
        "normal_kl_backward d_z d_kl a eps sigma d_a! d_bias!",
        STREAM | LATENT,
    ),
    "fill_noise_normal_log_ratio": Case(
        "fill_noise_normal_log_ratio seed stream step a~ bias eps! sigma! z! log_ratio!",
        "normal_log_ratio_backward d_z d_log_ratio d_log_ratio a eps sigma z d_a! d_bias!",
        STREAM | LATENT,
    ),
    "normal_log_ratio_backward, two weights": Case(
        "normal_log_ratio a~ bias eps sigma! z! log_ratio!; "
        "normal_log_ratio_backward d_z p s a eps sigma z d_a! d_bias!", "",
        LATENT | {"d_z": "L M J", "p": "L M", "s": "L M", "d_a": "M 2J", "d_bias": "2J"},
    ),
    "free_bits": Case(
        "normal_kl a~ bias eps sigma! z! kl!; "
        "free_bits a sigma free_nats above_threshold! clamped_kl!",
        "free_bits_backward d_z d_clamped_kl above_threshold a eps sigma d_a! d_bias!",
        LATENT | {"free_nats": 0.9, "above_threshold": "J", "clamped_kl": "1 M"},
    ),
    "scale_kl": Case(
        "scale_kl kl weight weighted_kl! d_kl!", "",
        {"kl": "L M", "weight": 0.3, "weighted_kl": "L M", "d_kl": "L M"},
    ),
    "bernoulli_nll": Case(
        "bernoulli_nll a~ bias x y! scratch! nll!",
        "bernoulli_nll_backward d_nll x y d_a! d_bias!",
        BERNOULLI,
    ),
    "normal_nll": Case(*NORMAL_CASE, dict(NORMAL, sigmoid_mean=False)),
    "normal_nll, sigmoid mean": Case(*NORMAL_CASE, dict(NORMAL, sigmoid_mean=True)),
    "normal_nll, soft clip": Case(*NORMAL_CASE, dict(NORMAL, sigmoid_mean=False, limit=0.5)),
    **{
        f"fixed_normal_nll, sigmoid mean {sigmoid}": Case(
            "fixed_normal_nll a~ bias x sigmoid_mean std d_nll_d_a! nll!", FUSED_GRAD_BACKWARD,
            ONE_HEAD | {"x": "M D", "sigmoid_mean": sigmoid, "std": 0.3},
        )
        for sigmoid in (False, True)
    },
    "laplace_nll": Case(*LAPLACE_CASE, TWO_HEADS | {"limit": inf}),
    "laplace_nll, soft clip": Case(*LAPLACE_CASE, TWO_HEADS | {"limit": 0.5}),
    "poisson_nll": Case(
        "poisson_nll a~ bias x d_nll_d_a! scratch! nll!", FUSED_GRAD_BACKWARD,
        ONE_HEAD | {"x": ("M D", counts), "scratch": "M D"},
    ),
    "categorical_nll": Case(
        "categorical_nll a~ bias x d_nll_d_a! scratch! mask! nll!", FUSED_GRAD_BACKWARD, CATEGORICAL
    ),
    "continuous_bernoulli_nll": Case(
        "continuous_bernoulli_nll a~ bias x d_nll_d_a! scratch! nll!", FUSED_GRAD_BACKWARD,
        ONE_HEAD | {"scratch": "2 L M D"},
    ),
    "discretized_logistic_nll": Case(
        "discretized_logistic_nll a~ bias x levels d_nll_d_a! scratch! mask! nll!",
        FUSED_GRAD_BACKWARD, LOGISTIC,
    ),
    "importance_weights": Case(
        "importance_weights nll kl w! theta! loss!", "",
        {"nll": "L M", "kl": "L M", "w": "L M", "theta": "L M", "loss": "1 M"},
    ),
    "l2": Case(
        "l2 weights strength",
        "l2_backward weights strength scratch! d_weights~",
        {"weights": "P", "strength": 0.3, "scratch": "P"},
    ),
    "parameter_sample": Case(
        "parameter_sample mu logvar zeta sigma! theta!",
        "parameter_sample_backward d_theta zeta sigma d_logvar!",
        {"mu": "P", "logvar": "P", "zeta": "P", "sigma": "P", "theta": "P"},
    ),
    "parameter_kl": Case(
        "parameter_kl mu logvar strength",
        "parameter_kl_backward mu logvar strength scratch! d_mu~ d_logvar~",
        {"mu": "P", "logvar": "P", "strength": 0.3, "scratch": "P"},
    ),
    "fill_noise": Case(
        "fill_noise seed stream step start eps!", "", STREAM | {"start": 3, "eps": "L M J"}
    ),
    **{
        f"sample_normal, sigmoid mean {sigmoid}, limit {limit}": Case(
            "sample_normal seed stream step a~ bias sigmoid_mean limit x!", "",
            STREAM | {"a": "M 2D", "bias": "2D", "sigmoid_mean": sigmoid, "limit": limit,
                      "x": "M D"},
        )
        for sigmoid, limit in ((False, inf), (True, inf), (False, 0.5))
    },
    **{
        f"sample_{name}": Case(
            f"sample_{name} seed stream step a bias {own} x!", "",
            STREAM | {"a": f"M {H}D", "bias": f"{H}D", "levels": 5, "limit": 0.5, "x": "M D"},
        )
        for name, H, own in (
            ("laplace", 2, "limit"), ("discretized_logistic", 2, "levels"), ("poisson", 1, ""),
            ("continuous_bernoulli", 1, ""), ("categorical", 5, ""),
        )
    },
    "clip_factor": Case(
        "squares grad parts!; clip_factor parts max_norm factor!", "",
        {"grad": "P", "parts": "1", "max_norm": 0.5, "factor": "1"},
    ),
    "clip_factor, nothing to clip": Case(
        "clip_factor parts max_norm factor!", "",
        {"parts": ("4", unit), "max_norm": 1e3, "factor": "1"},
    ),
    "nll_shift": Case("nll_shift nll~ nats", "", {"nll": "L M", "nats": 12.5}),
    "scale": Case("scale grad~ factor", "", {"grad": "P", "factor": "1"}),
    "flush_denormals": Case(
        "flush_denormals moment~ scratch!", "", {"moment": "P", "scratch": "P"}
    ),
    "sgd": Case("sgd theta~ grad scratch! rate", "", UPDATE),
    "momentum": Case("momentum theta~ grad velocity~ scratch! rate mu", "", UPDATE),
    "nesterov": Case("nesterov theta~ grad velocity~ scratch! rate mu", "", UPDATE),
    "adagrad": Case("adagrad theta~ grad square~ scratch! rate epsilon", "", UPDATE),
    "rmsprop": Case("rmsprop theta~ grad square~ scratch! rate decay epsilon", "", UPDATE),
    "adam": Case("adam theta~ grad mean~ square~ scratch! rate beta1 beta2 epsilon", "", UPDATE),
    "begin_step": Case(
        "begin_step next_step~ step! epoch_start order batch_size step_scalars rows! "
        "current_scalars!", "", BEGIN_STEP,
    ),
    "accumulate_metrics": Case(
        "accumulate_metrics nll kl sums~", "", {"nll": "L M", "kl": "1 M", "sums": "2"}
    ),
    "accumulate_metrics, a ratio a sample": Case(
        "accumulate_metrics nll kl sums~", "", {"nll": "L M", "kl": "L M", "sums": "2"}
    ),
}
