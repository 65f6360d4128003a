"""The least time that a step could take: by its arithmetic, and by the bytes that have to move.

The peaks are the vendor's, for the H200 (SXM): 67 TFLOP/s of float32 outside the tensor cores,
495 TFLOP/s of TF32 in them (without sparsity), 4.8 TB/s of memory. Another GPU has others.
"""
from typing import Any

from common.workload import Workload, layers

FLOPS = {"float32": 67e12, "tf32": 495e12}  # a second
BYTES = 4.8e12  # a second
NUMBER = 4  # bytes of a float32

# A parameter moves ten times: read forward, backward and by the update, and written; its gradient
# is written and read; two moments are read and written.
PARAMETER_MOVES = 10
# A layer's output moves five times: written, read by the next layer and once more on the way
# back; its gradient is written and read.
OUTPUT_MOVES = 5


def traffic(work: Workload) -> int:
    """Bytes of a step through memory, had nothing stayed in a cache."""
    matrices = layers(work.vae().engine_)
    P, outputs = sum(W.size for W in matrices), sum(W.shape[0] for W in matrices[::2])
    D = work.data.pixels.shape[1]
    # a pixel is a byte, becomes a number, and is read forward, by the likelihood and backward
    pixels = work.M * D * (1 + 5 * NUMBER)
    return NUMBER * (PARAMETER_MOVES * P + OUTPUT_MOVES * work.M * outputs) + pixels


def bounds(work: Workload, precision: str) -> dict[str, Any]:
    """Microseconds of a step by arithmetic and by bytes; the larger is the roofline."""
    arithmetic = 1e6 * work.flops / FLOPS[precision]
    memory = 1e6 * traffic(work) / BYTES
    return {
        "flops": work.flops, "bytes": traffic(work), "arithmetic_us": round(arithmetic, 3),
        "memory_us": round(memory, 3), "roofline_us": round(max(arithmetic, memory), 3),
    }  # fmt: skip
