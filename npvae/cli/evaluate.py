"""``npvae evaluate``: what a trained model is worth."""
import argparse
from typing import Any

from npvae.cli.common import find, find_data, note, print_json, progress_bar
from npvae.cli.flags import Commands, add_command, add_number, with_json, with_model
from npvae.cli.terminal import say
from npvae.errors import ParameterError

BOUND_SAMPLES = 10  # of z for each datapoint, at least, so that the ELBO has a standard error


def add_to(commands: Commands) -> None:
    p = add_command(commands, evaluate, "evaluate",
                    "bound and likelihood, with its standard error")  # fmt: skip
    with_model(p, data=True)
    with_json(p)
    p.add_argument("--method", choices=("importance", "annealed", "harmonic", "prior"),
                   metavar="NAME", help="of estimating log p(x): importance, annealed, harmonic or "
                   "prior; the first that serves the model if not given")  # fmt: skip
    add_number(p, "--samples", help="a datapoint, or annealed chains; the method's own number if "
                                    "not given: 5000 importance samples")
    p.add_argument("--curve", action="store_true",
                   help="the importance-weighted bounds of 1, 10, 100 and 1000 samples instead")
    add_number(p, "--limit", default=1000, help="datapoints at most")


def evaluate(arguments: argparse.Namespace) -> None:
    from npvae import evaluation
    from npvae.estimators import scoring
    from npvae.evaluation.comparison import why_below

    model, run = find(arguments.model)
    if not model.has_prior:
        raise ParameterError("an Autoencoder defines no likelihood of x; evaluate a VAE")
    dataset = find_data(arguments, model, run)
    if arguments.limit < 1:
        raise ParameterError(f"--limit {arguments.limit} leaves no datapoint; ask for 1 or more")
    if arguments.curve and arguments.method:
        raise ParameterError("--curve is of importance samples; leave out --method")
    if arguments.curve and not model.has_bound:
        raise ParameterError("a curve of bounds needs an encoder; leave out --curve")
    if arguments.samples is not None and arguments.samples < 2:
        raise ParameterError(f"--samples {arguments.samples} gives no standard error; ask for more")
    pixels, scale = scoring.scored_data(model, dataset.first(min(arguments.limit, len(dataset))))
    X = pixels * model.engine_.theta.dtype.type(scale)
    note(arguments, f"data       {dataset.name}, first {len(X)}, grey pixels: {model.binarize}")
    lines: list[str] = []
    result: dict[str, Any] = {"data": dataset.name, "datapoints": len(X)}
    if model.has_bound:
        bound = model.elbo(X, n_samples=max(model.n_samples, BOUND_SAMPLES))
        lines.append(f"bound      {bound}")
        result["bound"] = bound.summary()
    options = {"rng": 0, "progress": progress_bar(arguments, "chunks")}
    if arguments.curve:
        found = model.iwae_bound(X, n_samples=arguments.samples or 5000, **options)
        lines.append(f"{found}")
        result["curve"] = found.summary()
    else:
        found = model.log_likelihood(X, arguments.samples, method=arguments.method, **options)
        lines.append(f"likelihood {found}")
        result["likelihood"] = found.summary()
    if model.has_bound and (why := why_below(bound, found)):
        lines.append(f"note       {why}")
        result["note"] = why
    if len(X) > 1 and model.has_bound:  # without an encoder, codes take chains
        variance = evaluation.prior_variance(model.engine_)
        active = evaluation.active_units(model.transform(X), prior_variance=variance)
        lines.append(f"latents    {int(active.sum())} of {len(active)} active")
        result["active_latents"] = [int(j) for j in active.nonzero()[0]]
    if arguments.json:
        print_json(result)
    else:
        say(*lines)
