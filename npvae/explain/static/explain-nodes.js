"use strict";
/* The nodes of the computation, from x to the loss: what each is called, its equations there and
   back, where the paper and npvae's code have them, and a sentence for the reader. */

/* The formula of an activation, and of its derivative by h or by u. */
const ACTIVATION_FORMULAS = {
  tanh: ["tanh u", "( 1 − h^2 )"], sigmoid: ["sigmoid u", "h ( 1 − h )"],
  relu: ["max ( u , 0 )", "[ h > 0 ]"], softplus: ["log ( 1 + e^u )", "( 1 − e^{− h} )"],
  elu: ["elu u", "( 1 + min ( h , 0 ) )"], leaky_relu: ["max ( u , u / 100 )", "[ 1 or {1/100} ]"],
  silu: ["u sigmoid u", "silu ′ ( u )"], gelu: ["u Φ ( u )", "( Φ ( u ) + u φ ( u ) )"],
  identity: ["u", ""],
};

/* Of a likelihood: what the decoder gives, the mean, the number of the equation, −log p(x|z), its
   gradient, and a sentence. */
const LIKELIHOOD_FORMULAS = {
  bernoulli: ["l", "y = sigmoid l", "eq. 11", "− Σ_d ( x_d log y_d + ( 1 − x_d ) log ( 1 − y_d ) )",
    ["d_l = y − x"], "The sigmoid and the logarithm undo each other: what comes back is "
      + "prediction minus data, and nothing saturates."],
  "continuous-bernoulli": ["l", "E[x] = κ ′ ( l )", "section 2.1", "Σ_d ( κ ( l_d ) − x_d l_d )",
    ["d_l = κ ′ ( l ) − x"], "The mean that is predicted, minus what is there."],
  normal: ["[ m , log s^2 ]", "E[x] = m", "eq. 12",
    "½ Σ_d ( log 2 π + log s_d^2 + r_d^2 ) , r = ( x − m ) / s",
    ["d_m = − r / s", "d_{log s^2} = ½ ( 1 − r^2 )"],
    "A residual counts by how many of the decoder's own deviations it is."],
  "fixed-normal": ["m", "E[x] = m", "eq. 12",
    "Σ_d ( ½ r_d^2 + log s + ½ log 2 π ) , r = ( x − m ) / s",
    ["d_m = − r / s"], "Squared error by another name."],
  laplace: ["[ m , log b ]", "E[x] = m", "section 2.1",
    "Σ_d ( log 2 b_d + | r_d | ) , r = ( x − m ) / b",
    ["d_m = − sign r / b", "d_{log b} = 1 − | r |"],
    "An outlier pulls no harder than any other residual."],
  poisson: ["l", "E[x] = e^l", "section 2.1", "Σ_d ( e^{l_d} − x_d l_d + log x_d ! )",
    ["d_l = e^l − x"],
    "The rate that is predicted, minus the count."],
};

