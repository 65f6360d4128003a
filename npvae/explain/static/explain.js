"use strict";
/* The page: its state, which lives in the address, what is computed of it, and who may change it.

     state  →  compute: forward, backward  →  draw: the flow and the panels
                 after a pause: the checker, the curve of errors, numbers; in slices: 1,000 draws */

const model = read_model(DATA.model), J = model.latent_dim, D = model.n_features;
const points = unpack(DATA.datapoints), COUNT = points.length / D, DRAWS = 1000;
const nodes = make_nodes(model), LOW = Math.min(...points), HIGH = Math.max(...points);
const row_of = (i) => Float64Array.from(points.subarray(i * D, (i + 1) * D));

// ---- the state

const S = {
  datapoint: 0, x: row_of(0), drawn: false, eps: normals(1, J), seed: 1, frozen: true,
  estimator: DATA.estimator, mistake: "", where: "both", step: 0, open: false,
  picked: { name: "logvar", index: 0 }, numbers: { name: "", what: "value", page: 0 }, cursor: -1,
};

/* A pixel that is drawn takes a byte, so that the address holds it as it is. */
const counts = (value) => model.likelihood.name === "poisson" ? Math.round(value) : value;
const from_byte = (byte) => counts(LOW + (HIGH - LOW) * byte / 255);
const to_byte = (value) =>
  Math.round(255 * Math.min(1, Math.max(0, (value - LOW) / (HIGH - LOW || 1))));

function save() {
  const bytes = () => btoa(String.fromCharCode(...map(S.x, to_byte)));
  const list = (values) => Array.from(values, String).join(",");
  write_address({
    x: S.drawn ? "" : S.datapoint, drawn: S.drawn ? bytes() : "", eps: list(S.eps),
    seed: S.seed, estimator: S.estimator, break: S.mistake, in: S.mistake && S.where,
    step: S.step || "", pick: `${S.picked.name}:${S.picked.index}`, open: S.open ? 1 : "",
    show: S.numbers.name && `${S.numbers.name}:${S.numbers.what}`,
  });
}

/* The state of an address. What it does not say, or says wrongly, stays. */
function restore_state() {
  const at = read_address(), whole = (word, end) => /^\d+$/.test(word ?? "") && +word < end;
  const list = (word, n) => {
    const values = (word ?? "").split(",").map(Number);
    return word && values.length === n && values.every(Number.isFinite)
      && Float64Array.from(values);
  };
  if (whole(at.x, COUNT)) Object.assign(S, { datapoint: +at.x, x: row_of(+at.x), drawn: false });
  if (model.image_shape && /^[\w+/]+=*$/.test(at.drawn ?? "")) {
    const bytes = atob(at.drawn);
    if (bytes.length === D) {
      const x = Float64Array.from(bytes, (c) => from_byte(c.charCodeAt(0)));
      Object.assign(S, { x, drawn: true });
    }
  }
  S.eps = list(at.eps, J) || S.eps;
  if (whole(at.seed, 2 ** 31)) S.seed = +at.seed;
  if (at.estimator in ESTIMATORS) S.estimator = at.estimator;
  S.mistake = at.break in MISTAKES ? at.break : "";
  S.where = at.in === "backward" ? at.in : "both";
  S.open = at.open === "1";
  S.step = whole(at.step, 2 * nodes.length + 1) ? +at.step : 0;
  const [name, index] = (at.pick ?? "").split(":"), [shown, what] = (at.show ?? "").split(":");
  if (name !== "x" && whole(index, size_of(name))) S.picked = { name, index: +index };
  S.numbers = { ...S.numbers, name: size_of(shown) ? shown : "", what: what in TERM_WORDS ? what : "value" };
}

/* Units, by what the forward page calls them. */
const arrays = (cache) => ({
  x: S.x, mu: cache.mu, logvar: cache.logvar, z: cache.z, a_x: cache.a_x,
  ...Object.fromEntries(nodes.filter(({ kind }) => kind === "hidden")
    .map((node) => [node.id, node.values(cache)])),
});
const ALL = { ...arrays(forward(model, S.x, S.eps)), ...model.P };
const size_of = (name) => ALL[name]?.length ?? 0;

