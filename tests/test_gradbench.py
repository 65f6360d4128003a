"""npvae as a tool of GradBench: through the protocol, against SciPy, differences and complex steps.

GradBench's own evals hold it to a C++ program; these need neither.
"""
import json
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest
from gradbench import protocol, session, sgvb
from scipy import optimize, special, stats
from scipy.spatial.distance import cdist

COMMAND = Path(__file__).parents[1] / "benchmarks" / "gradbench"
RNG = np.random.default_rng(0)


def ask(module, function, given, tool="npvae"):
    """The output of one evaluation, whose response is as the protocol has it."""
    message = {"id": 3, "kind": "evaluate", "module": module, "function": function, "input": given}
    response = protocol.respond(tool, json.loads(json.dumps(message)))
    assert response["id"] == 3 and response["success"], response.get("error")
    assert all(t["name"] == "evaluate" and t["nanoseconds"] > 0 for t in response["timings"])
    return json.loads(json.dumps(response))["output"]


def slopes(f, v):
    """Central differences, good to 1e-7 of functions of this size.   v (n,) → (n,)"""
    return optimize.approx_fprime(v, f, 1e-5) / 2 - optimize.approx_fprime(v, f, -1e-5) / -2


def options(words):
    parser = ArgumentParser()
    sgvb.arguments(parser)
    return parser.parse_args(words.split())


# --- the protocol -------------------------------------------------------------------------


def test_a_tool_answers_every_message():
    """One line a line, the ids the same; what it cannot do it says, and goes on."""
    messages = [
        {"kind": "start", "eval": "hello"},
        {"kind": "define", "module": "hello"},
        {"kind": "evaluate", "module": "hello", "function": "double", "input": 3.0},
        {"kind": "analysis", "of": 2, "valid": True},
        {"kind": "define", "module": "no_such"},
        {"kind": "evaluate", "module": "hello", "function": "cube", "input": 3.0},
        {"kind": "evaluate", "module": "lse", "function": "primal", "input": {"x": [1e308, 1]}},
        {"kind": "evaluate", "module": "lse", "function": "primal", "input": {"x": "no"}},
        {"kind": "evaluate", "module": "hello", "function": "square", "input": 1e200},
        {"kind": "evaluate", "module": "lse", "function": "gradient",
         "input": {"x": [0, 0], "min_runs": 4, "min_seconds": 1e-9}},
    ]  # fmt: skip
    lines = [json.dumps({"id": i} | message) for i, message in enumerate(messages)]
    done = subprocess.run(
        [sys.executable, COMMAND, "tool", "npvae"], input="\n".join(lines), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == list(range(len(messages)))
    assert answers[0] == {"id": 0, "tool": "npvae"} and answers[1] == {"id": 1, "success": True}
    assert answers[2]["output"] == 6.0 and answers[3] == {"id": 3}
    assert "no_such" in answers[4]["error"] and "cube" in answers[5]["error"]
    assert answers[6]["output"] == 1e308  # e to that power is not needed
    assert not answers[7]["success"]
    assert "ValueError" in answers[8]["error"]  # 1e400 is no number of JSON
    assert answers[9]["output"] == [0.5, 0.5] and len(answers[9]["timings"]) >= 4


# --- the functions ------------------------------------------------------------------------


@pytest.mark.parametrize("x", [RNG.normal(0, 3, 50), [700.0, 800.0], [-1e4, -1e4 - 1], [2.0]])
def test_lse(x):
    given = {"x": list(x)}
    assert ask("lse", "primal", given) == pytest.approx(special.logsumexp(x), rel=1e-14)
    assert ask("lse", "gradient", given) == pytest.approx(special.softmax(x), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(7, 3), (40, 9), (2, 1)])
def test_llsq(n, m):
    x = RNG.random(m)
    t = np.array([-1 + 2 * i / (n - 1) for i in range(n)])

    def half_squares(x):
        return 0.5 * sum((np.sign(t) - np.polyval(x[::-1], t)) ** 2)

    given = {"x": list(x), "n": n}
    assert ask("llsq", "primal", given) == pytest.approx(half_squares(x), rel=1e-12)
    assert ask("llsq", "gradient", given) == pytest.approx(slopes(half_squares, x), abs=1e-7)


