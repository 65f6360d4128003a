"""What training shows: plain lines few enough for a log, and one line on a terminal.

The terminal is a real one as far as the kernel goes, a pty of 80 columns; what would then be on
its screen comes from the few control characters that the line uses.
"""

import os
import struct
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest

import npvae
from npvae.training import progress
from npvae.training.progress import PlainLines, headline

DIGITS = npvae.data.load_digits().first(200)


def model(**settings):
    return npvae.VAE(**{"hidden": (8,), "epochs": 2, "random_state": 0} | settings)


# --- whether


def test_in_a_pipe_lines_are_printed_where_they_were_asked_for(capsys):
    for verbose in (None, False):
        model(verbose=verbose).fit(DIGITS)
        model(verbose=verbose).partial_fit(DIGITS)
        assert capsys.readouterr().out == ""
    vae = model(verbose=True).fit(DIGITS, validation=DIGITS)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1/2   ELBO ") and second.startswith("epoch 2/2   ELBO ")
    assert second.isascii()  # a training does not end because of the encoding of a log
    for value in ("elbo", "reconstruction", "kl", "validation_elbo"):
        assert f"{vae.history_[value][1]:.3f}" in second
    model(verbose=True).partial_fit(DIGITS)
    assert capsys.readouterr().out.startswith("epoch 1/1   ELBO ")


def test_scikit_learn_copies_what_was_asked_for():
    clone = pytest.importorskip("sklearn.base").clone
    for verbose in (None, True, False):
        assert clone(npvae.VAE(verbose=verbose)).get_params()["verbose"] is verbose


# --- plain lines


@pytest.mark.parametrize("done", [0, 7])
@pytest.mark.parametrize("n", [1, 2, 19, 20, 21, 22, 40, 300, 100_000])
@pytest.mark.parametrize("ended", [0, 3])
def test_no_training_prints_more_than_20_lines(done, n, ended, monkeypatch):
    said = []
    monkeypatch.setattr("builtins.print", lambda epoch, **_: said.append(epoch))
    monkeypatch.setattr(progress, "epoch_line", lambda state, epochs: state.epoch)
    state, last = SimpleNamespace(epoch=done), max(done + 1, done + n - ended)
    with PlainLines(done, done + n) as lines:
        while state.epoch < last:
            state.epoch += 1
            lines.epoch(state)
    assert said[0] == done + 1 and said[-1] == last  # a run may end early, of patience
    assert min(n, 18) - ended <= len(said) <= 20
    gaps = [b - a for a, b in pairwise(said)]
    assert not gaps or max(gaps) <= n / 19 + 1
    assert said == sorted(set(said))


def test_an_epoch_before_an_error_is_said(capsys):
    state = model(epochs=50, verbose=False).fit(DIGITS)._state
    with pytest.raises(ZeroDivisionError), PlainLines(0, 1000) as lines:
        for state.epoch in (1, 2, 3):
            lines.epoch(state)
        raise ZeroDivisionError
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["50/1000"] * 2


# --- what the line says


@pytest.mark.parametrize(("cls", "validation", "name", "key"), [
    (npvae.VAE, False, "ELBO", "elbo"),
    (npvae.VAE, True, "held out ELBO", "validation_elbo"),
    (npvae.Autoencoder, False, "log p(x|z)", "reconstruction"),
    (npvae.Autoencoder, True, "held out log p(x|z)", "validation_elbo"),
    (npvae.MCEM, False, "log p(x, z)", "log_joint"),
])  # fmt: skip
def test_the_line_has_what_is_maximised(cls, validation, name, key):
    vae = cls(2, (4,), epochs=2, random_state=0, verbose=False)
    vae.fit(DIGITS, **{"validation": DIGITS} if validation else {})
    assert headline(vae.history_) == (name, vae.history_[key])


def test_a_sparkline_keeps_both_ends_and_the_scale_of_the_values():
    sparkline = pytest.importorskip("npvae.training.live").sparkline
    assert sparkline([5.0], 4) == "▁   "
    assert sparkline([3.0, 3.0, 3.0], 4) == "▁▁▁ "
    assert sparkline([float(i) for i in range(8)], 8) == "▁▂▃▄▅▆▇█"
    falling = sparkline([float(-i) for i in range(1000)], 10)
    assert (falling[0], falling[-1], len(falling)) == ("█", "▁", 10)
    assert list(falling) == sorted(falling, reverse=True)


# --- a terminal

PROGRAM = """
import sys, warnings, npvae
data = npvae.data.load_digits().first(500)
def callback(state):
    if state.epoch == 20:
        print("first", end=" "); print("second")
        warnings.warn("be careful")
    if state.epoch == 30 and "error" in sys.argv:
        raise SystemError("wrong")
    if state.epoch == 40:
        print("no end", end="")
npvae.VAE(hidden=(64,), epochs=50, random_state=0, batch_size=10).fit(data, callbacks=[callback])
print("done")
"""


