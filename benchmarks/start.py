"""Imported before anything loads NumPy: this clone's npvae, and the kernels its BLAS should use.

So a benchmark measures the sources that it lies beside, whether or not npvae is installed.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from npvae import kernels

kernels.choose()
