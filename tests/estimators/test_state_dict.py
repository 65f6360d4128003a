"""The write-up's model: its seven layers under their own names are the same function here."""
import numpy as np
import pytest

import npvae
from npvae.errors import MissingExtraError, ModelFileError, ParameterError

D, H1, H2, J, M = 784, 512, 256, 2, 7
SHAPES = {
    "fc1": (H1, D), "fc2": (H2, H1), "fc31": (J, H2), "fc32": (J, H2), "fc4": (H2, J),
    "fc5": (H1, H2), "fc6": (D, H1),
}  # fmt: skip


def make(shapes=SHAPES, seed=0):
    """A state_dict of these layers, as PyTorch initialises them: uniform, ± 1/√in."""
    rng, state = np.random.default_rng(seed), {}
    for layer, (n_out, n_in) in shapes.items():
        state[f"{layer}.weight"] = rng.uniform(-1, 1, (n_out, n_in)) / n_in**0.5
        state[f"{layer}.bias"] = rng.uniform(-1, 1, n_out) / n_in**0.5
    return state


@pytest.fixture(scope="module")
def state():
    return make()


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    return rng.random((M, D)), rng.standard_normal((1, M, J))


def write_up(P, x, eps):
    """The write-up's forward pass and its loss, summed cross-entropy + KL, a datapoint."""
    def fc(name, h):
        return h @ P[f"{name}.weight"].T + P[f"{name}.bias"]

    h = np.maximum(fc("fc2", np.maximum(fc("fc1", x), 0)), 0)
    mu, logvar = fc("fc31", h), fc("fc32", h)
    z = mu + eps[0] * np.exp(0.5 * logvar)
    y = 1 / (1 + np.exp(-fc("fc6", np.maximum(fc("fc5", np.maximum(fc("fc4", z), 0)), 0))))
    cross_entropy = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum()
    return (cross_entropy - 0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum()) / len(x), mu


def test_it_is_the_same_function(state, batch):
    x, eps = batch
    vae = npvae.load_state_dict(state, dtype="float64")
    loss, mu = write_up(state, x, eps)
    assert vae.loss_and_grad(x, eps)[0] == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(vae.transform(x), mu, rtol=1e-12)


