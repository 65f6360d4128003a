"use strict";
/* A datapoint, shown: an image as an image, few features as bars, many as a line. */

const MOST_BARS = 40;

/* What shows datapoints in an element: { draw(x, given), canvas }. Data that are no images are
   shown with those that were given beside them, if any were. */
function picture(where, data, label) {
  const { model } = data;
  if (model.image_shape) return image_picture(where, data, label);
  if (model.n_features <= MOST_BARS) return bars(where, data, label);
  return line(where, data, label);
}

// ---- images

/* x (D,) as pixels; `white` is the value of a white one. */
function pixels([height, width, channels = 1], white, x, image = new ImageData(width, height)) {
  const bytes = image.data, colour = channels === 3;
  for (let p = 0, k = 0; p < 4 * width * height; p += 4, k += channels) {
    bytes[p] = x[k] * 255 / white;  // rounded and clamped by the array
    bytes[p + 1] = colour ? x[k + 1] * 255 / white : bytes[p];
    bytes[p + 2] = colour ? x[k + 2] * 255 / white : bytes[p];
    bytes[p + 3] = 255;
  }
  return image;
}

/* A canvas of one dot a pixel, which the style makes larger, by the ratio of its sides. */
function pixel_canvas([height, width], attributes = {}) {
  const style = `--ratio: ${width / height}`;
  return element("canvas", { width, height, class: "pixels", style, ...attributes });
}

function image_picture(where, { model, white }, label) {
  const shape = model.image_shape, image = new ImageData(shape[1], shape[0]);
  const canvas = pixel_canvas(shape, { role: "img", "aria-label": label });
  const context = canvas.getContext("2d");
  where.replaceChildren(canvas);
  return { canvas, draw: (x) => context.putImageData(pixels(shape, white, x, image), 0, 0) };
}

/* A copy at least `least` dots wide, its pixels as sharp as they were. */
function enlarged(canvas, least = 512) {
  const factor = Math.ceil(least / canvas.width);
  const copy = element("canvas", { width: factor * canvas.width, height: factor * canvas.height });
  const context = copy.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, copy.width, copy.height);
  return copy;
}

/* Offer a canvas as a PNG. */
function save_png(canvas, name) {
  canvas.toBlob((blob) => {
    const link = element("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

// ---- other data

const feature_names = (model) =>
  model.feature_names ?? Array.from({ length: model.n_features }, (_, d) => `x${d + 1}`);

/* Four digits, whatever the size. */
function short(value) {
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2)
    : value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(Math.max(size, 1)))));
  return text.replace("-", "−");
}

/* Where a value lies between two others, 0 to 1. */
const share = (value, low, high) => Math.min(Math.max((value - low) / (high - low || 1), 0), 1);

/* A bar and a number each, in the feature's own units; a mark and a number of what was given. */
function bars(where, { model, low, high }, label) {
  const rows = feature_names(model).map((name) => {
    const fill = element("i"), mark = element("b"), number = element("output");
    const other = element("output", { class: "given" });
    return { name, fill, mark, number, other, bar: element("div", { class: "bar" }, fill, mark) };
  });
  const table = { class: "features-table", role: "group", "aria-label": label };
  where.replaceChildren(element("div", table,
    ...rows.flatMap(({ name, bar, number, other }) =>
      [element("span", { class: "name", title: name }, name), other, bar, number])));
  const percent = (value, d) => `${100 * share(value, low[d], high[d])}%`;
  return { draw: (x, given) => rows.forEach(({ name, fill, mark, number, other }, d) => {
    fill.style.width = percent(x[d], d);
    show(number, name, x[d], short(x[d]));
    mark.hidden = !given;
    if (!given) return;
    mark.style.left = percent(given[d], d);
    show(other, `given ${name}`, given[d], short(given[d]));
  }) };
}

/* All features from left to right, on one scale. */
function line(where, { low, high }, label) {
  const canvas = element("canvas", { class: "line", role: "img", "aria-label": label });
  const bottom = Math.min(...low), top = Math.max(...high);
  where.replaceChildren(canvas);
  return { canvas, draw(x, given) {
    const { context, width, height } = fitted(canvas), pad = 8;
    context.fillStyle = colour("--ground");
    context.fillRect(0, 0, width, height);
    context.lineWidth = 1.5;
    for (const [values, ink] of [[given ?? [], "--edge"], [x, "--sample"]]) {
      context.strokeStyle = colour(ink);
      context.beginPath();
      for (let d = 0; d < values.length; d++) {
        const across = pad + (width - 2 * pad) * d / (x.length - 1);
        context.lineTo(across, height - pad - (height - 2 * pad) * share(values[d], bottom, top));
      }
      context.stroke();
    }
  } };
}

// ---- canvases that are drawn at the screen's own resolution

/* A colour of style.css, by its name; kept until the scheme changes. */
const PALETTE = new Map();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => PALETTE.clear());

function colour(name) {
  if (!PALETTE.has(name)) {
    PALETTE.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return PALETTE.get(name);
}

/* The context of a canvas as large as it is shown, in CSS pixels. */
function fitted(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, dots = devicePixelRatio || 1;
  const context = canvas.getContext("2d");
  if (canvas.width !== Math.round(width * dots) || canvas.height !== Math.round(height * dots)) {
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
  }
  context.setTransform(dots, 0, 0, dots, 0, 0);
  return { context, width, height };
}
