"""Models of other programs: their layers under their own names are the same function here."""
import numpy as np
import pytest

import npvae
from npvae.errors import MissingExtraError, ModelFileError, ParameterError
from npvae.estimators.layer_names import PYTORCH_EXAMPLES, WRITE_UP, known_names
from npvae.io.state_dict import from_bytes

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
    rng, names, h = np.random.default_rng(2), WRITE_UP, 1e-30
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
        mine = gradient[f"{WRITE_UP[layer]}.{kind}"]
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
            theirs = {v: k for k, v in WRITE_UP.items()}
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
    "a layer too many": (lambda s: s | {"fc7.weight": np.ones((2, 2))}, "fc7 is of no layer"),
    "a number of another kind": (
        lambda s: s | {"fc1.running_mean": np.ones(H1)}, "fc1.running_mean is of no layer"),
    "latents that do not fit": (
        lambda s: s | {"fc32.weight": np.ones((3, H2)), "fc32.bias": np.ones(3)}, "of 3; the"),
    "no dot": (lambda s: s | {"step": np.ones(1)}, "step is of no layer"),
    "a layer missing": (lambda s: {k: v for k, v in s.items() if "fc32" not in k}, "fc32.weight"),
    "a weight missing": (lambda s: {k: v for k, v in s.items() if k != "fc2.weight"}, "fc2.weig"),
    "everything missing": (lambda s: {}, "is missing"),
    "a width that does not fit": (lambda s: s | {"fc5.weight": np.ones((H1, 3))}, "takes 3 inputs"),
    "a bias of another width": (lambda s: s | {"fc5.bias": np.ones(3)}, "fc5 has a weight of"),
    "a bias of one number": (lambda s: s | {"fc2.bias": np.float64(0)}, r"fc2.bias has shape \(\)"),
    "a bias of nothing": (lambda s: s | {"fc31.bias": np.ones(0)}, r"fc31.bias has shape \(0,\)"),
    "a state_dict within": (lambda s: {"epoch": 3, "model": s}, "epoch is of no layer that is kno"),
    "one within alone": (lambda s: {"state_dict": s}, "state_dict holds another mapping"),
    "two of a layer": (lambda s: s | {f"module.{k}": v for k, v in s.items()}, "there twice, in"),
    "a number too large": (
        lambda s: s | {"fc1.bias": np.full(H1, -1e300)}, r"fc1.bias holds 1e\+300, more than"),
    "one that rounds to infinity": (
        lambda s: s | {"fc1.bias": np.full(H1, 3.4028236e38)}, "more than float32 can; pass"),
    "convolutions": (
        lambda s: s | {"fc1.weight": np.ones((8, 1, 3, 3))}, r"fc1.weight has shape \(8, 1"),
    "nothing and no names": (lambda s: {}, r"cannot be told; fill in and pass names=\{\}"),
    "words": (lambda s: s | {"fc1.bias": np.array(["a"] * H1)}, "fc1.bias holds <U1"),
    "complex numbers": (lambda s: s | {"fc1.bias": np.ones(H1) + 1j}, "fc1.bias holds complex128"),
    "a NaN": (lambda s: s | {"fc6.bias": np.full(D, np.nan)}, "fc6.bias holds NaN"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_one_line(what, state):
    spoil, words = WRONG[what]
    names = None if "within" in what or "two" in what or "no names" in what else WRITE_UP
    with pytest.raises(ModelFileError, match=words) as caught:
        npvae.load_state_dict(spoil(state), names)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("names", "words"), [
    (3, "names=3 must be a mapping"), (["fc1"], "must be a mapping"),
    (WRITE_UP | {"fc7": "encoder.mean"}, "encoder.mean is there twice"),
    (WRITE_UP | {"fc1": "encoder.hidden.x"}, "'encoder.hidden.x' is no layer here"),
    (WRITE_UP | {"fc1": "encoder.hidden"}, "'encoder.hidden' is no layer here"),
    ({k: v for k, v in WRITE_UP.items() if k != "fc32"}, "nothing stands for encoder.logvar"),
    (WRITE_UP | {"fc31": "encoder.heads"}, "'encoder.logvar' is no layer here"),
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


READ = {  # layers and shapes (out, in); which of ours each is
    "pytorch/examples": (
        {"fc1": (400, 784), "fc21": (20, 400), "fc22": (20, 400), "fc3": (400, 20),
         "fc4": (784, 400)}, [*PYTORCH_EXAMPLES.values()]),
    "numbers as a file sorts them": (
        {"decoder.0": (5, 2), "decoder.10": (9, 5), "decoder.2": (5, 5), "encoder.0": (4, 9),
         "log_var": (2, 4), "mu": (2, 4)},
        ["decoder.hidden.0", "decoder.logits", "decoder.hidden.1", "encoder.hidden.0",
         "encoder.logvar", "encoder.mean"]),
    "both heads in one": (
        {"encoder.0": (5, 9), "encoder.2": (4, 5), "decoder.0": (9, 2)},
        ["encoder.hidden.0", "encoder.heads", "decoder.logits"]),
    "one encoder of its own widths": (
        {"fc1": (6, 9), "fc_mu": (2, 6), "fc_logvar": (2, 6), "fc2": (4, 2), "fc3": (9, 4)},
        ["encoder.hidden.0", "encoder.mean", "encoder.logvar", "decoder.hidden.0",
         "decoder.logits"]),
}  # fmt: skip


@pytest.mark.parametrize("what", READ)
def test_layers_are_known(what):
    shapes, ours = READ[what]
    assert known_names(shapes) == dict(zip(shapes, ours, strict=True))


UNREAD = {
    "a deviation": {"fc1": (5, 9), "mu": (2, 5), "sigma": (2, 5), "fc2": (9, 2)},
    "an auto-encoder": {"encoder.0": (2, 9), "decoder.0": (9, 2)},
    "two ways": {"a": (4, 4), "mu": (4, 4), "logvar": (4, 4), "b": (4, 4)},
    "two orders": {"decoder.1": (2, 2), "decoder.0": (2, 2), "mu": (2, 2), "logvar": (2, 2)},
    "two means": {"fc": (5, 9), "mu": (2, 5), "logvar": (2, 5), "dec_mu": (9, 2)},
    "a decoder before an encoder": {"dec": (5, 9), "mu": (2, 5), "logvar": (2, 5), "enc": (9, 2)},
}


@pytest.mark.parametrize("what", UNREAD)
def test_what_may_be_read_in_no_way_or_in_two_is_not_guessed(what):
    assert known_names(UNREAD[what]) is None


def test_a_layer_without_a_bias_has_one_of_zeros(state, batch):
    some = {k: v for k, v in state.items() if k not in ("fc2.bias", "fc32.bias", "fc6.bias")}
    zeros = state | {k: np.zeros_like(v) for k, v in state.items() if k not in some}
    loss, mu = write_up(zeros, *batch)
    vae = npvae.load_state_dict(some, dtype="float64")
    assert vae.loss_and_grad(*batch)[0] == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(vae.transform(batch[0]), mu, rtol=1e-12)


def test_float64_holds_what_float32_cannot(state):
    large = state | {"fc1.bias": np.full(H1, 1e300)}
    vae = npvae.load_state_dict(large, dtype="float64")
    assert (vae.parameters["encoder.hidden.0.bias"] == 1e300).all()


@pytest.mark.parametrize("stored", [
    ("BF16", [2, 2], bytes.fromhex("803f 00c0 0000 7f7f"), [[1, -2], [0, 3.3895313892515355e38]]),
    ("F16", [2], bytes.fromhex("003c ff7b"), [1, 65504]),
    ("F64", [1], np.array([1e300]).tobytes(), [1e300]), ("I8", [2], b"\x01\xff", [1, -1]),
    ("BOOL", [2], b"\x01\x00", [1, 0]), ("F32", [], np.float32(2.5).tobytes(), 2.5),
], ids=lambda stored: stored[0])  # fmt: skip
def test_numbers_of_a_safetensors_file(stored):
    """bfloat16 has the sign, exponent and first seven bits of a float32 (0x3f80 is 1)."""
    *given, expected = stored
    np.testing.assert_array_equal(from_bytes(*given), np.array(expected, float))


def test_numbers_that_numpy_lacks_are_one_line():
    with pytest.raises(ValueError, match="it holds F8_E4M3, which NumPy lacks"):
        from_bytes("F8_E4M3", [1], b"8")