def test_its_gradient_is_that_of_the_function(state, batch):
    """Along ten random directions, by the complex step: to 1e-10 of the slope."""
    x, eps = batch
    _, gradient = npvae.load_state_dict(state, dtype="float64").loss_and_grad(x, eps)
    rng, names, h = np.random.default_rng(2), npvae.estimators.state_dict.WRITE_UP, 1e-30
    for _ in range(10):
        way = {name: rng.standard_normal(value.shape) for name, value in state.items()}
        ahead, _ = write_up({k: v + 1j * h * way[k] for k, v in state.items()}, x, eps)
        slope = sum(
            (gradient[f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}"] * v).sum()
            for k, v in way.items()
        )
        assert slope == pytest.approx(ahead.imag / h, rel=1e-10)


def test_pytorch_has_the_same_loss_and_gradients(state, batch):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x, eps = (torch.tensor(a) for a in batch)
    layers = {name: torch.nn.Linear(*shape[::-1]).double() for name, shape in SHAPES.items()}
    model = torch.nn.ModuleDict(layers)
    model.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    h = torch.relu(layers["fc2"](torch.relu(layers["fc1"](x))))
    mu, logvar = layers["fc31"](h), layers["fc32"](h)
    z = mu + eps[0] * torch.exp(0.5 * logvar)
    y = torch.sigmoid(
        layers["fc6"](torch.relu(layers["fc5"](torch.relu(layers["fc4"](z)))))
    )
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    loss = (functional.binary_cross_entropy(y, x, reduction="sum") + kl) / M
    loss.backward()
    vae = npvae.load_state_dict(model.state_dict(), dtype="float64")  # tensors, as they come
    ours, gradient = vae.loss_and_grad(*batch)
    assert ours == pytest.approx(loss.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        layer, _, kind = name.rpartition(".")
        theirs = parameter.grad.numpy()
        mine = gradient[f"{npvae.estimators.state_dict.WRITE_UP[layer]}.{kind}"]
        assert abs(mine - theirs).max() <= 1e-6 * abs(theirs).max(), name


def test_files(state, tmp_path):
    np.savez(tmp_path / "model.npz", **state)
    paths = [tmp_path / "model.npz"]
    try:
        from safetensors.numpy import save_file

        save_file(state, tmp_path / "model.safetensors")
        paths.append(tmp_path / "model.safetensors")
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"\[safetensors\]"):
            npvae.load_state_dict(tmp_path / "model.safetensors")
    for path in paths:
        for name, value in npvae.load_state_dict(path, dtype="float64").parameters.items():
            theirs = {v: k for k, v in npvae.estimators.state_dict.WRITE_UP.items()}
            layer, _, kind = name.rpartition(".")
            np.testing.assert_array_equal(value, state[f"{theirs[layer]}.{kind}"])


def test_other_names_and_widths():
    names = {
        "enc": "encoder.hidden.0", "mu": "encoder.mean", "lv": "encoder.logvar",
        "d1": "decoder.hidden.0", "d2": "decoder.hidden.1", "out": "decoder.logits",
    }  # fmt: skip
    shapes = {"enc": (4, 9), "mu": (3, 4), "lv": (3, 4), "d1": (5, 3), "d2": (6, 5), "out": (9, 6)}
    vae = npvae.load_state_dict(make(shapes), names, activation="tanh")
    assert (vae.hidden, vae.decoder_hidden, vae.latent_dim) == ((4,), (5, 6), 3)
    assert vae.n_features_in_ == 9


WRONG = {
    "a layer too many": (lambda s: s | {"fc7.bias": np.ones(2)}, "fc7.bias is of no layer"),
    "a number of another kind": (
        lambda s: s | {"fc1.running_mean": np.ones(H1)}, "fc1.running_mean is of no layer"),
    "latents that do not fit": (
        lambda s: s | {"fc32.weight": np.ones((3, H2)), "fc32.bias": np.ones(3)}, "of 3; the"),
    "no dot": (lambda s: s | {"step": np.ones(1)}, "step is of no layer"),
    "a layer missing": (lambda s: {k: v for k, v in s.items() if "fc32" not in k}, "fc32.weight"),
    "a bias missing": (lambda s: {k: v for k, v in s.items() if k != "fc2.bias"}, "fc2.bias is"),
    "everything missing": (lambda s: {}, "is missing"),
    "a width that does not fit": (lambda s: s | {"fc5.weight": np.ones((H1, 3))}, "takes 3 inputs"),
    "a bias of another width": (lambda s: s | {"fc5.bias": np.ones(3)}, "fc5 has a weight of"),
    "a bias of one number": (lambda s: s | {"fc2.bias": np.float64(0)}, r"fc2.bias has shape \(\)"),
    "a bias of nothing": (lambda s: s | {"fc31.bias": np.ones(0)}, r"fc31.bias has shape \(0,\)"),
    "words": (lambda s: s | {"fc1.bias": np.array(["a"] * H1)}, "fc1.bias holds <U1"),
    "complex numbers": (lambda s: s | {"fc1.bias": np.ones(H1) + 1j}, "fc1.bias holds complex128"),
    "a NaN": (lambda s: s | {"fc6.bias": np.full(D, np.nan)}, "fc6.bias holds NaN"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_one_line(what, state):
    spoil, words = WRONG[what]
    with pytest.raises(ModelFileError, match=words) as caught:
        npvae.load_state_dict(spoil(state))
    assert "\n" not in str(caught.value)


WRITE_UP = npvae.load_state_dict.__defaults__[0]


@pytest.mark.parametrize(("names", "words"), [
    (None, "names=None must be a mapping"), (["fc1"], "must be a mapping"),
    (WRITE_UP | {"fc7": "encoder.mean"}, "encoder.mean is there twice"),
    (WRITE_UP | {"fc1": "encoder.hidden.x"}, "'encoder.hidden.x' is no layer here"),
    (WRITE_UP | {"fc1": "encoder.hidden"}, "'encoder.hidden' is no layer here"),
    ({k: v for k, v in WRITE_UP.items() if k != "fc32"}, "nothing stands for encoder.logvar"),
])  # fmt: skip
def test_names_that_cannot_be_are_one_line(names, words, state):
    with pytest.raises(ParameterError, match=words) as caught:
        npvae.load_state_dict(state, names)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [None, [1], 3])
def test_what_is_no_state_dict_is_one_line(source):
    with pytest.raises(ParameterError, match="must be a path or a mapping"):
        npvae.load_state_dict(source)


@pytest.mark.parametrize("name", ["model.pt", "model", "model.npz", "model.safetensors"])
def test_files_that_are_none_are_one_line(name, tmp_path):
    path = tmp_path / name
    with pytest.raises((ModelFileError, MissingExtraError)):
        npvae.load_state_dict(path)  # missing
    path.write_bytes(b"not what it says")
    with pytest.raises((ModelFileError, MissingExtraError)) as caught:
        npvae.load_state_dict(path)
    assert "\n" not in str(caught.value)
