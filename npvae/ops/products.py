"""Matrix products: all of them go through here, and they are most of the arithmetic."""
from npvae.ops.declare import op


@op()
def gemm(xp, a, b, out):
    """out = a b.   a (m, k), b (k, n), out (m, n)

    A transposed view costs nothing: BLAS reads it as it lies.
    """
    return xp.matmul(a, b, out=out)
