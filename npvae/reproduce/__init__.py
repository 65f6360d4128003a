"""The paper's experiments, run again: figures 2 to 5 of Kingma & Welling (2013).

Every curve is a training run like any other, in a folder of its own that ``npvae evaluate`` and
the other commands read; a figure is drawn from such folders. So curves train side by side, an
interrupted one goes on where it stopped, and figures share the runs that they have in common.
"""
from npvae.reproduce.curves import train_curves
from npvae.reproduce.figures import FIGURES, Figure
from npvae.reproduce.paper import Curve

__all__ = ["FIGURES", "Curve", "Figure", "train_curves"]