// ---- what is computed of it

let view = {}, flow, theme = 0, slow, walk, settled = Promise.resolve(), settle = null;

function compute() {
  const { estimator, mistake, where, x, cursor, step, picked, numbers } = S;
  const ops = planted(mistake, where);
  const cache = forward(model, x, S.eps, { estimator, ops: ops.forward });
  const gradient = backward(model, cache, { estimator, ops: ops.backward });
  const { shown } = flow, back = step === 0 || step > shown.length;
  const node = step === 0 ? nodes.find(({ kind }) => kind === "q")
    : back ? shown[2 * shown.length - step] : shown[step - 1];
  const first = J > 3 && ["mu", "logvar", "z"].includes(picked.name)
    ? Math.min(picked.index, J - 3) : 0;
  const own = { q: "mu", kl: "mu", p: "a_x", loss: "a_x" }[node.kind] ?? node.id;
  const { likelihood, image_shape: image } = model;
  const mean = LIKELIHOODS[likelihood.name].mean(cache.a_x, D, likelihood);
  view = {
    ...view, model, cache, gradient, ops, estimator, mistake, where, x, low: LOW, high: HIGH, cursor,
    theme, node, back, step, mean: image ? restore(model, mean) : mean,
    picked, latents: Array.from({ length: Math.min(J, 3) }, (_, k) => first + k), arrays,
    numbers: { ...numbers, name: numbers.name || own }, saturated: (layer) => saturated(layer, cache),
    set_latents, plant, turn,
  };
}

/* The share of units whose activation passes on less than a twentieth of a gradient. */
function saturated(node, cache) {
  const { u, h } = cache[node.network], { backward: slope, reads } = ACTIVATIONS[model.activation];
  const read = reads === "output" ? h[node.layer + 1] : u[node.layer];
  const share = sum(slope(map(read, () => 1), read), (s) => +(Math.abs(s) < 0.05)) / node.size;
  return element("span", {}, number(`saturated.${node.id}`, share, percent(share)),
    model.activation === "relu" ? " off" : " saturated");
}

// ---- drawing

const redraw = each_frame(() => {
  compute();
  flow.update(view);
  draw_steps();
  draw_explanation(view);
  draw_ways(view);
  draw_controls();
  save();
});

/* Draw now, and check after a pause. */
function changed(draws = false) {
  if (!settle) settled = new Promise((resolve) => { settle = resolve; });
  if (draws) {
    clearTimeout(walk);
    view.draws = { done: 0 };
  }
  redraw();
  clearTimeout(slow);
  slow = setTimeout(draw_slowly, 120);
}

function draw_slowly() {
  compute();
  const { gradient, ops, estimator } = view, { name, index } = S.picked;
  const analytic = gradient.total[name]?.[index] ?? 0;
  const f = moved_loss(model, S.x, S.eps, name, index, { estimator, ops: ops.forward });
  const g = S.mistake ? moved_loss(model, S.x, S.eps, name, index, { estimator }) : f;
  view.found = {
    analytic, own: central(f, STEP), right: central(g, STEP), curve: error_curve(f, analytic),
    right_curve: S.mistake ? error_curve(g, analytic) : null,
  };
  view.rows = check_gradients(model, S.x, S.eps, gradient.total, { estimator, own: ops.forward });
  [draw_check, draw_break, draw_lamp, draw_numbers, draw_picker, draw_draws].forEach((draw) => draw(view));
  clearTimeout(walk);
  if (view.draws.found) return done();
  const steps = draw_gradients(model, S.x, name, index, DRAWS, S.seed, ops);
  (function go() {
    const end = performance.now() + 14;
    let step;
    do step = steps.next(); while (!step.done && performance.now() < end);
    view.draws = step.done ? { found: step.value } : { done: step.value };
    draw_draws(view);
    if (step.done) done();
    else walk = setTimeout(go);
  })();
}

