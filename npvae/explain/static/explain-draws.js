"use strict";
/* The gradient of one number over many draws of ε, by all estimators at once and with the same
   noise. */

/* A generator that gives the number of draws done, now and then, and in the end
   {estimator: Float64Array(n)}. `name` is a parameter or a unit. */
function* draw_gradients(model, x, name, index, n, seed, { forward: ops, backward: back } = planted()) {
  const J = model.latent_dim, noise = normals(seed, n * J);
  const first = forward(model, x, noise.slice(0, J), { ops });
  const row = encoder_row(model, first.encoder, name, index);
  const { likelihood } = model, p = LIKELIHOODS[likelihood.name];
  const found = Object.fromEntries(Object.keys(ESTIMATORS).map((e) => [e, zeros(n)]));
  for (let l = 0; l < n; l++) {
    const eps = noise.subarray(l * J, (l + 1) * J), { mu, logvar, x_in } = first;
    const z = ops.sample(mu, logvar, eps), decoder = mlp_forward(model, "decoder", z);
    const nll = p.nll(decoder.a, x_in, likelihood) + likelihood.log_scale;
    const d_a_x = p.nll_backward(1, decoder.a, x_in, likelihood);
    const { d_x, G: below } = mlp_backward(model, "decoder", d_a_x, decoder);
    below.a_x = d_a_x;
    for (const estimator of Object.keys(found)) {
      const kl = ESTIMATORS[estimator].closed ? normal_kl(mu, logvar) : log_ratio(mu, logvar, z);
      const cache = { mu, logvar, eps, z, nll, kl };
      const { sample, prior } = latent_backward(model, cache, d_x, { estimator, ops: back });
      if (name in below) found[estimator][l] = below[name][index];
      else if (name === "z") found[estimator][l] = sample.d_z[index] + prior.d_z[index];
      else {
        found[estimator][l] = sum(mu, (_, j) => row.mu[j] * (sample.d_mu[j] + prior.d_mu[j])
          + row.logvar[j] * (sample.d_logvar[j] + prior.d_logvar[j]));
      }
    }
    if (l % 8 === 7) yield l + 1;
  }
  return found;
}

/* ∂mu_j/∂w and ∂logvar_j/∂w of a number w of the encoder, which no noise reaches; by J passes each.
   */
function encoder_row(model, encoder, name, index) {
  const J = model.latent_dim, unit = (k) => map(zeros(2 * J), (_, i) => +(i === k));
  const by = (k) => {
    if (name === "mu" || name === "logvar") return +(k === index + (name === "mu" ? 0 : J));
    return mlp_backward(model, "encoder", unit(k), encoder).G[name]?.[index] ?? 0;
  };
  return { mu: map(zeros(J), (_, j) => by(j)), logvar: map(zeros(J), (_, j) => by(J + j)) };
}

/* Mean, deviation, and half the width of the mean's 95 % interval. */
function moments(values) {
  const n = values.length, mean = sum(values) / n;
  const deviation = Math.sqrt(sum(values, (v) => (v - mean) ** 2) / (n - 1));
  return { mean, deviation, half: 1.96 * deviation / Math.sqrt(n) };
}

/* Counts of values in equal bins from low to high; what lies beyond is in the last of them. */
function histogram(values, low, high, bins) {
  const counts = new Array(bins).fill(0), width = (high - low) / bins || 1;
  for (const v of values) {
    counts[Math.min(bins - 1, Math.max(0, Math.floor((v - low) / width)))]++;
  }
  return counts;
}