def screen(text):
    """Lines as they stand in the end, and the widest that there was."""
    lines, column, widest = [""], 0, 0
    text = text.replace("\r\n", "\n").replace("\x1b[K", "\0").replace("\x1b[A", "\1")
    for character in text:
        if character == "\n":
            lines, column = [*lines, ""], 0
        elif character == "\r":
            column = 0
        elif character == "\0":
            lines[-1] = lines[-1][:column]
        else:
            assert character.isprintable(), repr(character)
            lines[-1] = lines[-1][:column].ljust(column) + character + lines[-1][column + 1 :]
            column += 1
            widest = max(widest, column)
    return [line.rstrip() for line in lines], widest


def on_a_terminal(*command, columns=80, interrupt_at=None, **variables):
    """What a command leaves on the screen, the widest line that there was, and its exit code."""
    pytest.importorskip("tqdm")
    pty, termios, fcntl = map(pytest.importorskip, ("pty", "termios", "fcntl"))  # not on Windows
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    env |= {"TERM": "xterm", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"} | variables
    process = subprocess.Popen([sys.executable, *command], stdin=its, stdout=its, stderr=its,
                               env=env, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))  # fmt: skip
    os.close(its)
    text = b""
    while True:
        try:
            text += os.read(mine, 2**16)
        except OSError:  # the last process that had it open is gone
            break
        if interrupt_at is not None and interrupt_at in text:
            os.write(mine, b"\x03")
            interrupt_at = None
    os.close(mine)
    return *screen(text.decode()), process.wait()


@pytest.mark.parametrize("columns", [80, 120, 50])
def test_one_line_is_left_and_printed_ones_stand_above_it(columns):
    lines, widest, code = on_a_terminal("-c", PROGRAM, columns=columns)
    above = [line for line in lines if "UserWarning" not in line and "warnings.warn" not in line]
    assert code == 0 and len(above) == len(lines) - 1
    first, no_end, bar, done, nothing = above
    assert (first, no_end, done, nothing) == ("first second", "no end", "done", "")
    assert bar.startswith("epoch 50/50 ") and widest <= max(78, len(lines[1]))
    if columns >= 80:
        assert " steps/s  00:0" in bar and "ELBO −" in bar and bar.endswith("█")
        assert "left" not in bar  # it is over


def test_an_error_begins_on_a_line_of_its_own():
    lines, _, code = on_a_terminal("-c", PROGRAM, "error")
    at = lines.index("Traceback (most recent call last):")
    assert code == 1 and lines[at - 1].startswith("epoch 30/50 ")
    assert lines[-2:] == ["SystemError: wrong", ""]


def test_ctrl_c_leaves_a_clean_screen(tmp_path):
    command = ["-m", "npvae", "train", "--epochs", "100000", "--hidden", "8"]
    run = tmp_path / "run"
    lines, _, code = on_a_terminal(
        *command, "--out", str(run), interrupt_at="▁".encode(), NPVAE_DATA=""
    )
    at = next(i for i, line in enumerate(lines) if line.startswith("npvae: "))
    assert code == 130 and lines[at - 1].startswith("epoch ") and "^C" not in lines[at - 1]
    said = " ".join(lines[at:]).split()  # in as many lines as it takes
    assert said == f"npvae: interrupted; go on with: npvae train --resume {run}".split()


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_terminal_that_cannot_redraw_gets_plain_lines(variables):
    lines, _, code = on_a_terminal("-c", PROGRAM, **variables)
    assert code == 0 and sum("epoch " in line for line in lines) == 20


def test_without_tqdm_a_terminal_gets_plain_lines():
    program = f"import sys; sys.modules['tqdm'] = None\n{PROGRAM}"
    lines, _, code = on_a_terminal("-c", program)
    assert code == 0 and sum("epoch " in line for line in lines) == 20


def test_the_command_line_prints_plain_lines_into_a_pipe(tmp_path):
    command = [sys.executable, "-m", "npvae", "train", "--epochs", "30", "--hidden", "8"]
    done = subprocess.run([*command, "--out", str(tmp_path / "run")], capture_output=True,
                          text=True, check=True)  # fmt: skip
    lines = done.stdout.splitlines()
    assert 18 <= sum(line.startswith("epoch ") for line in lines) <= 20
    assert "\r" not in done.stdout


# --- a notebook


def test_a_notebook_shows_one_line_and_every_figure_once():
    pytest.importorskip("ipykernel")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    fit = f"sys = __import__('sys')\nsys.argv = []\n{PROGRAM}\nvae = npvae.VAE(epochs=1).fit(data)"
    draw = "from npvae import plotting\nplotting.learning_curve(vae)"
    pyplot = f"import matplotlib.pyplot\n{draw}"
    cells = [nbformat.v4.new_code_cell(cell) for cell in (fit, draw, pyplot)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    trained, *drawn = (cell.outputs for cell in notebook.cells)
    first, second = (o["data"]["text/plain"] for o in trained if o.output_type == "display_data")
    assert first.startswith("epoch 50/50 ██") and second.startswith("epoch 1/1 ██")
    assert len(first) <= 80 and first.endswith("█")
    printed = "".join(o["text"] for o in trained if o.output_type == "stream")
    assert "first second\n" in printed and "\r" not in printed and "epoch" not in printed
    for outputs in drawn:
        (output,) = outputs
        assert output["data"]["image/png"]
