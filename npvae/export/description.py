"""What every format is made from: a model as a config, arrays by name, and two programs."""
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from npvae.export import forward
from npvae.export.program import Program
from npvae.models import Model


@dataclass(frozen=True, eq=False)
class Description:
    """A model with its parameters, as plain as it can be said.

    Attributes
    ----------
    config : dict
        That of the model file: all that rebuilds the model, for JSON.
    arrays : dict of str to array
        Parameters by PyTorch's names, with shift and scale of a standardization.
    model : Model
        Its networks, likelihood, posterior and prior.
    """

    config: dict[str, Any]
    arrays: dict[str, np.ndarray]
    model: Model

    @property
    def dtype(self) -> np.dtype:
        """Of the parameters."""
        return np.dtype(self.config["params"]["dtype"])

    @cached_property
    def encoder(self) -> Program:
        """x → the parameters of q(z|x): :func:`npvae.export.forward.encoder`."""
        return forward.encoder(self.model, self.arrays, self.dtype)

    @cached_property
    def decoder(self) -> Program:
        """z → E[x|z]: :func:`npvae.export.forward.decoder`."""
        return forward.decoder(self.model, self.arrays, self.dtype)
