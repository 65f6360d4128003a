"use strict";
/* The model: its parameters as they were written into the page, and its networks, forward and
   backward. npvae/networks.py, for one datapoint.

   x is in the data's own units wherever a function takes or gives it; x̃ = (x − shift)/scale, where
   there is a standardization, is what the networks see. Everything is in nats. */

/* The flat array of what pack of npvae/explain/page.py wrote. */
function unpack({ dtype, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return new ARRAYS[dtype](bytes.buffer);
}
const ARRAYS = {
  float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int32: Int32Array,
};

/* The model of what npvae/explain/weights.py wrote. */
function read_model(description) {
  const flat = Float64Array.from(unpack(description.parameters)), P = {};
  let start = 0;
  for (const [name, shape] of Object.entries(description.shapes)) {
    const size = shape.reduce((n, width) => n * width, 1);
    P[name] = flat.subarray(start, start += size);
  }
  const limit = description.likelihood.limit ?? Infinity;
  return { ...description, P, likelihood: { ...description.likelihood, limit } };
}

/* Layers of a network from its input on, [{name, W, b}], and those of its heads. */
function layers(model, network) {
  const { hidden, heads } = model[network];
  const layer = (name) => ({ name, W: model.P[name + ".weight"], b: model.P[name + ".bias"] });
  return {
    hidden: hidden.map((_, i) => layer(`${network}.hidden.${i}`)),
    heads: heads.map((head) => layer(`${network}.${head}`)),
  };
}

// ---- a network

const untouched = (name, values) => values;

/* x → a, the outputs of all heads one after the other; and h, what each layer reads, and u, what
   each activation reads. A head without weights is its bias. `touch` sees what each hidden layer
   gives, by name, and may move it. */
function mlp_forward(model, network, x, touch = untouched) {
  const { hidden, heads } = layers(model, network), f = ACTIVATIONS[model.activation].forward;
  const u = [], h = [x];
  for (const { name, W, b } of hidden) {
    u.push(affine(h.at(-1), W, b));
    h.push(touch(name, f(u.at(-1))));
  }
  const a = zeros(sum(heads, ({ b }) => b.length));
  let start = 0;
  for (const { W, b } of heads) {
    const part = a.subarray(start, start += b.length);
    if (W) affine(h.at(-1), W, b, part);
    else part.set(b);
  }
  return { a, u, h };
}

/* d_a → d_x; and G, by name the gradients of hidden layers and parameters. What is large, and may
   never be asked for, is made when it is: a d_W is the outer product of two short vectors. */
function mlp_backward(model, network, d_a, cache) {
  const { hidden, heads } = layers(model, network);
  const { backward, reads } = ACTIVATIONS[model.activation], { u, h } = cache, G = {};
  let d_h = zeros(h.at(-1).length), start = 0;
  for (const { name, W, b } of heads) {
    const part = d_a.slice(start, start += b.length);
    G[name + ".bias"] = part;
    if (!W) continue;
    lazily(G, name + ".weight", () => outer(part, h.at(-1)));
    const d_x = affine_backward(part, d_h.length, W);
    d_h = map(d_h, (d, i) => d + d_x[i]);
  }
  let d_x = () => d_h;
  for (let i = hidden.length - 1; i >= 0; i--) {
    const { name, W } = hidden[i];
    G[name] = d_x();
    const d_u = backward(G[name], reads === "output" ? h[i + 1] : u[i]);
    lazily(G, name + ".weight", () => outer(d_u, h[i]));
    G[name + ".bias"] = d_u;
    d_x = () => affine_backward(d_u, h[i].length, W);
  }
  return lazily({ G }, "d_x", d_x);
}

/* Give an object a value that is made when it is first asked for. */
function lazily(object, name, make) {
  const keep = (value) => Object.defineProperty(object, name, { value, enumerable: true });
  return Object.defineProperty(object, name, {
    enumerable: true, configurable: true, get: () => keep(make())[name],
  });
}

// ---- data in their own units, and as the networks see them

/* x → x̃ */
function standardize(model, x) {
  const units = model.standardization;
  return units ? map(x, (y, d) => (y - units.shift[d]) / units.scale[d]) : x;
}

/* x̃ → x */
function restore(model, x) {
  const units = model.standardization;
  return units ? map(x, (y, d) => y * units.scale[d] + units.shift[d]) : x;
}

// ---- what the explorer asks

/* x (D,) → the parameters of q(z|x): mu, logvar (J,). */
function encode(model, x) {
  const { a } = mlp_forward(model, "encoder", standardize(model, x)), J = model.latent_dim;
  return { mu: a.slice(0, J), logvar: a.slice(J) };
}

/* z (J,) → E[x|z] (D,). */
function decode(model, z) {
  const { a } = mlp_forward(model, "decoder", z), { likelihood } = model;
  return restore(model, LIKELIHOODS[likelihood.name].mean(a, model.n_features, likelihood));
}

/* log p(x|z) */
function log_likelihood(model, x, z) {
  const { a } = mlp_forward(model, "decoder", z), { likelihood } = model;
  const nll = LIKELIHOODS[likelihood.name].nll(a, standardize(model, x), likelihood);
  return -nll - likelihood.log_scale;
}

/* The lower bound with the noise eps, L rows of J: total = reconstruction − kl, where the
   reconstruction is the mean of log p(x|z_l)   (eq. 7). */
function elbo(model, x, eps) {
  const { mu, logvar } = encode(model, x);
  const each = eps.map((row) => log_likelihood(model, x, sample(mu, logvar, row)));
  const reconstruction = sum(each) / each.length, kl = normal_kl(mu, logvar);
  return { total: reconstruction - kl, reconstruction, kl };
}
