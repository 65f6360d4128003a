"use strict";
/* The computation as it flows: a column a node, the values above, the gradient below them, and
   under both the way of the KL, which passes by the decoder. */

const MANY_LAYERS = 4;  // hidden layers, of both networks; of more the inner ones are folded

/* The nodes that are shown, and the columns: nodes, what leads to them, and folds. */
function columns(model, nodes, open) {
  const many = nodes.filter(({ kind }) => kind === "hidden").length > MANY_LAYERS, row = [];
  const folded = ({ kind, layer, network }) => many && !open && kind === "hidden"
    && layer > 0 && layer < model[network].hidden.length - 1;
  for (const node of nodes.filter(({ kind }) => kind !== "kl")) {
    const before = node.parameters ? "weights" : "arrow";
    if (!folded(node)) row.push({ kind: before, node }, { kind: "node", node });
    else if (row.at(-1).kind === "fold") row.at(-1).count++;
    else row.push({ kind: "fold", count: 1 });
  }
  return { shown: nodes.filter((node) => !folded(node)), row: row.slice(1), many };
}

/* Build the flow in `where`; gives the nodes shown and a function that draws a view into it. */
function build_flow(where, model, nodes, { open, choose, unfold }) {
  const { shown, row, many } = columns(model, nodes, open), updates = [];
  const place = (element, line, from, to = from + 1) => {
    element.style.gridArea = `${line} / ${from} / ${line + 1} / ${to}`;
    where.append(element);
    return element;
  };
  const cell = (make, node, back, column, kind = "") => updates.push(make(place(element("div", {
    class: `cell ${kind}`, "data-node": node.id, "data-direction": back ? "gradient" : "forward",
    click: (event) => event.target.closest("[data-pick], canvas") || choose(node, back),
  }), back ? 3 : 2, column), model, node, back));
  const fold = (words, ...at) =>
    place(element("button", { type: "button", class: "fold", click: unfold }, words), ...at);
  where.replaceChildren();
  where.style.gridTemplateColumns = row.map(({ kind }) => ({
    node: "minmax(4.8rem, 1fr)", weights: "minmax(3.4rem, .62fr)", arrow: "1.6rem", fold: "3.2rem",
  })[kind]).join(" ");
  row.forEach(({ kind, node, count }, k) => {
    if (kind === "fold") fold(`+ ${count} layer${count > 1 ? "s" : ""}`, 2, k + 1);
    else if (kind === "node") {
      place(node_head(model, node, choose), 1, k + 1);
      cell(forward_cell, node, false, k + 1);
      cell(gradient_cell, node, true, k + 1);
    } else for (const back of [false, true]) cell(weights_cell, node, back, k + 1, "between");
  });
  const at = (id) => row.findIndex(({ kind, node }) => kind === "node" && node.id === id) + 1;
  updates.push(kl_lane(place(element("div", { class: "lane" }), 4, at("q"), at("loss") + 1), model,
    nodes.find(({ kind }) => kind === "kl"), choose));
  if (open && many) fold("Fold", 4, 1, 3);
  return { shown, update: (view) => updates.forEach((draw) => draw(view)) };
}

const node_head = (model, node, choose) => element("button",
  { type: "button", class: "head", "data-node": node.id, click: () => choose(node) },
  math(node.symbol), element("span", {}, node.name), element("span", { class: "soft" },
    node.kind === "x" && model.image_shape ? model.image_shape.join(" × ") : String(node.size)));

/* A place for a picture and a line below it. */
function framed(where) {
  where.append(element("div", { class: "picture" }), element("p", { class: "caption" }));
  return { picture: where.firstChild, caption: where.lastChild };
}

const half = (symbol, picture) => element("div", { class: "half" }, math(symbol), picture);
const big = (...words) => element("span", { class: "big" }, ...words);

/* The value of a node. */
function forward_cell(where, model, node) {
  const { picture, caption } = framed(where);
  if (node.kind === "x" || node.kind === "p") return image_cell(picture, caption, model, node);
  return ({ cache, picked, saturated }) => {
    const bar = (name, values = cache[name]) =>
      vector([{ values, kind: "ink" }], { pick: name, picked, label: name });
    picture.replaceChildren(...{
      q: () => [half("μ", bar("mu")), half("log σ^2", bar("logvar"))],
      loss: () => [big(number("loss", cache.loss, rounded(cache.loss, 2))), "nats"],
    }[node.kind]?.() ?? [bar(node.id, node.values(cache))]);
    caption.replaceChildren(node.kind === "hidden" ? saturated(node) : "");
  };
}

