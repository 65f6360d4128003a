"""What a fresh process does: load a decoder, decode one image, and say what memory that took.

    python benchmarks/runtimes/first_image.py with_npvae FOLDER THREADS

The first line that it prints is the end of a cold start.
"""
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

_, name, folder, threads = sys.argv
decode = import_module(name).decoder(Path(folder), int(threads))
image = decode(np.zeros((1, 20), np.float32))  # (1, D)
print(image.shape, flush=True)

sys.path.append(str(Path(__file__).parents[1]))
from common.resident import resident  # noqa: E402  after the clock has stopped

print(resident())
