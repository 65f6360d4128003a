"""The gradient of every model there is: against differences, another precision, and PyTorch.

That the forward pass is the paper's, and not merely what its backward pass belongs to, is for
the formulas of appendices B and C to say: they are written here once more, with SciPy.
"""
from itertools import product

import numpy as np
import pytest
from scipy import special, stats
from small_models import loss
from tiny import M, N, configs

from npvae.models import Noise
from npvae.ops import ACTIVATIONS
from npvae.testing import check_gradients

DEPTHS = range(4)
each_network = pytest.mark.parametrize(
    ("activation", "depth"), list(product(ACTIVATIONS, DEPTHS)), ids=str
)


def loss_and_gradient(engine, x, eps):
    """What a training step computes."""
    loss = float(engine.loss_and_grad(x, Noise(eps)))
    return loss, engine.layout.named(engine.grad.copy())


def relative_error(value, truth):
    """The largest difference, relative to the largest element."""
    return np.abs(value - truth).max() / np.abs(truth).max()


# --- differences --------------------------------------------------------------------------


def test_the_table_is_complete():
    table = [config for pair in product(ACTIVATIONS, DEPTHS) for config in configs(*pair)]
    vaes, autoencoders = 2 * 2 * 3 * 2, 3 * 2  # A B × L × likelihoods × penalty, the latter two
    assert len(set(table)) == len(table) == 9 * 4 * (vaes + autoencoders)


@each_network
@pytest.mark.parametrize("method", ["complex", "central"])
def test_every_gradient_is_right(method, activation, depth):
    tolerance = {"complex": 1e-12, "central": 1e-6}[method]
    for config in configs(activation, depth):
        x, eps = config.batch()
        report = check_gradients(config.engine(), x, eps=eps, method=method)
        assert report.passed(tolerance) and report.kinks == 0, f"{config}\n{report}"


@each_network
def test_float32_agrees_with_float64(activation, depth):
    """At the same θ, x and ε, rounded to float32: only the arithmetic differs."""
    for config in configs(activation, depth):
        single = config.engine(dtype=np.float32)
        double = config.engine()
        double.theta[...] = single.theta
        x, eps = (array.astype(np.float32) for array in config.batch())
        loss32, grads32 = loss_and_gradient(single, x, eps)
        loss64, grads64 = loss_and_gradient(double, x.astype(float), eps.astype(float))
        assert loss32 == pytest.approx(loss64, rel=1e-5)
        for name, truth in grads64.items():
            assert grads32[name].dtype == np.float32
            assert relative_error(grads32[name], truth) <= 1e-4, f"{config}: {name}"


@each_network
def test_every_parameter_is_really_tried(activation, depth):
    """No gradient is lost beside the largest, and every layer of relu is on and off."""
    for config in configs(activation, depth):
        engine = config.engine()
        _, gradient = loss_and_gradient(engine, *config.batch())
        largest = {name: np.abs(g).max() for name, g in gradient.items()}
        assert min(largest.values()) > 1e-4 * max(largest.values()), f"{config}: {largest}"
        for name, h in engine.work.buffers().items():
            if activation == "relu" and config.L > 1 and name.endswith(".h"):
                assert 0 < (h > 0).mean() < 1, f"{config}: {name}"


# --- the paper's formulas -----------------------------------------------------------------

f = {
    "tanh": np.tanh,
    "relu": lambda a: np.where(a > 0, a, 0),
    "sigmoid": special.expit,
    "softplus": lambda a: np.logaddexp(a, 0),
    "elu": lambda a: np.where(a > 0, a, np.exp(a) - 1),
    "leaky_relu": lambda a: np.where(a > 0, a, a / 100),
    "gelu": lambda a: a * special.ndtr(a),
    "silu": lambda a: a * special.expit(a),
    "identity": lambda a: a,
}


def mlp(P, name, activation, depth, h):
    """The hidden layers of appendix C, for one datapoint."""
    for i in range(depth):
        h = f[activation](P[f"{name}.hidden.{i}.weight"] @ h + P[f"{name}.hidden.{i}.bias"])
    return h


def linear(P, layer, h):
    return P[layer + ".weight"] @ h + P[layer + ".bias"]


def log_p_x(config, P, x, z):
    """log p(x|z) of appendix C.1 or C.2, for one datapoint."""
    h = mlp(P, "decoder", config.activation, config.depth, z)
    if config.likelihood == "bernoulli":
        y = special.expit(linear(P, "decoder.logits", h))
        return sum(x * np.log(y) + (1 - x) * np.log(1 - y))
    mu, logvar = linear(P, "decoder.mean", h), linear(P, "decoder.logvar", h)
    if config.likelihood == "normal, sigmoid mean":
        mu = special.expit(mu)
    return sum(stats.norm.logpdf(x, mu, np.exp(logvar / 2)))


