"use strict";
/* The panels below the flow: what a node is, the two ways, one number checked, draws, mistakes, and
   every number. Each is a function of the view that fills its element. */

const TERM_WORDS = { sample: "sample", prior: "KL", total: "both" };

/* A number with its name. */
function number(name, value, text = significant(value)) {
  const made = element("output");
  show(made, name, value, text);
  return made;
}

/* Three digits of a number of any size. */
function significant(value, digits = 3) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.floor(Math.log10(Math.abs(value)));
  const text = size < -3 || size > 4 ? value.toExponential(digits - 1)
    : value.toFixed(Math.max(0, digits - 1 - size));
  return text.replaceAll("-", "−");
}

const percent = (share) => `${(100 * share).toFixed(0)} %`;
const soft = (...words) => element("p", { class: "soft" }, ...words);

/* A table of numbers; each row is [its head, ...cells], a cell an element or a word. */
function table(head, rows, { caption, chosen = -1 } = {}) {
  const cell = (what) => what instanceof HTMLTableCellElement ? what : element("td", {}, what);
  return element("table", { class: "numbers" }, caption ? element("caption", {}, caption) : "",
    head ? element("tr", {}, ...head.map((word) => element("th", { scope: "col" }, word))) : "",
    ...rows.map(([first, ...cells], k) => element("tr", { class: k === chosen && "chosen" },
      element("th", { scope: "row" }, ...[first].flat()), ...cells.map(cell))));
}

const toggle = (words, pressed, click, attributes = {}) => element("button",
  { type: "button", "aria-pressed": String(pressed), click, ...attributes }, words);

/* Fill a panel; the button that has the focus keeps it. */
function fill(id, ...children) {
  const box = by_id(id), { activeElement: active } = document;
  const focused = box.contains(active) && active.textContent;
  box.replaceChildren(...children);
  if (focused) [...box.querySelectorAll("button")].find((b) => b.textContent === focused)?.focus();
}

// ---- the node

function draw_explanation(view) {
  const { model, node, back, estimator, gradient, cache, mistake, saturated } = view;
  const told = explanation(model, node, back, estimator), facts = [];
  const fact = (word, ...what) => facts.push(element("dt", {}, word), element("dd", {}, ...what));
  const equations = (some, kind = "") => element("div", { class: `equations ${kind}` },
    ...some.map((equation) => element("p", {}, math(equation))));
  if (told.equation) fact("in the paper", told.equation);
  for (const layer of node.parameters ?? []) {
    const [m, n] = model.shapes[`${layer}.weight`] ?? [];
    fact(layer, m ? `W (${m}, ${n}), b (${m},)` : "b alone");
    if (back && m) fact("‖d_W‖",
      number(`norm.${layer}.weight`, norm(gradient.total[`${layer}.weight`])));
  }
  if (node.values) fact("shape", `(${node.size},)`);
  if (!back && node.values) fact("norm", number("norm.value", norm(node.values(cache))));
  if (!back && node.kind === "hidden") fact("units", saturated(node));
  for (const name of back ? gradients_of(node) : []) {
    fact(`‖d‖ of ${{ mu: "μ", logvar: "log σ²", a_x: "the output" }[name] ?? name}`,
      ...["sample", "prior"].map((term) => element("span", { class: term }, `${TERM_WORDS[term]} `,
        number(`norm.${name}.${term}`, norm(gradient[term][name] ?? [])), " ")));
  }
  const way = back ? "backward" : "forward";
  by_id("node-title").replaceChildren(math(node.symbol), ` ${node.name}, ${way}`);
  by_id("node-text").replaceChildren(
    MISTAKES[mistake]?.node === node.id ? equations([MISTAKES[mistake].wrong], "bad") : "",
    equations(told.equations), element("p", {}, told.words), worked(view),
    element("dl", {}, ...facts),
    element("ul", { class: "source", tabindex: "0", "aria-label": "in npvae's code" },
      ...told.code.map((key) => element("li", {}, element("code", {},
        element("b", {}, DATA.code[key].where), DATA.code[key].text)))),
    back && node.kind === "q" ? table(["", "θ", "path, by z", "score, at fixed z"],
      Object.values(ESTIMATOR_TEXT).map(({ label, row }) => [label, ...row]), {
        caption: "Each estimator is a row of coefficients",
        chosen: Object.keys(ESTIMATOR_TEXT).indexOf(estimator),
      }) : "");
}

