"""``npvae gradcheck``: hand-written gradients against differences of the bound itself."""
import argparse
from dataclasses import asdict

from npvae.cli.common import note, print_json
from npvae.cli.flags import Commands, add_command, add_options, explicit_options, with_json
from npvae.options import MODEL, RUN

SMALL = {"hidden": (16,), "latent_dim": 3}  # in float64, where differences have digits enough


def add_to(commands: Commands) -> None:
    p = add_command(commands, gradcheck, "gradcheck",
                    "hand-written gradients against differences, in float64")  # fmt: skip
    with_json(p)
    add_options(p, "the run", RUN[:2])
    options = (option for option in MODEL if option.name != "dtype")
    add_options(p, "the model, a small one", options, SMALL)


def gradcheck(arguments: argparse.Namespace) -> int:
    from npvae import runs, testing

    settings = runs.resolve_settings(SMALL | {"dtype": "float64"} | explicit_options(arguments))
    dataset = runs.load_data(settings)
    model = runs.build(settings)
    X = dataset.images[:5]
    model.initialize(X.shape[1])
    note(arguments, *runs.summary(settings))
    report = testing.check_gradients(model, X)
    if arguments.json:
        print_json({"ok": report.ok, "worst": report.worst, **asdict(report)})
    else:
        print(report)
    return 0 if report.ok else 1