/* What the estimators say of the latent layer. `row` are the coefficients of θ, path and score. */
const SAMPLED = {
  kl: "KL ≈ log q(z|x) − log p(z) = ½ Σ_j ( z_j^2 − ε_j^2 − log σ_j^2 )", kl_equation: "eq. 6",
  z_back: "d_z = sample{W^T d_u} + prior{z − ε / σ}",
};
const ESTIMATOR_TEXT = {
  B: {
    label: "B", name: "SGVB B", equation: "eq. 7",
    row: ["1", "1, of log p(x|z)", "the KL's gradient"],
    kl: "KL = ½ Σ_j ( μ_j^2 + σ_j^2 − 1 − log σ_j^2 )", kl_equation: "appendix B",
    z_back: "d_z = W^T d_u",
    back: ["d_μ = sample{d_z} + prior{μ}",
      "d_{log σ^2} = sample{d_z ½ σ ε} + prior{½ ( σ^2 − 1 )}"],
    kl_back: ["d_μ = μ", "d_{log σ^2} = ½ ( σ^2 − 1 )"],
    words: "The KL is known in closed form: its gradient needs no sample, and goes straight to μ "
      + "and log σ², never through z or the decoder.",
  },
  A: {
    ...SAMPLED, label: "A", name: "SGVB A", equation: "eq. 6", row: ["1", "1", "−1"],
    back: ["d_μ = sample{d_z} + prior{z}",
      "d_{log σ^2} = sample{d_z ½ σ ε} + prior{½ ( z σ ε − 1 )}"],
    kl_back: ["d_z = z − ε / σ", "d_μ = d_z + ε / σ", "d_{log σ^2} = d_z ½ σ ε + ½ ( ε^2 − 1 )"],
    words: "The KL is estimated by the same sample: by way of z, and by the score of q, ∂log q/∂φ "
      + "at fixed z. Its mean is 0 and its variance is not.",
  },
  stl: {
    ...SAMPLED, label: "path", name: "path derivative", equation: "Roeder et al. 2017",
    row: ["1", "1", "0"],
    back: ["d_μ = sample{d_z} + prior{z − ε / σ}",
      "d_{log σ^2} = ½ σ ε ( sample{d_z} + prior{z − ε / σ} )"],
    kl_back: ["d_z = z − ε / σ", "d_μ = d_z", "d_{log σ^2} = d_z ½ σ ε"],
    words: "Estimator A without the score of q, which has no mean. All comes by way of z, and "
      + "vanishes sample by sample where q(z|x) is the posterior.",
  },
  score: {
    ...SAMPLED, label: "score", name: "score function", equation: "section 2.2", z_back: "d_z = 0",
    row: ["1", "0", "log p(x,z) − log q(z|x)"],
    back: ["d_μ = ( sample{−log p(x|z)} + prior{KL} ) ε / σ",
      "d_{log σ^2} = ( sample{−log p(x|z)} + prior{KL} ) ½ ( ε^2 − 1 )"],
    kl_back: ["d_μ = KL ε / σ", "d_{log σ^2} = KL ½ ( ε^2 − 1 )"],
    words: "No derivative comes through z: the loss itself, one number, multiplies the score of "
      + "q. It needs no reparameterization, and pays in variance: look at 1,000 draws.",
  },
};

/* The nodes in the order of the forward pass. `values` are those of a unit with a gradient;
   `parameters` are the layers that lead to it. */
function make_nodes(model) {
  const D = model.n_features, J = model.latent_dim;
  const hidden = (network) => model[network].hidden.map((size, i) => ({
    id: `${network}.hidden.${i}`, kind: "hidden", network, layer: i, symbol: "h", size,
    name: `${network} hidden ${i + 1}`, parameters: [`${network}.hidden.${i}`],
    values: (cache) => cache[network].h[i + 1],
  }));
  const heads = (network) => model[network].heads.map((head) => `${network}.${head}`);
  return [
    { id: "x", kind: "x", symbol: "x", name: "datapoint", size: D, values: (cache) => cache.x_in },
    ...hidden("encoder"),
    { id: "q", kind: "q", symbol: "μ , log σ^2", name: "q(z|x)", size: J,
      parameters: heads("encoder") },
    { id: "kl", kind: "kl", symbol: "KL", name: "q against p(z)", size: 1 },
    { id: "z", kind: "z", symbol: "z", name: "sample", size: J, values: (cache) => cache.z },
    ...hidden("decoder"),
    { id: "p", kind: "p", symbol: LIKELIHOOD_FORMULAS[model.likelihood.name][0], name: "p(x|z)",
      size: D, parameters: heads("decoder"), values: (cache) => cache.a_x },
    { id: "loss", kind: "loss", symbol: "loss", name: "minus the bound", size: 1 },
  ];
}

