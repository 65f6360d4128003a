"""The laboratory: estimators of a gradient, compared at the same noise.

    found = npvae.lab.compare(["A", "B", "stl"], vae, X, n_draws=1000, rng=0)
    print(found)
    found.plot()

======================  ===========================================================================
:mod:`.compare`         the estimators of ``estimator=``, on a VAE: bias, variance, signal, time
:mod:`.checkpoint`      a comparison that was interrupted, on disk
:mod:`.truth`           what the mean of a gradient should be
:mod:`.statistics`      what draws say of it, and how sure they are
:mod:`.measure_valued`  derivatives of E[f(x)] for a normal x, where f is any function
:mod:`.gamma_shape`     those for a gamma variable by its shape: implicit, and by rejection sampling
======================  ===========================================================================
"""
from npvae.lab.compare import compare
from npvae.lab.comparison import Comparison, Difference, Gradient

__all__ = ["Comparison", "Difference", "Gradient", "compare"]


def __dir__() -> list[str]:
    return __all__
