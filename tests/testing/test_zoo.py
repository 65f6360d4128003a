"""The bug zoo: what is said of each mistake is so."""
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npvae.cli import main
from npvae.testing import check_gradients
from npvae.testing.zoo import ZOO, study, table

ROOT = Path(__file__).parent.parent.parent
SEEN = {"half-lost-on-the-way-back", "softmax-of-the-loss"}  # whose backward pass is not that of
# its own forward pass; of all the others it is
each_mistake = pytest.mark.parametrize("name", ZOO)
X = np.random.default_rng(0).random((4, 6))


def test_every_named_test_fails_where_its_mistake_is_planted_and_passes_where_it_is_not():
    named = sorted({mistake.seen_by for mistake in ZOO.values()})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-p", "planting", "-p", "no:cacheprovider", *named],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT / "tests" / "helpers"), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(named)} passed" in done.stdout


@each_mistake
def test_a_gradient_check_sees_it_only_where_its_passes_do_not_match(name):
    """By complex steps, which have no error of their own to hide a small one."""
    mistake = ZOO[name]
    model = mistake.wrong_model(dtype="float64", hidden=(4,)).initialize(6)
    black, white = mistake.pixels
    for method in ("central", "complex"):
        report = check_gradients(model, black + (white - black) * X, method=method)
        assert report.ok == (name not in SEEN), report


@each_mistake
def test_it_is_one_class_of_a_dozen_lines_or_two_that_says_what_is_wrong(name):
    mistake = ZOO[name]
    assert mistake.formula and len(mistake.formula) < 100
    source = Path(sys.modules[mistake.wrong.__module__].__file__).read_text(encoding="utf-8")
    body = source.split(f"class {mistake.wrong.__name__}(")[1].split("\n\n\n")[0]
    assert len(body.splitlines()) <= 20


@pytest.mark.parametrize(("name", "says"), [
    ("noise-forgotten", lambda f: f.reported[-1] > f.right[-1] + 1 > f.worth[-1] + 11),
    ("pixels-averaged", lambda f: f.active == 0 and f.worth[-1] < f.right[-1]),
    ("kl-sign", lambda f: f.overflows and f.active == 0),
    ("pixels-anywhere", lambda f: f.reported[-1] > 100 and math.isnan(f.worth[-1])),
    ("report-of-wrong-sign", lambda f: f.reported == [-v for v in f.worth]),
    ("half-lost-on-the-way-back",
     lambda f: np.allclose(f.reported, f.worth, rtol=1e-4) and f.is_seen),  # float32 by other ops
])  # fmt: skip
def test_what_training_shows(name, says):
    """Differences of ten nats and more, or none: no seed decides them."""
    found = study(name, ZOO[name])
    assert says(found), found.training
    assert len(found.right) == 30 and len(found.reported) == len(found.worth)
    heads, row = table([found])
    assert len(heads) == len(row) == 4 and row[0] == name and row[3] == ZOO[name].test


def test_the_command_tells_and_draws_one(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "zoo.png"
    assert main(["gradcheck", "--zoo", "half-the-noise", "--out", str(picture)]) == 0
    said = capsys.readouterr().out
    for part in ("class HalfTheNoise(Normal):", "ok: worst relative error", "reports -",
                 ZOO["half-the-noise"].seen_by, str(picture)):  # fmt: skip
        assert part in said
    assert picture.stat().st_size > 10_000
    assert main(["gradcheck", "--zoo", "kl-scaled", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["gradient_check_sees"] is False and told["reported"][-1] > told["right"][-1] + 1


@pytest.mark.parametrize(("words", "says"), [
    (["--zoo", "kl-averagd"], "did you mean 'kl-averaged'?"),
    (["--zoo", "--hidden", "3"], "--hidden describes a model, and --zoo has its own"),
    (["--out", "a.png"], "--out and --force are for --zoo"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_line(words, says, capsys):
    assert main(["gradcheck", *words]) == 1
    assert says in capsys.readouterr().err
