"use strict";
/* A plane of the latent space: points faintly, the prior, a posterior, a path, and where one is.

   What does not change from frame to frame, thousands of points and the images behind them, is kept
   in layers of its own. With one latent the plane is a line, along which points lie by label. */

const COLOURS = 10;  // that labels have; more are told apart by shape
const SHADES = 32;  // of a scale
const CELL = 46;  // pixels an image of the tiles
const RING = 2.2;  // deviations of the prior that are seen at least
const BUDGET = 8;  // milliseconds a frame for tiles

/* points: n, mean (n·J), names, labels. */
function latent_plane(canvas, points, J) {
  const view = { axes: [0, Math.min(1, J - 1)], x: 0, y: 0, span: 8, whole: 8, tiles: false };
  const dots = layer(), tiles = { ...layer(), next: 0, cells: [] };
  let size = { width: 1, height: 1 };
  const flat = J === 1;

  const scale = () => (flat ? size.width : Math.min(size.width, size.height)) / view.span;
  const across = (u) => size.width / 2 + (u - view.x) * scale();
  const up = (v) => size.height / 2 - (v - view.y) * scale();
  const coordinate = (i, axis) => points.mean[i * J + axis];
  const heights = flat ? lane_heights(points) : null;

  /* Where point i is drawn. */
  const place = (i) => [
    across(coordinate(i, view.axes[0])),
    flat ? 12 + (size.height - 36) * heights[i] : up(coordinate(i, view.axes[1])),
  ];

  /* The values of the two latents at a place of the screen. */
  const values_at = (px, py) => [
    view.x + (px - size.width / 2) / scale(),
    flat ? 0 : view.y - (py - size.height / 2) / scale(),
  ];

  /* The point nearest to a place, if one is near; else -1. */
  function nearest(px, py, reach = 10) {
    let found = -1, best = reach * reach;
    for (let i = 0; i < points.n; i++) {
      const [x, y] = place(i), distance = (x - px) ** 2 + (y - py) ** 2;
      if (distance < best) [found, best] = [i, distance];
    }
    return found;
  }

  /* Let all points be seen, and the prior's rings. */
  function whole() {
    const spans = view.axes.map((axis) => {
      let low = -RING, high = RING;
      for (let i = 0; i < points.n; i++) {
        low = Math.min(low, coordinate(i, axis));
        high = Math.max(high, coordinate(i, axis));
      }
      return { middle: (low + high) / 2, span: high - low };
    });
    const { clientWidth: wide, clientHeight: high } = canvas;
    const least = flat ? wide : Math.min(wide, high);
    [view.x, view.y] = [spans[0].middle, flat ? 0 : spans[1].middle];
    view.span = 1.06 * least * Math.max(spans[0].span / wide, flat ? 0 : spans[1].span / high);
    view.whole = view.span;
    changed();
  }

  function zoom(factor, [u, v]) {
    view.span *= factor;
    view.x = u + (view.x - u) * factor;
    view.y = v + (view.y - v) * factor;
    changed();
  }

  /* Move on so far that a place is seen. */
  function reveal([u, v]) {
    const x = across(u), y = flat ? 0 : up(v), before = [view.x, view.y];
    if (x < 0 || x > size.width) view.x = u;
    if (y < 0 || y > size.height) view.y = v;
    if (before[0] !== view.x || before[1] !== view.y) changed();
  }

  function changed() {
    dots.stale = tiles.stale = true;
  }

  /* z: where one is; look: where one looks; posterior {mu, sigma}; path {a, b}; decoded(z): an
     image. Returns whether there is more to draw. */
  function draw({ z, look, posterior, path, decoded }) {
    const before = size;
    const { context, width, height } = fitted(canvas);
    if (!width || !height) return false;  // nobody sees it
    size = { width, height };
    if (before.width !== width || before.height !== height) changed();
    context.fillStyle = colour("--ground");
    context.fillRect(0, 0, width, height);
    const more = view.tiles && !flat && draw_tiles(z, decoded);
    if (view.tiles && !flat) context.drawImage(tiles.canvas, 0, 0, width, height);
    else draw_grid(context);
    if (dots.stale) draw_dots();
    context.drawImage(dots.canvas, 0, 0, width, height);
    draw_prior(context);
    draw_ticks(context);
    if (path) draw_path(context, path);
    if (posterior) draw_posterior(context, posterior);
    draw_here(context, z, look);
    return more;
  }

  // ---- layers

  /* A canvas behind the visible one. */
  function layer() {
    return { canvas: element("canvas"), stale: true };
  }

  function cleared(one) {
    one.canvas.width = canvas.width;
    one.canvas.height = canvas.height;
    const context = one.canvas.getContext("2d");
    context.setTransform(canvas.width / size.width, 0, 0, canvas.height / size.height, 0, 0);
    return context;
  }

  /* All points, each over those before it, written dot by dot: a path a point takes ten times as
     long, and would put one colour over the others. */
  function draw_dots() {
    const context = cleared(dots), { width, height } = dots.canvas, dot = width / size.width;
    const image = context.createImageData(width, height), { data } = image, { n } = points;
    const seen = n * Math.min(1, view.span / view.whole) ** (flat ? 1 : 2);  // about
    const radius = dot * (seen > 20_000 ? 0.8 : seen > 3000 ? 1.4 : 2.3);
    const opacity = seen > 20_000 ? 0.4 : view.tiles ? 0.9 : 0.65;
    const disc = stamp(radius, opacity, true), square = stamp(radius, opacity, false);
    const inks = point_inks(points), middle = disc.side / 2;
    for (let i = 0; i < n; i++) {
      const [x, y] = place(i), ink = inks[points.ink[i]];
      const left = Math.round(dot * x - middle), top = Math.round(dot * y - middle);
      if (left < 0 || top < 0 || left + disc.side > width || top + disc.side > height) continue;
      const { side, cover } = points.ink[i] >= COLOURS && points.names.length ? square : disc;
      for (let k = 0; k < cover.length; k++) {
        const at = 4 * ((top + Math.floor(k / side)) * width + left + k % side);
        const below = data[at + 3] / 255 * (1 - cover[k]), total = cover[k] + below;
        if (total === 0) continue;
        for (let c = 0; c < 3; c++) {
          data[at + c] = (ink[c] * cover[k] + data[at + c] * below) / total;
        }
        data[at + 3] = 255 * total;
      }
    }
    context.putImageData(image, 0, 0);
    dots.stale = false;
  }

  /* Decoded images over the plane, from the middle outwards, as many as a frame has time for. */
  function draw_tiles(z, decoded) {
    const start = performance.now(), others = z.filter((_, j) => !view.axes.includes(j)).join();
    if (tiles.stale || tiles.others !== others) {
      const context = cleared(tiles);
      Object.assign(tiles, { stale: false, others, next: 0, cells: cells(), context });
      tiles.context.imageSmoothingEnabled = false;
    }
    while (tiles.next < tiles.cells.length && performance.now() - start < BUDGET) {
      const { x, y } = tiles.cells[tiles.next++], there = [...z];
      const [u, v] = values_at(x + CELL / 2, y + CELL / 2);
      there[view.axes[0]] = u;
      there[view.axes[1]] = v;
      const image = decoded(there), fit = (CELL - 2) / Math.max(image.width, image.height);
      const [w, h] = [fit * image.width, fit * image.height];
      tiles.context.drawImage(image, x + (CELL - w) / 2, y + (CELL - h) / 2, w, h);
    }
    return tiles.next < tiles.cells.length;
  }

  function cells() {
    const found = [], { width, height } = size;
    const columns = Math.ceil(width / CELL), rows = Math.ceil(height / CELL);
    const left = (width - columns * CELL) / 2, top = (height - rows * CELL) / 2;
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) found.push({ x: left + c * CELL, y: top + r * CELL });
    const far = ({ x, y }) => Math.hypot(x + CELL / 2 - width / 2, y + CELL / 2 - height / 2);
    return found.sort((one, other) => far(one) - far(other));
  }

  // ---- what is above them

  /* Round numbers along a side, some 80 pixels apart. */
  function ticks(middle, length) {
    const rough = 80 / scale(), unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
    const first = Math.ceil((middle - length / 2 / scale()) / step);
    const count = Math.floor(length / scale() / step) + 1;
    return Array.from({ length: count }, (_, k) => {
      const value = (first + k) * step;
      return { value, text: String(Number(value.toPrecision(6))).replace("-", "−") };
    });
  }

  function draw_grid(context) {
    context.strokeStyle = colour("--line");
    context.lineWidth = 1;
    context.beginPath();
    for (const { value } of ticks(view.x, size.width)) {
      context.moveTo(across(value), 0), context.lineTo(across(value), size.height);
    }
    for (const { value } of flat ? [] : ticks(view.y, size.height)) {
      context.moveTo(0, up(value)), context.lineTo(size.width, up(value));
    }
    context.stroke();
  }

  function draw_ticks(context) {
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "center";
    for (const { value, text } of ticks(view.x, size.width)) {
      const x = across(value);
      if (x > 40 && x < size.width - 24) write(context, text, x, size.height - 6);
    }
    context.textAlign = "left";
    for (const { value, text } of flat ? [] : ticks(view.y, size.height)) {
      const y = up(value);
      if (y > 24 && y < size.height - 30) write(context, text, 6, y + 4);
    }
    context.font = "italic 14px Georgia, serif";
    context.textAlign = "right";
    write(context, latent_name(view.axes[0]), size.width - 6, size.height - 7);
    context.textAlign = "left";
    if (!flat) write(context, latent_name(view.axes[1]), 6, 16);
  }

  /* Text that can be read on anything. */
  function write(context, text, x, y) {
    context.lineJoin = "round";
    context.lineWidth = 4;
    context.strokeStyle = colour("--ground");
    context.strokeText(text, x, y);
    context.fillStyle = colour("--ink");
    context.fillText(text, x, y);
  }

  /* A line that can be seen on anything. */
  function stroke(context, ink, width) {
    context.lineWidth = 2 * width + 0.5;
    context.strokeStyle = colour("--ground");
    context.stroke();
    context.lineWidth = width;
    context.strokeStyle = colour(ink);
    context.stroke();
  }

  /* One and two deviations of p(z). */
  function draw_prior(context) {
    for (const radius of [1, 2]) {
      context.setLineDash(radius === 2 ? [6, 5] : []);
      context.beginPath();
      ellipse(context, [0, 0], [radius, radius]);
      stroke(context, "--edge", 1);
    }
    context.setLineDash([]);
  }

  /* An ellipse with these radii, or on a line its two ends. */
  function ellipse(context, [u, v], [a, b]) {
    if (flat) {
      for (const end of [u - a, u + a]) {
        context.moveTo(across(end), 0), context.lineTo(across(end), size.height);
      }
    } else {
      context.ellipse(across(u), up(v), a * scale(), b * scale(), 0, 0, 2 * Math.PI);
    }
  }

  /* One deviation of q(z|x), and two. */
  function draw_posterior(context, { mu, sigma }) {
    const middle = view.axes.map((axis) => mu[axis]);
    for (const factor of [2, 1]) {
      context.beginPath();
      ellipse(context, middle, view.axes.map((axis) => factor * sigma[axis]));
      if (!flat && factor === 1) {
        context.globalAlpha = 0.25;
        context.fillStyle = colour("--posterior");
        context.fill();
        context.globalAlpha = 1;
      }
      context.setLineDash(factor === 2 ? [4, 3] : []);
      stroke(context, "--posterior", factor === 2 ? 1 : 2);
      context.setLineDash([]);
    }
  }

  function draw_path(context, { a, b }) {
    const ends = [a, b].map((z) => [
      across(z[view.axes[0]]), flat ? size.height / 2 : up(z[view.axes[1]]),
    ]);
    context.beginPath();
    ends.forEach(([x, y]) => context.lineTo(x, y));
    stroke(context, "--ink", 1.5);
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = "center";
    ends.forEach(([x, y], k) => {
      context.beginPath();
      context.arc(x, y, 9, 0, 2 * Math.PI);
      context.fillStyle = colour("--ground");
      context.fill();
      context.lineWidth = 1.5;
      context.strokeStyle = colour("--ink");
      context.stroke();
      context.fillStyle = colour("--ink");
      context.fillText("AB"[k], x, y + 4.5);
    });
  }

  /* A cross where one is, a ring where one looks. */
  function draw_here(context, z, look) {
    const at = (there) => [
      across(there[view.axes[0]]), flat ? size.height / 2 : up(there[view.axes[1]]),
    ];
    const [x, y] = at(z), arm = 11, gap = 3;
    context.beginPath();
    if (flat) context.moveTo(x, 0), context.lineTo(x, size.height);
    else for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + gap * dx, y + gap * dy), context.lineTo(x + arm * dx, y + arm * dy);
    }
    stroke(context, "--accent", 2.5);
    if (!look) return;
    context.beginPath();
    context.arc(...at(look), 6, 0, 2 * Math.PI);
    stroke(context, "--accent", 2);
  }

  return { view, draw, whole, zoom, reveal, changed, values_at, nearest };
}

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

