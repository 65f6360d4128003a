"""A PyTorch module's source: the same outputs, the same loss, the same gradient by autograd."""
import ast
import importlib.util
import warnings

import numpy as np
import pytest
from export_models import CASES, UNIT, D, close, expected, fitted, inputs

import npvae
from npvae.distributions.latents import BoundDistribution

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
LEFT_OUT = ("beta", "dirichlet", "vamp")  # no KL is written for these


def load(model, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whether the loss is left out is tested below
        path, _ = model.export(folder / "m.py", "torch")
    spec = importlib.util.spec_from_file_location("m", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Model.load()


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_npvae(name, tmp_path):
    model, (X, Z) = fitted(name), inputs(name)
    module = load(model, tmp_path)
    for method, part, rows in ((module.encode, "encoder", X), (module.decode, "decoder", Z)):
        wanted = expected(model, part, rows)
        for output, values in method(torch.from_numpy(rows.copy())).items():
            close(values.detach().numpy(), wanted[output])


def compare_gradients(module, wanted, loss, loss_here, names=lambda name: name):
    """Of each parameter to 1e-5 of the largest number in its gradient, or of any gradient's."""
    assert loss.item() == pytest.approx(loss_here, rel=1e-5)
    loss.backward()
    floor = 1e-5 * max(np.abs(g).max() for g in wanted.values())
    for name, parameter in module.named_parameters():
        g, found = wanted[names(name)], parameter.grad.numpy()
        assert np.abs(found - g).max() <= 1e-5 * np.abs(g).max() + 1e-2 * floor, name


NORMAL = [name for name in CASES if name not in
          (*LEFT_OUT, "gamma", "full VB", "autoencoder", "wake-sleep")]  # fmt: skip


@pytest.mark.parametrize("name", NORMAL)
def test_loss_and_gradient_at_the_same_noise(name, tmp_path):
    """Autograd's of the source, beside the backward pass that was written by hand."""
    model, (X, _) = fitted(name), inputs(name)
    module = load(model, tmp_path)
    eps = np.random.default_rng(0).standard_normal((3, len(X), model.latent_dim))
    eps = eps.astype(model.dtype)
    loss_here, gradient = model.loss_and_grad(X, eps)
    loss = module.loss(torch.from_numpy(X), torch.from_numpy(eps))
    compare_gradients(module, gradient, loss, loss_here)


@pytest.mark.parametrize("arguments", [
    {"likelihood": "discretized-logistic", "n_levels": 256}, {"kl_weight": 0.5},
    {"likelihood": "normal", "likelihood_variance": "unbounded"},
    {"posterior": "log-normal", "prior": "log-normal"}, {"activation": "gelu"},
])  # fmt: skip
def test_in_float64_to_ten_digits(arguments, tmp_path):
    X = (UNIT[:5] * 255).round() / 255
    vae = npvae.VAE(3, (4,), dtype="float64", initial_std=0.5, random_state=0, **arguments)
    module, eps = load(vae.initialize(D), tmp_path), np.random.default_rng(0).random((2, 5, 3))
    loss_here, gradient = vae.loss_and_grad(X, eps)
    loss = module.loss(torch.from_numpy(X), torch.from_numpy(eps))
    assert loss.item() == pytest.approx(loss_here, rel=1e-10)
    loss.backward()
    for name, parameter in module.named_parameters():
        assert np.allclose(parameter.grad.numpy(), gradient[name], rtol=1e-9, atol=1e-10), name


def test_full_variational_bayes(tmp_path):
    """At the same noise of the parameters too, and with their KL."""
    model, (X, _) = fitted("full VB"), inputs("full VB")
    module, rng = load(model, tmp_path), np.random.default_rng(0)
    generative = {k: v.shape for k, v in model.parameters.items()
                  if k.startswith("decoder.") and f"{k}.logvar" in model.parameters}  # fmt: skip
    noise = {k: rng.standard_normal(shape).astype("f4") for k, shape in generative.items()}
    zeta = np.concatenate([noise[k].ravel() for k in generative])
    eps = rng.standard_normal((2, len(X), 2)).astype("f4")
    loss_here, gradient = model.loss_and_grad(X, eps, zeta)
    theirs = {k.removeprefix("decoder."): torch.from_numpy(v) for k, v in noise.items()}
    loss = module.full_loss(torch.from_numpy(X), torch.from_numpy(eps), theirs)

    def names(name):
        if not name.startswith("log_variances."):
            return name
        own = name.removeprefix("log_variances.")
        return next(f"{k}.logvar" for k in generative if k[8:].replace(".", "_") == own)

    compare_gradients(module, gradient, loss, loss_here, names)


def test_gamma_at_the_same_sample(tmp_path, monkeypatch):
    """PyTorch samples it by noise of its own; at npvae's sample loss and d_θ are the same."""
    model, (X, _) = fitted("gamma"), inputs("gamma")
    module = load(model, tmp_path)
    eps = np.random.default_rng(0).standard_normal((2, len(X), 2)).astype("f4")
    q = model.posterior_of(X)
    y = BoundDistribution(q.family, tuple(q.parameters.values())).rsample(eps)
    z = torch.from_numpy(np.array(q.family.transform(y)[0]))
    monkeypatch.setattr(torch.distributions.Gamma, "rsample", lambda *_: z)
    loss_here, gradient = model.loss_and_grad(X, eps)
    loss = module.loss(torch.from_numpy(X), torch.from_numpy(eps))
    assert loss.item() == pytest.approx(loss_here, rel=1e-5)
    loss.backward()
    for name, parameter in module.decoder.named_parameters():
        assert np.allclose(parameter.grad.numpy(), gradient[f"decoder.{name}"], atol=1e-5)


def test_an_autoencoder_has_its_reconstruction_error(tmp_path):
    model, (X, _) = fitted("autoencoder"), inputs("autoencoder")
    loss = load(model, tmp_path).loss(torch.from_numpy(X))
    assert loss.item() == pytest.approx(-model.score(X), rel=1e-5)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_loss_that_is_not_written_is_missed_in_words(name, tmp_path):
    with pytest.warns(UserWarning, match="the loss is left out, for the KL of posterior="):
        fitted(name).export(tmp_path / "m.py", "torch")
    assert "def loss" not in (tmp_path / "m.py").read_text()


def test_training_goes_on_and_comes_back(tmp_path):
    torch.manual_seed(0)
    module, X = load(fitted("normal"), tmp_path), inputs("normal")[0]
    x, adam = torch.from_numpy(X), torch.optim.Adam(module.parameters(), 0.01)
    first = module.loss(x, torch.zeros(1, 7, 2)).item()
    for _ in range(30):
        adam.zero_grad()
        module.loss(x).backward()
        adam.step()
    last = module.loss(x, torch.zeros(1, 7, 2)).item()
    assert last < first
    vae = npvae.load(tmp_path / "m.safetensors")
    vae.set_parameters({k: v.detach().numpy() for k, v in module.named_parameters()})
    assert vae.loss_and_grad(X, np.zeros((1, 7, 2), "f4"))[0] == pytest.approx(last, rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_source_reads_as_source(name, tmp_path):
    """Lines that fit a page, and no name that nobody uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted(name).export(tmp_path / "m.py", "torch")
    text = (tmp_path / "m.py").read_text()
    assert max(map(len, text.splitlines())) <= 100 and "\n\n\n\n" not in text and "$" not in text
    functions = [n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    assert len(functions) == len(set(functions)) + functions.count("__init__") - 1 + (
        max(functions.count("forward") - 1, 0)
    )
