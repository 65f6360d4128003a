"""The map from the paper to the code is true, line by line."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAP = (ROOT / "examples" / "paper_map.md").read_text(encoding="utf-8")
ROWS = [line for line in MAP.splitlines() if re.match(r"\| .*npvae/.* \|$", line)]


@pytest.fixture
def located(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    from paper_map import located

    return located


def test_every_line_is_where_the_map_says(located):
    now, problems = located(MAP)
    assert not problems, "\n".join(problems)
    links = re.compile(r"\[(npvae/[^\]]+)\]")
    moved = [f"{was} is {there.rpartition(':')[2]} now"
             for was, there in zip(links.findall(MAP), links.findall(now), strict=True)
             if was != there]  # fmt: skip
    assert not moved, f"{', '.join(moved)}: run python examples/paper_map.py"
    assert now == MAP


def test_every_row_has_a_link_and_quotes_the_line_that_it_leads_to():
    for row in ROWS:
        name, number, target, quoted = re.search(
            r"\| \[(\S+):(\d+)\]\((\S+)\) \| `(.*)` \|$", row
        ).groups()
        assert target == f"../{name}#L{number}"
        line = (ROOT / name).read_text(encoding="utf-8").splitlines()[int(number) - 1]
        assert line.strip() == quoted.replace(r"\|", "|")


def test_the_paper_is_covered():
    first = " ".join(row.split(" | ")[0] for row in ROWS)
    wanted = [f"eq. {n}" for n in range(1, 13)] + [f"appendix {c}" for c in "BCDEF"]
    assert not [name for name in wanted if not re.search(rf"{name}\b", first)]


LATENT = "npvae/ops/latent.py"


@pytest.mark.parametrize(("row", "new", "problem"), [
    (f"| eq. 4 | z | [{LATENT}:1](../{LATENT}#L1) | `xp.add(z, mu, out=z)` |", r":\d\d\]", ""),
    (f"| eq. 4 | z | {LATENT} | `xp.add(z, mu, out=z)` |", r"\]\(\.\./npvae/ops/latent.py#L", ""),
    (f"| eq. 4 | z | {LATENT} | `xp.add(z, mu, out=y)` |", "", r"near it: `xp.add\(z, mu, out=z"),
    (f"| eq. 4 | z | {LATENT} | `nothing like it, anywhere in there` |", "", r"no line of .*`$"),
    (f"| eq. 4 | z | {LATENT} | `xp.exp(sigma, out=sigma)` |", r":\d\d\]", ""),
    (f"| eq. 4 | z | {LATENT} | `mu, logvar = halves(a)` |", "", "all read .*: quote another"),
])  # fmt: skip
def test_lines_that_move_are_found_and_others_told(located, row, new, problem):
    now, problems = located(row)
    assert re.search(new, now) if new else now == row
    assert [bool(re.search(problem, text)) for text in problems] == ([True] if problem else [])
