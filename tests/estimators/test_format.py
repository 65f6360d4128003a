"""The section FORMAT of ARCHITECTURE.md against the files that there are."""
import json
import re
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from export_models import CASES, fitted

TEXT = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text(encoding="utf-8")
SECTION = re.search(r"## FORMAT\n(.*?)\n## ", TEXT, re.DOTALL)[1]
MEMBERS, FIELDS = (
    {name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    for table in re.findall(r"(?:^\|.*\n)+", SECTION + "\n", re.MULTILINE)
)


@pytest.mark.parametrize("name", CASES)
def test_every_member_and_field_of_a_file_is_described(name, tmp_path):
    fitted(name).save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:
        members, config = [*file], json.loads(str(file["config"]))
    for member in members:
        assert any(fnmatch(member, pattern) for pattern in MEMBERS), member
    assert config.keys() == FIELDS - {"config"}