/* x, to be drawn on, and the mean of p(x|z). */
function image_cell(picture, caption, model, node) {
  const image = model.image_shape, input = node.kind === "x";
  const canvas = element("canvas", {
    class: "pixels", role: "img", "data-layout": node.id, tabindex: input && "0",
    "aria-label": input ? "The datapoint. Draw with the pointer, or with arrow keys and space."
      : "The mean of p(x|z)",
  });
  if (image) picture.append(canvas);
  canvas.layout = image && image_layout(image);
  return ({ cache, picked, x, mean, low, high, cursor }) => {
    const values = !input ? mean : image ? x : cache.x_in;
    const pick = input ? "x" : "a_x", options = { signed: false, low, high, cursor: input && cursor };
    if (image) paint(canvas, canvas.layout, values, options);
    else picture.replaceChildren(vector([{ values, kind: "ink" }], { pick, picked, label: node.name }));
    if (input) caption.textContent = image ? "draw here" : "";
    else caption.replaceChildren("−log p ", number("nll", cache.nll, rounded(cache.nll, 2)));
  };
}

/* ∂loss/∂ a node, in the colours of the terms. */
function gradient_cell(where, model, node) {
  const { picture, caption } = framed(where), names = gradients_of(node);
  const canvas = element("canvas", { class: "pixels", role: "img", "data-pick": "a_x",
    "aria-label": "gradient by a_x" });
  return ({ gradient, picked }) => {
    const both = (name) => vector(["sample", "prior"]
      .filter((term) => gradient[term][name] && (term === "sample" || norm(gradient[term][name])))
      .map((term) => ({ values: gradient[term][name], kind: term })),
      { pick: name, picked, label: `gradient by ${name}` });
    if (node.kind === "p" && model.image_shape) {
      canvas.layout = image_layout(model.image_shape);
      paint(canvas, canvas.layout, gradient.total.a_x);
      if (!canvas.isConnected) picture.append(canvas);
    } else {
      picture.replaceChildren(...{
        q: () => [half("d_μ", both("mu")), half("d_{log σ^2}", both("logvar"))],
        x: () => ["ends here: data do not move"], loss: () => [big("1")],
      }[node.kind]?.() ?? [both(names[0])]);
    }
    const d = Math.hypot(...names.map((name) => norm(gradient.total[name])));
    caption.replaceChildren(...(names.length ? ["‖d‖ ", number(`norm.${node.id}`, d)] : []));
  };
}

/* The weights that lead to a node, or their gradient; and the arrow between the columns, on the way
   back as wide as each term's share. */
function weights_cell(where, model, node, back) {
  const [sample, prior, value] = ["sample", "prior", "value"].map((kind) => element("i", { class: kind }));
  const arrow = back ? element("div", { class: "arrow back" }, sample, prior)
    : element("div", { class: "arrow" }, value);
  const names = (node.parameters ?? []).map((layer) => `${layer}.weight`)
    .filter((name) => name in model.P);
  const canvases = names.map((name) => {
    const canvas = element("canvas", { class: "pixels", role: "img", "data-pick": name,
      "aria-label": `${back ? "gradient of " : ""}${name}` });
    canvas.layout = weights_layout(model, name);
    return canvas;
  });
  let painted = -1;
  const label = names.length ? math(back ? "d_W" : "W") : "";
  where.append(element("div", { class: "picture" }, label, ...canvases), arrow);
  return ({ gradient, theme }) => {
    if (back || painted !== theme) {  // weights stay as they are
      const values = back ? gradient.total : model.P;
      names.forEach((name, k) => paint(canvases[k], canvases[k].layout, values[name]));
    }
    painted = theme;
    const [a, b] = shares(gradient, node);
    sample.style.height = `${9 * a}px`;
    prior.style.height = `${9 * b}px`;
  };
}

/* Units at a node by which there is a gradient. */
const gradients_of = ({ kind, id }) =>
  ({ q: ["mu", "logvar"], p: ["a_x"], x: [], kl: [], loss: [] })[kind] ?? [id];

/* What each term has of the gradient that arrives at a node. */
function shares(gradient, node) {
  const names = gradients_of(node).length ? gradients_of(node) : ["a_x"];
  const size = (term) => Math.hypot(...names.map((name) => norm(gradient[term][name] ?? [])));
  const sample = size("sample"), prior = size("prior"), all = sample + prior || 1;
  return [sample / all, prior / all];
}

/* The way of the KL: from q to the loss, and its gradient straight back. */
function kl_lane(where, model, node, choose) {
  const value = element("output"), size = element("output"), each = element("span", { class: "per" });
  where.append(
    element("i", { class: "tip" }), element("span", { class: "caption prior" }, "‖d‖ ", size),
    element("i", { class: "line" }),
    element("button", { type: "button", class: "head kl", "data-node": "kl",
      click: () => choose(node) },
      math("KL"), element("span", {}, "q(z|x) against p(z)"), value, each),
    element("i", { class: "line" }));
  return ({ cache: { kl, mu, logvar }, gradient: { prior } }) => {
    const d = Math.hypot(norm(prior.mu), norm(prior.logvar));
    show(value, "kl", kl, `${rounded(kl, 2)} nats`);
    show(size, "norm.kl", d, significant(d));
    const values = map(mu, (m, j) => normal_kl([m], [logvar[j]]));
    each.replaceChildren(vector([{ kind: "prior", values }],
      { width: 60, height: 20, picked: {}, label: "the KL of each latent" }));
  };
}
