"""Imported before anything loads NumPy: the kernel set that the processor deserves."""
from npvae import kernels

kernels.choose()
