"""What is measured of a configuration, by the public surface alone.

Noise and parameters are NumPy's, seeded by the configuration's name and the parameter's: they
depend neither on npvae nor on the order in which it holds its parameters.

Noise is standard normal in every family, which makes what it needs of it. Shapes:

    VAE, WakeSleep   eps (L, M, n)   n = J · (normals a latent: 2 for student-t, erlang, f, beta)
    FullVB           eps, and zeta (Q,), one for each parameter of the decoder
    MCEM             z (L, M, J) in the place of eps
    Autoencoder      eps (1, M, 0)

The pixels that WakeSleep dreams follow from ``random_state`` and from the argument ``dream``, the
steps of a training from ``random_state``.
"""
import warnings
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from .configurations import NOISE, Configuration, D, M, dataset

HERE = Path(__file__).parent
UNRECORDED = ("seconds", "active_latents")  # columns that differ from run to run, or are newer
Numbers = dict[str, np.ndarray]


def normals(seed: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normals that follow from a text."""
    return np.random.default_rng(crc32(seed.encode())).standard_normal(shape)


def with_parameters(model: Any, seed: str) -> Any:
    """An initialized model at N(0, 0.5²), biases too; log-variances of FullVB lower by 3."""
    return model.set_parameters({
        name: 0.5 * normals(seed + name, value.shape) - 3.0 * is_log_variance(name)
        for name, value in model.parameters.items()
    })  # fmt: skip


def is_log_variance(name: str) -> bool:
    """Whether a parameter is the log-variance of another, ``decoder.mean.bias.logvar``."""
    return name.endswith((".weight.logvar", ".bias.logvar"))


def noise(c: Configuration, model: Any, rows: int) -> dict[str, np.ndarray]:
    """Arguments of ``loss_and_grad`` that make it depend on nothing random."""
    n_latents, L = model.latent_dim, c.samples
    if c.kind == "Autoencoder":
        return {"eps": np.zeros((1, rows, 0))}
    if c.kind == "MCEM":
        return {"z": normals(c.name + "z", (L, rows, n_latents))}
    width = n_latents * NOISE.get(model.posterior, 1)
    given = {"eps": normals(c.name + "eps", (L, rows, width))}
    if c.kind == "FullVB":
        sizes = [value.size for name, value in model.parameters.items() if is_log_variance(name)]
        given["zeta"] = normals(c.name + "zeta", (sum(sizes),))
    if c.kind == "WakeSleep":
        given["dream"] = L
    return given


def gradient(c: Configuration, **options: Any) -> Numbers:
    """What a configuration gives at its parameters, see :func:`outputs`; and the sum and the root
    mean square of those that it is initialized with, as ``initial``."""
    model = c.model(**options).initialize(D)
    first = flat(model)
    with_parameters(model, c.name)
    return outputs(c, model) | {"initial": np.array([first.sum(), rms(first)])}


def outputs(c: Configuration, model: Any) -> Numbers:
    """The loss, the gradient of each parameter, ``"d " + name``, and what comes out beside them.

    All of it for the first datapoints that the configuration is given, and its own noise.
    """
    X, arguments = dataset(c.data, M), noise(c, model, M)
    loss, grads = model.loss_and_grad(X, **arguments)
    found = {"loss": np.array([loss])} | {f"d {name}": host(g) for name, g in grads.items()}
    if c.kind == "MCEM":  # transforms and scores by thousands of steps of Markov chains
        found["mean"] = host(model.inverse_transform(arguments["z"][0, :1]))
        return found
    codes = model.transform(X)
    found |= {"transform": host(codes[:2]), "mean": host(model.inverse_transform(codes[:1])),
              "score": host(model.score_samples(X)[:3])}  # fmt: skip
    if c.kind != "Autoencoder":
        bound = model.elbo(X, eps=arguments["eps"])
        found |= {"reconstruction": host(bound.reconstruction), "kl": host(bound.kl)}
        found["sample"] = host(model.sample(1, rng=0))
    if c.kind == "FullVB":
        found["parameter_kl"] = np.array([model.parameter_kl])
    return found


def likelihood(c: Configuration, **options: Any) -> Numbers:
    """The estimate of log p(x) at the configuration's parameters, its standard error and effective
    sample size; and the importance-weighted bounds, for the method that is by importance."""
    model, X = with_parameters(c.model(**options).initialize(D), c.name), dataset(c.data, M)
    found = model.log_likelihood(X, rng=3, **c.fit)
    columns = ("estimate", "standard_error", "effective_sample_size")
    numbers = {name: host(getattr(found, name)) for name in columns}
    if c.fit["method"] == "importance":
        bounds = model.iwae_bound(X, k=(1, 5), n_samples=20, rng=3)
        numbers["bounds"] = host(bounds.estimate)
    return numbers


def history(c: Configuration, **options: Any) -> Numbers:
    """What a training is known by, see :func:`columns`."""
    model, X = c.model(**options), dataset(c.data)
    held_out = {"validation": dataset(c.data, M)} if c.fit.get("validation") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # short chains are no samples to rely on
        model.fit(X, **held_out)
        for _ in range(c.fit.get("more", 0)):
            model.partial_fit(X)
    return columns(model)


def columns(model: Any) -> Numbers:
    """The history of a trained model but for UNRECORDED, NaN where an epoch lacks a number; and
    the sum and the root mean square of the parameters that it ended at, as ``parameters``."""
    found = {k: np.array(v, float) for k, v in model.history_.items() if k not in UNRECORDED}
    theta = flat(model)
    return found | {"parameters": np.array([theta.sum(), rms(theta)])}


def flat(model: Any) -> np.ndarray:
    """All parameters side by side, float64."""
    return np.concatenate([host(v).ravel() for v in model.parameters.values()]).astype(float)


def rms(values: np.ndarray) -> Any:
    """Root mean square."""
    return np.sqrt(np.mean(values**2))


def host(array: Any) -> np.ndarray:
    """An array of any device, on the host."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


# --- comparing ----------------------------------------------------------------------------


def differences(found: Numbers, recorded: Numbers, tolerance: float) -> list[str]:
    """Which arrays differ by more than ``tolerance`` times their largest entry, in words."""
    if found.keys() != recorded.keys():
        return [f"only one of the two has {sorted(found.keys() ^ recorded.keys())}"]
    wrong = []
    for name, expected in recorded.items():
        value = found[name]
        if value.shape != expected.shape or not np.array_equal(np.isnan(value), np.isnan(expected)):
            wrong.append(f"{name} is {value}, and was {expected}")
        elif expected.size:
            error, scale = np.nanmax(abs(value - expected)), np.nanmax(abs(expected))
            if not error <= tolerance * scale:
                wrong.append(f"{name} differs by {error:.2g}, its largest entry being {scale:.2g}")
    return wrong


# --- many in one file ---------------------------------------------------------------------


def pack(measured: dict[str, Numbers]) -> Numbers:
    """Numbers by configuration and name, as few arrays.

    ``layout`` says in lines "configuration|array|shape" what lies one after the other in
    ``values``.
    """
    lines, values = [], []
    for name, arrays in measured.items():
        for key, array in arrays.items():
            lines.append(f"{name}|{key}|{' '.join(map(str, array.shape))}")
            values.append(array.ravel())
    text = "\n".join(lines).encode()
    return {"layout": np.frombuffer(text, np.uint8), "values": np.concatenate(values)}


def read(file: str) -> dict[str, Numbers]:
    """What was recorded in a file of this folder."""
    with np.load(HERE / file) as packed:
        return unpack(packed)


def unpack(packed: Any) -> dict[str, Numbers]:
    """The reverse of :func:`pack`."""
    measured: dict[str, Numbers] = {}
    start, values = 0, packed["values"]
    for line in packed["layout"].tobytes().decode().split("\n"):
        name, key, text = line.split("|")
        shape = tuple(map(int, text.split()))
        stop = start + int(np.prod(shape))
        measured.setdefault(name, {})[key] = values[start:stop].reshape(shape)
        start = stop
    return measured
