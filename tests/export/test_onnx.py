"""ONNX graphs, run in ONNX Runtime, against npvae; and what is in the files."""
import json
import warnings
from statistics import NormalDist

import numpy as np
import pytest
from export_models import CASES, LEVELS, UNIT, D, close, expected, fitted, inputs

import npvae
from npvae.distributions.compatibility import compatible_priors
from npvae.distributions.latents import FAMILIES
from npvae.ops import ACTIVATIONS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(path, rows):
    """Outputs of a graph by name."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), outputs = session.get_inputs(), [o.name for o in session.get_outputs()]
    return dict(zip(outputs, session.run(None, {given.name: rows}), strict=True))


def compare(model, folder, X, Z, counts=(7,)):
    for part, given in (("encoder", X), ("decoder", Z)):
        wanted = expected(model, part, given)
        for rows in counts:
            found = run(folder / f"{part}.onnx", given[:rows])
            assert found.keys() <= wanted.keys()
            for output, values in found.items():
                close(values, wanted[output])


@pytest.mark.parametrize("name", CASES)
def test_graphs_compute_what_npvae_does(name, tmp_path):
    """To 1e-5 of each output's scale, and in float64 to 1e-12; of any number of rows."""
    model = fitted(name)
    model.export(tmp_path / "m", "onnx")
    compare(model, tmp_path / "m", *inputs(name), counts=(7, 1, 0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_far_from_0(activation, dtype, tmp_path):
    """Pre-activations up to some 100, where formulas overflow that were not written with care."""
    vae = npvae.VAE(2, (9,), activation, "normal", dtype=dtype, initial_std=40, random_state=0)
    vae.initialize(D).export(tmp_path / "m", "onnx")
    compare(vae, tmp_path / "m", UNIT[:7].astype(dtype), np.eye(7, 2, dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("likelihood", "n_levels"), [
    ("bernoulli", None), ("continuous-bernoulli", None), ("poisson", None), ("laplace", None),
    ("normal", None), ("categorical", 4), ("discretized-logistic", 4),
    ("discretized-logistic", 256),
])  # fmt: skip
def test_likelihoods_far_from_0(likelihood, n_levels, dtype, tmp_path):
    """Heads from 0 to some ±100: series near 0, soft clips and saturation far out."""
    vae = npvae.VAE(2, (), "identity", likelihood, dtype=dtype, initial_std=40, n_levels=n_levels,
                    random_state=0).initialize(D)  # fmt: skip
    vae.export(tmp_path / "m", "onnx")
    Z = np.array([[0, 0], [1e-4, 0], [1e-2, 1e-2], [1, 1], [-1, 1], [2, -2], [3, 0]], dtype)
    compare(vae, tmp_path / "m", LEVELS[:7].astype(dtype).round(), Z)


NOT_ELEMENTARY = {"chi-squared", "f"}  # priors whose quantile is a special function


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_are_those_of_npvae(family, tmp_path):
    """With the same noise: u = Φ(ε) where the prior is made of uniforms."""
    prior = family if family in compatible_priors(family) else compatible_priors(family)[0]
    vae = npvae.VAE(3, (5,), posterior=family, prior=prior, estimator="A", random_state=0)
    vae.initialize(D)
    if prior in NOT_ELEMENTARY:
        with pytest.warns(UserWarning, match=r"sample\.onnx is left out: .* draw z by npvae"):
            vae.export(tmp_path / "m", "onnx")
        assert not (tmp_path / "m" / "sample.onnx").exists()
    else:
        vae.export(tmp_path / "m", "onnx")
        compare_samples(vae, tmp_path / "m")
    compare(vae, tmp_path / "m", UNIT[:7].astype("f4"), vae.sample(7, rng=0)[:, :3])


@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_samples_of_priors_that_learn(prior, tmp_path):
    vae = npvae.VAE(3, (5,), prior=prior, estimator="A", random_state=0, prior_components=4)
    vae.initialize(D).export(tmp_path / "m", "onnx")
    compare_samples(vae, tmp_path / "m")


def compare_samples(vae, folder, n=50):
    metadata = metadata_of(folder / "sample.onnx")
    kinds = [part.split() for part in metadata["noise"].split(", then ")]  # 2 uniform, then ...
    n_noise = sum(int(count) for count, _ in kinds)
    eps = np.random.default_rng(0).standard_normal((n, n_noise)).astype("f4")
    start = 0
    for count, kind in kinds:
        columns = slice(start, start := start + int(count))
        if kind == "uniform":
            eps[:, columns] = np.vectorize(NormalDist().cdf)(eps[:, columns])
    close(run(folder / "sample.onnx", eps)["x"], vae.sample(n, rng=0))


def metadata_of(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_names_shapes_and_config(tmp_path):
    model = fitted("normal")
    model.export(tmp_path / "m", "onnx")
    graph = onnx.load(tmp_path / "m" / "encoder.onnx").graph

    def shapes(values):
        return {
            v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in values
        }

    assert shapes(graph.input) == {"x": ["n", D]}
    assert shapes(graph.output) == {"mean": ["n", 2], "logvar": ["n", 2]}
    assert {i.name for i in graph.initializer} >= {"encoder.hidden.0.weight", "encoder.mean.bias"}
    assert json.loads(metadata_of(tmp_path / "m" / "decoder.onnx")["config"])["class"] == "VAE"


def test_nothing_random_is_in_a_graph(tmp_path):
    fitted("gamma").export(tmp_path / "m", "onnx")
    for path in (tmp_path / "m").iterdir():
        assert not [n for n in onnx.load(path).graph.node if "Random" in n.op_type]


@pytest.mark.parametrize(("opset", "ir_version"), [(13, None), (15, 9), (21, None)])
def test_versions_are_those_asked_for(opset, ir_version, tmp_path):
    model = fitted("categorical")
    model.export(tmp_path / "m", "onnx", opset=opset, ir_version=ir_version)
    found = onnx.load(tmp_path / "m" / "decoder.onnx")
    assert found.opset_import[0].version == opset
    assert found.ir_version == (ir_version or {13: 7, 21: 10}[opset])
    compare(model, tmp_path / "m", *inputs("categorical"))


def test_versions_that_are_not_known_are_refused(tmp_path):
    model = fitted("bernoulli")
    for options, said in (
        ({"opset": 12}, "opset=12 must be a whole number of at least 13"),
        ({"opset": 999}, "opset=999 is not known to this onnx"),
        ({"ir_version": 7}, "ir_version=7 must be a whole number of at least 8"),
        ({"ir_version": 99}, "ir_version=99 is not known"),
    ):
        with pytest.raises(npvae.ParameterError, match=said):
            model.export(tmp_path / "m", "onnx", **options)
    assert not (tmp_path / "m").exists()


def test_a_model_without_an_encoder_is_refused(tmp_path):
    with pytest.raises(npvae.ParameterError, match=r"no encoder to export; take format="):
        npvae.MCEM(hidden=(4,)).initialize(D).export(tmp_path / "m", "onnx")


def test_no_prior_no_samples(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = fitted("autoencoder").export(tmp_path / "m", "onnx")
    assert sorted(path.name for path in written) == ["decoder.onnx", "encoder.onnx"]
