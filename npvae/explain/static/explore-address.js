"use strict";
/* The explorer's state in the address, and what is spoken of it. */

const PAUSE = 350;  // milliseconds between two addresses: browsers allow 100 in half a minute
let written = 0, waiting = 0, speaking = 0;

/* Keep the state in the address, at once or soon, and say where one is when one is at rest. */
function keep() {
  waiting ||= setTimeout(write_state, Math.max(0, written + PAUSE - performance.now()));
  clearTimeout(speaking);
  speaking = setTimeout(say, PAUSE);
}

function write_state() {
  written = performance.now();
  waiting = 0;
  const at_code = datapoint && datapoint.mu.every((v, j) => v === state.z[j]);
  write_address({
    point: state.choice, own: state.own ? sketch.text() : null,
    z: at_code ? null : state.z.join(), axes: J > 2 ? view.axes.map((j) => j + 1).join() : null,
    a: state.a.join(), b: state.b.join(), t: state.along || null, images: view.tiles ? 1 : null,
  });
}

function say() {
  const here = view.axes.slice(0, J).map((j) => `${latent_name(j)} ${rounded(state.z[j], 2)}`);
  const of = datapoint ? `; ELBO ${rounded(datapoint.elbo, 1)} nats` : "";
  by_id("spoken").textContent = here.join(", ") + of;
}

/* J finite numbers, or null. */
function read_latents(text) {
  const z = (text ?? "").split(",").map(Number);
  return text && z.length === J && z.every(Number.isFinite) ? z : null;
}

function read_state() {
  const { point, own, z, axes, a, b, t, images } = read_address();
  Object.assign(state, START);
  datapoint = null;
  view.axes = [0, Math.min(1, J - 1)];
  const pair = (axes ?? "").split(",").map((word) => Number(word) - 1);
  if (pair.length === 2 && pair.every((j) => j in sliders) && pair[0] !== pair[1]) view.axes = pair;
  view.tiles = Boolean(images);
  state.a = read_latents(a) ?? state.a;
  state.b = read_latents(b) ?? state.b;
  state.along = Math.min(Math.max(Number(t) || 0, 0), 1);
  if (own) {
    sketch.read(own);
    sketched();
  } else if (point !== undefined && points.logvar && Number(point) in points.labels) {
    choose(Number(point));
  }
  state.z = read_latents(z) ?? state.z;
}
