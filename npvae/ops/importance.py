"""Importance weights of the samples of a datapoint, and the bound that they share.

    log w_l = log p(x|z_l) − (log q(z_l|x) − log p(z_l))
    w̃_l = w_l / Σ w,     L_k = log (1/k) Σ w
"""
from math import log

from npvae.ops.declare import op
from npvae.ops.layouts import shaped_elements

NEGLIGIBLE = -46  # nats below the largest: a weight of 1e-20, and of products with it the digits go


@op(shaped_elements, "nll")
def importance_weights(xp, nll, kl, w, theta, loss):
    """w̃, θ = w̃/M, and −L_k, the largest of the log w_l taken out of the sum. A weight that cannot
    change the sum's last bit is 0.

    nll, kl (k, M), which is log q(z_l|x) − log p(z_l) → w, theta (k, M), loss (1, M)
    """
    k, M = nll.shape
    log_w = -(nll + kl)  # (k, M)
    top = xp.maximum(log_w.real.max(axis=0), float(xp.finfo(log_w.dtype).min))  # where all are −∞
    log_w -= top
    xp.exp(log_w, out=w)
    xp.multiply(w, log_w.real > NEGLIGIBLE, out=w)  # a product of subnormal numbers is slow
    total = w.sum(axis=0)  # (M,)
    loss[0] = log(k) - top - xp.log(total)
    xp.divide(w, total, out=w)
    xp.divide(w, M, out=theta)
