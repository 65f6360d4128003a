"""What every format is made from: a model as a config, arrays by name, and three programs."""
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from warnings import warn

import numpy as np

from npvae.distributions.priors import Density
from npvae.export import forward
from npvae.export.families import noise_kinds
from npvae.export.program import Program
from npvae.models import Model
from npvae.standardization import NAMES

COARSE = 0.01  # deviations; the rounding of float32 that is worth a warning


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
    prior : BoundDistribution or Mixture, optional
        p(z) at its parameters; None of a model without one.
    """

    config: dict[str, Any]
    arrays: dict[str, np.ndarray]
    model: Model
    prior: Density | None = None

    def warn_of_float32(self) -> None:
        """Warn if data that come in as float32 have lost what the encoder reads of them.

        It reads (x − shift)/scale, so a number far from 0 that varies little keeps few digits.
        """
        if NAMES[0] in self.arrays:
            shift, scale = (self.arrays[name] for name in NAMES)
            rounding = np.spacing(np.abs(shift).astype("f4")) / scale  # (D,)
            worst = int(rounding.argmax())
            if rounding[worst] > COARSE:
                warn(
                    f"this format reads data as float32, in which feature {worst}, of "
                    f"{shift[worst]:.6g} ± {scale[worst]:.2g}, moves in steps of "
                    f"{rounding[worst]:.1g} deviations; subtract an offset before training",
                    stacklevel=3,
                )

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

    @cached_property
    def sampler(self) -> Program | None:
        """Noise → E[x|z], z ~ p(z): :func:`npvae.export.forward.sampler`; None without a prior."""
        if self.prior is None:
            return None
        return forward.sampler(self.model, self.arrays, self.dtype, self.prior)

    @property
    def noise(self) -> tuple[str, ...]:
        """Of each column that the sampler reads: ``"normal"``, or ``"uniform"`` on (0, 1)."""
        return () if self.prior is None else noise_kinds(self.prior, self.model.decoder.n_in)
