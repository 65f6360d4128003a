"""The service of examples/serve.py: right answers under load, refusals in a line, a clean end."""
import ast
import json
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from export_models import CASES, fitted
from serve import SERVE, ask, measure, service

import npvae

pytest.importorskip("waitress")


def test_under_load_every_answer_is_right_and_the_end_is_clean():
    told = []
    results = measure(fitted("bernoulli"), 120, 6, told.append)
    assert results["wrong"] == 0 and len(told) == 2
    ended = results["shutdown"]
    assert ended["wrong"] == 0 and ended["exit code"] == 0 and ended["answered"] >= 10


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    path = tmp_path_factory.mktemp("serve") / "m.npz"
    fitted("bernoulli").save(path)
    with service(path) as (_, port):
        yield port


@pytest.mark.parametrize(("path", "asked", "status", "why"), [
    ("/decode", b"{", 400, "is not JSON"), ("/decode", b"", 400, "is not JSON"),
    ("/decode", b"\xff", 400, "is not JSON"), ("/decode", b"[" * 100_000, 400, "is not JSON"),
    ("/decode", [1], 400, "not a JSON object"), ("/decode", {}, 400, "has no 'z'"),
    ("/decode", {"z": [[1, 2], [3]]}, 400, "no rows of numbers"),
    ("/decode", {"z": [["a", 2]]}, 400, "no rows of numbers"),
    ("/decode", {"z": [[10**400, 2]]}, 400, "no rows of numbers"),
    ("/decode", {"z": {"a": 1}}, 400, "no rows of numbers"),
    ("/decode", {"z": [1, 2]}, 400, "has shape (2,)"), ("/decode", {"z": []}, 400, "shape (0,)"),
    ("/decode", {"z": [[1, 2]] * 10_001}, 400, "at most 10000"),
    ("/decode", {"z": [[1, 2, 3]]}, 400, "has 3 features"),
    ("/decode", {"z": [[float("nan"), 1]]}, 400, "finite"),
    ("/decode", {"z": [[1, 2]], "y": 1}, 400, "does not take 'y'"),
    ("/encode", {"x": [[7.0] * 6]}, 400, "lies outside [0, 1]"),
    ("/score", {"x": [[0.5] * 5]}, 400, "has 5 features"),
    ("/sample", {"n": 0}, 400, "n=0 is not from 1"), ("/sample", {"n": True}, 400, "n=True"),
    ("/sample", {"n": 2, "seed": "a"}, 400, "rng"), ("/sample", {"n": 2, "seed": -1}, 400, ""),
    ("/sample", {"n": 2, "seed": [1, "a"]}, 400, ""), ("/train", {}, 404, "no /train; there are"),
])  # fmt: skip
def test_what_is_malformed_is_refused_in_a_line(port, path, asked, status, why):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    found, answer = ask(connection, path, asked)
    assert found == status and answer.keys() == {"error"} and why in answer["error"], answer
    assert "\n" not in answer["error"] and len(answer["error"]) < 400
    assert ask(connection, "/decode", {"z": [[0, 0]]})[0] == 200  # and it goes on


def test_what_is_too_long_is_refused_before_it_is_read(port):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", "/decode")
    connection.putheader("Content-Length", str(2**24 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_other_methods_are_refused_and_a_get_says_what_is_served(port):
    for method, path, status in (("GET", "/", 200), ("GET", "/decode", 405), ("PUT", "/", 404)):
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path)
        response = connection.getresponse()
        assert response.status == status
        if status == 200:
            about = json.loads(response.read())
            assert about["x"] == 6 and about["tasks"] == ["/encode", "/decode", "/sample", "/score"]


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_model_is_served(name):
    """By the application itself, without a server."""
    sys.path.insert(0, str(SERVE.parent))
    scope = {"__name__": "serve_example"}
    exec(compile(SERVE.read_text(), SERVE, "exec"), scope)
    sys.path.pop(0)
    model, X = fitted(name), CASES[name][2][:2]
    serve = scope["application"](model)

    def post(path, asked):
        import io

        content, said = json.dumps(asked).encode(), []
        environ = {"PATH_INFO": path, "REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(content),
                   "CONTENT_LENGTH": str(len(content))}  # fmt: skip
        answer = b"".join(serve(environ, lambda status, headers: said.append(status)))
        return said[0], json.loads(answer)

    status, codes = post("/encode", {"x": X.tolist()})
    assert status == "200 OK" and codes["location"] == model.transform(X).tolist()
    status, decoded = post("/decode", {"z": codes["location"]})
    assert status == "200 OK" and len(decoded["mean"]) == 2
    for path, asked in (("/score", {"x": X.tolist()}), ("/sample", {"n": 2, "seed": 0})):
        status, _ = post(path, asked)
        assert status == ("200 OK" if path == "/score" or model.has_prior else "404 Not Found")


def test_the_image_adds_the_server_library_alone():
    """The Dockerfile installs npvae with that extra; the example imports nothing else."""
    dockerfile = (SERVE.parent / "Dockerfile").read_text()
    assert "/source[serve]'" in dockerfile and dockerfile.count("pip install") == 1
    pyproject = (Path(npvae.__file__).parents[1] / "pyproject.toml").read_text()
    assert 'serve = ["waitress>=3"]' in pyproject
    imported = {node.names[0].name for node in ast.walk(ast.parse(SERVE.read_text()))
                if isinstance(node, ast.Import)}  # fmt: skip
    assert imported - sys.stdlib_module_names == {"numpy", "npvae", "waitress"}