/* z₁, z₂, …, as the paper has them. */
const latent_name = (j) => "z" + [...String(j + 1)].map((digit) => SUBSCRIPTS[digit]).join("");

/* Of a single latent: a lane each label, points side by side in it. 0 (top) to 1. */
function lane_heights({ n, names, labels }) {
  const [low, high] = names.length ? [0, names.length - 1] : extent(labels);
  const lanes = names.length ? high + 1 : 20;
  return Float32Array.from({ length: n }, (_, i) => {
    const lane = (high > low ? (labels[i] - low) / (high - low) : 0) * (lanes - 1);
    return (lane + 0.5 + 0.7 * ((i * 0.618) % 1 - 0.5)) / lanes;
  });
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;  // not if it is none, NaN
    if (value > high) high = value;
  }
  return [low, high];
}

/* How much of each dot a disc or a square covers.   side², row by row */
function stamp(radius, opacity, round) {
  const side = Math.ceil(2 * radius) + 1, middle = (side - 1) / 2;
  const cover = Float32Array.from({ length: side * side }, (_, k) => {
    const x = Math.abs(k % side - middle), y = Math.abs(Math.floor(k / side) - middle);
    const inside = radius + 0.5 - (round ? Math.hypot(x, y) : Math.max(x, y));
    return opacity * Math.min(Math.max(inside, 0), 1);
  });
  return { side, cover };
}

/* The colours of points, [r, g, b] each: of names one each, of a scale its shades. points.ink says
   which a point has. */
function point_inks(points) {
  const { names, labels } = points, [low, high] = names.length ? [] : extent(labels);
  points.ink ??= names.length ? labels
    : Uint8Array.from(labels, (label) => Math.round(share(label, low, high) * (SHADES - 1)));
  return names.length ? names.map((_, label) => rgb(label_colour(points, label)))
    : Array.from({ length: SHADES }, (_, shade) => shade_ink(shade / (SHADES - 1)));
}

/* #rrggbb → [r, g, b] */
const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));

const label_colour = ({ names }, label) =>
  colour(names.length > 1 ? `--label-${label % COLOURS}` : "--sample");

/* From one end of the scale to the other, 0 to 1. */
function shade_ink(at) {
  const [low, middle, high] = [0, 6, 3].map((k) => rgb(colour(`--label-${k}`)));
  const [from, to, part] = at < 0.5 ? [low, middle, 2 * at] : [middle, high, 2 * at - 1];
  return between(from, to, part).map(Math.round);
}