/* An equation with its numbers in, for the latent that is picked. */
function worked({ node, back, cache, gradient, picked, model, estimator }) {
  const j = ["mu", "logvar", "z"].includes(picked.name) ? picked.index : 0, r = rounded;
  const { mu, logvar, eps, z } = cache, sigma = Math.exp(0.5 * logvar[j]);
  const at = model.latent_dim > 1 ? `_${j + 1}` : "", { sample, prior, total } = gradient;
  const way = (symbol, name) =>
    `${symbol} = sample{${r(sample[name][j])}} + prior{${r(prior[name][j])}}`
    + ` = ${r(total[name][j])}`;
  const lines = {
    z: [[`z${at} = ${r(mu[j])} + ${r(sigma)} · ${r(eps[j])} = ${r(z[j])}`], []],
    kl: [estimator === "B"
      ? [`KL${at} = ½ ( ${r(mu[j] ** 2)} + ${r(sigma ** 2)} − 1 − ${r(logvar[j])} ) = `
      + r(0.5 * (mu[j] ** 2 + sigma ** 2 - 1 - logvar[j]))] : [], []],
    q: [[], [way(`d_{μ${at}}`, "mu"), way(`d_{log σ${at}^2}`, "logvar")]],
    loss: [[`${r(cache.nll)} + ${r(cache.weight * cache.kl)} = ${r(cache.loss)}`], []],
  };
  return element("div", { class: "equations soft" },
    ...(lines[node.kind]?.[+back] ?? []).map((line) => element("p", {}, math(line))));
}

// ---- the two ways

function draw_ways(view) {
  const { model, gradient, latents } = view, several = model.latent_dim > 1;
  const [sample, prior] = shares(gradient, { kind: "q" }), names = ["mu", "logvar"];
  const most = largest(...Object.values(gradient).flatMap(({ mu, logvar }) => [mu, logvar])) || 1;
  const one = (name, j, term) => element("td", { class: term },
    number(`d_${name}.${j}.${term}`, gradient[term][name][j], rounded(gradient[term][name][j])));
  const rows = latents.flatMap((j) => names.map((name) => {
    const at = several ? `_${j + 1}` : "";
    return [math(name === "mu" ? `d_{μ${at}}` : `d_{log σ${at}^2}`), one(name, j, "sample"),
      element("td", { class: "fork" }, fork(gradient, name, j, most)), one(name, j, "prior"),
      one(name, j, "total")];
  }));
  const part = (term, share) => element("i", { class: term, style: `flex-grow:${share}` });
  by_id("ways").replaceChildren(
    element("div", { class: "share" }, part("sample", sample), part("prior", prior)),
    soft("Through the sample ", number("share.sample", sample, percent(sample)), ", from the KL ",
      number("share.prior", prior, percent(prior)), prior > sample
        ? ": the KL wins. Where it wins for all data, latents collapse to the prior."
        : ": the reconstruction wins."),
    element("div", { class: "beside" }, several ? plane(view) : "",
      table(["", "sample", "", "KL", "both"], rows)));
}

/* Both terms as bars from a middle line, and their sum as a mark. */
function fork(gradient, name, j, most) {
  const x = (v) => 50 + 48 * v / most, at = (term) => x(gradient[term][name][j]);
  const bar = (term, y) => svg("rect", { class: `bar ${term}`, x: Math.min(50, at(term)), y,
    width: Math.abs(at(term) - 50), height: 6 });
  const sum = rule("sum", at("total"), at("total"), 0, 18), label = "both terms and their sum";
  return svg("svg", { viewBox: "0 0 100 18", role: "img", "aria-label": label },
    bar("sample", 2), bar("prior", 10), rule("axis", 50, 50, 0, 18), sum);
}

const PLANE = 3.2;  // of the latent plane, to each side

/* Two latents: prior, q(z|x), the sample, and where descent would move μ by each term. z follows
   the pointer. */
