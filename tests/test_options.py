"""One table of options: constructors, docstrings, names and flags are held to it."""
import argparse
import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import npvae
from npvae import options, runs
from npvae.cli.parser import parser
from npvae.distributions.compatibility import PRIORS
from npvae.distributions.latents import FAMILIES
from npvae.distributions.likelihoods import LIKELIHOODS
from npvae.errors import ParameterError
from npvae.estimators.base import GenerativeModel
from npvae.ops import ACTIVATIONS
from npvae.optim import OPTIMIZERS, SCHEDULES
from npvae.options import MODEL, OPTIONS, RUN, TRAINING, place
from npvae.training import BINARIZE

PACKAGE = Path(npvae.__file__).parent
CLASSES = list(runs.MODELS.values())
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)

SAME = "optimizer learning_rate batch_size epochs backend dtype random_state verbose"
LAST = "likelihood_std n_levels initial_std standardize likelihood_variance"
ORDER = {  # of the arguments; after the * they are by name alone
    npvae.VAE: "latent_dim hidden activation likelihood likelihood_mean posterior prior estimator "
    f"n_samples parameter_prior {SAME} * decoder_hidden schedule binarize clip_norm "
    f"early_stopping prior_components tf32 kl_weight kl_warmup free_bits {LAST} noise",
    npvae.Autoencoder: f"latent_dim hidden activation likelihood likelihood_mean l2 {SAME} * "
    f"decoder_hidden schedule binarize clip_norm early_stopping tf32 {LAST}",
    npvae.WakeSleep: "latent_dim hidden activation likelihood likelihood_mean posterior prior "
    f"n_samples parameter_prior {SAME} * decoder_hidden schedule binarize clip_norm "
    f"early_stopping tf32 {LAST} noise",
    npvae.FullVB: "latent_dim hidden activation likelihood likelihood_mean posterior prior "
    f"estimator n_samples {SAME} * decoder_hidden schedule binarize clip_norm early_stopping "
    f"tf32 kl_weight kl_warmup free_bits {LAST} noise",
    npvae.MCEM: "latent_dim hidden activation likelihood likelihood_mean n_leapfrog n_updates "
    f"parameter_prior {SAME} * schedule binarize clip_norm tf32 {LAST}",
}


@each_class
def test_arguments_keep_their_order_and_their_defaults_are_the_tables(cls):
    parameters = inspect.signature(cls).parameters.values()
    first, _, named = ORDER[cls].partition(" * ")
    by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY] == first.split()
    assert by_name == named.split()
    for p in parameters:
        assert (p.default, type(p.default)) == (OPTIONS[p.name].default,
                                                type(OPTIONS[p.name].default)), p.name


def test_every_option_is_of_some_class():
    assert {name for cls in CLASSES for name in cls._parameter_names()} == OPTIONS.keys()


def test_every_default_passes_its_own_check():
    for option in (*RUN, *OPTIONS.values()):
        option.validate(option.default)


def documented(cls):
    """The names that the section Parameters of a class has a line for."""
    section = inspect.getdoc(cls).split("Parameters\n-")[1].split("\n\n")[0]
    lines = re.findall(r"^([a-z.][a-z_0-9, .]*?)(?: : .*)?$", section, flags=re.M)
    return {name.strip() for line in lines for name in line.split(",")}


def test_every_argument_of_a_vae_is_documented_and_nothing_else():
    assert documented(npvae.VAE) == set(npvae.VAE._parameter_names())


@each_class
def test_other_classes_document_what_a_vae_does_not_have(cls):
    own = set(cls._parameter_names()) - set(npvae.VAE._parameter_names())
    assert own <= documented(cls)
    assert documented(cls) - {"..."} <= set(cls._parameter_names())
    assert "VAE" in inspect.getdoc(cls)  # where the others are told of


def test_names_are_those_that_there_are():
    tables = {
        "activation": ACTIVATIONS, "likelihood": LIKELIHOODS, "posterior": FAMILIES,
        "prior": PRIORS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES,
        "binarize": BINARIZE,
    }  # fmt: skip
    for name, table in tables.items():
        assert set(OPTIONS[name].check) == set(table), name
    assert RUN[0].check == tuple(runs.MODELS)


