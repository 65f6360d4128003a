"""The course of training, on the device: so a step is the same launch every time.

What changes from step to step is read from arrays: ``step`` (1,) counts all steps since the
beginning, ``first`` (1,) is the step with which the epoch began, and tables hold the epoch's
order and its learning rates. Integers are int64; ``rates`` and ``sums`` float64, whatever the
model's dtype.
"""
from npvae.ops.declare import op
from npvae.ops.layouts import one_block


@op(one_block, "rows current", int64="step now first order batch_size rows", float64="rates")
def clock(xp, step, now, first, order, batch_size, rates, rows, current):
    """A step begins: now ← step, step ← step + 1, and what belongs to it is copied out.

    With i = now − first, the step's place in its epoch: rows = order[i · batch_size …] and
    current = rates[i]. Whatever else the step does reads ``now``.

    step, now, first (1,), order (N,), rates (n, K) → rows (M,), current (K,): the K numbers by
    which one update differs from the next, the learning rate first
    """
    now[...] = step
    i = int(step[0] - first[0])
    rows[...] = order[i * batch_size : i * batch_size + len(rows)]
    current[...] = rates[i]
    step += 1


@op(one_block, "nll kl", float64="sums")
def tally(xp, nll, kl, sums):
    """sums −= (Σ nll / L, −Σ kl / K): the reconstruction and the KL of an epoch so far, in nats.

    nll (L, M), kl (K, M), K being 1 or L; sums (2,) float64
    """
    sums[0] -= xp.sum(nll, dtype=sums.dtype) / len(nll)
    sums[1] += xp.sum(kl, dtype=sums.dtype) / len(kl)
