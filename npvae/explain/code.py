"""The lines of npvae's code that a page points to, found in the code itself."""
import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# key of static/explain-nodes.js: a file, a function, and what is in the line
LINES = {
    "x": ("models/vae.py", "forward", "a_q, encoder = self.encoder.forward(ctx, x)"),
    "gemm": ("networks.py", "forward", "a = ops.gemm(h, P[weight].T"),
    "heads": ("networks.py", "forward", "a = ops.gemm(h, W.T"),
    "d_W": ("networks.py", "backward", "ops.gemm(d_a.T, h, G[weight])"),
    "d_h": ("networks.py", "backward", "d_h = ops.gemm(d_a, P[weight]"),
    "d_W_first": ("networks.py", "backward", "ops.gemm(d_a.T, x, G[weight])"),
    "d_z": ("networks.py", "backward", "ops.gemm(d_a, P[weight], d_x"),
    "sigma": ("ops/latent.py", "_sample", "xp.exp(sigma"),
    "z": ("ops/latent.py", "_sample", "xp.add(z, mu"),
    "d_mu_sample": ("ops/latent.py", "_sample_backward", "xp.sum(d_z"),
    "d_logvar_sample": ("ops/latent.py", "_sample_backward", "xp.einsum("),
    "kl": ("ops/latent.py", "normal_kl", "terms ="),
    "d_mu_kl": ("ops/latent.py", "_kl_backward", "d_mu +="),
    "d_logvar_kl": ("ops/latent.py", "_kl_backward", "d_logvar +="),
    "log_ratio": ("ops/latent.py", "normal_log_ratio", "terms ="),
    "through_z": ("ops/latent.py", "normal_log_ratio_backward", "through_z ="),
    "d_mu_ratio": ("ops/latent.py", "normal_log_ratio_backward", "d_mu -="),
    "d_logvar_ratio": ("ops/latent.py", "normal_log_ratio_backward", 'd_logvar -= xp.einsum('),
    "loss": ("models/engine.py", "loss", "loss.nll.mean() + loss.kl.mean()"),
    "seeds": ("objectives/elbo.py", "__call__", "theta, d_kl = mean_grad("),
}
# likelihood: its file, and where that has the value and the gradient
LIKELIHOODS = {
    "bernoulli": (
        "bernoulli", ("bernoulli_nll", "out=nll)"), ("bernoulli_nll_backward", "xp.subtract(y, x"),
    ),
    "continuous-bernoulli": (
        "continuous_bernoulli", ("continuous_bernoulli_nll", "nll +="),
        ("continuous_bernoulli_nll", "xp.subtract(d_nll_d_a, x"),
    ),
    "normal": (
        "normal", ("normal_nll", "nll[...] ="), ("normal_nll_backward", "residual, inv_sigma"),
    ),
    "fixed-normal": (
        "normal", ("fixed_normal_nll", "nll[...] ="),
        ("fixed_normal_nll", "xp.multiply(d_nll_d_a, 1 / std"),
    ),
    "laplace": (
        "laplace", ("laplace_nll", "nll[...] ="), ("laplace_nll", "xp.multiply(d_mean, r"),
    ),
    "poisson": (
        "poisson", ("poisson_nll", "nll[...] ="), ("poisson_nll", "slopes[block] ="),
    ),
}  # fmt: skip


def code_lines(activation: str, likelihood: str) -> dict[str, dict[str, str]]:
    """Where each step of a model's gradient is: ``where``, a file and its line, and its ``text``.

    Raises
    ------
    LookupError
        If a line is no longer there.

    Examples
    --------
    >>> code_lines("tanh", "bernoulli")["z"]["text"]
    'xp.add(z, mu, out=z)'
    """
    found = {key: find_line(*place) for key, place in LINES.items()}
    file = "ops/activations.py"
    found["activation"] = find_line(file, activation, last=True)
    found["activation_backward"] = find_line(file, activation + "_backward", last=True)
    name, value, gradient = LIKELIHOODS[likelihood]
    file = f"ops/likelihoods/{name}.py"
    found["nll"], found["nll_backward"] = find_line(file, *value), find_line(file, *gradient)
    return found


def find_line(file: str, function: str, text: str = "", last: bool = False) -> dict[str, str]:
    """The first line of a function that has ``text``; or the last, but for sums of rows."""
    source = (PACKAGE / file).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            code = list(enumerate(source.splitlines(), 1))[node.lineno : node.end_lineno]
            hits = [(n, line) for n, line in code if text in line and "sum_rows(" not in line]
            if hits:
                n, line = hits[-1 if last else 0]
                return {"where": f"npvae/{file}:{n}", "text": line.strip()}
    raise LookupError(f"npvae/{file} has no {text!r} in {function}")
