"""One file a runtime: what it takes to deploy model P with it, and nothing more.

Each has ``export(vae, folder)``, and ``decoder(folder, threads)`` and ``encoder(folder, threads)``
that read what was exported and give a function of NumPy arrays. A fresh process imports such a
file alone (:mod:`runtimes.first_image`), so it imports only what its runtime needs.
"""

RUNTIMES = {  # module → what the tables call it, and the distributions that it needs
    "with_npvae": ("npvae", ("npvae", "numpy")),
    "with_numpy": ("NumPy alone", ("numpy",)),
    "with_onnxruntime": ("ONNX Runtime", ("onnxruntime",)),
    "with_torch": ("PyTorch", ("torch", "numpy")),
}
PACKAGES = ("numpy", "onnxruntime", "onnx", "torch")