function done() {
  settle?.();
  settle = null;
}

/* What the step has reached. */
function draw_steps() {
  const { shown } = flow, n = shown.length, { step } = S;
  const turn_of = (id) => shown.findIndex((node) => node.id === id) + 1;
  for (const cell of document.querySelectorAll("#flow [data-node]")) {
    const at = turn_of(cell.dataset.node), { direction } = cell.dataset;
    const turn = direction === "gradient" ? 2 * n + 1 - at : at;
    const current = direction ? turn === step : view.node === shown[at - 1];
    cell.classList.toggle("faint", step > 0 && direction !== undefined && turn > step);
    cell.classList.toggle("current", step > 0 && current && !cell.matches(".between"));
    cell.classList.toggle("broken", !direction && MISTAKES[S.mistake]?.node === cell.dataset.node);
  }
  const lane = document.querySelector(".lane");
  lane.classList.toggle("unreached", step > 0 && step < turn_of("kl"));
  lane.classList.toggle("forward", step > 0 && step < 2 * n + 1 - turn_of("kl"));
  const told = step === 0 ? "All of it: values above, left to right; gradient below, right to left"
    : `${view.back ? "Backward" : "Forward"}, step ${step} of ${2 * n}: ${view.node.name}`;
  if (by_id("step").textContent === told) return;
  by_id("step").textContent = told;
  reveal();
}

/* Scroll to the current column. */
function reveal() {
  const box = by_id("flow"), cell = box.querySelector(".cell.current") ?? box.querySelector(".lane");
  if (S.step) box.scrollLeft = cell.offsetLeft - (box.clientWidth - cell.offsetWidth) / 2;
}

function draw_controls() {
  by_id("datapoint").value = S.drawn ? "drawn" : S.datapoint;
  by_id("freeze").textContent = S.frozen ? "ε frozen" : "ε running";
  by_id("freeze").setAttribute("aria-pressed", S.frozen);
  by_id("overview").setAttribute("aria-pressed", S.step === 0);
  for (const button of by_id("estimators").children) {
    button.setAttribute("aria-pressed", button.dataset.estimator === S.estimator);
  }
  for (const slider of document.querySelectorAll("[data-slider]")) {
    const [name, j] = slider.dataset.slider.split("."), value = view.cache[name][j];
    if (Math.abs(slider.value - value) > 0.006) slider.value = value;
    show(slider.nextSibling, `${name}.${j}`, value, rounded(value, 2));
  }
}

/* Which number is checked: an array, and where in it. */
function draw_picker() {
  const { name, index } = S.picked, n = model.shapes[name]?.[1], i = Math.floor(index / n), j = index % n;
  const size = size_of(name), box = by_id("picker");
  if (box.contains(document.activeElement) && box.dataset.name === name) return;
  box.dataset.name = name;
  const place = (label, value, most, set) => element("label", {}, `${label} `, element("input", {
    type: "number", min: 0, max: most, value,
    change: ({ target }) => set(Math.max(0, Math.min(most, Math.trunc(target.value) || 0))),
  }));
  box.replaceChildren(
    element("select", { "aria-label": "Parameter or unit",
      change: ({ target }) => pick(target.value, 0) },
      ...Object.keys(ALL).filter((one) => one !== "x").map((one) =>
        element("option", { value: one, selected: one === name }, one))),
    ...(n
      ? [place("row", i, size / n - 1, (i) => pick(name, i * n + S.picked.index % n)),
        place("column", j, n - 1, (j) => pick(name, S.picked.index - S.picked.index % n + j))]
      : [place("unit", index, size - 1, (i) => pick(name, i))]));
}

// ---- who may change the state

function set(values, draws) {
  Object.assign(S, values);
  changed(draws);
}

