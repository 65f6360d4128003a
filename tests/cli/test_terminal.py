"""A terminal gets lines cut between words; a file, a pipe and a program get them whole."""
import io
import os
import shutil

import pytest

from npvae.cli.terminal import say, wrap

LINES = [
    "bound      ELBO -26.027 ± 0.033 = reconstruction -24.741 − KL 1.287 nats, mean of 100 rows",
    "npvae: error: --out names what is there already, and nothing is overwritten without --force",
    "  mnist: not here  →  will be downloaded when used; or put the four files in a folder of data",
    "data       " + "/a-folder-with-a-long-name" * 5,
    "      k  L_k, nats: mean of 20 datapoints by 2000 samples each, which is a line of a table\n"
    "      1     -25.978 ± 0.002",
]


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("line", LINES)
def test_words_are_whole_and_lines_fit(line, columns):
    text = wrap(line, columns)
    assert text.split() == line.split()
    for part in text.splitlines():
        assert len(part) < columns or len(part.split()[-1]) > columns - 15, part


def test_a_line_that_fits_is_left_alone():
    assert wrap("bound      ELBO  -26", 80) == "bound      ELBO  -26"


def test_text_goes_on_below_where_it_began():
    first, *rest = wrap(LINES[0], 40).splitlines()
    assert first.startswith("bound      ELBO") and all(line[:11].isspace() for line in rest)
    assert all(line[11] != " " for line in rest)


def test_only_a_terminal_has_lines_cut(monkeypatch):
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((40, 24)))
    for is_terminal, lines in ((True, 3), (False, 1)):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda answer=is_terminal: answer)
        say(LINES[0], file=stream)
        assert len(stream.getvalue().splitlines()) == lines
