// theta, grad and moments (n,). rate and epsilon: numbers, or on the device one of each.

// parts[b] = Σ g² over the elements of block b, in double.   grad (n,) → parts (PARTS,)
KERNEL(squares)(const REAL* __restrict__ grad, double* __restrict__ parts, Index n)
{
    const double part = sum_share<double>(n, [=](Index i) { return double(grad[i]) * grad[i]; });
    ONCE parts[BLOCK_INDEX] = part;
}

// factor = min(1, max_norm / ‖g‖), ‖g‖² = Σ parts.   parts (n,) → factor (1,).   One block.
REDUCTION(clip_factor)(const double* __restrict__ parts, double max_norm, REAL* __restrict__ factor,
                       Index n, Index one)
{
    const double squares = sum_row<double>(n, [=](Index i) { return parts[i]; });
    const double norm = sqrt(squares);
    ONCE *factor = norm <= max_norm ? 1 : max_norm / norm;
}

// g ← factor · g.   grad (n,), factor (1,)
KERNEL(scale)(REAL* __restrict__ grad, const REAL* __restrict__ factor, Index n)
{
    FOR_EACH(i, n) grad[i] *= *factor;
}
TWIN(scale)

// m ← 0 where |m| ≤ 1e-30
KERNEL(flush_denormals)(REAL* __restrict__ moment, Index n)
{
    FOR_EACH(i, n) moment[i] *= fabs(moment[i]) > REAL(1e-30);
}
TWIN(flush_denormals)

// θ ← θ − rate · g.   grad may be theta: weight decay
KERNEL(sgd)(REAL* theta, const REAL* grad, NUMBER(rate), Index n)
{
    READ(rate);
    FOR_EACH(i, n) theta[i] -= rate * grad[i];
}
TWIN(sgd)

// v ← μ v + g;   θ ← θ − rate · v
KERNEL(momentum)(REAL* __restrict__ theta, const REAL* __restrict__ grad,
                 REAL* __restrict__ velocity, NUMBER(rate), double mu, Index n)
{
    READ(rate);
    FOR_EACH(i, n) theta[i] -= rate * (velocity[i] = REAL(mu) * velocity[i] + grad[i]);
}
TWIN(momentum)

// v ← μ v + g;   θ ← θ − rate · (g + μ v)
KERNEL(nesterov)(REAL* __restrict__ theta, const REAL* __restrict__ grad,
                 REAL* __restrict__ velocity, NUMBER(rate), double mu, Index n)
{
    READ(rate);
    FOR_EACH(i, n) {
        const REAL v = velocity[i] = REAL(mu) * velocity[i] + grad[i];
        theta[i] -= rate * (grad[i] + REAL(mu) * v);
    }
}
TWIN(nesterov)

// s ← s + g²;   θ ← θ − rate · g / (√s + ε)
KERNEL(adagrad)(REAL* __restrict__ theta, const REAL* __restrict__ grad,
                REAL* __restrict__ square, NUMBER(rate), NUMBER(epsilon), Index n)
{
    READ(rate);
    READ(epsilon);
    FOR_EACH(i, n) {
        const REAL g = grad[i], s = square[i] += g * g;
        theta[i] -= rate * (g / (sqrt(s) + epsilon));
    }
}
TWIN(adagrad)

// s ← ρ s + (1 − ρ) g²;   θ ← θ − rate · g / (√s + ε)
KERNEL(rmsprop)(REAL* __restrict__ theta, const REAL* __restrict__ grad,
                REAL* __restrict__ square, NUMBER(rate), double decay, NUMBER(epsilon), Index n)
{
    READ(rate);
    READ(epsilon);
    FOR_EACH(i, n) {
        const REAL g = grad[i];
        const REAL s = square[i] = REAL(decay) * square[i] + REAL(1 - decay) * (g * g);
        theta[i] -= rate * (g / (sqrt(s) + epsilon));
    }
}
TWIN(rmsprop)

// m ← β₁ m + g;   s ← β₂ s + g²;   θ ← θ − rate · m / (√s + ε)
KERNEL(adam)(REAL* __restrict__ theta, const REAL* __restrict__ grad, REAL* __restrict__ mean,
             REAL* __restrict__ square, NUMBER(rate), double beta1, double beta2, NUMBER(epsilon),
             Index n)
{
    READ(rate);
    READ(epsilon);
    FOR_EACH(i, n) {
        const REAL g = grad[i];
        const REAL m = mean[i] = REAL(beta1) * mean[i] + g;
        const REAL s = square[i] = REAL(beta2) * square[i] + g * g;
        theta[i] -= rate * (m / (sqrt(s) + epsilon));
    }
}
TWIN(adam)
