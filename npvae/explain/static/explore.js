"use strict";
/* The explorer: its state, what can be done, and the order of a frame.

   Of the state, z is where one is, look where the pointer looks for a moment, choice the datapoint
   that was taken, own whether it is the reader's own, a and b the ends of the path, along how far
   one is on it. Everything on the page follows from it, and it is in the address.

   Numbers are shown as z1, z2, …; elbo, reconstruction, kl, mu1, sigma1, … of the datapoint; and by
   the names of features. */

const model = read_model(DATA.model), { latent_dim: J, n_features: D } = model;
const points = { ...DATA.points };
for (const name of ["mean", "logvar", "elbo", "labels", "rows"]) {
  if (points[name]) points[name] = unpack(points[name]);
}
const EPS = Array.from({ length: 16 }, (_, l) => normals(l, J));  // of the ELBO of one's own
const FRAMES = 9;  // of a path, that are shown
const ROUND = 1e4;  // places that are gone to by hand have four decimals, as the address has

const code = (i) => points.mean.slice(i * J, (i + 1) * J);
const round = (z) => Array.from(z, (v) => Math.round(v * ROUND) / ROUND);
const deviations = (logvar) => map(logvar, (v) => Math.exp(0.5 * v));
const between = (a, b, t) => a.map((v, j) => (1 - t) * v + t * b[j]);

const START = {
  z: round(zeros(J)), look: null, choice: null, own: false, ...first_path(), along: 0,
};
const state = { ...START };
let datapoint = null;  // what is known of it: x or null, mu, sigma, elbo, reconstruction, kl

// ---- what is on the page

const plane = latent_plane(by_id("plane"), points, J), { view } = plane;
const decoded = picture(by_id("decoded-picture"), DATA, "Decoded at z");
const x_picture = picture(by_id("x-picture"), DATA, "The datapoint");
const reconstruction = picture(by_id("reconstruction-picture"), DATA, "Its reconstruction");
const sketch = (model.image_shape ? sketch_pad : number_form)(by_id("sketch"), DATA, sketched);
const sliders = Array.from({ length: J }, (_, j) => slider(j));
const tile = model.image_shape && tile_canvas();
const refresh = each_frame(draw);

function slider(j) {
  const name = element("span", {}, latent_name(j)), number = element("output");
  const input = element("input", { type: "range", step: "any", "aria-label": `z${j + 1}` });
  input.addEventListener("input", () => go_to(state.z.with(j, input.valueAsNumber)));
  const row = element("label", { class: "slider" }, name, input, number);
  by_id("sliders").append(row);
  return { input, number, row };
}

function tile_canvas() {
  const canvas = pixel_canvas(model.image_shape), context = canvas.getContext("2d");
  return (z) => {
    context.putImageData(pixels(model.image_shape, DATA.white, decode(model, z)), 0, 0);
    return canvas;
  };
}

/* A first path: from the first point to the one farthest from it, of some. */
function first_path() {
  const a = code(0), far = (i) => sum(code(i), (v, j) => (v - a[j]) ** 2);
  let last = 0;
  for (let i = 1; i < Math.min(points.n, 500); i++) if (far(i) > far(last)) last = i;
  return { a: round(a), b: round(code(last)) };
}

// ---- what can be done

/* Go to a place by hand, which is a round one, and stop whatever moves. */
function go_to(z) {
  stop();
  move_to(z);
}

function move_to(z) {
  state.z = round(z);
  state.look = null;
  plane.reveal(on_plane(state.z));
  refresh();
}

/* Where z is on the plane, and z with another place there. */
const on_plane = (z) => view.axes.map((axis) => z[axis]);
function moved_to([u, v]) {
  const z = [...state.z];
  if (J > 1) z[view.axes[1]] = v;
  z[view.axes[0]] = u;
  return z;
}

/* Take the ith datapoint, and go to its code. Samples of the prior are codes alone. */
function choose(i) {
  stop();
  state.z = [...code(i)];
  state.look = null;
  if (points.logvar) {
    state.choice = i;
    state.own = false;
    datapoint = known(i);
  }
  refresh();
}

/* What is known of datapoint i. Its ELBO is the one that npvae has found. */
function known(i) {
  const mu = code(i), logvar = points.logvar.subarray(i * J, (i + 1) * J);
  const kl = normal_kl(mu, logvar), sigma = deviations(logvar), elbo = points.elbo[i];
  const row = points.rows?.subarray(i * D, (i + 1) * D);
  const x = row ? map(row, (v) => v * points.scale) : null;
  return { x, mu, sigma, elbo, reconstruction: elbo + kl, kl };
}

