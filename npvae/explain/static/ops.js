"use strict";
/* Pure functions of arrays, each with its backward pass below it: npvae/ops, for one datapoint.

   d_v is ∂loss/∂v. An op writes its last arguments and returns them; they are made where none are
   given. Arrays may be plain or typed. A matrix (out, in) is one array, row after row. Numbers are
   float64 throughout. */

const LOG_2 = Math.log(2), LOG_2PI = Math.log(2 * Math.PI);

const zeros = (n) => new Float64Array(n);

/* Σ_i f(v_i) */
function sum(v, f = (x) => x) {
  let total = 0;
  for (let i = 0; i < v.length; i++) total += f(v[i], i);
  return total;
}

/* f of each number. */
function map(v, f, out = zeros(v.length)) {
  for (let i = 0; i < v.length; i++) out[i] = f(v[i], i);
  return out;
}

// ---- an affine layer

/* a = W x + b.   x (n,), W (m, n), b (m,) → a (m,) */
function affine(x, W, b, a = zeros(b.length)) {
  const n = x.length;
  for (let i = 0, k = 0; i < b.length; i++) {
    let total = b[i];
    for (let j = 0; j < n; j++, k++) total += W[k] * x[j];
    a[i] = total;
  }
  return a;
}

/* d_b = d_a,   d_x = Wᵀ d_a.   d_a (m,), W (m, n) → d_x (n,) */
function affine_backward(d_a, n, W) {
  const d_x = zeros(n);
  for (let i = 0, k = 0; i < d_a.length; i++) {
    for (let j = 0, d = d_a[i]; j < n; j++, k++) d_x[j] += W[k] * d;
  }
  return d_x;
}

/* d_W = d_a xᵀ.   d_a (m,), x (n,) → d_W (m, n) */
function outer(d_a, x) {
  const n = x.length, d_W = zeros(d_a.length * n);
  for (let i = 0, k = 0; i < d_a.length; i++) {
    for (let j = 0, d = d_a[i]; j < n; j++, k++) d_W[k] = d * x[j];
  }
  return d_W;
}

// ---- activations h = f(u): derivatives read the output h, those of gelu and silu the input u

/* h = tanh(u) */
const tanh = (u, h) => map(u, Math.tanh, h);
/* d_u = d_h (1 − h²) */
const tanh_backward = (d_h, h, d_u) => map(h, (y, i) => d_h[i] * (1 - y * y), d_u);

/* h = max(u, 0) */
const relu = (u, h) => map(u, (v) => Math.max(v, 0), h);
/* d_u = d_h where h > 0 */
const relu_backward = (d_h, h, d_u) => map(h, (y, i) => (y > 0 ? d_h[i] : 0), d_u);

/* 1 / (1 + e⁻ᵛ), which overflows for no v. */
const logistic = (v) => (v > 0 ? 1 / (1 + Math.exp(-v)) : Math.exp(v) / (1 + Math.exp(v)));

/* h = 1 / (1 + e⁻ᵘ) */
const sigmoid = (u, h) => map(u, logistic, h);
/* d_u = d_h h (1 − h) */
const sigmoid_backward = (d_h, h, d_u) => map(h, (y, i) => d_h[i] * y * (1 - y), d_u);

/* h = log(1 + eᵘ) */
const softplus = (u, h) => map(u, (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))), h);
/* d_u = d_h sigmoid(u) = d_h (1 − e⁻ʰ) */
const softplus_backward = (d_h, h, d_u) => map(h, (y, i) => d_h[i] * -Math.expm1(-y), d_u);

/* h = u where u > 0, else eᵘ − 1 */
const elu = (u, h) => map(u, (v) => (v > 0 ? v : Math.expm1(v)), h);
/* d_u = d_h where h > 0, else d_h (h + 1) */
const elu_backward = (d_h, h, d_u) => map(h, (y, i) => d_h[i] * (Math.min(y, 0) + 1), d_u);