@pytest.mark.parametrize(("n", "k", "d"), [(30, 4, 3), (5, 1, 2), (6, 6, 1)])
def test_kmeans(n, k, d):
    P = RNG.random((n, d))
    C = P[-k:]  # as GradBench has it: no cluster is empty
    nearest = cdist(P, C).argmin(axis=1)
    given = {"points": P.tolist(), "centroids": C.tolist()}
    cost = ask("kmeans", "cost", given)
    assert cost == pytest.approx((cdist(P, C).min(axis=1) ** 2).sum(), rel=1e-12, abs=1e-15)
    means = [P[nearest == j].mean(axis=0) for j in range(k)]
    # the cost is quadratic, so Newton's step from the centroids ends at the means
    np.testing.assert_allclose(ask("kmeans", "dir", given), C - means, 1e-12, 1e-15)


@pytest.mark.parametrize(("D", "K", "m", "gamma"), [(3, 2, 0, 1.0), (1, 3, 2, 0.7), (2, 1, 3, 2.0)])
def test_gmm(D, K, m, gamma):
    """SciPy's densities of the mixture and of the prior; and differences of them."""
    x, below = RNG.normal(size=(6, D)), D * (D - 1) // 2
    shapes = {"alpha": (K,), "mu": (K, D), "q": (K, D), "l": (K, below)}
    start = {name: RNG.normal(size=shape) for name, shape in shapes.items()}

    def log_posterior(v):
        alpha, mu, q, l = (
            part.reshape(shape)
            for part, shape in zip(
                np.split(v, np.cumsum([K, K * D, K * D])), shapes.values(), strict=True
            )
        )
        log_weights, terms, prior = special.log_softmax(alpha), [], 0.0
        for k in range(K):
            Q, values = np.diag(np.exp(q[k])), iter(l[k])
            for column in range(D):
                for row in range(column + 1, D):
                    Q[row, column] = next(values)
            precision = Q.T @ Q
            normal = stats.multivariate_normal(mu[k], np.linalg.inv(precision))
            terms.append(log_weights[k] + normal.logpdf(x))
            prior += stats.wishart(D + m + 1, np.eye(D) / gamma**2).logpdf(precision)
        return special.logsumexp(terms, axis=0).sum() + prior

    given = {name: v.tolist() for name, v in start.items()}
    given |= {"d": D, "k": K, "n": len(x), "x": x.tolist(), "m": m, "gamma": gamma}
    v = np.concatenate([part.ravel() for part in start.values()])
    assert ask("gmm", "objective", given) == pytest.approx(log_posterior(v), rel=1e-10)
    gradient = ask("gmm", "jacobian", given)
    assert list(gradient) == list(shapes)
    flat = np.concatenate([np.ravel(part) for part in gradient.values()])
    truth = slopes(log_posterior, v)
    np.testing.assert_allclose(flat, truth, 0, 1e-6 * np.abs(truth).max())


# --- sgvb ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", protocol.TOOLS)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_tools_agree_with_complex_steps(tool, depth):
    pytest.importorskip("numpy" if tool == "npvae" else tool)
    for _, given in sgvb.inputs(options(f"-d 5 -w 4 -j 2 -n 3 --depth {depth}")):
        for function in ("objective", "gradient"):
            assert not sgvb.mistake(function, given, ask("sgvb", function, given, tool))


def test_no_mistake_is_passed_over():
    """One number of any block off by a millionth, or not one; a block missing or turned."""
    ((_, given),) = sgvb.inputs(options("-d 5 -w 4 -j 2 -n 3 --depth 1"))
    value, gradient = (ask("sgvb", function, given) for function in ("objective", "gradient"))
    assert sgvb.mistake("objective", given, value * (1 + 1e-9))
    for name, block in gradient.items():
        for wrong in (1e-6 * np.abs(block).max(), np.nan):
            other = np.array(block)
            other.flat[-1] += wrong
            assert name in sgvb.mistake("gradient", given, gradient | {name: other.tolist()})
    weight = np.transpose(gradient["encoder.mean.weight"]).tolist()
    assert "shape" in sgvb.mistake("gradient", given, gradient | {"encoder.mean.weight": weight})
    del gradient["encoder.mean.bias"]
    assert "are not those of" in sgvb.mistake("gradient", given, gradient)


def test_a_session_of_two_processes():
    words = "sgvb -d 5 -w 4 -j 2 -n 3 --depth 1 --min-runs 2 --min-seconds 0"
    records = session.hold(words, "npvae")
    assert [(r["function"], r["valid"], len(r["ms"])) for r in records] == [
        ("objective", True, 2), ("gradient", True, 2),
    ]  # fmt: skip
    assert "npvae: 2 of 2 valid" in session.table(records)


def test_what_is_no_eval_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="pass --clone"):
        session.hold("gmm", "npvae")
    with pytest.raises(SystemExit, match="is no eval"):
        session.hold("nothing", "npvae", tmp_path)
