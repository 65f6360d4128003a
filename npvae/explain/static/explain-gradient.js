"use strict";
/* The forward page and the backward page, for one datapoint x and one draw of noise eps, by four
   estimators of the gradient: npvae/models/vae.py, npvae/ops/latent.py, npvae/objectives.

   What reaches the encoder comes from one of two terms, and the two stay apart all the way:

     sample   from the reconstruction −log p(x|z), by way of the sample z
     prior    from the KL, which passes by the decoder

   An estimator is a row of coefficients (npvae/objectives/objective.py). θ gets 1. `path`
   multiplies what comes by way of z; `score` is what ∂log q(z|x)/∂φ at fixed z gets by each term. */

const ESTIMATORS = {
  B: { closed: true, path: 1, score: () => ({ sample: 0, prior: 0 }) },
  A: { closed: false, path: 1, score: (nll, kl, weight) => ({ sample: 0, prior: weight }) },
  stl: { closed: false, path: 1, score: () => ({ sample: 0, prior: 0 }) },
  score: { closed: false, path: 0,
    score: (nll, kl, weight) => ({ sample: nll, prior: weight * kl }) },
};

/* Whether the gradient is the derivative of the loss, and not only in expectation. */
const is_exact = (estimator) => estimator === "B" || estimator === "A";

/* The ops in which a mistake may be planted; kl_factor(J) multiplies the KL. */
const RIGHT = { sample, sample_backward, kl_factor: () => 1 };

/* x (D,), eps (J,) → every value on the way. `touch` sees each array that has a name, and may move
   it: that is how a derivative by a unit is taken by differences. */
function forward(model, x, eps, { estimator = "B", ops = RIGHT, touch = untouched } = {}) {
  const { likelihood, latent_dim: J } = model, { closed } = ESTIMATORS[estimator];
  const x_in = standardize(model, x);                                             // (D,)
  const encoder = mlp_forward(model, "encoder", x_in, touch);                     // a (2J,)
  const mu = touch("mu", encoder.a.slice(0, J));                                  // (J,)
  const logvar = touch("logvar", encoder.a.slice(J));                             // (J,)
  const z = touch("z", ops.sample(mu, logvar, eps));                              // (J,)     eq. 4
  const decoder = mlp_forward(model, "decoder", z, touch);                        // a (Σ heads,)
  const a_x = touch("a_x", decoder.a);
  const nll = LIKELIHOODS[likelihood.name].nll(a_x, x_in, likelihood) + likelihood.log_scale;
  const kl = closed ? normal_kl(mu, logvar) : log_ratio(mu, logvar, z);           // eq. 7, eq. 6
  const weight = model.kl_weight * ops.kl_factor(J);
  return { x_in, encoder, mu, logvar, eps, z, decoder, a_x, nll, kl, weight,
    loss: nll + weight * kl };
}

/* The forward page upside down: ∂loss/∂v of every unit and parameter v, by name and by term. */
function backward(model, cache, { estimator = "B", ops = RIGHT } = {}) {
  const { likelihood } = model, { x_in, encoder, decoder, a_x } = cache;
  const d_a_x = LIKELIHOODS[likelihood.name].nll_backward(1, a_x, x_in, likelihood);
  const below = mlp_backward(model, "decoder", d_a_x, decoder);
  const { sample, prior } = latent_backward(model, cache, below.d_x, { estimator, ops });
  const above = ({ d_z, d_mu, d_logvar }) => {  // linear in what comes, so each term goes by itself
    const { G } = mlp_backward(model, "encoder", Float64Array.of(...d_mu, ...d_logvar), encoder);
    return Object.assign(G, { z: d_z, mu: d_mu, logvar: d_logvar });
  };
  const decoders = Object.getOwnPropertyDescriptors(Object.assign(below.G, { a_x: d_a_x }));
  return {
    sample: Object.defineProperties(above(sample), decoders),
    prior: above(prior),  // no KL in the decoder
    total: Object.defineProperties(above(added(sample, prior)), decoders),
  };
}

/* The stochastic layer. d_z (J,) of the reconstruction → what reaches z, mu and logvar by term. */
function latent_backward(model, cache, d_z, { estimator = "B", ops = RIGHT } = {}) {
  const { mu, logvar, eps, z, nll, kl } = cache, { path, closed, score } = ESTIMATORS[estimator];
  const weight = model.kl_weight * ops.kl_factor(mu.length), s = score(nll, kl, weight);
  const through = (d, score) => {  // by way of z, and by log q(z|x) at fixed z
    const by_z = ops.sample_backward(d, logvar, eps);
    return { d_z: d, ...added(by_z, log_q_backward(score, mu, logvar, z)) };
  };
  const prior = closed
    ? { d_z: zeros(z.length), ...normal_kl_backward(weight, mu, logvar) }
    : through(map(log_ratio_slope(mu, logvar, z), (d) => path * weight * d), s.prior);
  return { sample: through(map(d_z, (d) => path * d), s.sample), prior };
}

// ---- log q(z|x), and estimator A's sample of the KL

/* log q(z|x) = −½ Σ_j log 2π + log σ² + u²,   u = (z − μ)/σ */
const log_q = (mu, logvar, z) => -0.5 * sum(z, (v, j) =>
  LOG_2PI + logvar[j] + (v - mu[j]) ** 2 * Math.exp(-logvar[j]));

/* At fixed z:   d_μ = d u/σ,   d_logvar = d ½ (u² − 1) */
const log_q_backward = (d, mu, logvar, z) => ({
  d_mu: map(z, (v, j) => d * (v - mu[j]) * Math.exp(-logvar[j])),
  d_logvar: map(z, (v, j) => d * 0.5 * ((v - mu[j]) ** 2 * Math.exp(-logvar[j]) - 1)),
});

/* log q(z|x) − log p(z) = ½ Σ_j z² − u² − log σ² */
const log_ratio = (mu, logvar, z) => 0.5 * sum(z, (v, j) =>
  v * v - (v - mu[j]) ** 2 * Math.exp(-logvar[j]) - logvar[j]);

/* ∂/∂z of it, the parameters of q held: z − u/σ */
const log_ratio_slope = (mu, logvar, z) =>
  map(z, (v, j) => v - (v - mu[j]) * Math.exp(-logvar[j]));

/* Two gradients by name, added. */
const added = (one, other) => Object.fromEntries(Object.entries(one).map(([name, d]) =>
  [name, map(d, (v, i) => v + other[name][i])]));

// ---- the function whose derivative the gradient is

/* The loss. Of an estimator that is not its derivative, the surrogate of VAEModel.surrogate: θ
   moves where z is held, z where θ and the density of q are, the score where z is. `held` is the
   forward page, and `model` what moves. */
function surrogate(model, x, eps, held, { estimator = "B", ops = RIGHT, touch = untouched } = {}) {
  const moved = forward(model, x, eps, { estimator, ops, touch });
  if (is_exact(estimator)) return moved.loss;
  const { likelihood } = model, { path, score } = ESTIMATORS[estimator];
  const nll = (decoder, z, touch) => LIKELIHOODS[likelihood.name].nll(
    touch("a_x", mlp_forward(decoder, "decoder", z, touch).a), held.x_in, likelihood);
  const { z } = moved, s = score(held.nll, held.kl, held.weight);
  const by_path = nll(held.model, z, untouched)
    + held.weight * (log_q(held.mu, held.logvar, z) + 0.5 * sum(z, (v) => v * v));
  return nll(model, held.z, touch) + path * by_path
    + (s.sample + s.prior) * log_q(moved.mu, moved.logvar, held.z);
}
