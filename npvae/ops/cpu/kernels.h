// All kernels for one REAL: what they are made of here, what they share, and the .cu files.
#include "common.h"
#include "../elementary.cuh"
#include "noise.h"

KERNEL(gemm)(Matrix<const REAL> a, Matrix<const REAL> b, Matrix<REAL> out) { multiply(a, b, out); }
TWIN(gemm)

#include "../activations.cu"
#include "../batch.cu"
#include "../importance.cu"
#include "../latent.cu"
#include "../noise.cu"
#include "../parameters.cu"
#include "../penalty.cu"
#include "../step.cu"
#include "../update.cu"
#include "../likelihoods/bernoulli.cu"
#include "../likelihoods/fused_grad.cu"
#include "../likelihoods/normal.cu"
