"""Models from ONNX: what npvae has written, and perceptrons of other programs."""
import numpy as np
import pytest
from export_models import CASES, D, fitted, inputs

import npvae
from npvae import cli

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
RNG = np.random.default_rng(0)
PARAMETERS_ELSEWHERE = ("full VB", "vamp")  # whose graphs read less than there is


@pytest.mark.parametrize("name", [name for name in CASES if name not in PARAMETERS_ELSEWHERE])
def test_a_folder_comes_back(name, tmp_path):
    """To the last bit, likelihoods too, so all of the model is there."""
    model, (X, Z) = fitted(name), inputs(name)
    model.export(tmp_path / "m", "onnx")
    loaded = npvae.load(tmp_path / "m")
    assert repr(loaded) == repr(model)
    assert np.array_equal(loaded.transform(X), model.transform(X))
    assert np.array_equal(loaded.inverse_transform(Z), model.inverse_transform(Z))
    assert np.array_equal(loaded.score_samples(X), model.score_samples(X))


@pytest.mark.parametrize("name", PARAMETERS_ELSEWHERE)
def test_what_no_graph_reads_is_missed_in_words(name, tmp_path):
    fitted(name).export(tmp_path / "m", "onnx")
    with pytest.raises(npvae.ModelFileError, match="so they are not there; load the model"):
        npvae.load(tmp_path / "m")


def test_graphs_that_were_changed_are_refused(tmp_path):
    model = fitted("bernoulli")
    model.export(tmp_path / "m", "onnx")
    path = tmp_path / "m" / "decoder.onnx"
    content = path.read_bytes()
    weight = model.parameters["decoder.logits.weight"].tobytes()
    path.write_bytes(content.replace(weight, bytes([weight[0] ^ 1]) + weight[1:]))
    with pytest.raises(npvae.ModelFileError, match="damaged, or changed"):
        npvae.load(tmp_path / "m")
    path.write_bytes(b"no graph")
    with pytest.raises(npvae.ModelFileError, match="no ONNX graph"):
        npvae.load(tmp_path / "m")
    fitted("float64").export(tmp_path / "other", "onnx")
    path.write_bytes((tmp_path / "other" / "decoder.onnx").read_bytes())
    with pytest.raises(npvae.ModelFileError, match="not of one model"):
        npvae.load(tmp_path / "m")
    path.unlink()
    with pytest.raises(npvae.ModelFileError, match="no such file"):
        npvae.load(tmp_path / "m")


# ---- other programs


class Perceptron:
    """A graph that is written node by node, as exporters do in their several ways."""

    def __init__(self, n_in):
        self.value, self.width, self.nodes, self.constants = "input", n_in, [], []
        self.n_in = n_in

    def node(self, operator, *given, to=None, **attributes):
        to = to or f"/{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, given, [to], **attributes))
        return to

    def constant(self, array, name=None):
        name = name or f"onnx::{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array.astype("f4"), name))
        return name

    def linear(self, W, b, style="gemm", to=None):
        if style == "gemm":
            return self.node("Gemm", self.value, self.constant(W), self.constant(b), to=to,
                             transB=1)  # fmt: skip
        if style == "gemm, not transposed":
            return self.node("Gemm", self.value, self.constant(W.T), self.constant(b), to=to)
        turned = (
            self.node("Transpose", self.constant(W), perm=[1, 0])
            if style == "transpose" else self.constant(W.T)
        )  # fmt: skip
        a = self.node("MatMul", self.value, turned)
        return self.node("Add", self.constant(b), a, to=to)

    def save(self, path, *outputs):
        value = helper.make_tensor_value_info
        path.parent.mkdir(exist_ok=True)
        graph = helper.make_graph(
            self.nodes, "g", [value("input", 1, ["b", self.n_in])],
            [value(name, 1, ["b", None]) for name in outputs], self.constants,
        )  # fmt: skip
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def weights(n_out, n_in):
    return RNG.standard_normal((n_out, n_in)).astype("f4"), RNG.standard_normal(n_out).astype("f4")


def write(folder, style="gemm", activation="Relu", heads=("mu", "log_var"), last="Sigmoid",
          extra=None):  # fmt: skip
    """D → 5 → 4 → (2, 2), and 2 → 5 → D; their weights."""
    encoder, decoder = Perceptron(D), Perceptron(2)
    sizes = (5, D), (4, 5), (2, 4), (2, 4), (5, 2), (D, 5)
    Ws = [weights(*size) for size in sizes]
    for W, b in Ws[:2]:
        encoder.value = encoder.node(activation, encoder.linear(W, b, style))
        if extra:
            encoder.value = encoder.node(extra, encoder.value)
    for (W, b), head in zip(Ws[2:4], heads, strict=True):
        encoder.linear(W, b, style, to=head)
    encoder.save(folder / "encoder.onnx", *heads)
    decoder.value = decoder.node(activation, decoder.linear(*Ws[4], style))
    a = decoder.linear(*Ws[5], style)
    decoder.node(last, a, to="x_hat")
    decoder.save(folder / "decoder.onnx", "x_hat")
    return Ws


