"""Pages for a browser: a model, drawn and computed by the page itself, in one file.

=================  =============================================================================
:mod:`.explain`    how the gradient of one datapoint flows
:mod:`.code`       the lines of npvae's code that it points to
:mod:`.explore`    the latent space, to move through
:mod:`.page`       puts a page together: one HTML file that asks nothing of anyone
:mod:`.weights`    a model as JSON, and which models a page can hold
``static/``        style, markup and plain JavaScript; ``ops.js`` and ``model.js`` are npvae's
                   formulas with their backward passes, for one datapoint
=================  =============================================================================
"""
from npvae.explain.explain import bundled_model, explain
from npvae.explain.explore import explore
from npvae.explain.page import pack, page
from npvae.explain.weights import describe

__all__ = ["bundled_model", "describe", "explain", "explore", "pack", "page"]


def __dir__() -> list[str]:
    return __all__
