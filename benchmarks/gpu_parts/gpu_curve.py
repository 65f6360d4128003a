"""Figure 2 of the paper, MNIST with J = 20: how long its training takes, and where it ends.

784-500-20 and back, tanh, Bernoulli on grey pixels, M = 100, L = 1, Adagrad, the prior N(0, I)
on the weights. The training bound of an epoch is the mean over it, while the parameters move.
"""
from time import perf_counter
from typing import Any

from common.workload import has_mnist

import npvae
from gpu_parts import gpu_scale
from gpu_parts.gpu_worker import Failed, Place
from npvae.reproduce.paper import bounds

CURVE = bounds("mnist", 20)[0]  # of what ``npvae reproduce figure2`` trains on a processor
NO_MNIST = "MNIST is not here: set NPVAE_DATA to the folder in which mnist/ is"
PUBLISHED = -97.3  # nats at the end of the curve, 2.5e8 samples, read off the figure ± 0.5


def train(place: Place, samples: float, budget: float) -> dict[str, Any]:
    """Train until ``samples`` datapoints have been seen, or ``budget`` seconds are over.

    On other data it would be no figure 2, and what it took would be taken for one.
    """
    if not (place.rehearse or has_mnist()):
        raise Failed(NO_MNIST)
    data = gpu_scale.data(place.rehearse)
    J, hidden, M = (3, (16,), 10) if place.rehearse else (20, (500,), 100)
    asked = {k: CURVE.settings(samples)[k] for k in ("optimizer", "learning_rate")}
    vae = npvae.VAE(
        J, hidden, "tanh", parameter_prior=True, batch_size=M,
        epochs=-(-int(samples) // len(data)), backend="cupy", tf32=place.tf32,
        random_state=0, verbose=False, **asked,
    )  # fmt: skip
    began = perf_counter()
    seconds: list[float] = []

    def note(state: Any) -> bool:
        seconds.append(round(perf_counter() - began, 4))
        return seconds[-1] > budget

    vae.fit(data, callbacks=[note])
    history = vae.history_
    return {
        "data": data.name, "figure_2": not place.rehearse, "precision": place.precision,
        "learning_rate": vae.learning_rate,
        "goal_samples": samples, "samples": history["samples"][-1], "seconds": seconds[-1],
        "elbo": [round(value, 4) for value in history["elbo"]], "at_seconds": seconds,
        "published_elbo": PUBLISHED,
    }  # fmt: skip