def by_hand(Ws, f, x):
    """mean, logvar, and the mean of x at z = mean."""
    h = x.astype(float)
    for W, b in Ws[:2]:
        h = f(h @ W.T + b)
    mean, logvar = (h @ W.T + b for W, b in Ws[2:4])
    g = f(mean @ Ws[4][0].T + Ws[4][1])
    return mean, logvar, 1 / (1 + np.exp(-(g @ Ws[5][0].T + Ws[5][1])))


@pytest.mark.parametrize(("activation", "f"), [
    ("Relu", lambda u: np.maximum(u, 0)), ("Tanh", np.tanh),
    ("Softplus", lambda u: np.log1p(np.exp(u))),
])  # fmt: skip
@pytest.mark.parametrize("style", ["gemm", "gemm, not transposed", "matmul", "transpose"])
def test_a_perceptron_of_another_program(style, activation, f, tmp_path):
    Ws, x = write(tmp_path, style, activation), RNG.random((7, D))
    vae = npvae.load_onnx(tmp_path)
    mean, logvar, y = by_hand(Ws, f, x)
    q = vae.posterior_of(x).parameters
    assert np.allclose(q["mu"], mean, rtol=1e-4, atol=1e-4)
    assert np.allclose(q["logvar"], logvar, rtol=1e-4, atol=1e-4)
    assert np.allclose(vae.inverse_transform(mean), y, atol=1e-5)


def test_heads_of_other_names(tmp_path):
    Ws, x = write(tmp_path, heads=("b", "a")), RNG.random((7, D))
    with pytest.raises(npvae.ModelFileError, match=r"names=\{'b': \.\.\., 'a': \.\.\.\}"):
        npvae.load_onnx(tmp_path)
    vae = npvae.load_onnx(tmp_path, names={"b": "mean", "a": "logvar"})
    mean, _, _ = by_hand(Ws, lambda u: np.maximum(u, 0), x)
    assert np.allclose(vae.transform(x), mean, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("options", "said"), [
    ({"extra": "Exp"}, "its Exp is of no plain perceptron"),
    ({"last": "Identity"}, "does not end in a sigmoid"),
    ({"last": "Tanh"}, "does not end in a sigmoid"),
    ({"activation": "LeakyRelu", "last": "Sigmoid"}, None),
    ({"activation": "Sigmoid"}, None),
    ({"activation": "Selu"}, "its Selu is of no plain perceptron"),
])  # fmt: skip
def test_what_is_something_else_is_refused(options, said, tmp_path):
    write(tmp_path, **options)
    if said is None:
        assert npvae.load_onnx(tmp_path).n_features_in_ == D
    else:
        with pytest.raises(npvae.ModelFileError, match=said):
            npvae.load_onnx(tmp_path)


def test_a_value_that_is_read_before_its_activation_is_refused(tmp_path):
    """A head that skips the activation of the layer under it would be another function."""
    write(tmp_path)
    encoder = Perceptron(D)
    a = encoder.linear(*weights(4, D))
    encoder.value = encoder.node("Relu", a)
    encoder.linear(*weights(2, 4), to="mu")
    encoder.value = a
    encoder.linear(*weights(2, 4), to="log_var")
    encoder.save(tmp_path / "encoder.onnx", "mu", "log_var")
    with pytest.raises(npvae.ModelFileError, match="do not share all hidden layers"):
        npvae.load_onnx(tmp_path)


def test_the_command(tmp_path, capsys, monkeypatch):
    """Of npvae's own, of graphs of others, and of arrays by name."""
    monkeypatch.chdir(tmp_path)
    X = inputs("bernoulli")[0]
    fitted("bernoulli").export("m", "onnx")
    assert cli.main(["import", "m"]) == 0 and "m.npz: VAE(" in capsys.readouterr().out
    assert np.array_equal(npvae.load("m.npz").transform(X), fitted("bernoulli").transform(X))
    write(tmp_path / "theirs", heads=("b", "a"))
    assert cli.main(["import", "theirs", "--out", "t.npz"]) == 1
    assert "pass names=" in capsys.readouterr().err
    assert cli.main(["import", "theirs", "--names", "b=mean", "a=logvar"]) == 0
    assert npvae.load("theirs.npz").n_features_in_ == D
    state = {f"fc{i}.{kind}": array for i, layer in zip((1, 21, 22, 3, 4), (
        weights(5, D), weights(2, 5), weights(2, 5), weights(5, 2), weights(D, 5)), strict=True)
        for kind, array in zip(("weight", "bias"), layer, strict=True)}  # fmt: skip
    np.savez("state.npz", **state)
    assert cli.main(["import", "state.npz", "--activation", "tanh", "--out", "s.npz"]) == 0
    assert npvae.load("s.npz").activation == "tanh"
    assert cli.main(["import", "theirs", "--names", "b", "--out", "u.npz"]) == 1
    assert "is no THEIRS=OURS" in capsys.readouterr().err
