"""The scalars and metrics of a training step, on the device: a step is the same launch every time.

What changes from step to step is read from arrays: ``next_step`` (1,) counts all steps since the
beginning, ``epoch_start`` (1,) is the step with which the epoch began, and tables hold the epoch's
order and its learning rates. Integers are int64; ``step_scalars`` and ``sums`` float64, whatever
the model's dtype.
"""
from npvae.ops.declare import op
from npvae.ops.layouts import one_block


@op(one_block, "rows current_scalars", int64="next_step step epoch_start order batch_size rows",
    float64="step_scalars")  # fmt: skip
def begin_step(
    xp, next_step, step, epoch_start, order, batch_size, step_scalars, rows, current_scalars
):
    """step ← next_step, next_step ← next_step + 1, and what belongs to the step is copied out.

    With i = step − epoch_start, the step's place in its epoch: rows = order[i · batch_size …] and
    current_scalars = step_scalars[i]. Whatever else the step does reads ``step``.

    next_step, step, epoch_start (1,), order (N,), step_scalars (n, K) → rows (M,),
    current_scalars (K,): the K numbers by which one update differs from the next, the learning
    rate first
    """
    step[...] = next_step
    i = int(next_step[0] - epoch_start[0])
    rows[...] = order[i * batch_size : i * batch_size + len(rows)]
    current_scalars[...] = step_scalars[i]
    next_step += 1


@op(one_block, "nll kl", float64="sums")
def accumulate_metrics(xp, nll, kl, sums):
    """sums −= (Σ nll / L, −Σ kl / K): the reconstruction and the KL of an epoch so far, in nats.

    nll (L, M), kl (K, M), K being 1 or L; sums (2,) float64
    """
    sums[0] -= xp.sum(nll, dtype=sums.dtype) / len(nll)
    sums[1] += xp.sum(kl, dtype=sums.dtype) / len(kl)
