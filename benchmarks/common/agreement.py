"""Before anything is timed: all sides do the same thing.

From the same parameters, rows and noise, every side must reach npvae's loss, and after three
steps of Adam its parameters. The second is measured as a fraction of the way that they have
come: ‖θ − θ_npvae‖ / ‖θ_npvae − θ₀‖.
"""
import numpy as np
from peers import Side

from common.workload import Workload

STEPS = 3
LOSS = 1e-4  # relative: a float32 sum over 80,000 pixels is good to 1e-6
# Adam's first steps are nearly rate · sign(g): where g is rounding noise, θ may go either way.
PARAMETERS = 1e-2


def disagreement(work: Workload, sides: dict[str, Side]) -> dict[str, dict[str, float]]:
    """Loss of the first step of every side, and how far both quantities are from npvae's.

    Raises
    ------
    SystemExit
        If a side does other work than npvae.
    """
    start = np.concatenate([W.ravel() for W in work.parameters()])
    results, reference = {}, None
    for name, side in sides.items():
        if side.rehearse is None:  # the products alone have no loss
            continue
        losses = np.array(side.rehearse(STEPS))
        theta = np.concatenate([W.ravel() for W in side.parameters()])
        reference = reference or (losses, theta, float(np.linalg.norm(theta - start)))
        results[name] = result = {
            "loss": float(losses[0]),
            "loss_error": float(np.abs(losses / reference[0] - 1).max()),
            "parameter_error": float(np.linalg.norm(theta - reference[1]) / reference[2]),
        }
        # not (a <= b), so that NaN is an error too
        if not (result["loss_error"] <= LOSS and result["parameter_error"] <= PARAMETERS):
            raise SystemExit(f"{name} does other work than npvae: {result}")
    return results