function plane({ cache, gradient, latents: [i, j], set_latents }) {
  const { mu, logvar, z } = cache, x = (v) => v[i], y = (v) => -v[j];
  const sigma = (k) => Math.exp(0.5 * logvar[k]);
  const longest = Math.max(...["sample", "prior"].map((term) =>
    Math.hypot(gradient[term].mu[i], gradient[term].mu[j]))) || 1;
  const arrow = (term) => {
    const u = -1.6 * x(gradient[term].mu) / longest, v = -1.6 * y(gradient[term].mu) / longest;
    const size = Math.hypot(u, v), end = Math.max(0, 1 - 0.2 / (size || 1));
    const turned = `translate(${x(mu) + u} ${y(mu) + v}) rotate(${Math.atan2(v, u) * 180 / Math.PI})`;
    return [rule(`way ${term}`, x(mu), x(mu) + u * end, y(mu), y(mu) + v * end),
      size > 0.02 ? svg("path", { class: term, d: "M0 0L-.26 .13V-.13Z", transform: turned }) : ""];
  };
  const circle = (kind, v, r) => svg("circle", { class: kind, cx: x(v), cy: y(v), r });
  const origin = [], picture = svg("svg", {
    class: "plane", viewBox: `${-PLANE} ${-PLANE} ${2 * PLANE} ${2 * PLANE}`, role: "img",
    "aria-label": `Latents ${i + 1} and ${j + 1}: q(z|x), z, to be dragged, and where terms move mu`,
  }, svg("circle", { class: "unit", r: 1 }), svg("circle", { class: "unit", r: 2 }),
  rule("axis", -PLANE, PLANE, 0, 0), rule("axis", 0, 0, -PLANE, PLANE),
  svg("ellipse", { class: "q", cx: x(mu), cy: y(mu), rx: sigma(i), ry: sigma(j) }),
  ...arrow("sample"), ...arrow("prior"), circle("mu", mu, 0.07), circle("z", z, 0.13));
  picture.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const box = picture.getBoundingClientRect(), listening = new AbortController();
    const follow = ({ clientX, clientY }) => set_latents([
      [i, ((clientX - box.left) / box.width * 2 - 1) * PLANE],
      [j, (1 - (clientY - box.top) / box.height * 2) * PLANE]]);
    follow(event);
    const { signal } = listening, end = () => listening.abort();
    addEventListener("pointermove", follow, { signal });  // for the picture is drawn anew
    addEventListener("pointerup", end, { signal });
    addEventListener("pointercancel", end, { signal });
  });
  return picture;
}

// ---- one number

function draw_check({ found, mistake }) {
  const { analytic, own, right, curve, right_curve } = found, error = relative_error(own, analytic);
  const mark = (value) => {
    const good = relative_error(value, analytic) < 1e-4;
    return element("td", { class: good ? "good" : "bad" }, good ? "✓" : "✗");
  };
  by_id("check").replaceChildren(
    table(null, [
      ["by hand, backward", digits("check.hand", analytic, analytic), ""],
      ["by differences, forward", digits("check.difference", own, analytic), mark(own)],
      ...mistake ? [["of the right bound", digits("check.right", right, analytic), mark(right)]] : [],
      ["relative error", number("check.error", error, error.toExponential(1)), ""],
    ]),
    error_picture(curve, mistake && right_curve),
    soft(analytic === 0 && own === 0
      ? "Both are 0: nothing comes this way, as where a pixel is black or a relu is off."
      : error < 1e-4 ? "Large steps are wrong by curvature, as h², small ones by rounding, as 1/h."
        : "The error does not shrink with the step: that is no rounding, it is a mistake."));
}

/* A number of ten digits, those in bold that it shares with another. */
function digits(name, value, other) {
  const text = (v) => v ? v.toPrecision(10).replaceAll("-", "−") : "0";
  const made = number(name, value, text(value)), theirs = text(other);
  let same = 0;
  while (same < theirs.length && text(value)[same] === theirs[same]) same++;
  made.replaceChildren(element("b", {}, text(value).slice(0, same)), text(value).slice(same));
  return made;
}

/* The error over the step, both on logarithmic axes: a V. */
function error_picture(curve, right) {
  const width = 300, height = 150, left = 34, base = 126;
  const x = (h) => left + (width - left - 8) * (Math.log10(h) + 13) / 13;
  const y = (e) => 6 + (base - 6) * (1 - Math.log10(Math.max(e, 1e-13))) / 14;
  const line = (points, kind) => svg("polyline", { class: `curve ${kind}`,
    points: points.map(({ h, error }) => `${x(h)},${y(error)}`).join(" ") });
  return chart(height, "relative error over the step h, logarithmic",
    ...[["10⁻¹²", -12], ["10⁻⁹", -9], ["10⁻⁶", -6], ["10⁻³", -3], ["1", 0]].flatMap(([power, k]) => [
      rule("grid", left, width - 8, y(10 ** k), y(10 ** k)), words(30, y(10 ** k) + 3, power, "end"),
      rule("grid", x(10 ** k), x(10 ** k), 6, base), words(x(10 ** k), base + 12, power, "middle")]),
    rule("best", x(STEP), x(STEP), 6, base), right ? line(right, "wrong") : "", line(curve, ""),
    words(width - 8, height - 2, "step h", "end"), words(left + 4, 14, "relative error", "start"));
}

