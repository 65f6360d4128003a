"""The HTML of a result says what its text says, and is HTML whatever the names are."""
import ast
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import npvae
from npvae import html, testing
from npvae.evaluation.chains import Samples


class Table(HTMLParser):
    """Rows of cells, with every tag closed by its own."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open, self.caption = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)
        elif self.open and self.open[-1] == "caption":
            self.caption += data


@pytest.fixture(scope="module")
def results():
    X = npvae.data.load_digits().images[:20] > 0.5
    vae = npvae.VAE(hidden=(8,), dtype="float64", random_state=0).initialize(64)
    return {
        "elbo": vae.elbo(X), "importance": vae.log_likelihood(X, 50, rng=0),
        "curve": vae.iwae_bound(X, k=(1, 10), n_samples=50),
        "annealed": vae.log_likelihood(X[:2], 4, rng=0, method="annealed"),
        "gradients": testing.check_gradients(vae, X[:3].astype(float), directions=2),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["elbo", "importance", "curve", "annealed", "gradients"])
def test_the_table_has_the_numbers_of_the_text(name, results):
    table, text = Table(results[name]._repr_html_()), str(results[name])
    head, *rows = table.rows
    assert rows and all(len(row) == len(head) for row in rows)
    column = {"curve": "bound", "gradients": "worst error", "elbo": "elbo"}
    where = head.index(column.get(name, "log_likelihood"))
    assert all(row[where] in text for row in rows)
    assert "nats" in table.caption or "gradient check" in table.caption


def test_chains_have_a_table(results):
    chains = results["annealed"].chains
    head, row = Table(chains._repr_html_()).rows
    assert head == ["acceptance", "worst_acceptance", "divergences"]
    rates = chains.acceptance.mean(), chains.acceptance.min()
    assert row[:2] == [f"{rate:.3f}" for rate in rates]
    samples = Samples(np.zeros((3, 2, 2, 5)), np.zeros((3, 2, 2)), chains)
    assert Table(samples._repr_html_()).caption in str(samples)


def test_every_result_that_prints_has_an_html_form():
    """A class with its own __str__ is one that people look at, in notebooks too."""
    for path in Path(npvae.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                methods = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
                inherits = any("LogLikelihood" in ast.unparse(base) for base in node.bases)
                if "__str__" in methods and not inherits:
                    assert "_repr_html_" in methods, f"{path}: {node.name}"


def test_names_are_escaped():
    table = Table(html.table("<b>", {"a<b": ["<script>", float(np.float32(0.5))]}))
    assert table.caption == "<b>" and table.rows == [["a<b"], ["<script>"], ["0.500"]]