/* The reader's own datapoint: encoded here and now. */
function sketched() {
  stop();
  const x = as_data(sketch.value()), { mu, logvar } = encode(model, x);
  const { total, reconstruction, kl } = elbo(model, x, EPS);
  Object.assign(state, { choice: null, own: true, z: [...mu], look: null });
  datapoint = { x, mu, sigma: deviations(logvar), elbo: total, reconstruction, kl };
  refresh();
}

/* As data of the model are: whole counts, numbers from 0 to 1, or binary ones. */
function as_data(x) {
  const { name } = model.likelihood;
  if (DATA.binarized) return map(x, (v) => (v > 0.5 ? 1 : 0));
  if (name === "poisson") return map(x, (v) => Math.max(0, Math.round(v)));
  return name.endsWith("bernoulli") ? map(x, (v) => share(v, 0, 1)) : x;
}

/* Draw a datapoint of one's own, or go back to those there are. */
function draw_own(on) {
  if (on) return sketched();
  state.own = false;
  datapoint = null;
  refresh();
}

/* Go along the path, 0 to 1. */
function go_along(t) {
  state.along = t;
  move_to(between(state.a, state.b, t));
}

let playing = 0;  // when the path began, milliseconds; 0 if it is not gone along by itself

/* From A to B and back in six seconds; a step at a time for those who want no motion. */
function play() {
  if (playing) return stop();
  if (reduced_motion()) {
    const next = Math.round(state.along * (FRAMES - 1) + 1) % FRAMES;
    return go_along(next / (FRAMES - 1));
  }
  playing = performance.now() - 3000 * (state.along % 1);
  requestAnimationFrame(step);
}

function step(now) {
  if (!playing) return;
  const turn = Math.max(0, now - playing) / 3000 % 2;
  go_along(turn < 1 ? turn : 2 - turn);
  requestAnimationFrame(step);
}

function stop() {
  playing = 0;
  refresh();
}

// ---- a frame

let shown = {};  // what the last one showed, so that what has not changed is left alone

function draw() {
  const z = state.look ?? state.z;
  const more = plane.draw({
    z: state.z, look: state.look, posterior: datapoint, path: state, decoded: tile,
  });
  decoded.draw(decode(model, z));
  sliders.forEach(({ input, number }, j) => {
    if (input.valueAsNumber !== z[j]) input.value = z[j];
    show(number, `z${j + 1}`, z[j], rounded(z[j], 2));
  });
  if (shown.datapoint !== datapoint) draw_datapoint();
  if (shown.a !== state.a || shown.b !== state.b) draw_strip();
  by_id("along").value = state.along;
  by_id("play").textContent = playing ? "Pause" : reduced_motion() ? "Step" : "Play";
  shown = { datapoint, a: state.a, b: state.b };
  keep();
  if (more) refresh();
}

/* The datapoint's panel: x, where it is there to be seen, what it becomes, and numbers. */
function draw_datapoint() {
  const own = state.own, x = datapoint?.x;
  by_id("sketch-figure").hidden = !own;
  by_id("sketch-tools").hidden = !own || !model.image_shape;
  by_id("x-figure").hidden = own || !x || !model.image_shape;
  by_id("reconstruction-figure").hidden = !datapoint;
  by_id("pair").classList.toggle("drawing", own);
  by_id("draw").setAttribute("aria-expanded", own);
  by_id("draw").textContent = own ? "Close" : model.image_shape ? "Draw one" : "Type one";
  by_id("index").value = state.choice ?? "";
  by_id("nobody").hidden = own || Boolean(x);
  by_id("nobody").textContent = !points.logvar
    ? "The points are samples of the prior: no datapoint lies behind them."
    : datapoint ? "" : "Click a point, or give its number.";
  if (x && !own && model.image_shape) x_picture.draw(x);
  if (datapoint) reconstruction.draw(decode(model, datapoint.mu), x);
  by_id("numbers").replaceChildren(...datapoint ? numbers() : []);
}

/* Label and bound of the datapoint, and its posterior on the plane: a term and a number each. */
function numbers() {
  const row = (term, number, look) =>
    element("div", { class: look }, element("dt", {}, term), number);
  const of = (term, name, value, look) => {
    const number = element("dd");
    show(number, name, value, rounded(value, 2));
    return row(term, number, look);
  };
  const label = label_of(state.choice), { elbo, reconstruction, kl, mu, sigma } = datapoint;
  const posterior = [...new Set(view.axes)].flatMap((j, k) => [
    of(`μ of ${latent_name(j)}`, `mu${j + 1}`, mu[j], k === 0 && "posterior"),
    of(`σ of ${latent_name(j)}`, `sigma${j + 1}`, sigma[j]),
  ]);
  return [
    ...label ? [row("label", element("dd", {}, label))] : [], of("ELBO", "elbo", elbo),
    of("E log p(x|z)", "reconstruction", reconstruction), of("KL", "kl", kl), ...posterior,
  ];
}

