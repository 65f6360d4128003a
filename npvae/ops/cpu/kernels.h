// All kernels for one REAL: what they are made of here, what they share, and the .cu files.
//
// An op without a TWIN is left to NumPy, which is as fast: penalties and norms of the parameters
// are a BLAS call, samples of most likelihoods cost what Philox does, an element at a time; and
// importance weights and the categorical sum within a loop over features or datapoints, of which a
// compiler then does one at a time.
#include "common.h"
#include "../elementary.cuh"
#include "noise.h"

KERNEL(gemm)(Matrix<const REAL> a, Matrix<const REAL> b, Matrix<REAL> out) { multiply(a, b, out); }
TWIN(gemm)

#include "../activations.cu"
#include "../batch.cu"
#include "../latent.cu"
#include "../noise.cu"
#include "../parameters.cu"
#include "../penalty.cu"
#include "../step.cu"
#include "../update.cu"
#include "../likelihoods/bernoulli.cu"
#include "../likelihoods/continuous_bernoulli.cu"
#include "../likelihoods/discretized_logistic.cu"
#include "../likelihoods/fused_grad.cu"
#include "../likelihoods/laplace.cu"
#include "../likelihoods/normal.cu"
#include "../likelihoods/poisson.cu"
