"""A list of runs says what their files say; two are compared where that means something."""
import os

import numpy as np
import pytest

from npvae import runs
from npvae.errors import ModelFileError
from npvae.evaluation import Elbo
from npvae.evaluation.comparison import paired_difference
from npvae.io import write_jsonl, write_toml
from npvae.runs import overview


def made(folder, rows, when=0, **settings):
    """A run folder as if it had been trained."""
    folder.mkdir(parents=True)
    write_toml(folder / "config.toml", {"model": "vae", "data": "digits", **settings})
    write_jsonl(folder / "history.jsonl", rows)
    os.utime(folder / "config.toml", (when, when))
    return folder


def test_runs_are_listed_as_they_were_begun(tmp_path):
    rows = [{"epoch": k, "elbo": v, "validation_elbo": w}
            for k, v, w in [(1, -9.0, -9.5), (2, -8.0, -8.25), (3, -7.0, -8.5)]]  # fmt: skip
    made(tmp_path / "late", rows, when=2000)
    made(tmp_path / "early", [{"epoch": 1, "elbo": -3.0, "validation_elbo": None}], when=1000)
    made(tmp_path / "new", [], when=3000)
    (tmp_path / "plots").mkdir()  # no run
    early, late, new = overview.runs_in(tmp_path)
    assert [run.folder.name for run in (early, late, new)] == ["early", "late", "new"]
    assert late.best() == ("validation_elbo", 2, -8.25)  # of held-out data, which it is judged by
    assert early.best() == ("elbo", 1, -3.0) and new.best() is None
    assert [run.folder for run in overview.runs_in(tmp_path / "late")] == [tmp_path / "late"]
    assert late.columns()["elbo"] == [-9.0, -8.0, -7.0] and not late.finished
    (late.folder / "model.npz").touch()
    assert overview.summarise(late.folder).finished


@pytest.mark.parametrize(("name", "text"), [
    ("config.toml", "x = ["), ("history.jsonl", "{"), ("history.jsonl", "[1]"),
    ("history.jsonl", '{"elbo": 1}'),
    ("history.jsonl", '{"epoch": 1, "elbo": "-3"}'), ("config.toml", b"\xff\xfe"),
])  # fmt: skip
def test_a_damaged_run_hides_no_other(name, text, tmp_path):
    made(tmp_path / "good", [{"epoch": 1, "elbo": -3.0}])
    bad = made(tmp_path / "bad", [{"epoch": 1, "elbo": -3.0}], when=1000)
    (bad / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    good, broken = sorted(overview.runs_in(tmp_path), key=lambda run: run.fault)
    assert good.best() == ("elbo", 1, -3.0)
    assert "bad" in broken.fault and "\n" not in broken.fault and broken.best() is None


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="no folder of runs"):
        overview.runs_in(tmp_path / "nowhere")
    with pytest.raises(ModelFileError, match=r"no config\.toml"):
        overview.summarise(tmp_path)


def test_settings_that_differ_are_named(tmp_path):
    one = overview.summarise(made(tmp_path / "a", [], hidden=[8], l2=0.5, epochs=3))
    two = overview.summarise(made(tmp_path / "b", [], hidden=[9], epochs=3, beta=1))
    assert list(overview.differences(one, two)) == [
        ("hidden", [8], [9]), ("l2", 0.5, None), ("beta", None, 1)
    ]  # fmt: skip


def finished(folder, **options):
    """A run of these options that has a model."""
    folder.mkdir()
    (folder / "model.npz").touch()
    return runs.Run(folder, runs.resolve_settings(options))


@pytest.mark.parametrize(("options", "words"), [
    ({}, ""), ({"latent_dim": 7, "epochs": 1, "posterior": "laplace", "prior": "laplace"}, ""),
    ({"data": "mnist"}, "data differs"), ({"validation": 50}, "validation differs"),
    ({"binarize": "fixed"}, "binarize differs"), ({"scale": 0.5}, "scale differs"),
    ({"likelihood": "continuous-bernoulli"}, "of different kinds"),
    ({"model": "autoencoder"}, "model autoencoder has none"), ({"model": "mcem"}, "has none"),
    ({"model": "wake-sleep"}, ""),
])  # fmt: skip
def test_bounds_of_different_things_are_not_compared(options, words, tmp_path):
    one, two = finished(tmp_path / "a"), finished(tmp_path / "b", **options)
    for pair in ((one, two), (two, one)):
        found = overview.why_not_comparable(*pair)
        assert words in found and bool(words) == bool(found)


def test_two_densities_are_comparable(tmp_path):
    normal, laplace = (finished(tmp_path / name, likelihood=name) for name in ("normal", "laplace"))
    assert not overview.why_not_comparable(normal, laplace)


def test_a_run_without_a_model_or_held_out_data_has_no_bound_to_compare(tmp_path):
    one, two = finished(tmp_path / "a"), finished(tmp_path / "b")
    two.model_file.unlink()
    assert overview.why_not_comparable(one, two) == f"{two.folder} has no model.npz yet"
    pair = (finished(tmp_path / name, validation=0) for name in "cd")
    assert overview.why_not_comparable(*pair) == "they held no data out"


def test_a_paired_difference_is_that_of_the_datapoints():
    """±2 standard errors hold the truth 95 % of the time; the seed is fixed.

    Datapoints differ by 50 nats, models by 0.3: two means ± their own errors tell nothing.
    """
    rng = np.random.default_rng(0)
    easy = 50 * rng.standard_normal(400)
    one, two = (easy + shift + 0.5 * rng.standard_normal(400) for shift in (0.3, 0.0))
    more, error = paired_difference(*(Elbo(x, x, 0 * x) for x in (one, two)))
    assert abs(more - 0.3) < 2 * error
    assert error == pytest.approx(np.sqrt(0.5 / 400), rel=0.1)
    assert np.isnan(paired_difference(*(Elbo(x[:1], x[:1], x[:1]) for x in (one, two)))[1])