def test_every_option_has_a_flag_that_tells_of_it():
    (commands,) = (a for a in parser()._actions if a.dest == "command")
    flags = {action.dest: action for action in commands.choices["train"]._actions}
    for option in (*RUN, *MODEL, *TRAINING):
        flag = flags[option.name]
        assert flag.default is None  # not given: the default may be a file's or the data's
        assert option.help in flag.help
        assert isinstance(flag, argparse.BooleanOptionalAction) == (option.kind is bool)
        for name in () if callable(option.check) else option.check:
            assert name in flag.help
    assert "(default: 0.001)" in flags["learning_rate"].help
    assert "(default: 500; digits: 256 128)" in flags["hidden"].help


def test_options_cost_no_import():
    code = ("import sys; from npvae.cli.parser import parser; parser();"
            "print([m for m in sys.modules if m.startswith(('numpy', 'npvae.'))])")
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True,
                          text=True, check=True)  # fmt: skip
    loaded = set(ast.literal_eval(done.stdout))
    commands = {name for name in loaded if name.startswith("npvae.cli")}
    assert loaded - commands == {
        "npvae.options", "npvae.errors", "npvae.install", "npvae.interrupts", "npvae.lazy",
        "npvae.records",
    }  # fmt: skip


@pytest.mark.parametrize("name", [n for n, o in OPTIONS.items() if not callable(o.check)])
def test_names_may_be_of_any_case(name):
    for value in OPTIONS[name].check:
        for written in (value.upper(), value.title(), value.casefold()):
            OPTIONS[name].validate(written)
            assert OPTIONS[name].canonical_name(written) == value
    with pytest.raises(ParameterError, match=f"{name}='fancy' is not known; choose from"):
        OPTIONS[name].canonical_name("fancy")


def test_a_model_described_in_capitals_is_the_same_model():
    X = npvae.data.load_digits().images[:100]
    settings = {"hidden": (8,), "epochs": 1, "random_state": 0, "verbose": False}
    small = npvae.VAE(**settings).fit(X)
    capitals = {
        "activation": "Tanh", "likelihood": "BERNOULLI", "likelihood_mean": "Linear",
        "posterior": "Normal", "prior": "NORMAL", "estimator": "b", "optimizer": "Adam",
        "schedule": "Constant", "binarize": "None", "dtype": "Float32",
    }  # fmt: skip
    large = npvae.VAE(**settings, **capitals).fit(X)
    assert large.engine_.theta.tobytes() == small.engine_.theta.tobytes()
    assert large.get_params().items() >= capitals.items()  # as they were passed
    assert large._latents() == small._latents()


@each_class
def test_a_class_is_two_levels_deep(cls):
    assert cls.__mro__ == (cls, GenerativeModel, object)


@each_class
def test_what_a_class_declares_is_what_it_has(cls):
    assert hasattr(cls, "elbo") == hasattr(cls, "iwae_bound") == cls.has_bound
    assert hasattr(cls, "posterior_of") == cls.has_bound
    assert hasattr(cls, "likelihood_of") and hasattr(cls, "reconstruct")
    assert hasattr(cls, "sample") == hasattr(cls, "log_likelihood") == cls.has_prior
    assert cls.takes_validation == (cls is not npvae.MCEM)


def test_nobody_looks_whether_a_model_has_an_attribute():
    """By hasattr or getattr: what a model can do is declared on it. The checker alone takes any."""
    for path in set(PACKAGE.rglob("*.py")) - {PACKAGE / "testing" / "subjects.py"}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
                asked = ast.unparse(node.args[0])
                assert not re.search(r"model|vae|engine", asked, flags=re.I), f"{path}: {asked}"


def test_the_table_is_one():
    names = [option.name for option in (*RUN, *MODEL, *TRAINING, options.VERBOSE)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("value", ["é" * 200, "a\0b", "a/" * 2500])
def test_a_name_that_no_file_can_have_is_refused(value):
    """The operating system would answer with an error of its own."""
    with pytest.raises(ParameterError, match="can be the name of no file"):
        place("data", value)