// ---- draws

/* Row and column of a number of a matrix. */
const place_of = (index, [, n]) => n ? `${Math.floor(index / n)}, ${index % n}` : index;

function draw_draws({ draws: { found, done }, estimator, picked: { name, index }, model }) {
  const at = place_of(index, model.shapes[name] ?? []);
  by_id("draws-title").textContent = `1,000 draws: the gradient by ${name}[${at}]`;
  if (!found) return by_id("draws").replaceChildren(soft(`${done} of 1,000 draws …`));
  const all = Object.entries(found).map(([name, values]) => ({ name, values, ...moments(values) }));
  const chosen = all.findIndex(({ name }) => name === estimator);
  by_id("draws").replaceChildren(
    histogram_picture(all[chosen]),
    table(["", "mean, 95 % interval", "deviation"], all.map(({ name, mean, half, deviation }) => [
      ESTIMATOR_TEXT[name].label, element("td", {}, number(`draws.${name}.mean`, mean), " ± ",
        number(`draws.${name}.half`, half, significant(half, 2))),
      number(`draws.${name}.deviation`, deviation)]), { chosen }),
    soft("The same noise for all; one gradient of the decoder's weights by all."));
}

function histogram_picture({ values, mean, half, deviation, name }) {
  const width = 300, base = 92, bins = 48;
  const reach = Math.max(4 * deviation, Math.abs(mean) / 50) || 1;
  const low = mean - reach, high = mean + reach, x = (v) => width * (v - low) / (high - low);
  const counts = histogram(values, low, high, bins), top = Math.max(...counts) / base;
  return chart(110, `histogram of 1,000 draws by ${ESTIMATOR_TEXT[name].name}`,
    ...counts.map((count, i) =>
      svg("rect", { class: "ink", x: i * width / bins, width: width / bins - 1,
      y: base - count / top, height: count / top })),
    ...low < 0 && high > 0 ? [rule("axis", x(0), x(0), 0, base), words(x(0), 105, "0", "middle")] : [],
    svg("rect", { class: "interval", x: x(mean - half), width: x(mean + half) - x(mean - half),
      y: 0, height: base }),
    rule("mean", x(mean), x(mean), 0, base),
    words(2, 105, significant(low), "start"), words(width - 2, 105, significant(high), "end"));
}

// ---- break it

function draw_break({ mistake, where, rows, model, estimator, plant }) {
  const { right, wrong, why, backward_only } = MISTAKES[mistake] ?? {};
  const home = (value, words) => toggle(words, value === (backward_only ? "backward" : where),
    () => plant(mistake, value), { "data-home": value, disabled: backward_only && value === "both" });
  const mark = (name, { error }) => element("td", { class: error <= TOLERANCE ? "good" : "bad",
    "data-npvae": name, "data-value": error },
  `${error <= TOLERANCE ? "✓" : "✗"} ${error.toExponential(0)}`);
  fill("break",
    element("div", { class: "row", role: "group", "aria-label": "Mistakes to plant" },
      ...[["", { label: "nothing: it is right" }], ...Object.entries(MISTAKES)].map(([name, { label }]) =>
        toggle(label, name === mistake, () => plant(name), { "data-mistake": name }))),
    ...(mistake ? [
      element("div", { class: "row", role: "group", "aria-label": "Where it is planted" }, "planted in",
        home("both", "both passes, as autograd would"), home("backward", "the backward pass alone")),
      element("p", { class: "equations" }, element("span", { class: "bad" }, math(wrong)),
        " instead of ", math(right)),
      element("p", {}, why),
      element("p", { id: "verdict" }, verdict({ rows, mistake, model, estimator })),
    ] : [soft("Plant a mistake that public code has made. Some agree with their own forward "
      + "pass, so a gradient check lets them through: then only the right bound tells.")]),
    table(["parameter", "own pass", "right bound"],
      rows.map(({ name, own, right }) =>
        [name, mark(`check.${name}.own`, own), mark(`check.${name}.right`, right)]),
      { caption: "Gradient check: relative error, along a random direction of each parameter" }));
}

