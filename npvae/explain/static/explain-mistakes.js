"use strict";
/* Mistakes that public code has made, as variations of the ops (tests/test_mistakes.py plants them
   in npvae). In both passes the gradient is the derivative of the wrong loss, as autograd would
   have it, and only a comparison with the right bound tells. In the backward pass alone any check
   tells. */

/* z = μ + ε s(log σ²), whose derivative by log σ² is ε slope(log σ²). */
const sampling = (deviation, slope) => ({
  ...RIGHT,
  sample: (mu, logvar, eps, z) => map(mu, (m, j) => m + deviation(logvar[j], eps[j]), z),
  sample_backward: (d_z, logvar, eps) => ({
    d_mu: map(d_z, (d) => d),
    d_logvar: map(d_z, (d, j) => d * slope(logvar[j], eps[j])),
  }),
});

const scaled_kl = (kl_factor) => ({ ...RIGHT, kl_factor });

const MISTAKES = {
  deviation: {
    node: "z",
    label: "log σ² taken for log σ",
    right: "z = μ + ε exp ½ log σ^2", wrong: "z = μ + ε exp log σ^2",
    why: "exp log σ² is the variance. As a deviation it makes samples narrower where σ < 1, and "
      + "the KL still believes σ: the decoder is trained on noise that q does not have.",
    ops: sampling((v, e) => e * Math.exp(v), (v, e) => e * Math.exp(v)),
  },
  half: {
    node: "z",
    label: "½ of ∂σ/∂log σ² lost",
    right: "d_{log σ^2} = d_z ½ σ ε", wrong: "d_{log σ^2} = d_z σ ε",
    why: "σ = exp(½ log σ²), so its derivative is ½ σ. Without the ½ the reconstruction moves σ "
      + "twice as hard as the bound says. The forward pass is right, so its differences show it.",
    ops: sampling((v, e) => e * Math.exp(0.5 * v), (v, e) => e * Math.exp(0.5 * v)),
    backward_only: true,
  },
  half_sample: {
    node: "z",
    label: "z = μ + ½ ε σ",
    right: "z = μ + ε σ", wrong: "z = μ + ½ ε σ",
    why: "Samples have half the deviation that the KL accounts for. Training makes σ twice as "
      + "large to make up for it, and all that is said of q(z|x) is wrong.",
    ops: sampling((v, e) => 0.5 * e * Math.exp(0.5 * v), (v, e) => 0.25 * e * Math.exp(0.5 * v)),
  },
  epsilon: {
    node: "z",
    label: "ε forgotten",
    right: "z = μ + ε σ", wrong: "z = μ + σ",
    why: "Nothing is drawn, so nothing is sampled: an auto-encoder with a strange penalty, whose "
      + "σ is one more offset.",
    ops: sampling((v) => Math.exp(0.5 * v), (v) => 0.5 * Math.exp(0.5 * v)),
  },
  kl_half: {
    node: "kl",
    label: "½ of the KL lost",
    right: "KL = ½ Σ_j ( μ_j^2 + σ_j^2 − 1 − log σ_j^2 )",
    wrong: "KL = Σ_j ( μ_j^2 + σ_j^2 − 1 − log σ_j^2 )",
    why: "A KL of twice its size is a β-VAE with β = 2: the latents carry less, and what is "
      + "reported as the bound is none.",
    ops: scaled_kl(() => 2),
  },
  kl_mean: {
    node: "kl",
    label: "KL averaged over J",
    right: "loss = −log p(x|z) + Σ_j KL_j", wrong: "loss = −log p(x|z) + {1/J} Σ_j KL_j",
    why: "The reconstruction is a sum over D, so the KL has to be one over J. As a mean it weighs "
      + "J times too little, and q drifts from the prior. With a mean over D instead the latents "
      + "collapse.",
    ops: scaled_kl((J) => 1 / J),
  },
  kl_sign: {
    node: "kl",
    label: "KL with the wrong sign",
    right: "loss = −log p(x|z) + KL", wrong: "loss = −log p(x|z) − KL",
    why: "The loss is minus the bound. With + and − confused the KL is driven up: q runs away "
      + "from the prior, whose samples decode to nothing.",
    ops: scaled_kl(() => -1),
  },
  kl_dropped: {
    node: "kl",
    label: "KL dropped",
    right: "loss = −log p(x|z) + KL", wrong: "loss = −log p(x|z)",
    why: "Nothing keeps σ from going to 0 and μ from going anywhere: a plain auto-encoder.",
    ops: scaled_kl(() => 0),
  },
};

/* The ops of each pass, with a mistake planted in both or in the backward pass alone. */
function planted(name, where) {
  const mistake = MISTAKES[name];
  if (!mistake) return { forward: RIGHT, backward: RIGHT };
  const backward_only = where === "backward" || mistake.backward_only;
  return { forward: backward_only ? RIGHT : mistake.ops, backward: mistake.ops };
}
