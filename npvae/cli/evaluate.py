"""``npvae evaluate``: what a trained model is worth."""
import argparse

from npvae.cli.common import find, find_data, progress_bar
from npvae.cli.flags import Commands, add_command, with_model
from npvae.errors import ParameterError

BOUND_SAMPLES = 10  # of z for each datapoint, at least, so that the ELBO has a standard error


def add_to(commands: Commands) -> None:
    p = add_command(commands, evaluate, "evaluate",
                    "bound and likelihood, with its standard error")  # fmt: skip
    with_model(p, data=True)
    p.add_argument("--method", choices=("importance", "annealed", "harmonic", "prior"),
                   help="of estimating log p(x); the first that serves the model if not given")
    p.add_argument("--samples", type=int, help="a datapoint, or annealed chains; the method's own "
                                               "number if not given: 5000 importance samples")
    p.add_argument("--curve", action="store_true",
                   help="the importance-weighted bounds of 1, 10, 100 and 1000 samples instead")
    p.add_argument("--limit", type=int, default=1000, help="datapoints at most (1000)")


def evaluate(arguments: argparse.Namespace) -> None:
    from npvae import evaluation
    from npvae.estimators import scoring
    from npvae.evaluation.comparison import why_below

    model, run = find(arguments.model)
    if not model.has_prior:
        raise ParameterError("an Autoencoder defines no likelihood of x; evaluate a VAE")
    dataset = find_data(arguments, run)
    if arguments.limit < 1:
        raise ParameterError(f"--limit {arguments.limit} leaves no datapoint; ask for 1 or more")
    if arguments.curve and arguments.method:
        raise ParameterError("--curve is of importance samples; leave out --method")
    if arguments.samples is not None and arguments.samples < 2:
        raise ParameterError(f"--samples {arguments.samples} gives no standard error; ask for more")
    pixels, scale = scoring.scored_data(model, dataset.first(min(arguments.limit, len(dataset))))
    X = pixels * model.engine_.theta.dtype.type(scale)
    print(f"data       {dataset.name}, first {len(X)}, grey pixels: {model.binarize}")
    if model.has_bound:
        bound = model.elbo(X, n_samples=max(model.n_samples, BOUND_SAMPLES))
        print(f"bound      {bound}")
    options = {"rng": 0, "progress": progress_bar("chunks")}
    if arguments.curve:
        if not model.has_bound:
            raise ParameterError("a curve of bounds needs an encoder; leave out --curve")
        found = model.iwae_bound(X, n_samples=arguments.samples or 5000, **options)
        print(found)
    else:
        found = model.log_likelihood(X, arguments.samples, method=arguments.method, **options)
        print(f"likelihood {found}")
    if model.has_bound and (why := why_below(bound, found)):
        print(f"note       {why}")
    if len(X) > 1 and model.has_bound:  # without an encoder, codes take chains
        variance = evaluation.prior_variance(model.engine_)
        active = evaluation.active_units(model.transform(X), prior_variance=variance)
        print(f"latents    {int(active.sum())} of {len(active)} active")
