"use strict";
/* What the pages share beside mathematics: data, elements, numbers, and the address. */

/* What Python wrote into the page. */
const DATA = JSON.parse(document.getElementById("npvae-data").textContent);

const by_id = (id) => document.getElementById(id);

/* An element with attributes (a function is a listener) and children. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/* A number as people read it; the minus is one. */
const rounded = (value, digits = 3) => value.toFixed(digits).replace("-", "−");

/* Show a number: its full digits are in data-value, under the name data-npvae. */
function show(where, name, value, text = rounded(value)) {
  where.dataset.npvae = name;
  where.dataset.value = String(value);
  if (where.textContent !== text) where.textContent = text;
}

/* The state of the page lives in the address after #, a name=value each. */
const read_address = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

function write_address(values) {
  const set = Object.entries(values).filter(([, value]) => value !== "" && value != null);
  const words = set.map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  const address = "#" + words.join("&").replaceAll("%2C", ",");
  if (address !== location.hash) history.replaceState(null, "", address);
}

/* Call draw once before the next frame, however often it is asked for. */
function each_frame(draw) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      draw();
    });
  };
}

const reduced_motion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/* window.npvae: the pure functions of the page, and what the page adds, as ready and state(). */
function publish(page) {
  window.npvae = {
    affine, affine_backward, outer, tanh, tanh_backward, relu, relu_backward, sigmoid, sigmoid_backward,
    softplus, softplus_backward, elu, elu_backward, leaky_relu, leaky_relu_backward, silu,
    silu_backward, gelu, gelu_backward, identity, identity_backward, sample, sample_backward,
    normal_kl, normal_kl_backward, ACTIVATIONS, LIKELIHOODS, read_model, mlp_forward, mlp_backward,
    encode, decode, log_likelihood, elbo, uniforms, normals, ...page,
  };
}
