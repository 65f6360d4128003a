"use strict";
/* Noise that a seed determines, so that a page shows the same numbers again. */

/* Uniform numbers in (0, 1): a function to call (the generator sfc32 of PractRand). */
function uniforms(seed) {
  let a = seed | 0, b = 0x9e3779b9, c = 0x243f6a88, counter = 1;
  const next = () => {
    const t = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return ((t >>> 0) + 0.5) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

/* n numbers from N(0, 1) (Box, Muller 1958). */
function normals(seed, n) {
  const u = uniforms(seed);
  return Float64Array.from({ length: n }, () =>
    Math.sqrt(-2 * Math.log(u())) * Math.cos(2 * Math.PI * u()));
}
