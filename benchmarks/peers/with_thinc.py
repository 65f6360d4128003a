"""thinc: layers that return their own backward pass, BLIS products, Adam in Cython."""
import numpy as np
from common.workload import BETA1, BETA2, EPSILON, RATE, Workload

from peers.formula import gather
from peers.side import Side, stepwise


def thinc(work: Workload) -> Side:
    """thinc's ``chain`` of ``Linear``, its Adam, and the VAE's two losses by hand."""
    from thinc.api import Adam, Linear, Model, chain

    def activation(name: str) -> Model:
        def tanh(model, a, is_train):
            h = np.tanh(a)
            return h, lambda d_h: d_h * (1 - h * h)

        def relu(model, a, is_train):
            h = model.ops.relu(a)
            return h, lambda d_h: model.ops.backprop_relu(d_h, h)

        return Model(name, {"tanh": tanh, "relu": relu}[name])

    def mlp(layers: list[np.ndarray]) -> Model:
        parts = []
        for W, b in zip(layers[::2], layers[1::2], strict=True):
            linear = Linear(*W.shape)
            linear.set_param("W", W)
            linear.set_param("b", b)
            parts += [linear, activation(work.activation)]
        return chain(*parts[:-1]) if len(parts) > 2 else parts[0]

    theta, split = work.parameters(), 2 * work.n_encoder
    encoder, decoder = mlp(theta[:split]), mlp(theta[split:])
    # thinc adds ε before it corrects the bias of √s: this is the same ε at the first step.
    epsilon = EPSILON * (1 - BETA2) ** 0.5
    adam = Adam(RATE, beta1=BETA1, beta2=BETA2, eps=epsilon, L2=0.0, grad_clip=0.0,
                use_averages=False)  # fmt: skip
    rng = np.random.default_rng(0)

    def step(rows, eps):
        x = gather(work, rows)
        heads, encoder_backward = encoder.begin_update(x)
        mu, logvar = np.split(heads, 2, axis=1)
        sigma = np.exp(0.5 * logvar)
        logits, decoder_backward = decoder.begin_update(mu + sigma * eps)
        y = 0.5 + 0.5 * np.tanh(0.5 * logits)
        nll = np.sum(np.maximum(logits, np.float32(0)) - np.log(np.maximum(y, 1 - y)) - x * logits)
        kl = 0.5 * np.sum(mu * mu + sigma * sigma - 1 - logvar)
        d_z = decoder_backward((y - x) * np.float32(1 / work.M))
        d_mu = d_z + mu / work.M
        d_logvar = 0.5 * (d_z * sigma * eps + (sigma * sigma - 1) / work.M)
        encoder_backward(np.concatenate((d_mu, d_logvar), axis=1))
        encoder.finish_update(adam)
        decoder.finish_update(adam)
        return (nll + kl) / work.M

    def parameters():
        linears = (part for net in (encoder, decoder) for part in net.walk() if part.has_param("W"))
        return [linear.get_param(kind) for linear in linears for kind in "Wb"]

    def noise():
        return rng.standard_normal((work.M, work.J), np.float32)

    return stepwise(work, np.asarray, noise, step, parameters)