/* The label of a datapoint, in words; "" where there are none. */
function label_of(i) {
  const { names, labels } = points;
  if (i === null) return "";
  return names.length === 0 ? short(labels[i]) : names.length > 1 ? names[labels[i]] : "";
}

/* The path as a strip of images. */
function draw_strip() {
  const canvas = by_id("strip");
  canvas.hidden = !model.image_shape;
  if (canvas.hidden) return;
  const [height, width] = model.image_shape, gap = Math.max(1, Math.round(width / 14));
  canvas.width = FRAMES * (width + gap) - gap;
  canvas.height = height;
  const context = canvas.getContext("2d");
  for (let k = 0; k < FRAMES; k++) {
    const image = tile(between(state.a, state.b, k / (FRAMES - 1)));
    context.drawImage(image, k * (width + gap), 0);
  }
}

// ---- the beginning

function legend() {
  const { names, labels } = points;
  const items = names.length > 1 ? names.map((name, k) =>
    element("li", {}, element("i", { style: `background: ${label_colour(points, k)}`,
      class: k >= COLOURS ? "second" : "" }), name)) : [];
  if (!names.length) {
    const [low, high] = extent(labels), stops = [0, 0.5, 1].map((at) => `rgb(${shade_ink(at)})`);
    items.push(element("li", {}, short(low), element("i", { class: "scale",
      style: `background: linear-gradient(90deg, ${stops})` }), short(high)));
  }
  by_id("legend").replaceChildren(...items);
}

function mark_axes() {
  by_id("across").value = view.axes[0];
  by_id("up").value = view.axes[1];
  sliders.forEach(({ row }, j) => row.classList.toggle("shown", J > 2 && view.axes.includes(j)));
  by_id("tiles").checked = view.tiles;
}

/* Draw all of it anew, as at first. */
function refresh_all() {
  shown = {};
  plane.changed();
  refresh();
}

function begin() {
  by_id("title").textContent = document.title;
  const n = points.n.toLocaleString("en");
  const what = points.logvar ? `${n} datapoints by their codes` : `${n} samples of the prior`;
  by_id("latents-title").textContent = J > 1 ? "Plane" : "Line";
  by_id("about").textContent = `${J} latent${J > 1 ? "s" : ""}, ${D} features; ${what}. `
    + `${J > 1 ? "Rings" : "Grey lines"} are one and two deviations of the prior.`;
  by_id("reconstruction-caption").textContent = model.image_shape ? "decoded at μ"
    : D > MOST_BARS ? "decoded at μ; grey: x" : "decoded at μ; mark and left number: x";
  by_id("axes").hidden = J <= 2;
  by_id("tiles-label").hidden = !model.image_shape || J === 1;
  by_id("plane").classList.toggle("flat", J === 1);
  by_id("decoded").classList.toggle("features", !model.image_shape);
  by_id("pair").classList.toggle("features", !model.image_shape);
  by_id("index-label").hidden = !points.logvar;
  by_id("index").max = points.n - 1;
  by_id("draw").hidden = !model.image_shape && D > MOST_BARS;
  if (!model.image_shape) by_id("save").textContent = "Save plane";
  for (const select of ["across", "up"]) {
    by_id(select).append(...sliders.map((_, j) => element("option", { value: j }, latent_name(j))));
  }
  const reach = Math.ceil(Math.max(4, ...extent(points.mean).map(Math.abs)));
  for (const { input } of sliders) Object.assign(input, { min: -reach, max: reach });
  legend();
  listen();
  read_state();
  mark_axes();
  plane.whole();
  draw();
}

begin();
publish({
  model, points, ready: new Promise((done) => { requestAnimationFrame(() => done()); }),
  state: () => ({
    ...state, point: state.choice, axes: view.axes.slice(0, J).map((j) => j + 1),
    shown: state.look ?? state.z, mean: plain(decode(model, state.look ?? state.z)),
    eps: EPS.map(plain), playing: Boolean(playing),
    datapoint: datapoint && Object.fromEntries(
      Object.entries(datapoint).map(([name, value]) => [name, plain(value)])),
  }),
});

/* A typed array as a plain one. */
function plain(value) {
  return value?.length === undefined ? value : [...value];
}
