"""What a person sees who presses Tab: public names, all of them, and nothing else."""
import importlib
import inspect

import pytest

import npvae

PACKAGES = ["data", "distributions", "estimators", "evaluation", "explain", "optim", "plotting",
            "testing"]  # fmt: skip


def test_dir_of_npvae_is_what_it_offers():
    assert set(dir(npvae)) == {*npvae.__all__, "__version__"}
    importlib.import_module("npvae.runs")  # a module that was imported is no public name
    assert "runs" not in dir(npvae) and "lazy" not in dir(npvae)


@pytest.mark.parametrize("name", PACKAGES)
def test_dir_of_a_package_is_what_it_offers(name):
    package = importlib.import_module(f"npvae.{name}")
    assert dir(package) == sorted(package.__all__)
    for offered in package.__all__:
        found = inspect.getattr_static(package, offered, None) or getattr(package, offered)
        assert not inspect.ismodule(found) and not offered.startswith("_")
