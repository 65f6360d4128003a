"""``npvae gradcheck``: hand-written gradients against differences of the bound itself."""
import argparse

from npvae.cli.flags import Commands, add_command, explicit_options
from npvae.options import MODEL, RUN


def add_to(commands: Commands) -> None:
    add_command(commands, gradcheck, "gradcheck",
                "hand-written gradients against differences, in float64",
                *RUN[:2], *(option for option in MODEL if option.name != "dtype"))  # fmt: skip


def gradcheck(arguments: argparse.Namespace) -> int:
    from npvae import data, runs, testing

    small = {"hidden": [16], "latent_dim": 3, "dtype": "float64"}
    settings = runs.resolve_settings(small | explicit_options(arguments))
    dataset = data.load(settings["data"])
    model = runs.build(settings)
    X = dataset.images[:5]
    model.initialize(X.shape[1])
    print("\n".join(runs.summary(settings)))
    report = testing.check_gradients(model, X)
    print(report)
    return 0 if report.ok else 1