const pick = (name, index) => set({ picked: { name, index } }, true);
const plant = (mistake, where = S.where) => set({ mistake, where }, true);
const turn = (numbers) => set({ numbers: { ...view.numbers, ...numbers } });
const resample = () => set({ seed: S.seed + 1, eps: normals(S.seed + 1, J) });

function set_datapoint(i) {
  const datapoint = (i + COUNT) % COUNT;
  set({ datapoint, x: row_of(datapoint), drawn: false }, true);
}

/* Latents, by the ε that gives them. */
function set_latents(pairs) {
  const { mu, logvar } = view.cache, { sample } = view.ops.forward;
  for (const [j, value] of pairs) {
    const at = (e) => sample(mu, logvar, map(S.eps, (old, k) => (k === j ? e : old)))[j];
    const slope = at(1) - at(0);
    if (slope) S.eps[j] = (value - at(0)) / slope;
  }
  changed();
}

function go(step) {
  const n = flow.shown.length;
  S.step = Math.max(0, Math.min(2 * n, step));
  set({ numbers: { name: "", what: S.step > n ? "total" : "value", page: 0 } });
}

/* A node: in the direction that was clicked, or that the step is in. */
function choose(node, back = S.step === 0 || S.step > flow.shown.length) {
  const at = flow.shown.indexOf(node) + 1;
  go(back ? 2 * flow.shown.length + 1 - at : at);
}

/* From here on x is the reader's own. */
function begin_drawing() {
  if (!S.drawn) S.x = map(S.x, (value) => from_byte(to_byte(value)));
  S.drawn = true;
}

/* What the pointer touches becomes ink; with Shift, ground. Or by the keys. */
function draw_on(canvas) {
  const { width, height, index } = canvas.layout, paper = from_byte(0), ink = from_byte(255);
  const stroke = (event) => {
    const box = canvas.getBoundingClientRect(), radius = Math.max(0.75, width / 18);
    const cx = (event.clientX - box.left) / box.width * width;
    const cy = (event.clientY - box.top) / box.height * height;
    begin_drawing();
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const near = radius + 0.5 - Math.hypot(x + 0.5 - cx, y + 0.5 - cy), i = index(x, y);
        if (near <= 0) continue;
        S.x[i] = event.shiftKey ? paper
          : Math.max(S.x[i], from_byte(Math.round(255 * Math.min(1, near))));
      }
    }
    changed(true);
  };
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  let x = 0, y = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && stroke(event));
  canvas.addEventListener("keydown", (event) => {
    if (event.key in moves) {
      x = (x + moves[event.key][0] + width) % width;
      y = (y + moves[event.key][1] + height) % height;
    } else if (event.key !== " ") return;
    S.cursor = index(x, y);
    if (event.key === " ") {
      begin_drawing();
      S.x[S.cursor] = S.x[S.cursor] > (paper + ink) / 2 ? paper : ink;
    }
    event.preventDefault();
    event.stopPropagation();
    changed(event.key === " ");
  });
  canvas.addEventListener("focus", () => set({ cursor: index(x, y) }));
  canvas.addEventListener("blur", () => set({ cursor: -1 }));
}

// ---- begin

function build() {
  flow = build_flow(by_id("flow"), model, nodes, { open: S.open, choose, unfold: () => {
    S.open = !S.open;
    build();
    go(0);
  } });
  S.step = Math.min(S.step, 2 * flow.shown.length);
  if (model.image_shape) draw_on(document.querySelector('[data-layout="x"]'));
}

