"""Modules of PyTorch, made as programs make them, are the same functions here."""
import re
from itertools import pairwise

import numpy as np
import pytest

import npvae
from npvae.errors import ModelFileError, ParameterError
from npvae.estimators.layer_names import PYTORCH_EXAMPLES

torch = pytest.importorskip("torch")
nn = torch.nn
IN, LATENT = 30, 3


class Net(nn.Module):
    """Layers by name; ``codes`` gives μ and log σ², ``decode`` the mean of p(x|z)."""

    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def codes(self, x):
        h = self.hidden(x)
        return self.head("mean", h), self.head("logvar", h)

    def head(self, which, h):
        return next(layer for name, layer in self.named_children() if name in HEADS[which])(h)

    def hidden(self, x):
        return self.encoder(x)

    def decode(self, z):
        return self.decoder(z)


HEADS = {
    "mean": ("fc21", "fc_mu", "mu", "mean_layer", "z_mean", "FC_mean", "hidden2mu", "fc_a"),
    "logvar": ("fc22", "fc_var", "logvar", "logvar_layer", "z_log_var", "FC_var",
               "hidden2log_var", "fc_b"),
}  # fmt: skip


class Examples(Net):
    """As github.com/pytorch/examples has it."""

    def __init__(self):
        super().__init__(fc1=nn.Linear(IN, 16), fc21=nn.Linear(16, LATENT),
                         fc22=nn.Linear(16, LATENT), fc3=nn.Linear(LATENT, 16),
                         fc4=nn.Linear(16, IN))  # fmt: skip

    def hidden(self, x):
        return torch.relu(self.fc1(x))

    def decode(self, z):
        return torch.sigmoid(self.fc4(torch.relu(self.fc3(z))))


class TwoDeep(Net):
    """Hidden layers fc1, fc2 and back fc3, fc4, fc5, with heads known by name."""

    def __init__(self, mean="fc_mu", logvar="fc_var", width=16):
        super().__init__(**{
            "fc1": nn.Linear(IN, width), "fc2": nn.Linear(width, 8), mean: nn.Linear(8, LATENT),
            logvar: nn.Linear(8, LATENT), "fc3": nn.Linear(LATENT, 8), "fc4": nn.Linear(8, width),
            "fc5": nn.Linear(width, IN)})  # fmt: skip

    def hidden(self, x):
        return torch.relu(self.fc2(torch.relu(self.fc1(x))))

    def decode(self, z):
        return torch.sigmoid(self.fc5(torch.relu(self.fc4(torch.relu(self.fc3(z))))))


def sequence(*widths, end=(), bias=True):
    """Linear layers with relu between, numbered 0, 2, 4, …"""
    layers = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1], *end)


def numbered(mean, logvar, bias=True):
    return Net(**{
        "encoder": sequence(IN, 16, 12, 8, 8, 8, 8, end=(nn.ReLU(),), bias=bias),
        mean: nn.Linear(8, LATENT, bias=bias), logvar: nn.Linear(8, LATENT, bias=bias),
        "decoder": sequence(LATENT, 8, 16, IN, end=(nn.Sigmoid(),), bias=bias)})  # fmt: skip


class Chunked(Net):
    """The encoder's last layer is both heads."""

    def __init__(self):
        super().__init__(encoder=sequence(IN, 16, 2 * LATENT),
                         decoder=sequence(LATENT, 16, IN, end=(nn.Sigmoid(),)))  # fmt: skip

    def codes(self, x):
        return self.encoder(x).chunk(2, dim=-1)


class Linear(Net):
    """No hidden layer at all."""

    def __init__(self):
        super().__init__(mu=nn.Linear(IN, LATENT), logvar=nn.Linear(IN, LATENT),
                         decoder=sequence(LATENT, IN, end=(nn.Sigmoid(),)))  # fmt: skip

    def hidden(self, x):
        return x


