"use strict";
/* Equations as MathML, from a notation that reads as one: `d_{log σ^2} = d_z ½ σ ε`.

   a_b, a^b    scripts; {…} groups          {a/b}              a fraction sample{…}, prior{…}
   in the colour of the term that the gradient comes from */

const TERMS = ["sample", "prior"];
const FUNCTIONS = new Set(["log", "exp", "tanh", "sigmoid", "sign", "elu", "max", "min", "or"]);

function math(source) {
  const [children] = math_row(source.match(/\p{L}+|−?[\d.]+|\S/gu), 0);
  return math_element("math", ...children);
}

/* Tokens from `at` to a closing brace, as elements; and where it stands. */
function math_row(tokens, at) {
  const row = [];
  while (at < tokens.length && tokens[at] !== "}") {
    const token = tokens[at];
    let made;
    if (token === "_" || token === "^") {
      [made, at] = math_atom(tokens, at + 1);
      row.push(scripted(row.pop(), token, made));
      continue;
    }
    [made, at] = math_atom(tokens, at);
    row.push(made);
  }
  return [row, at];
}

/* A symbol, or a group. */
function math_atom(tokens, at) {
  const token = tokens[at], term = TERMS.includes(token) && tokens[at + 1] === "{";
  if (term || token === "{") {
    const [children, end] = math_row(tokens, at + (term ? 2 : 1));
    const slash = term ? -1 : children.findIndex((child) => child.textContent === "/");
    const part = (some) => (some.length === 1 ? some[0] : math_element("mrow", ...some));
    const group = slash < 0 ? math_element("mrow", ...children)
      : math_element("mfrac", part(children.slice(0, slash)), part(children.slice(slash + 1)));
    if (term) group.setAttribute("class", token);
    return [group, end + 1];
  }
  const kind = /^\p{L}/u.test(token) ? "mi" : /[\d½]/.test(token) ? "mn" : "mo";
  const made = math_element(kind, token);
  if ("()|".includes(token)) made.setAttribute("stretchy", "false");
  if (FUNCTIONS.has(token)) {  // stands apart from what it is of
    const space = math_element("mspace");
    space.setAttribute("width", ".17em");
    return [math_element("mrow", made, space), at + 1];
  }
  return [made, at + 1];
}

/* base_sub, base^sup, or both. */
function scripted(base, kind, script) {
  if (base.localName === "msub" && kind === "^") {
    return math_element("msubsup", ...base.children, script);
  }
  return math_element(kind === "_" ? "msub" : "msup", base, script);
}

function math_element(tag, ...children) {
  const made = document.createElementNS("http://www.w3.org/1998/Math/MathML", tag);
  made.append(...children);
  return made;
}