def lower_bound(config, P, x, eps):
    """Equation 6 or 7, for one datapoint.   x (D,), eps (L, J)"""
    h = mlp(P, "encoder", config.activation, config.depth, x)
    mu, logvar = linear(P, "encoder.mean", h), linear(P, "encoder.logvar", h)
    sigma = np.sqrt(np.exp(logvar))
    z = [mu + sigma * e for e in eps]
    reconstruction = np.mean([log_p_x(config, P, x, z_l) for z_l in z])
    if config.estimator == "B":
        return 0.5 * sum(1 + logvar - mu**2 - sigma**2) + reconstruction
    log_p_z = np.mean([sum(stats.norm.logpdf(z_l)) for z_l in z])
    log_q_z = np.mean([sum(stats.norm.logpdf(z_l, mu, sigma)) for z_l in z])
    return reconstruction + log_p_z - log_q_z


def reconstruction_error(config, P, x):
    h = mlp(P, "encoder", config.activation, config.depth, x)
    return -log_p_x(config, P, x, linear(P, "encoder.code", h))


@each_network
def test_the_loss_is_the_papers(activation, depth):
    for config in configs(activation, depth):
        engine, (x, eps) = config.engine(), config.batch()
        P = engine.layout.named(engine.theta)
        weights = [w for name, w in P.items() if name.endswith("weight")]
        if config.estimator:
            expected = np.mean([-lower_bound(config, P, x[m], eps[:, m]) for m in range(M)])
            if config.penalised:
                expected -= sum(stats.norm.logpdf(w).sum() for w in weights) / N
        else:
            expected = np.mean([reconstruction_error(config, P, x[m]) for m in range(M)])
            if config.penalised:
                expected += 0.3 / 2 * sum((w**2).sum() for w in weights)
        # Sums of some hundred terms: a hundred roundings.
        assert loss(engine, x, eps) == pytest.approx(expected, rel=1e-13)


# --- another framework --------------------------------------------------------------------


def torch_loss(torch, config, P, x, eps):
    """The same model as one would write it in PyTorch; P maps names to tensors."""
    F, distributions = torch.nn.functional, torch.distributions
    activation = {
        "tanh": torch.tanh, "relu": F.relu, "sigmoid": torch.sigmoid, "softplus": F.softplus,
        "elu": F.elu, "leaky_relu": F.leaky_relu, "gelu": F.gelu, "silu": F.silu,
        "identity": torch.nn.Identity(),
    }[config.activation]  # fmt: skip

    def layer(name, h):
        return F.linear(h, P[name + ".weight"], P[name + ".bias"])

    def hidden(network, h):
        for i in range(config.depth):
            h = activation(layer(f"{network}.hidden.{i}", h))
        return h

    def nll(z):  # (…, J) → (…,)
        h = hidden("decoder", z)
        if config.likelihood == "bernoulli":
            logits = layer("decoder.logits", h)
            target = x.expand_as(logits)
            bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
            return bce.sum(-1)
        mean, logvar = layer("decoder.mean", h), layer("decoder.logvar", h)
        if config.likelihood == "normal, sigmoid mean":
            mean = torch.sigmoid(mean)
        return -distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(x).sum(-1)

    h = hidden("encoder", x)
    weights = torch.cat([w.flatten() for name, w in P.items() if name.endswith("weight")])
    if config.estimator is None:
        loss = nll(layer("encoder.code", h)).mean()
        return loss + 0.3 / 2 * weights.square().sum() if config.penalised else loss
    std = (0.5 * layer("encoder.logvar", h)).exp()
    q, p = distributions.Normal(layer("encoder.mean", h), std), distributions.Normal(0.0, 1.0)
    z = q.loc + q.scale * eps  # (L, M, J)
    if config.estimator == "B":
        kl = distributions.kl_divergence(q, p).sum(-1)
    else:
        kl = (q.log_prob(z) - p.log_prob(z)).sum(-1)
    loss = nll(z).mean() + kl.mean()
    return loss - p.log_prob(weights).sum() / N if config.penalised else loss


@each_network
def test_pytorch_has_the_same_loss_and_gradient(activation, depth):
    torch = pytest.importorskip("torch")
    for config in configs(activation, depth):
        engine, batch = config.engine(), config.batch()
        loss, gradient = loss_and_gradient(engine, *batch)
        P = {
            name: torch.tensor(view, requires_grad=True)
            for name, view in engine.layout.named(engine.theta).items()
        }
        theirs = torch_loss(torch, config, P, *map(torch.tensor, batch))
        theirs.backward()
        assert loss == pytest.approx(theirs.item(), rel=1e-10)
        for name, tensor in P.items():
            error = relative_error(gradient[name], tensor.grad.numpy())
            assert error <= 1e-10, f"{config}: {name}"


# --- what a step leaves behind ------------------------------------------------------------


@pytest.mark.parametrize("config", configs("tanh", 2), ids=str)
def test_a_step_depends_on_nothing_but_its_inputs(config):
    """Every element of every buffer is written before it is read, and no input is."""
    engine, batch = config.engine(), config.batch()
    first = loss_and_gradient(engine, *batch)
    theta, inputs = engine.theta.copy(), [array.copy() for array in batch]
    for buffer in (*engine.work.buffers().values(), engine.grad):
        buffer[...] = np.nan
    again = loss_and_gradient(engine, *batch)
    assert first[0] == again[0]
    for name, gradient in first[1].items():
        np.testing.assert_array_equal(again[1][name], gradient)
    np.testing.assert_array_equal(engine.theta, theta)
    for array, before in zip(batch, inputs, strict=True):
        np.testing.assert_array_equal(array, before)