const failed = (rows, bound) => rows.filter((row) => !(row[bound].error <= TOLERANCE));

/* Which check sees the mistake, and why the other may not. */
function verdict({ rows, mistake, model, estimator }) {
  const own = failed(rows, "own"), right = failed(rows, "right");
  if (!right.length) {
    return mistake === "kl_mean" && model.latent_dim === 1
      ? "Nothing to see here: with one latent the mean over J is the sum."
      : "No check sees it: this estimator takes no derivative through what was changed. Choose B.";
  }
  const network = right.every(({ name }) => name.startsWith("encoder")) ? "the encoder alone"
    : "both networks, for the samples themselves are others";
  return own.length
    ? `Any gradient check sees it: differences of its own forward pass disagree, in ${network}.`
    : "A gradient check sees nothing: the backward pass is right for the wrong forward pass. Only "
      + `differences of the right bound disagree, in ${network}.`;
}

/* The check in one line. */
function draw_lamp({ rows }) {
  const own = failed(rows, "own").length, right = failed(rows, "right").length, lamp = by_id("lamp");
  lamp.className = right ? "bad" : "good";
  show(lamp, "check.worst", Math.max(...rows.map((row) => row.right.error)),
    !right ? `✓ Gradient check passes, ${rows.length} of ${rows.length} parameters`
      : own ? "✗ Gradient check fails"
        : "✗ Wrong, though a gradient check passes: it is another bound");
}

// ---- every number

const CELLS = 4096;  // of a table, at once

/* An array: of units or biases all there is, of weights the values or a gradient. */
function draw_numbers({ numbers, model, cache, gradient, arrays, picked, turn }) {
  const { name, what, page } = numbers, all = { ...arrays(cache), ...model.P };
  const shape = (key) => model.shapes[key] ?? [all[key].length], [m, n = 0] = shape(name);
  const values_of = (term) =>
    term === "value" ? all[name] : gradient[term][name] ?? zeros(all[name].length);
  const row = (head, term, from, to) => element("tr", {}, element("th", { scope: "row" }, head),
    ...Array.from(values_of(term).subarray(from, to), (v, k) => element("td", {
      "data-npvae": term === "value" ? `${name}.${from + k}` : `d_${name}.${from + k}.${term}`,
      "data-value": v, "data-pick": `${name}:${from + k}`,
      class: picked.name === name && picked.index === from + k && "picked" }, rounded(v))));
  const rows = n ? Math.max(1, Math.floor(CELLS / n)) : m;
  const first = page * rows, last = Math.min(m, first + rows);
  const terms = name in gradient.total ? ["total", "sample", "prior"] : [];
  const lines = n
    ? Array.from({ length: last - first }, (_, i) =>
      row(String(first + i), what, (first + i) * n, (first + i + 1) * n))
    : [element("tr", {}, ...["", ...Array(m).keys()].map((i) => element("th", {}, String(i)))),
      row("value", "value", 0, m),
      ...terms.map((term) => row(`gradient, ${TERM_WORDS[term]}`, term, 0, m))];
  const choices = { value: "values", total: "gradient", sample: "by the sample", prior: "by the KL" };
  const leaf = (words, by, disabled) =>
    element("button", { type: "button", disabled, click: () => turn({ page: page + by }) }, words);
  fill("numbers",
    element("div", { class: "row" },
      element("select", { "aria-label": "Array",
        change: ({ target }) => turn({ name: target.value, page: 0 }) },
        ...Object.keys(all).map((key) => element("option", { value: key, selected: key === name },
          `${key} (${shape(key).join(", ")})`))),
      ...(n ? Object.entries(choices).map(([key, words]) =>
        toggle(words, what === key, () => turn({ what: key }), { "data-what": key })) : []),
      ...rows < m ? [leaf("rows before", -1, first === 0), leaf("rows after", 1, last === m)] : []),
    element("div", { class: "scroll", tabindex: "0", role: "region",
      "aria-label": `numbers of ${name}` },
      element("table", { class: "grid" }, ...lines)));
}
