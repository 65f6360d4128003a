"use strict";
/* A datapoint of the reader's own: drawn on an image, or a number a feature.

   Both are { value() → x, text(), read(text) }, where text is what the address holds. */

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/* A canvas to draw on with the pointer, or with the keys: arrows move, space paints. */
function sketch_pad(where, { model, white }, changed) {
  const shape = model.image_shape, [height, width, channels = 1] = shape;
  const bytes = new Uint8Array(height * width * channels), image = new ImageData(width, height);
  const canvas = pixel_canvas(shape, { tabindex: 0, role: "application",
    "aria-label": "Your image: draw with the pointer; or arrow keys move, space paints" });
  const context = canvas.getContext("2d"), radius = Math.max(0.75, Math.min(height, width) / 20);
  let erasing = false, last = null, cursor = null;
  where.replaceChildren(canvas);

  function redraw() {
    context.putImageData(pixels(shape, 255, bytes, image), 0, 0);
    if (!cursor) return;
    context.fillStyle = "rgb(255 170 0 / 75%)";
    context.fillRect(...cursor, 1, 1);
  }

  function paint(column, row, amount) {
    const first = (row * width + column) * channels;
    for (let k = first; k < first + channels; k++) {
      bytes[k] = erasing ? Math.min(bytes[k], 255 - amount) : Math.max(bytes[k], amount);
    }
  }

  /* A round brush with a soft edge, along a line. */
  function stroke([x0, y0], [x1, y1]) {
    const steps = Math.ceil(3 * Math.hypot(x1 - x0, y1 - y0)) + 1;
    for (let s = 1; s <= steps; s++) {
      const x = x0 + (x1 - x0) * s / steps, y = y0 + (y1 - y0) * s / steps, reach = radius + 1;
      for (let r = Math.max(0, Math.floor(y - reach)); r < Math.min(height, y + reach); r++)
        for (let c = Math.max(0, Math.floor(x - reach)); c < Math.min(width, x + reach); c++) {
          const distance = Math.hypot(c + 0.5 - x, r + 0.5 - y);
          paint(c, r, Math.round(255 * Math.min(Math.max(radius + 0.5 - distance, 0), 1)));
        }
    }
  }

  /* Where on the image an event is, in its pixels. */
  const place = ({ offsetX, offsetY }) =>
    [offsetX / canvas.clientWidth * width, offsetY / canvas.clientHeight * height];

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    cursor = null;
    stroke(last, last);
    redraw();
    changed();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) {
      const here = place(one);
      stroke(last, here);
      last = here;
    }
    redraw();
    changed();
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => { last = null; });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    cursor ??= [width >> 1, height >> 1];
    if (step) {
      cursor = [Math.min(Math.max(cursor[0] + step[0], 0), width - 1),
        Math.min(Math.max(cursor[1] + step[1], 0), height - 1)];
    } else {
      paint(...cursor, 255);
      changed();
    }
    redraw();
  });
  canvas.addEventListener("blur", () => {
    cursor = null;
    redraw();
  });

  redraw();
  return {
    value: () => Float64Array.from(bytes, (byte) => byte / 255 * white),
    set(x) {
      bytes.set(Array.from(x, (v) => Math.round(255 * share(v, 0, white))));
      redraw();
    },
    text: () => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_"),
    read(text) {
      const read = from_base64(text.replaceAll("-", "+").replaceAll("_", "/"));
      if (read.length === bytes.length) bytes.set(Array.from(read, (c) => c.charCodeAt(0)));
      redraw();
    },
    clear() {
      bytes.fill(0);
      redraw();
      changed();
    },
    erase: (on) => { erasing = on; },
  };
}

/* "" of what is none: an address may say anything. */
function from_base64(text) {
  try {
    return atob(text);
  } catch {
    return "";
  }
}

/* A slider and a number for each feature. */
function number_form(where, { model, low, high }, changed) {
  const rows = feature_names(model).map((name, d) => {
    const start = Number(((low[d] + high[d]) / 2).toPrecision(4));
    const slider = element("input", { type: "range", step: "any", "aria-label": `${name}, slider`,
      min: low[d], max: high[d], input: () => enter(Number(slider.valueAsNumber.toPrecision(6))) });
    const number = element("input", { type: "number", step: "any", "aria-label": name,
      input: () => enter(number.valueAsNumber, false) });
    function enter(value, rewrite = true) {
      if (!Number.isFinite(value)) return;  // half typed
      put(value, rewrite);
      changed();
    }
    function put(value, rewrite = true) {
      row.value = value;
      slider.value = value;
      if (rewrite) number.value = value;
    }
    const title = element("span", { class: "name", title: name }, name);
    const row = { put, value: start, parts: [title, slider, number] };
    put(start);
    return row;
  });
  where.replaceChildren(
    element("div", { class: "features-table" }, ...rows.flatMap(({ parts }) => parts)));
  return {
    value: () => Float64Array.from(rows, ({ value }) => value),
    text: () => rows.map(({ value }) => value).join(),
    read: (text) => text.split(",").map(Number).forEach((value, d) => {
      if (d in rows && Number.isFinite(value)) rows[d].put(value);
    }),
  };
}