NETS = {
    "examples": Examples, "linear": Linear, "chunked": Chunked, "two deep": TwoDeep,
    "layers": lambda: numbered("mean_layer", "logvar_layer"),
    "no biases": lambda: numbered("z_mean", "z_log_var", bias=False),
    "capitals": lambda: numbered("FC_mean", "FC_var"),
    "hidden to": lambda: numbered("hidden2mu", "hidden2log_var"),
}  # fmt: skip


def made(kind, seed=0):
    torch.manual_seed(seed)
    return NETS[kind]()


def assert_same_function(vae, net):
    """μ, log σ² and the decoder's mean: equal to 1e-6, where float32 rounds at 1e-7."""
    x = torch.rand(5, IN, generator=torch.Generator().manual_seed(1))
    z = torch.randn(5, LATENT, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        theirs = (*net.codes(x), net.decode(z))
    q = vae.posterior_of(x.numpy())
    ours = (q.mean, 2 * np.log(q.std), vae.inverse_transform(z.numpy()))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", NETS)
def test_a_module_is_the_same_function(kind):
    net = made(kind)
    assert_same_function(npvae.load_state_dict(net.state_dict()), net)


WRAPPED = {
    "data parallel": lambda net: nn.DataParallel(net).state_dict(),
    "compiled": lambda net: torch.compile(net).state_dict(),
    "both": lambda net: torch.compile(nn.DataParallel(net)).state_dict(),
    "the other way": lambda net: nn.DataParallel(torch.compile(net)).state_dict(),
    "its encoder alone": lambda net: Net(
        encoder=torch.compile(net.encoder), mu=net.mean_layer, logvar=net.logvar_layer,
        decoder=nn.DataParallel(net.decoder)).state_dict(),
    "averaged": lambda net: torch.optim.swa_utils.AveragedModel(net).state_dict(),
    "a part of another": lambda net: Net(vae=Net(net=net)).state_dict(),
    "parameters": lambda net: dict(net.named_parameters()),  # which require gradients
    "copied with gradients": lambda net: {
        k: v.clone().requires_grad_() * 1 for k, v in net.state_dict().items()},
    "turned": lambda net: {k: v.t().contiguous().t() for k, v in net.state_dict().items()},
}  # fmt: skip


@pytest.mark.parametrize("how", WRAPPED)
def test_wrappers_and_gradients_are_left_behind(how):
    net = made("layers")
    assert_same_function(npvae.load_state_dict(WRAPPED[how](net)), net)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
@pytest.mark.parametrize("file", [None, "safetensors"])
def test_halves_are_read(dtype, file, tmp_path):
    """Exactly: each is a float32, and so is what the rounded module computes in float32."""
    net = made("examples").to(getattr(torch, dtype)).float()  # rounded once
    state = {k: v.to(getattr(torch, dtype)) for k, v in net.state_dict().items()}
    if file:
        pytest.importorskip("safetensors.torch").save_file(state, tmp_path / "m.safetensors")
        state = tmp_path / "m.safetensors"
    vae = npvae.load_state_dict(state)
    for theirs, ours in PYTORCH_EXAMPLES.items():
        for kind in ("weight", "bias"):
            mine, other = vae.parameters[f"{ours}.{kind}"], net.state_dict()[f"{theirs}.{kind}"]
            np.testing.assert_array_equal(mine, other.numpy())
    assert_same_function(vae, net)


def test_bfloat16_of_ml_dtypes_is_read():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    net = made("examples").bfloat16().float()
    state = {k: v.numpy().astype(bfloat16) for k, v in net.state_dict().items()}
    assert_same_function(npvae.load_state_dict(state), net)


def test_a_file_sorts_numbers_as_words(tmp_path):
    """encoder.10 before encoder.2, of three layers as wide as each other."""
    net = made("layers")
    path = tmp_path / "m.safetensors"
    pytest.importorskip("safetensors.torch").save_file(net.state_dict(), path)
    assert_same_function(npvae.load_state_dict(path), net)


def test_both_heads_in_one_layer_by_names():
    net = made("chunked")
    names = {"encoder.0": "encoder.hidden.0", "encoder.2": "encoder.heads",
             "decoder.0": "decoder.hidden.0", "decoder.2": "decoder.logits"}  # fmt: skip
    assert_same_function(npvae.load_state_dict(net.state_dict(), names), net)
    odd = {"encoder.2.weight": torch.ones(5, 16), "encoder.2.bias": torch.ones(5)}
    with pytest.raises(ModelFileError, match=r"encoder\.2 has 5 outputs, which are not as many"):
        npvae.load_state_dict(net.state_dict() | odd, names)


def test_ours_come_back():
    vae = npvae.VAE(latent_dim=3, hidden=(6, 4), activation="relu", random_state=0).initialize(9)
    again = npvae.load_state_dict(vae.parameters)
    X = np.random.default_rng(0).random((4, 9))
    np.testing.assert_array_equal(again.transform(X), vae.transform(X))


@pytest.mark.parametrize("net", [
    lambda: TwoDeep("fc_a", "fc_b"),  # heads of no known name
    lambda: TwoDeep("mu", "sigma"),  # a deviation is no log-variance
    lambda: nn.Sequential(nn.Linear(IN, 8), nn.Linear(8, LATENT), nn.Linear(LATENT, IN)),
    lambda: Net(mu=nn.Linear(4, 4), logvar=nn.Linear(4, 4), a=nn.Linear(4, 4), b=nn.Linear(4, 4)),
], ids=["heads", "deviation", "no vae", "all alike"])  # fmt: skip
def test_names_that_are_not_known_are_printed_to_fill_in(net):
    """All alike: a may belong to the encoder or to the decoder."""
    state = net().state_dict()
    with pytest.raises(ModelFileError, match="cannot be told; fill in and pass names=") as caught:
        npvae.load_state_dict(state)
    text = str(caught.value)
    assert "\n" not in text
    printed = eval(re.search(r"names=(\{.*?\})", text)[1])
    assert [*printed] == [*dict.fromkeys(k.rpartition(".")[0] for k in state)]


def test_the_mapping_that_was_filled_in_is_taken():
    net = TwoDeep("fc_a", "fc_b")
    with pytest.raises(ModelFileError) as caught:
        npvae.load_state_dict(nn.DataParallel(net).state_dict())
    printed = eval(re.search(r"names=(\{.*?\})", str(caught.value))[1])
    ours = ("encoder.hidden.0", "encoder.hidden.1", "encoder.mean", "encoder.logvar",
            "decoder.hidden.0", "decoder.hidden.1", "decoder.logits")  # fmt: skip
    names = dict(zip(printed, ours, strict=True))
    assert_same_function(npvae.load_state_dict(nn.DataParallel(net).state_dict(), names), net)
    with_wrapper = {f"module.{k}": v for k, v in names.items()}
    assert_same_function(
        npvae.load_state_dict(nn.DataParallel(net).state_dict(), with_wrapper), net)


@pytest.mark.parametrize(("tensor", "words"), [
    (lambda: torch.ones(16, device="meta"), "cannot be read: Cannot copy out of meta tensor"),
    (lambda: torch.ones(16).to_sparse(), "cannot be read: can't convert Sparse"),
    (lambda: torch.ones(16, dtype=torch.complex64), "holds complex64"),
], ids=["meta", "sparse", "complex"])  # fmt: skip
def test_tensors_that_hold_no_numbers_are_one_line(tensor, words):
    with pytest.raises(ModelFileError, match=f"fc1.bias {words}") as caught:
        npvae.load_state_dict(made("examples").state_dict() | {"fc1.bias": tensor()})
    assert "\n" not in str(caught.value)


def test_a_module_in_the_place_of_its_state_dict_is_one_line():
    with pytest.raises(ParameterError, match=r"class Examples, must .*state_dict\(\)") as caught:
        npvae.load_state_dict(made("examples"))
    assert "\n" not in str(caught.value)
