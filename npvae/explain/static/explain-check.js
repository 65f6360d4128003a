"use strict";
/* The gradient checker: npvae/testing/gradients.py, for one datapoint. With the noise frozen the
   loss is an ordinary function, and its values give its derivative along any direction v:

     (loss(θ + h v) − loss(θ − h v)) / 2h        error O(h²), rounding 1e-16 loss/h */

const STEP = Number.EPSILON ** (1 / 3), TOLERANCE = 1e-6;

/* A function of h, the loss with one number moved by h: `name` is a parameter or a unit. */
function moved_loss(model, x, eps, name, index, { estimator = "B", ops = RIGHT } = {}) {
  const held = { ...forward(model, x, eps, { estimator, ops }), model };
  if (!(name in model.P)) {
    const by = (h) => (touched, values) => {
      if (touched === name) values[index] += h;
      return values;
    };
    return (h) => surrogate(model, x, eps, held, { estimator, ops, touch: by(h) });
  }
  const W = model.P[name].slice(), moved = { ...model, P: { ...model.P, [name]: W } };
  return (h) => {
    const kept = W[index];
    W[index] += h;
    const loss = surrogate(moved, x, eps, held, { estimator, ops });
    W[index] = kept;
    return loss;
  };
}

/* (f(h) − f(−h)) / 2h */
const central = (f, h) => (f(h) - f(-h)) / (2 * h);

const relative_error = (numeric, analytic, scale = largest([numeric, analytic])) =>
  scale ? Math.abs(numeric - analytic) / scale : 0;

/* The error over the step: [{h, error}], h from 1 to 1e-13, a half decade each. */
function error_curve(f, analytic) {
  return Array.from({ length: 27 }, (_, k) => {
    const h = 10 ** (-k / 2);
    return { h, error: relative_error(central(f, h), analytic) };
  });
}

/* One row a parameter: the derivative along a random direction by the backward page, by differences
   of the forward page that it belongs to (own), and of the right bound. */
function check_gradients(model, x, eps, gradient, { estimator, own }) {
  const rms = (d) => norm(d) / d.length ** 0.5;
  const floor = 1e-3 * Math.max(...Object.keys(model.P).map((name) => rms(gradient[name])));
  return Object.entries(directions(model)).map(([name, v]) => {
    let analytic = 0;
    for (let i = 0, d = gradient[name]; i < v.length; i++) analytic += v[i] * d[i];
    const errors = {};
    for (const [bound, ops] of [["own", own], ["right", RIGHT]]) {
      if (bound === "right" && own === RIGHT) errors.right = errors.own;
      else errors[bound] = directional_error(model, x, eps, name, v, analytic, floor,
        { estimator, ops });
    }
    return { name, analytic, ...errors };
  });
}

/* A random direction of each parameter, always the same, of length 1. */
const directions = (model) => model.directions ??= Object.fromEntries(
  Object.keys(model.P).map((name, k) => {
    const v = normals(k + 1, model.P[name].length), length = norm(v);
    return [name, v.map((one) => one / length)];
  }));

/* |numeric − analytic|/scale. Where a relu switches beside θ, the error shrinks with the step, as
   that of a wrong gradient does not: so smaller steps are tried before it is called one. */
function directional_error(model, x, eps, name, v, analytic, floor, how) {
  const P = model.P[name], W = P.slice(), moved = { ...model, P: { ...model.P, [name]: W } };
  const held = { ...forward(model, x, eps, how), model };
  const f = (h) => {
    for (let i = 0; i < W.length; i++) W[i] = P[i] + h * v[i];
    return surrogate(moved, x, eps, held, how);
  };
  const loss = Math.abs(f(0)), first = STEP * Math.sqrt(v.length);
  let best = { error: Infinity };
  for (const h of [first, first / 10, first / 100]) {
    const numeric = central(f, h), rounding = 4 * Number.EPSILON * loss / h;
    const scale = Math.max(Math.abs(analytic), Math.abs(numeric), floor, rounding / TOLERANCE);
    const error = relative_error(numeric, analytic, scale);
    if (!(error >= best.error)) best = { numeric, error };
    if (best.error <= TOLERANCE) break;
  }
  return best;
}

function norm(v) {
  let total = 0;
  for (let i = 0; i < v.length; i++) total += v[i] * v[i];
  return Math.sqrt(total);
}
