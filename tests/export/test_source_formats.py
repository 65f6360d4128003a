"""Exports as source text, in Python, C and JavaScript, run beside npvae."""
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_models import CASES, LEVELS, UNIT, D, close, expected, fitted, inputs

import npvae
from npvae.estimators.exporting import check, describe
from npvae.export import FORMATS, FUNCTIONS
from npvae.export.functions import NORMAL_TAIL
from npvae.ops import ACTIVATIONS, activations

RUNS = {"python": True, "c": shutil.which("gcc"), "js": shutil.which("node")}
SUFFIX = {"python": ".py", "c": ".h", "js": ".mjs"}
SOURCES = pytest.mark.parametrize("form", [
    pytest.param(form, marks=pytest.mark.skipif(not run, reason=f"nothing here runs {form}"))
    for form, run in RUNS.items()
])  # fmt: skip
STRICT = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2"]


def compare(model, form, path, X, Z):
    """Every output to 1e-5 of its scale; C is float32, whatever the model is."""
    runner = FORMATS[form].open(path)
    for part, run, rows in (("encoder", runner.encode, X), ("decoder", runner.decode, Z)):
        rows = rows.astype("f4").astype(rows.dtype) if form == "c" else rows
        found, wanted = run(rows), expected(model, part, rows)
        assert found.keys() <= wanted.keys() and found
        for name, values in found.items():
            low = values.dtype == np.float32 or form == "js"
            close(values.astype("f4"), wanted[name].astype("f4")) if low else close(
                values, wanted[name])  # fmt: skip


@SOURCES
@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_npvae_does(name, form, tmp_path):
    path = tmp_path / f"m{SUFFIX[form]}"
    model = fitted(name)
    model.export(path, form)
    compare(model, form, path, *inputs(name))


@SOURCES
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_far_from_0(activation, form, tmp_path):
    """Pre-activations up to some 100, where formulas overflow that were not written with care."""
    vae = npvae.VAE(2, (9,), activation, "normal", initial_std=40, random_state=0).initialize(D)
    path = tmp_path / f"m{SUFFIX[form]}"
    vae.export(path, form)
    compare(vae, form, path, UNIT[:7].astype("f4"), np.eye(7, 2, dtype="f4"))


@SOURCES
@pytest.mark.parametrize(("likelihood", "n_levels"), [
    ("bernoulli", None), ("continuous-bernoulli", None), ("poisson", None), ("laplace", None),
    ("categorical", 4), ("discretized-logistic", 256),
])  # fmt: skip
def test_likelihoods_far_from_0(likelihood, n_levels, form, tmp_path):
    """Heads from 0 to some ±100: series near 0, saturation far out."""
    vae = npvae.VAE(2, (), "identity", likelihood, initial_std=40, n_levels=n_levels,
                    random_state=0).initialize(D)  # fmt: skip
    path = tmp_path / f"m{SUFFIX[form]}"
    vae.export(path, form)
    Z = np.array([[0, 0], [1e-4, 0], [1e-2, 1e-2], [1, 1], [-1, 1], [2, -2], [3, 0]], "f4")
    compare(vae, form, path, LEVELS[:7].astype("f4").round(), Z)


@SOURCES
@pytest.mark.parametrize("family", ["log-normal", "laplace", "chi-squared", "exponential", "f"])
def test_heads_of_other_posteriors_have_their_names(family, form, tmp_path):
    vae = npvae.VAE(3, (5,), posterior=family, estimator="A", random_state=0,
                    prior=npvae.distributions.compatibility.compatible_priors(family)[0])
    path = tmp_path / f"m{SUFFIX[form]}"
    vae.initialize(D).export(path, form)
    found = FORMATS[form].open(path).encode(UNIT[:3].astype("f4"))
    heads = [{"mu": "mean"}.get(name, name) for name in vae.posterior_of(UNIT[:3]).parameters]
    assert list(found)[: len(heads)] == heads
    compare(vae, form, path, UNIT[:7].astype("f4"), vae.transform(UNIT[:7]))


def test_the_cases_above_need_every_function_of_networks_and_likelihoods():
    programs = [p for c in CASES for d in [describe(fitted(c))] for p in (d.encoder, d.decoder)]
    used = {step.function for program in programs for step in program.steps}
    first_of_priors = list(FUNCTIONS).index("log")
    assert used == {*list(FUNCTIONS)[:first_of_priors]}
    assert tuple(activations.TAIL) == NORMAL_TAIL


# ---- Python