/* h = max(u, u/100) */
const leaky_relu = (u, h) => map(u, (v) => Math.max(v, 0.01 * v), h);
/* d_u = d_h where h > 0, else d_h/100 */
const leaky_relu_backward = (d_h, h, d_u) => map(h, (y, i) => d_h[i] * (y > 0 ? 1 : 0.01), d_u);

/* h = u sigmoid(u) */
const silu = (u, h) => map(u, (v) => v * logistic(v), h);
/* d_u = d_h y (1 + u (1 − y)),   y = sigmoid(u) */
const silu_backward = (d_h, u, d_u) =>
  map(u, (v, i) => d_h[i] * logistic(v) * (1 + v * logistic(-v)), d_u);

/* h = u Φ(u), written as max(u, 0) − |u| Q(|u|), Q = 1 − Φ */
const gelu = (u, h) => map(u, (v) => Math.max(v, 0) - Math.abs(v) * normal_tail(Math.abs(v)), h);
/* d_u = d_h (Φ(u) + u φ(u)),   φ = Φ′ */
const gelu_backward = (d_h, u, d_u) => map(u, (v, i) => {
  const tail = normal_tail(Math.abs(v)), phi = Math.exp(-0.5 * v * v) / Math.sqrt(2 * Math.PI);
  return d_h[i] * ((v > 0 ? 1 - tail : tail) + v * phi);
}, d_u);

/* Q(v) = P(ν > v) of ν ~ N(0, 1), v ≥ 0; the coefficients are npvae/ops/activations.py's. */
function normal_tail(v) {
  const s = (4 - v) / (4 + v);
  return NORMAL_TAIL.reduceRight((q, c) => q * s + c, 0) * Math.exp(-0.5 * v * v);
}
const NORMAL_TAIL = [
  0.09441064130191903, 0.17039772155007682, 0.12437925533792367, 0.07170740688983145,
  0.030864811241379315, 0.008492038967261048, 0.0005078402883748355, -0.000639733612885388,
  -0.000185082688243601, 4.2252393039757175e-05, 3.202450035344936e-05, -6.407154048438924e-06,
  -4.681497972173991e-06, 2.21146104626991e-06, -2.9897805606501823e-07,
];

/* h = u */
const identity = (u, h) => map(u, (v) => v, h);
/* d_u = d_h */
const identity_backward = (d_h, h, d_u) => map(d_h, (d) => d, d_u);

const ACTIVATIONS = {
  tanh: { forward: tanh, backward: tanh_backward, reads: "output" },
  relu: { forward: relu, backward: relu_backward, reads: "output" },
  sigmoid: { forward: sigmoid, backward: sigmoid_backward, reads: "output" },
  softplus: { forward: softplus, backward: softplus_backward, reads: "output" },
  elu: { forward: elu, backward: elu_backward, reads: "output" },
  leaky_relu: { forward: leaky_relu, backward: leaky_relu_backward, reads: "output" },
  gelu: { forward: gelu, backward: gelu_backward, reads: "input" },
  silu: { forward: silu, backward: silu_backward, reads: "input" },
  identity: { forward: identity, backward: identity_backward, reads: "output" },
};

// ---- the stochastic layer

/* z = μ + σ ε,   σ = exp(½ log σ²)   (eq. 4).   all (J,) */
const sample = (mu, logvar, eps, z) =>
  map(mu, (m, j) => m + Math.exp(0.5 * logvar[j]) * eps[j], z);

/* d_μ = d_z,   d_logvar = d_z ½ σ ε */
const sample_backward = (d_z, logvar, eps) => ({
  d_mu: map(d_z, (d) => d),
  d_logvar: map(d_z, (d, j) => d * 0.5 * Math.exp(0.5 * logvar[j]) * eps[j]),
});

/* KL(q‖p) = ½ Σ_j (μ² + σ² − 1 − log σ²)   (appendix B), nats */
const normal_kl = (mu, logvar) =>
  0.5 * sum(mu, (m, j) => m * m + (Math.expm1(logvar[j]) - logvar[j]));

/* d_μ = d_kl μ,   d_logvar = d_kl ½ (σ² − 1) */
const normal_kl_backward = (d_kl, mu, logvar) => ({
  d_mu: map(mu, (m) => d_kl * m),
  d_logvar: map(logvar, (v) => d_kl * 0.5 * Math.expm1(v)),
});

