"""JSON is read as the standard has it: what Python's reader takes besides is damage."""
import json

import pytest

from npvae.errors import ModelFileError
from npvae.io import read_jsonl
from npvae.io.strict_json import DEPTH, check_depth, parse_json

VALUE = {"class": "VAE", "hidden": [500, 1], "beta": None, "rate": 1e-3, "deep": [[{"a": [True]}]]}


def test_what_json_holds_is_read():
    assert parse_json(json.dumps(VALUE)) == VALUE
    assert parse_json("1e-400") == 0.0  # as every reader of JSON rounds it


@pytest.mark.parametrize("text", [
    "NaN", "[Infinity]", '{"a": -Infinity}', "1e400", "[-1e999]",  # no finite number
    '{"a": 1, "a": 1}', '[{"b": {"a": 1, "a": 2}}]',  # a name twice
    "[" * 20 + "]" * 20, '{"a":' * 500 + "1" + "}" * 500, "[" * 100_000,  # too deep
    "", "{", "[1,]", "{'a': 1}", "9" * 5000, "\ufeff{}", '"\n"',
])  # fmt: skip
def test_anything_else_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_depth_is_counted_from_the_outside():
    def nested(n):
        return [nested(n - 1)] if n else []

    check_depth(nested(DEPTH - 1))
    with pytest.raises(ValueError, match="deeper"):
        check_depth(nested(DEPTH))


@pytest.mark.parametrize("line", ["[1]", "3", "null", '"a"', '{"a": NaN}', '{"a": 1, "a": 1}',
                                  "[" * 10_000, "\udcff", "{"])  # fmt: skip
def test_a_line_that_is_no_object_is_named(tmp_path, line):
    path = tmp_path / "history.jsonl"
    path.write_text('{"epoch": 1}\n' + line, errors="surrogateescape")
    with pytest.raises(ModelFileError, match=r"history\.jsonl is damaged in line 2"):
        read_jsonl(path)