/* What is told of a node: equations, their number in the paper, keys of the code, words. */
function explanation(model, { kind, network }, back, estimator) {
  const e = ESTIMATOR_TEXT[estimator], B = estimator === "B", encoder = network === "encoder";
  const [f, slope] = ACTIVATION_FORMULAS[model.activation];
  const beta = model.kl_weight === 1 ? "" : "β ";
  const [a, mean, eq, nll, nll_back, nll_words] = LIKELIHOOD_FORMULAS[model.likelihood.name];
  const weighted = (equation) => beta ? equation.replace(/prior{([^}]*)}/, "prior{β ( $1 )}") : equation;
  const by_z = ["d_mu_sample", "d_logvar_sample"];
  const by_kl = B ? ["d_mu_kl", "d_logvar_kl"] : ["d_mu_ratio", "d_logvar_ratio"];
  const text = {
    x: [[[`x ∈ R^{${model.n_features}}`], "section 2.1", ["x"],
      "One datapoint goes in: choose another, or draw one."],
    [["d_W = d_u x^T", "d_b = d_u"], "", ["d_W_first"],
      "The gradient ends here. On its way it left d_W at every layer: for one datapoint the "
        + "outer product of what came back and what had gone in."]],
    hidden: [[["u = W h + b", `h = ${f}`], encoder || eq !== "eq. 11" ? "eq. 12" : eq,
      ["gemm", "activation"],
      encoder ? "A product, a bias, an activation."
        : "The decoder's layer knows x by way of z alone."],
    [[`d_u = d_h ${slope}`, "d_W = d_u h^T", "d_h = W^T d_u"], "",
      ["activation_backward", "d_W", "d_h"],
      encoder ? "Linear in what comes from above: both terms go through side by side."
        : "In the decoder there is one colour: the KL does not depend on θ."]],
    q: [[["μ = W_4 h + b_4", "log σ^2 = W_5 h + b_5"], "eq. 9, eq. 12", ["heads"],
      "The encoder's heads are the parameters of q(z|x) = N(μ, σ²). log σ² may be any number."],
    [e.back.map(weighted), e.equation, [...by_z, ...by_kl], e.words]],
    kl: [[[e.kl], e.kl_equation, [B ? "kl" : "log_ratio"],
      "How far q(z|x) is from the prior N(0, I): what it costs to say something of x."],
    [e.kl_back.map((equation) => `prior{${equation}}`), e.kl_equation,
      B ? by_kl : ["through_z", ...by_kl],
      "It pulls μ to 0 and σ to 1, whatever x is. Where it wins over the sample's share, "
        + "latents fall back to the prior: posterior collapse."]],
    z: [[["z = μ + σ ⊙ ε", "ε ~ N ( 0 , I )"], "eq. 4", ["sigma", "z"],
      "The reparameterization: noise is drawn outside, so z is a smooth function of μ and σ, and "
        + "∂z/∂μ = 1, ∂z/∂log σ² = ½ σ ε. Move the sliders above."],
    [[weighted(e.z_back)], "eq. 4", ["d_z", ...by_z], estimator === "score"
      ? "The score function lets nothing through the sample."
      : "What the decoder wants of z goes on to μ as it is, and to log σ² times ½ σ ε."]],
    p: [[[`${a} = W h + b`, mean, `−log p(x|z) = ${nll}`], eq, ["heads", "nll"],
      "The decoder's output, and how badly it predicts x, in nats."],
    [nll_back, eq, ["nll_backward"], nll_words]],
    loss: [[[`loss = −log p(x|z) + ${beta}KL`], e.equation, ["loss"],
      "Minus the lower bound of log p(x), for this datapoint and this draw."],
    [["∂ loss / ∂ loss = 1"], e.equation, ["seeds"],
      "The way back starts with 1 for each term: through the decoder, and the short way below."]],
  };
  const [equations, equation, code, words] = text[kind][+back];
  return { equations, equation, code, words };
}
