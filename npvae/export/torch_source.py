"""The pieces that a PyTorch module's source is put together from."""

EXPRESSIONS = {  # functions of a program; linear is a layer
    "tanh": "torch.tanh({})", "relu": "torch.relu({})", "sigmoid": "torch.sigmoid({})",
    "softplus": "F.softplus({}, threshold=40)", "elu": "F.elu({})",
    "leaky_relu": "F.leaky_relu({}, 0.01)", "gelu": "F.gelu({})", "silu": "F.silu({})",
    "exp": "torch.exp({})", "add": "{} + {}", "multiply": "{} * {}",
    "minimum": "{}.clamp(max={})", "maximum": "{}.clamp(min={})", "softmax": "{}.softmax(-1)",
    "standardize": "(({0} - {1}) / {2}).to(self.dtype)",  # the other two are in float64
    "restore": "({0} * {2} + {1}).to(self.dtype)",
    "soft_clip": "soft_clip({}, {})", "categorical_mean": "categorical_mean({}, {})",
    "continuous_bernoulli_mean": "continuous_bernoulli_mean({})",
    "discretized_logistic_mean": "discretized_logistic_mean({}, {}, {})",
}  # fmt: skip

HELPERS = {
    "soft_clip": '''\
def soft_clip(u, limit):
    """u itself within ±limit, and within ±(limit + 1) beyond."""
    c = u.clamp(-limit, limit)
    e = u - c
    return c + e / (1 + e.abs())


''',
    "categorical_mean": '''\
def categorical_mean(u, K):
    """Σ_k p_k k/(K − 1) of logits (…, K D), level by level.   (…, D)"""
    p = u.unflatten(-1, (K, -1)).softmax(-2)
    return (p * torch.arange(K, dtype=u.dtype, device=u.device)[:, None]).sum(-2) / (K - 1)


''',
    "continuous_bernoulli_mean": '''\
def continuous_bernoulli_mean(l):
    """1/(1 − e⁻ˡ) − 1/l, by its series where |l| < ½."""
    square, series = l.clamp(-0.5, 0.5) ** 2, 1 / 74724249600
    for c in (-691 / 1307674368000, 1 / 47900160, -1 / 1209600, 1 / 30240, -1 / 720, 1 / 12):
        series = series * square + c
    t = torch.where(l.abs() < 0.5, 1, l)
    return torch.where(l.abs() < 0.5, 0.5 + series * l, -1 / torch.expm1(-t) - 1 / t)


''',
    "discretized_logistic_mean": '''\
def discretized_logistic_mean(location, logscale, K):
    """Σ_k sigmoid((μ − e_k)/s)/(K − 1), over the K − 1 edges e_k between levels."""
    half_rate = 0.5 * torch.exp((-logscale).clamp(max=30))
    total = 0
    for k in range(1, K):
        total = total + torch.tanh((location - (k - 0.5) / (K - 1)) * half_rate)
    return 0.5 + 0.5 * total / (K - 1)


''',
}

# −log p(x|z) in nats, (…), of the heads u_… (…, ·) and of x (…, D) as the model sees it
NLL = {
    "bernoulli": """\
        x = x.expand_as(u_logits)
        return F.binary_cross_entropy_with_logits(u_logits, x, reduction="none").sum(-1)
""",
    "continuous-bernoulli": """\
        l = u_logits  # κ(l) − x l,  κ(l) = log((eˡ − 1)/l), by its series near 0
        t = torch.where(l.abs() < 0.05, 1, l.abs())
        far = l.clamp(min=0) + torch.log(-torch.expm1(-t) / t)
        near = l / 2 + l**2 / 24 - l**4 / 2880 + l**6 / 181440
        return (torch.where(l.abs() < 0.05, near, far) - x * l).sum(-1)
""",
    "normal": """\
        logvar = {scale}
        r2 = (x - {mean}) ** 2 * torch.exp(-logvar)
        return 0.5 * (log(2 * pi) + logvar + r2).sum(-1){log_volume}
""",
    "fixed-normal": """\
        r2 = ((x - {mean}) / {std}) ** 2
        return (0.5 * (log(2 * pi) + r2) + log({std})).sum(-1){log_volume}
""",
    "laplace": """\
        logscale = {scale}
        r = (x - {mean}).abs() * torch.exp(-logscale)
        return (log(2) + logscale + r).sum(-1){log_volume}
""",
    "poisson": """\
        l = u_lograte.clamp(max={largest})
        return (torch.exp(l) - x * l + torch.lgamma(x + 1)).sum(-1)
""",
    "categorical": """\
        log_p = u_logits.unflatten(-1, ({K}, -1)).log_softmax(-2)  # (…, K, D)
        level = (x * ({K} - 1)).round().long().expand_as(log_p[..., 0, :])
        return -log_p.gather(-2, level.unsqueeze(-2)).squeeze(-2).sum(-1)
""",
    "discretized-logistic": """\
        h, rate = 0.5 / ({K} - 1), torch.exp(-u_logscale)
        above, below = x < 1 - h, x > h  # whether the level has an upper and a lower edge
        nll = -torch.where(above, F.logsigmoid((x + h - u_mean) * rate), 0)
        nll = nll - torch.where(below, F.logsigmoid((u_mean - x + h) * rate), 0)
        both = torch.log(-torch.expm1(-2 * h * rate))
        return (nll - torch.where(above & below, both, 0)).sum(-1)
""",
}