// ---- likelihoods: −log p(x|z), nats, of what the decoder's heads say; a (Σ heads,), x (D,)

/* Beyond ±limit, c + e/(1 + |e|) with c the nearest limit and e = u − c. */
function soft_clip(u, limit) {
  const c = Math.min(Math.max(u, -limit), limit), e = u - c;
  return e === 0 ? u : c + e / (1 + Math.abs(e));
}

/* 1/(1 + |e|)² */
const soft_clip_slope = (u, limit) => (1 + Math.max(Math.abs(u) - limit, 0)) ** -2;

/* Σ_d softplus(l) − x l,   l = a */
const bernoulli_nll = (a, x) =>
  sum(a, (l, d) => Math.max(l, 0) - x[d] * l + Math.log1p(Math.exp(-Math.abs(l))));
/* d_a = d_nll (sigmoid(l) − x): what is predicted less what is there */
const bernoulli_nll_backward = (d_nll, a, x, options, d_a) =>
  map(a, (l, d) => d_nll * (logistic(l) - x[d]), d_a);
const bernoulli_mean = (a, D, options, out) => sigmoid(a, out);

/* Σ_d κ(l) − x l,   κ(l) = log((eˡ − 1)/l) = max(l, 0) + log(w/t),   t = |l|,   w = 1 − e⁻ᵗ */
const continuous_bernoulli_nll = (a, x) => sum(a, (l, d) => {
  const t = Math.abs(l);
  return Math.max(l, 0) - x[d] * l + (t > 0 ? Math.log(-Math.expm1(-t) / t) : 0);
});
/* d_a = d_nll (κ′(l) − x) */
const continuous_bernoulli_nll_backward = (d_nll, a, x, options, d_a) =>
  map(a, (l, d) => d_nll * (kappa_slope(l) - x[d]), d_a);
const continuous_bernoulli_mean = (a, D, options, out) => map(a, kappa_slope, out);

/* κ′(l) = ½ ± (1/w − 1/t − ½), the mean of x; near 0 by its Taylor series. */
function kappa_slope(l) {
  const t = Math.abs(l);
  if (t < 0.5) return 0.5 + l * KAPPA.reduceRight((total, c) => total * l * l + c, 0);
  return 0.5 + Math.sign(l) * (-1 / Math.expm1(-t) - 1 / t - 0.5);
}
const KAPPA = [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
  1 / 74724249600];

/* ½ Σ_d log 2π + log σ² + r²,   r = (x − μ)/σ,   a = [μ | log σ²] */
const normal_nll = (a, x, options) => 0.5 * sum(x, (y, d) => {
  const { logvar, r } = normal_residual(a, y, d, x.length, options);
  return LOG_2PI + logvar + r * r;
});
/* d_μ = −d_nll r/σ,   d_logvar = ½ d_nll (1 − r²), times the slopes of the sigmoid and the clip */
function normal_nll_backward(d_nll, a, x, options, d_a = zeros(a.length)) {
  const D = x.length;
  for (let d = 0; d < D; d++) {
    const { mu, r, inv_sigma } = normal_residual(a, x[d], d, D, options);
    d_a[d] = -d_nll * r * inv_sigma * (options.sigmoid_mean ? mu * (1 - mu) : 1);
    d_a[D + d] = 0.5 * d_nll * (1 - r * r) * soft_clip_slope(a[D + d], options.limit);
  }
  return d_a;
}
function normal_residual(a, x, d, D, options) {
  const mu = options.sigmoid_mean ? logistic(a[d]) : a[d];
  const logvar = soft_clip(a[D + d], options.limit);
  const inv_sigma = Math.exp(Math.min(-0.5 * logvar, options.largest_exponent));
  return { mu, logvar, inv_sigma, r: (x - mu) * inv_sigma };
}
const normal_mean = (a, D, options, out = zeros(D)) => {
  for (let d = 0; d < D; d++) out[d] = options.sigmoid_mean ? logistic(a[d]) : a[d];
  return out;
};

