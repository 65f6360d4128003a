"use strict";
/* Pictures: grey and signed images on a canvas; bars, histograms and curves as SVG. What stands for
   a number with a gradient carries its name and index as data-pick, to be clicked. */

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function largest(...arrays) {
  let most = 0;
  for (const v of arrays) for (let i = 0; i < v.length; i++) most = Math.max(most, Math.abs(v[i]));
  return most;
}

// ---- where the numbers of an array lie in a picture: index(x, y) of a pixel, −1 for none

/* An image; its colours, if it has any, side by side. */
const image_layout = ([height, width, colours = 1]) => ({
  width: width * colours, height,
  index: (x, y) => (y * width + x % width) * colours + Math.floor(x / width),
});

/* Weights: those of a layer that sees images (rows) or makes them (columns) as a few of these
   images, others as the matrix. */
function weights_layout(model, name) {
  const [m, n] = model.shapes[name], { image_shape, n_features: D } = model, rows = n === D;
  const count = rows ? m : n;
  if (!image_shape || (!rows && m !== D) || count === 1) {
    return { width: n, height: m, index: (x, y) => y * n + x };
  }
  const tile = image_layout(image_shape), wide = tile.width + 1, high = tile.height + 1;
  const shown = Math.min(count, 36), across = Math.ceil(Math.sqrt(shown));
  return {
    width: across * wide - 1, height: Math.ceil(shown / across) * high - 1,
    index: (x, y) => {
      const t = Math.floor(y / high) * across + Math.floor(x / wide);
      if (t >= shown || x % wide === tile.width || y % high === tile.height) return -1;
      const d = tile.index(x % wide, y % high);
      return rows ? t * D + d : d * n + t;
    },
  };
}

// ---- a canvas

/* A colour of the style sheet as [r, g, b]. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name)
  .match(/\w\w/g).map((pair) => parseInt(pair, 16));

/* Values as colours: grey from low to high, or signed; and where the cursor is. */
function paint(canvas, { width, height, index }, values,
  { signed = true, low = 0, high = 1, cursor = -1 } = {}) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  const zero = colour(signed ? "--zero" : "--paper"), plus = colour(signed ? "--plus" : "--ink");
  const minus = colour("--minus"), most = signed && largest(values) || 1, here = colour("--bad");
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k += 4) {
      const i = index(x, y);
      if (i < 0) continue;
      const t = signed ? values[i] / most : Math.max(0, (values[i] - low) / (high - low || 1));
      const s = i === cursor ? 1 : signed ? Math.sqrt(Math.abs(t)) : Math.min(1, t);
      const end = i === cursor ? here : t < 0 ? minus : plus;
      for (let c = 0; c < 3; c++) pixels.data[k + c] = zero[c] + s * (end[c] - zero[c]);
      pixels.data[k + 3] = 255;
    }
  }
  context.putImageData(pixels, 0, 0);
}

/* The index of the number under the pointer. */
function index_under(event, canvas, { width, height, index }) {
  const box = canvas.getBoundingClientRect();
  const x = Math.floor((event.clientX - box.left) / box.width * width);
  const y = Math.floor((event.clientY - box.top) / box.height * height);
  return x < 0 || y < 0 || x >= width || y >= height ? -1 : index(x, y);
}

// ---- SVG

const rule = (kind, x1, x2, y1, y2) => svg("line", { class: kind, x1, x2, y1, y2 });
const words = (x, y, text, anchor) =>
  svg("text", { class: "tick", x, y, "text-anchor": anchor }, text);

/* A picture with axes, 300 wide. */
const chart = (height, label, ...children) =>
  svg("svg", { class: "chart", viewBox: `0 0 300 ${height}`, role: "img", "aria-label": label },
    ...children);

/* Up to 64 numbers as bars, up or down from 0, with one beside it for each further series; more as
   a histogram. */
function vector(series, { pick, picked, width = 120, height = 72, label }) {
  const n = series[0].values.length, most = largest(...series.map(({ values }) => values)) || 1;
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label,
    preserveAspectRatio: "none",
  });
  const bar = (kind, x, y, width, height) =>
    picture.append(svg("rect", { class: `bar ${kind}`, x, y, width, height }));
  if (n > 64) {
    for (const { values, kind } of series) {
      const counts = histogram(values, -most, most, 24), top = Math.max(...counts);
      counts.forEach((count, i) =>
        bar(`${kind} through`, i * width / 24, height * (1 - count / top), width / 27,
        height * count / top));
    }
    picture.append(rule("axis", width / 2, width / 2, 0, height));
    return picture;
  }
  const slot = width / n, middle = height / 2, gap = Math.min(2, slot / 5),
    wide = (slot - gap) / series.length;
  series.forEach(({ values, kind }, k) => values.forEach((v, i) => {
    const tall = Math.abs(v) / most * (middle - 1);
    bar(kind, i * slot + gap / 2 + k * wide, v > 0 ? middle - tall : middle, wide, tall);
  }));
  picture.append(rule("axis", 0, width, middle, middle));
  for (let i = 0; i < n && pick; i++) {
    picture.append(svg("rect",
      { x: i * slot, width: slot, y: 0, height, "data-pick": `${pick}:${i}`,
      class: picked.name === pick && picked.index === i ? "slot picked" : "slot" }));
  }
  return picture;
}