function build_controls() {
  const widths = [D, ...model.encoder.hidden, J, ...model.decoder.hidden, D].join("–");
  const about = `${widths}, ${model.activation}, ${model.likelihood.name}; ${DATA.data}.`;
  by_id("summary").textContent = [about, ...DATA.notes].join(" ");
  by_id("datapoint").replaceChildren(...Array.from({ length: COUNT }, (_, i) =>
    element("option", { value: i }, DATA.labels ? `${i}: ${DATA.labels[i]}` : `datapoint ${i}`)),
  element("option", { value: "drawn", disabled: true }, "your own"));
  by_id("clear").hidden = !model.image_shape;
  by_id("estimators").replaceChildren(...Object.entries(ESTIMATOR_TEXT).map(([estimator, { label, name }]) =>
    toggle(label.length > 1 ? name : label, false, () => set({ estimator }), { "data-estimator": estimator })));
  const slider = (j, symbol, name, reach, move) => element("label", { class: "slider" },
    math(J > 1 ? `${symbol}_${j + 1}` : symbol),
    element("input", { type: "range", min: -reach, max: reach,
      step: 0.01, "data-slider": `${name}.${j}`,
      "aria-label": `${name === "eps" ? "noise" : "latent"} ${j + 1}`,
      input: ({ target }) => move(j, +target.value) }), element("output"));
  const set_eps = (j, value) => set({ eps: map(S.eps, (e, k) => (k === j ? value : e)) });
  by_id("noise").replaceChildren(...Array.from({ length: J }, (_, j) => element("div", { class: "sliders" },
    slider(j, "ε", "eps", 3.5, set_eps),
    slider(j, "z", "z", 4, (j, value) => set_latents([[j, value]])))));
}

function listen() {
  const on = (id, act) => by_id(id).addEventListener("click", act);
  on("previous", () => set_datapoint(S.datapoint - 1));
  on("next", () => set_datapoint(S.datapoint + 1));
  on("clear", () => set({ x: map(S.x, () => from_byte(0)), drawn: true }, true));
  on("resample", resample);
  on("freeze", () => set({ frozen: !S.frozen }));
  on("back", () => go(S.step - 1));
  on("forth", () => go(S.step + 1));
  on("overview", () => go(0));
  on("lamp", () => by_id("break").scrollIntoView());
  by_id("datapoint").addEventListener("change", ({ target }) => set_datapoint(+target.value));
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-pick]");
    if (!target) return;
    const [name, index] = target.dataset.pick.split(":");
    const at = index === undefined ? index_under(event, target, target.layout) : +index;
    if (name !== "x" && at >= 0 && at < size_of(name)) pick(name, at);
  });
  document.addEventListener("keydown", (event) => {
    const { key, target, ctrlKey, metaKey, altKey } = event, steps = { ArrowRight: 1, ArrowLeft: -1 };
    const act = { Home: () => go(0), r: resample }[key] ?? (key in steps && (() => go(S.step + steps[key])));
    if (!act || ctrlKey || metaKey || altKey || target.closest("input, select")) return;
    event.preventDefault();
    act();
  });
  addEventListener("hashchange", () => {
    restore_state();
    build();
    changed(true);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    theme++;
    changed();
  });
  setInterval(() => S.frozen || document.hidden || resample(), 500);
}

restore_state();
build_controls();
build();
listen();
changed(true);

/* The state and its numbers, plain. */
function state() {
  compute();
  const { cache, gradient, node, back, found, rows } = view, { loss, nll, kl, mu, logvar, z } = cache;
  const units = (term) =>
    Object.fromEntries(Object.keys(gradient[term]).filter((name) => !(name in model.P))
    .map((name) => [name, Array.from(gradient[term][name])]));
  const { picked, numbers, cursor, ...own } = S;
  return {
    ...own, x: [...S.x], eps: [...S.eps], steps: 2 * flow.shown.length, node: node.id,
    direction: back ? "backward" : "forward", loss, nll, kl, kl_weight: model.kl_weight,
    mu: [...mu], logvar: [...logvar], z: [...z],
    gradient: { sample: units("sample"), prior: units("prior"), total: units("total") },
    picked: { ...picked, hand: found?.analytic, difference: found?.own, right: found?.right },
    check: rows?.map(({ name, own, right }) => ({ name, own: own.error, right: right.error })),
  };
}

publish({
  ready: settled, settled: () => settled, state, model, forward, backward, latent_backward, surrogate,
  planted, moved_loss, central, error_curve, check_gradients, draw_gradients, moments, histogram,
});
