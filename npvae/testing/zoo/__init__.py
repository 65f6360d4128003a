"""The bug zoo: mistakes that public VAE code has made, what they do, and what sees them."""
from npvae.testing.zoo.catalogue import ZOO, Mistake
from npvae.testing.zoo.findings import Finding, study, table

__all__ = ["ZOO", "Finding", "Mistake", "study", "table"]


def __dir__() -> list[str]:
    return __all__