/* Σ_d ½ r² + log σ + ½ log 2π,   r = (x − μ)/σ,   one σ = std */
const fixed_normal_nll = (a, x, options) => {
  const mu = normal_mean(a, x.length, options), { std } = options;
  return sum(x, (y, d) => 0.5 * ((y - mu[d]) / std) ** 2 + Math.log(std) + 0.5 * LOG_2PI);
};
/* d_μ = −d_nll r/σ, times the slope of the sigmoid */
const fixed_normal_nll_backward = (d_nll, a, x, options, d_a) => {
  const mu = normal_mean(a, x.length, options), { std, sigmoid_mean } = options;
  return map(mu, (m, d) =>
    d_nll * (m - x[d]) / std / std * (sigmoid_mean ? m * (1 - m) : 1), d_a);
};

/* Σ_d log 2b + |r|,   r = (x − μ)/b,   a = [μ | log b] */
const laplace_nll = (a, x, options) => sum(x, (y, d) => {
  const { logscale, r } = laplace_residual(a, y, d, x.length, options);
  return LOG_2 + (logscale + Math.abs(r));
});
/* d_μ = −d_nll sign(r)/b,   d_logscale = d_nll (1 − |r|), times the slope of the clip */
function laplace_nll_backward(d_nll, a, x, options, d_a = zeros(a.length)) {
  const D = x.length;
  for (let d = 0; d < D; d++) {
    const { r, inv_scale } = laplace_residual(a, x[d], d, D, options);
    d_a[d] = -d_nll * Math.sign(r) * inv_scale;
    d_a[D + d] = d_nll * (1 - Math.abs(r)) * soft_clip_slope(a[D + d], options.limit);
  }
  return d_a;
}
function laplace_residual(a, x, d, D, options) {
  const logscale = soft_clip(a[D + d], options.limit);
  const inv_scale = Math.exp(Math.min(-logscale, options.largest_exponent));
  return { logscale, inv_scale, r: (x - a[d]) * inv_scale };
}

/* Σ_d eˡ − x l + log x!,   l = a */
const poisson_nll = (a, x, options) => sum(a, (l, d) => {
  const v = Math.min(l, options.largest_exponent), n = x[d];
  if (n < 256) return Math.exp(v) - n * v + log_factorial(n);
  const t = v - Math.log(n);  // of large counts the three all but cancel
  return n * (Math.expm1(t) - t) + factorial_excess(n);
});
/* d_a = d_nll (eˡ − x) */
const poisson_nll_backward = (d_nll, a, x, options, d_a) =>
  map(poisson_mean(a, x.length, options), (rate, d) => d_nll * (rate - x[d]), d_a);
const poisson_mean = (a, D, options, out) =>
  map(a, (l) => Math.exp(Math.min(l, options.largest_exponent)), out);

/* log n! of n < 256. */
function log_factorial(n) {
  let total = 0;
  for (let k = 2; k <= n; k++) total += Math.log(k);
  return total;
}

/* log n! − n log n + n of n ≥ 256, by Stirling's series. */
const factorial_excess = (n) =>
  0.5 * (LOG_2PI + Math.log(n)) + (1 / 12 - 1 / (360 * n * n)) / n;

const LIKELIHOODS = {
  bernoulli: {
    nll: bernoulli_nll, nll_backward: bernoulli_nll_backward, mean: bernoulli_mean,
  },
  "continuous-bernoulli": {
    nll: continuous_bernoulli_nll, nll_backward: continuous_bernoulli_nll_backward,
    mean: continuous_bernoulli_mean,
  },
  normal: { nll: normal_nll, nll_backward: normal_nll_backward, mean: normal_mean },
  "fixed-normal": {
    nll: fixed_normal_nll, nll_backward: fixed_normal_nll_backward, mean: normal_mean,
  },
  laplace: { nll: laplace_nll, nll_backward: laplace_nll_backward, mean: normal_mean },
  poisson: { nll: poisson_nll, nll_backward: poisson_nll_backward, mean: poisson_mean },
};
