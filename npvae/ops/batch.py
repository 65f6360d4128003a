"""From the data set to the minibatch: gather the rows, scale them, binarize them.

The data may stay uint8, a quarter of the memory; it becomes floating point in the one
(M, D) buffer that the step reads. These two ops are data, not functions of θ: no backward.
"""
from npvae.ops.declare import op
from npvae.ops.layouts import elements, matrix


@op(matrix, "x", scratch="gathered", multi_dtype="data", int64="rows")
def gather(xp, data, rows, scale, gathered, x, **options):
    """x = scale · data[rows].   data (N, D) any dtype, rows (M,) int → x (M, D)

    ``gathered`` (M, D) has the data's dtype and holds the rows before they are scaled;
    ``options`` are for the array module's own ``take``.
    """
    xp.take(data, rows, axis=0, out=gathered, **options)
    xp.multiply(gathered, scale, out=x, dtype=x.dtype, casting="unsafe")


@op(elements, "x", scalar_or_array="threshold")
def binarize(xp, x, threshold):
    """x ← 1 where x > threshold, else 0, in place.   x (M, D), threshold (M, D) or a scalar

    With thresholds uniform on [0, 1) a grey value is the probability of a one.
    """
    xp.greater(x, threshold, out=x)
