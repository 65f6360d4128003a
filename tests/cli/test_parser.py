"""What is typed wrong ends in one line that says what was meant, and ``--help`` tells the rest."""
import argparse
import json
import re
import shutil
import subprocess
import sys

import pytest

from npvae import errors
from npvae.cli import main
from npvae.cli.parser import parser
from npvae.options import DATA_DEFAULTS


def commands():
    (found,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return found.choices


def usage_error(capsys, argv):
    """The one line of a usage error, which exits with 2 and prints nothing else."""
    with pytest.raises(SystemExit) as stop:
        main(argv.split())
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and not out
    (line,) = err.splitlines()
    assert line.startswith("npvae: error: ")
    return line


def test_npvae_alone_lists_its_commands(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^    {name} +\w", out, flags=re.M) for name in commands())


@pytest.mark.parametrize(("argv", "words"), [
    ("trian", "there is no command 'trian'; did you mean 'train'?"),
    ("Train", "did you mean 'train'?"),
    ("tra", "did you mean 'train'"), ("eval", "did you mean 'evaluate'?"),
    ("xyzzy", "choose from train, evaluate"), ("--verson", "did you mean '--version'?"),
    ("train --latnet-dim 3", "did you mean '--latent-dim'?"),
    ("train --latent_dim=3", "there is no --latent_dim; did you mean '--latent-dim'?"),
    ("train -epochs 3", "did you mean '--epochs'?"),
    ("train --no-tf3", "did you mean '--no-tf32'?"),
    ("train --xyzzy", "there is no --xyzzy; see npvae train --help"),
    ("train digits", "'digits' is one argument too many"),
    ("evaluate a b", "'b' is one argument too many"),
    ("evaluate", "required: RUN_OR_MODEL; see npvae evaluate --help"),
    ("train --epochs many", "--epochs: 'many' is not a whole number; see"),
    ("train --epochs 1e3", "--epochs: '1e3' is not a whole number"),
    ("train --epochs", "--epochs: expected one argument"),
    ("train --kl-weight strong", "'strong' is not a number"),
    ("train --validation some", "--validation: 'some' is not a whole number, nor test"),
    ("train --scale 1/x", "--scale: '1/x' is not a number, nor one over another"),
    ("train --scale 1/0", "--scale: '1/0' is not a number"),
    ("train --hidden 8 x", "--hidden: 'x' is not a whole number"),
    ("evaluate a --samples x", "--samples: 'x' is not a whole number"),
    ("evaluate a --method importnace", "did you mean 'importance'?"),
    ("reproduce figure9", "choose from figure2"),
    ("reproduce figure2 --budget x", "--budget: 'x' is not a number"),
    ("completion fish", "choose from bash"),
])  # fmt: skip
def test_a_usage_error_is_one_line(argv, words, capsys):
    assert words in usage_error(capsys, argv)


@pytest.mark.parametrize("argv", ["--vers", "train --epoch 1", "train --lat 2",
                                  "evaluate x --curv"])  # fmt: skip
def test_nothing_may_be_abbreviated(argv, capsys):
    assert "did you mean" in usage_error(capsys, argv)


def test_a_name_that_is_nearly_known_is_suggested(capsys):
    assert main(["train", "--activation", "tahn"]) == 1
    assert capsys.readouterr().err.endswith("identity; did you mean 'tanh'?\n")


@pytest.mark.parametrize("name", commands())
def test_help_tells_of_every_default(name):
    """Each flag that takes a value says what it is when it is not given."""
    for action in commands()[name]._actions:
        if action.option_strings and action.nargs != 0 and action.dest not in ("config", "resume"):
            said = (action.help or "") % vars(action)
            assert "(default: " in said or "if not given" in said, action.option_strings


def test_help_says_why_the_digits_have_defaults_of_their_own(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    for name, value in DATA_DEFAULTS["digits"].items():
        typed = " ".join(map(str, value)) if isinstance(value, list) else value
        assert re.search(rf"--{name}\b[^-]*digits: {typed}\)", out), name
    assert "digits are few (1,797) and small (8 x 8 pixels)" in out


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("name", ["", *commands()])
def test_help_fits_the_terminal(name, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert stop.value.code == 0 and lines[0].startswith(f"usage: npvae {name}")
    assert not lines[1] and max(map(len, lines)) < int(columns)


def test_usage_brackets_what_may_be_left_out(capsys):
    for name, usage in (("runs", "runs [FOLDER]"), ("compare", "compare RUN OTHER_RUN")):
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert capsys.readouterr().out.startswith(f"usage: npvae {usage} [options]\n")


def test_json_is_all_that_is_printed(capsys):
    assert main(["gradcheck", "--hidden", "4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] and report["worst"] < report["tolerance"]
    assert {row["name"] for row in report["rows"]} >= {"encoder.mean.weight"}
    assert main(["data", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digits"]["found"] is True


def test_gradcheck_is_of_the_model_that_its_help_tells_of(capsys):
    """Its help has the defaults of its own small model, and not those of train."""
    defaults = {a.dest: a.help for a in commands()["gradcheck"]._actions}
    assert "(default: 16)" in defaults["hidden"] and "(default: 3)" in defaults["latent_dim"]
    assert main(["gradcheck"]) == 0
    assert "(16, 64)" in (said := capsys.readouterr().out) or "[16, 64]" in said
    assert "[3, 16]" in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_needs_its_library_and_says_so(shell, monkeypatch, capsys):
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    assert "gradcheck" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "shtab", None)  # as if it were not installed
    assert main(["completion", shell]) == 1
    assert "[completion]'" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(("typed", "offered"), [
    ("npvae tra", "train traverse"), ("npvae train --lat", "--latent-dim"),
    ("npvae train --optimizer nest", "nesterov"), ("npvae evaluate --meth", "--method"),
    ("npvae train --model auto", "autoencoder"), ("npvae evaluate auto", ""),
])  # fmt: skip
def test_bash_completes_what_is_begun(typed, offered, tmp_path, capsys):
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    words = typed.split()
    script = f"""{capsys.readouterr().out}
COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}
$(complete -p npvae | sed -E 's/.*-F ([^ ]+).*/\\1/') npvae {words[-1]} {words[-2]}
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True,
                          cwd=tmp_path)  # fmt: skip
    assert done.stdout.split() == offered.split(), done


def test_suggestions_prefer_what_begins_alike():
    assert errors.did_you_mean("eval", ["evaluate", "val"]) == "; did you mean 'evaluate'?"
    assert errors.did_you_mean("", ["evaluate"]) == ""
