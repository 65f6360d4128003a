"""``npvae data`` and ``npvae doctor``: what is on this machine."""
import argparse

from npvae.cli.flags import Commands, add_command


def add_to(commands: Commands) -> None:
    add_command(commands, show_data, "data", "which data sets are here")
    add_command(commands, doctor, "doctor",
                "versions, BLAS, GPU, data, and what to do about each")  # fmt: skip


def show_data(arguments: argparse.Namespace) -> None:
    from npvae import data

    for name, found, where in data.available():
        print(f"{name:<12} {'found  ' if found else 'missing'}  {where}")


def doctor(arguments: argparse.Namespace) -> None:
    from npvae.doctor import report

    for line in report():
        print(line)