# A sample z (L, M, J) by noise eps (L, M, J), and KL(q‖p) (M,) in closed form
POSTERIOR = {
    "normal": """\
        mean, logvar = q["mean"], q["logvar"]
        z = mean + torch.exp(0.5 * logvar) * eps
        kl = 0.5 * (mean**2 + torch.expm1(logvar) - logvar).sum(-1)
""",
    "log-normal": """\
        mu, logvar = q["mean"], q["logvar"]
        z = torch.exp(mu + torch.exp(0.5 * logvar) * eps)
        kl = 0.5 * (mu**2 + torch.expm1(logvar) - logvar).sum(-1)
""",
    "elliptical": """\
        mu, log_diagonal = q["mu"], q["log_diagonal"]
        lower = q.get("lower", mu[..., :0])  # one latent has none
        below = torch.zeros(*mu.shape, mu.shape[-1], dtype=mu.dtype, device=mu.device)
        rows, columns = torch.tril_indices(mu.shape[-1], mu.shape[-1], -1)
        below[..., rows, columns] = lower  # of L, row by row
        z = mu + torch.exp(log_diagonal) * eps + (below @ eps.unsqueeze(-1)).squeeze(-1)
        kl = 0.5 * (mu**2 + torch.expm1(2 * log_diagonal) - 2 * log_diagonal).sum(-1)
        kl = kl + 0.5 * (lower**2).sum(-1)
""",
    "gamma": """\
        shape, log_scale = torch.exp(q["log_shape"]), q["log_scale"]
        gamma = torch.distributions.Gamma(shape, torch.exp(-log_scale))
        z = gamma.rsample(eps.shape[:1])  # by noise of its own: eps says how many
        kl = (shape - 1) * torch.digamma(shape) - torch.lgamma(shape) - log_scale
        kl = (kl + shape * torch.expm1(log_scale)).sum(-1)
""",
}

TEMPLATE = '''\
"""$title as a PyTorch module, written by npvae.

    model = Model.load()               # with the parameters that lie beside this file
    model.encode(x)                    # what q(z|x) is, by name; x (n, $D) in the data's units
    model.decode(z)["mean"]            # E[x|z] (n, $D), for z (n, $J)
$usage"""
${imports}from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

WEIGHTS = Path(__file__).with_suffix(".safetensors")


class Network(nn.Module):
    """Hidden layers, and heads that all read the last of them."""

    def __init__(self, widths, **heads):
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, widths[1:]))
        for name, head in heads.items():
            self.add_module(name, head)


${helpers}class Model(nn.Module):
    """Encoder and decoder."""

    dtype = torch.$dtype

    def __init__(self):
        super().__init__()
$layers

    @classmethod
    def load(cls, path=WEIGHTS):
        """The model with the parameters of a file."""
        model, state = cls(), load_file(path)
$renamed        model.load_state_dict(state)
        return model

    def encode(self, x):
        """x (…, $D) → the parameters of q(z|x) by name."""
$encode

    def heads(self, z):
        """z (…, $J) → what the heads of the decoder say."""
$below
        return $heads

    def decode(self, z):
        """z (…, $J) → the mean of x, (…, $D), in the data's units."""
        $heads = self.heads(z)
$above

    def nll(self, z, x):
        """−log p(x|z) in nats, (…), for z (…, $J) and x (…, $D)."""
        $heads = self.heads(z)
$nll$loss'''
USAGE = '''\
    $call # $bound, in nats per datapoint
'''
RETURN = '''
What was trained here goes back by

    vae = npvae.load(WEIGHTS)
    vae.set_parameters({k: v.detach().numpy() for k, v in model.named_parameters()})
'''
CONSTANT = '''\
class Constant(nn.Module):
    """A head that depends on nothing."""

    def __init__(self, width):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, h):
        return self.bias.expand(*h.shape[:-1], -1)


'''
LOSS = '''
    def loss(self, x, eps=None):
        """Minus the mean lower bound of x (M, $D)$weighted, in nats per datapoint.

        eps (L, M, $J) is standard normal noise of L samples; drawn for one if it is not given.
        """
        q = self.encode(x)
        if eps is None:
            eps = torch.randn(1, len(x), $J, dtype=self.dtype, device=x.device)
$posterior        return (self.nll(z, x).mean(0) + ${weight}kl).mean()
'''
CODE_LOSS = '''
    def loss(self, x):
        """The mean of −log p(x|z) at the codes z of x (M, $D), in nats per datapoint."""
        return self.nll(self.encode(x)["code"], x).mean()
'''
FULL_LOSS = '''
    def full_loss(self, x, eps=None, zeta=None):
        """``loss`` at a sample of the decoder's parameters, and their KL over $N datapoints.

        zeta is the noise of that sample, by the parameters' names in the decoder.
        """
        sample, kl = {}, 0
        for name, mu in self.decoder.named_parameters():
            logvar = self.log_variances[name.replace(".", "_")]
            noise = torch.randn_like(mu) if zeta is None else zeta[name]
            sample["model.decoder." + name] = mu + torch.exp(0.5 * logvar) * noise
            kl = kl + 0.5 * (mu**2 + torch.expm1(logvar) - logvar).sum()
        return torch.func.functional_call(Loss(self), sample, (x, eps)) + kl / $N


class Loss(nn.Module):
    """The loss of a model, as the output of a module."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, eps):
        return self.model.loss(x, eps)
'''
RENAMED = '''\
        for name in [n for n in state if n.endswith((".weight.logvar", ".bias.logvar"))]:
            key = name.removeprefix("decoder.").removesuffix(".logvar").replace(".", "_")
            state["log_variances." + key] = state.pop(name)
'''
