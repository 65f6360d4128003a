"use strict";
/* The explorer's controls: what pointer, keys and buttons do. */

const on = (id, event, listener) => by_id(id).addEventListener(event, listener);

function listen() {
  listen_to_plane();
  listen_to_buttons();
  addEventListener("resize", refresh_all);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    legend();
    refresh_all();
  });
  addEventListener("hashchange", () => {
    read_state();
    mark_axes();
    refresh_all();
  });
}

function listen_to_plane() {
  const canvas = by_id("plane");
  const place = (event) => plane.values_at(event.offsetX, event.offsetY);
  let down = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    down = [event.offsetX, event.offsetY];
    go_to(moved_to(place(event)));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (down) go_to(moved_to(place(event)));
    else if (event.pointerType === "mouse" && !playing) {
      state.look = moved_to(place(event));
      refresh();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const still = down && Math.hypot(event.offsetX - down[0], event.offsetY - down[1]) < 4;
    down = null;
    const near = still ? plane.nearest(event.offsetX, event.offsetY) : -1;
    if (near >= 0) choose(near);
  });
  for (const end of ["pointercancel", "pointerleave"]) {
    canvas.addEventListener(end, () => {
      state.look = null;
      down = null;
      refresh();
    });
  }
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;  // the page scrolls
    event.preventDefault();
    zoom(1.002 ** event.deltaY, place(event));
  }, { passive: false });
  addEventListener("keydown", (event) => {
    if ([canvas, document.body].includes(document.activeElement)) key_of_plane(event);
  });
}

function listen_to_buttons() {
  on("nearer", "click", () => zoom(1 / 1.4));
  on("farther", "click", () => zoom(1.4));
  on("whole", "click", whole);
  on("tiles", "change", (event) => {
    view.tiles = event.target.checked;
    plane.changed();
    refresh();
  });
  for (const select of ["across", "up"]) on(select, "change", change_axes);
  on("origin", "click", () => go_to(zeros(J)));
  on("prior", "click", () => go_to(normals(Math.floor(2 ** 31 * Math.random()), J)));
  on("save", "click", () =>
    save_png(model.image_shape ? enlarged(decoded.canvas) : by_id("plane"), "npvae.png"));
  on("index", "change", (event) => {
    const i = event.target.valueAsNumber;
    if (i in points.labels) choose(i);
    else event.target.value = state.choice ?? "";
  });
  on("draw", "click", () => draw_own(!state.own));
  on("erase", "click", ({ target }) => erase(target.getAttribute("aria-pressed") !== "true"));
  on("clear", "click", () => {
    erase(false);
    sketch.clear();
  });
  on("copy", "click", () => {
    sketch.set(decode(model, state.z));
    sketched();
  });
  on("from", "click", () => set_path({ a: round(state.z) }));
  on("to", "click", () => set_path({ b: round(state.z) }));
  on("play", "click", play);
  on("along", "input", (event) => {
    stop();
    go_along(event.target.valueAsNumber);
  });
}

function erase(erasing) {
  by_id("erase").setAttribute("aria-pressed", erasing);
  sketch.erase(erasing);
}

function set_path(end) {
  stop();
  Object.assign(state, end);
  state.along = end.b ? 1 : 0;
  refresh();
}

function whole() {
  plane.whole();
  refresh();
}

function zoom(factor, centre = on_plane(state.z)) {
  plane.zoom(factor, centre);
  refresh();
}

/* Of two alike axes the other one takes the place that is free. */
function change_axes({ target }) {
  const k = target.id === "up" ? 1 : 0, chosen = Number(target.value), axes = [...view.axes];
  if (axes[1 - k] === chosen) axes[1 - k] = axes[k];
  axes[k] = chosen;
  view.axes = axes;
  mark_axes();
  plane.whole();
  refresh_all();
}

function key_of_plane(event) {
  const step = view.span / (event.shiftKey ? 8 : 80);
  const [u, v] = on_plane(state.z);
  const moves = {
    ArrowLeft: [u - step, v], ArrowRight: [u + step, v],
    ArrowDown: [u, v - step], ArrowUp: [u, v + step],
  };
  const nearer = () => zoom(1 / 1.4), farther = () => zoom(1.4);
  const others = { "+": nearer, "=": nearer, "-": farther, 0: whole };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in moves) go_to(moved_to(moves[event.key]));
  else if (event.key in others) others[event.key]();
  else return;
  event.preventDefault();
}