def test_python_runs_where_there_is_numpy_alone(tmp_path):
    """With weights inside and beside; on a path that holds the standard library, NumPy, and it."""
    site = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (site / name).exists():
            os.symlink(site / name, tmp_path / name)
    model, (X, Z) = fitted("normal"), inputs("normal")
    files = model.export(tmp_path / "small.py", "python")
    files += model.export(tmp_path / "large.py", "python", inside=False)
    assert [file.name for file in files] == ["small.py", "large.py", "large.bin"]
    code = ("import json, small, large\nX, Z = json.load(open('in.json'))\n"
            "print(json.dumps([[{k: v.tolist() for k, v in m.encode(X).items()},"
            "                   m.decode(Z).tolist()] for m in (small, large)]))")  # fmt: skip
    (tmp_path / "in.json").write_text(json.dumps([X.tolist(), Z.tolist()]))
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True,
                          check=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    small, large = json.loads(done.stdout)
    assert small == large
    close(np.array(small[0]["mean"], "f4"), model.posterior_of(X).parameters["mu"])
    close(np.array(small[1], "f4"), model.inverse_transform(Z))


def test_python_shares_weights_that_are_beside(tmp_path):
    """They are mapped, and nobody can write to them."""
    path = tmp_path / "m.py"
    fitted("bernoulli").export(path, "python", inside=False)
    scope = {"__file__": str(path), "__name__": "m"}
    exec(compile(path.read_text(), path, "exec"), scope)
    assert isinstance(scope["DATA"], np.memmap)
    assert not any(array.flags.writeable or array.flags.owndata for array in scope["P"].values())


def test_python_refuses_rows_of_another_width(tmp_path):
    fitted("bernoulli").export(tmp_path / "m.py", "python")
    runner = FORMATS["python"].open(tmp_path / "m.py")
    with pytest.raises(ValueError, match=r"shape \(2,\) does not have rows of 2"):
        runner.decode(np.zeros(2))


# ---- C


@pytest.mark.skipif(not RUNS["c"], reason="no gcc")
@pytest.mark.parametrize("name", CASES)
def test_c_compiles_without_a_warning_and_its_example_runs(name, tmp_path):
    """As C99, every warning an error; the program in its first lines prints the mean at z = 0."""
    model, header = fitted(name), tmp_path / "m.h"
    model.export(header, "c")
    text = header.read_text()
    assert not re.search(r"\b(malloc|calloc|alloca|static float)\b", text)
    example = re.search(r"#include <stdio.h>.*?\n   }\n", text, re.DOTALL)[0]
    (tmp_path / "example.c").write_text(example)
    subprocess.run([*STRICT, "example.c", "-o", "example", "-lm"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "example"], capture_output=True, text=True, check=True)
    J = model.engine_.model.decoder.n_in
    wanted = model.inverse_transform(np.zeros((1, J), model.dtype))[0]
    np.testing.assert_allclose(np.array(done.stdout.split(), float), wanted, rtol=2e-5, atol=1e-5)


@pytest.mark.skipif(not RUNS["c"], reason="no gcc")
def test_c_says_how_large_it_is(tmp_path):
    """Bytes of constants are what the compiler makes of them."""
    header = tmp_path / "m.h"
    fitted("normal").export(header, "c")
    said = int(re.search(r"Constants take (\d+) bytes", header.read_text())[1])
    (tmp_path / "m.c").write_text('#include "m.h"\nvoid f(const float *x, float *y, float *z)\n'
                                  "{ npvae_encode(x, y, z); npvae_decode(y, z); }")  # fmt: skip
    flags = ["-shared", "-fPIC", "-fno-inline"]
    subprocess.run([*STRICT, *flags, "m.c", "-o", "m.so", "-lm"], cwd=tmp_path, check=True)
    names = re.findall(r"static const (float|double) (\w+)\[(\d+)\]", header.read_text())
    assert said == sum(int(n) * ctypes.sizeof(getattr(ctypes, f"c_{kind}")) for kind, _, n in names)
    symbols = subprocess.run(["nm", "-S", "m.so"], capture_output=True, text=True, cwd=tmp_path)
    found = [int(line.split()[1], 16) for line in symbols.stdout.splitlines()
             if line.split()[-1] in {name for _, name, _ in names}]  # fmt: skip
    assert sum(found) == said


# ---- all


@SOURCES
def test_the_check_finds_them_the_same(form, tmp_path):
    model, path = fitted("normal"), tmp_path / f"m{SUFFIX[form]}"
    model.export(path, form)
    found = check(model, path, form)
    assert found.ok and "the same model" in str(found)


@SOURCES
def test_what_has_no_formula_is_refused_in_words(form, tmp_path):
    X = UNIT[:20]
    mcem = npvae.MCEM(hidden=(5,), epochs=1, random_state=0, verbose=False).fit(X)
    with pytest.raises(npvae.ParameterError, match="no encoder to export; take format="):
        mcem.export(tmp_path / f"m{SUFFIX[form]}", form)
    assert not [*tmp_path.iterdir()]
