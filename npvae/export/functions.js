/* The functions of a program in JavaScript: what format="js" copies into the module it writes. */

/* y_i = f(i) */
function each(n, f) {
  const y = new Float64Array(n);
  for (let i = 0; i < n; i++) y[i] = f(i);
  return y;
}

/* W x + b.   x (n,), W (m, n), b (m,) → (m,) */
function linear(x, W, b) {
  return each(b.length, (i) => {
    let total = b[i];
    for (let j = 0, k = i * x.length; j < x.length; j++, k++) total += W[k] * x[j];
    return total;
  });
}

/* 1/(1 + e⁻ᵘ) */
const sigmoid = (u) => 1 / (1 + Math.exp(-u));

/* u sigmoid(u) */
const silu = (u) => u * sigmoid(u);

/* log(1 + eᵘ) */
const softplus = (u) => Math.max(u, 0) + Math.log1p(Math.exp(-Math.abs(u)));

/* u Φ(u) = max(u, 0) − |u| Q(|u|), Q = 1 − Φ by a rational fit */
function gelu(u) {
  const v = Math.abs(u), s = (4 - v) / (4 + v);
  const q = NORMAL_TAIL.reduceRight((total, c) => total * s + c, 0) * Math.exp(-0.5 * v * v);
  return Math.max(u, 0) - v * q;
}

const NORMAL_TAIL = [
  0.09441064130191903, 0.17039772155007682, 0.12437925533792367, 0.07170740688983145,
  0.030864811241379315, 0.008492038967261048, 0.0005078402883748355, -0.000639733612885388,
  -0.000185082688243601, 4.2252393039757175e-05, 3.202450035344936e-05, -6.407154048438924e-06,
  -4.681497972173991e-06, 2.21146104626991e-06, -2.9897805606501823e-07,
];

/* c + e/(1 + |e|), with c = u clipped to ±limit and e = u − c */
function soft_clip(u, limit) {
  const c = Math.min(Math.max(u, -limit), limit);
  return c + (u - c) / (1 + Math.abs(u - c));
}

/* eᵘ over its sum */
function softmax(u) {
  const largest = u.reduce((a, b) => Math.max(a, b)), p = u.map((v) => Math.exp(v - largest));
  const total = p.reduce((a, b) => a + b);
  return p.map((v) => v / total);
}

/* Σ_k p_k k/(K − 1) of feature i, p = softmax over K levels.   u (K D,), level by level */
function categorical_mean(u, i, K) {
  const D = u.length / K, p = softmax(each(K, (k) => u[k * D + i]));
  return p.reduce((total, q, k) => total + q * k, 0) / (K - 1);
}

/* 1/(1 − e⁻ᵘ) − 1/u = ½ ± (1/(1 − e⁻ᵗ) − 1/t − ½), t = |u|; near 0 by its Taylor series */
function continuous_bernoulli_mean(u) {
  const t = Math.abs(u), s = u * u;
  if (t < 0.5) return 0.5 + u * (1 / 12 - s * (1 / 720 - s * (1 / 30240 - s / 1209600)));
  return 0.5 + Math.sign(u) * (-1 / Math.expm1(-t) - 1 / t - 0.5);
}

/* Σ_k sigmoid((μ − (k − ½)/(K − 1))/s)/(K − 1), k = 1 … K − 1; −log s ≤ 30 */
function discretized_logistic_mean(mu, log_s, K) {
  const inv_s = Math.exp(Math.min(-log_s, 30));
  const at = each(K - 1, (k) => sigmoid((mu - (k + 0.5) / (K - 1)) * inv_s));
  return at.reduce((a, b) => a + b) / (K - 1);
}
