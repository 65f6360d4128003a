"""Packaging. NumPy alone is enough to import, train, load and run; the rest are extras."""
from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    "plot": ["matplotlib>=3.7"],
    "science": ["scipy>=1.11"],
    "progress": ["tqdm>=4.60"],
    "download": ["pooch>=1.8"],
    "blas": ["threadpoolctl>=3.1"],
    "safetensors": ["safetensors>=0.4"],
}
EXTRAS["all"] = [package for extra in EXTRAS.values() for package in extra]
EXTRAS |= {
    "cuda12": ["cupy-cuda12x[ctk]>=14"],
    "cuda13": ["cupy-cuda13x[ctk]>=14"],
    "bench": [  # the peers; PyTorch's CPU build comes from PyTorch's own index
        "torch==2.13.0", "jax>=0.10", "autograd>=1.8", "mygrad>=2.3", "thinc>=9.1",
        "onnxruntime>=1.20", "onnx>=1.17", *EXTRAS["plot"], *EXTRAS["blas"],
    ],
    "test": ["pytest>=8", "pytest-xdist>=3", "mypy>=1.10", "ruff>=0.6", "scikit-learn>=1.6",
             "nvidia-cuda-nvrtc>=13; platform_system == 'Linux'"],  # compiles without a GPU
}

setup(
    name="npvae",
    version="0.1.0",
    description="Auto-Encoding Variational Bayes from scratch in NumPy and CuPy, "
    "with every gradient written by hand",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["npvae", "npvae.*"]),
    package_data={
        "npvae": ["py.typed"], "npvae.data": ["*.npz", "*.md"], "npvae.ops": ["*.cu"],
        "npvae.ops.likelihoods": ["*.cu"], "npvae.ops.gpu": ["*.cuh"],
    },
    install_requires=["numpy>=2.0"],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["npvae=npvae.cli:main"]},
)
