"""Hints are commands that work from where npvae came; a broken package is not a missing one."""
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from npvae import install
from npvae.errors import MissingExtraError, optional_import

CLONE = Path(install.__file__).parents[1]


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """npvae as if it lay in site-packages, with what pip wrote down of its origin."""
    def put(origin):
        text = None if origin is None else json.dumps(origin)
        fake = SimpleNamespace(read_text=lambda name: text)
        monkeypatch.setattr(install, "ROOT", tmp_path / "site-packages")
        monkeypatch.setattr("importlib.metadata.distribution", lambda name: fake)

    return put


def test_in_a_clone_the_command_is_readmes(monkeypatch, tmp_path):
    monkeypatch.chdir(CLONE)
    assert install.command("plot") == "pip install '.[plot]'"
    monkeypatch.chdir(tmp_path)
    assert install.command("plot") == f"pip install '{CLONE}[plot]'"


@pytest.mark.parametrize(("origin", "command", "update"), [
    (None, "'npvae[plot]'", "pip install --upgrade 'npvae'"),
    ({"url": f"file://{CLONE}", "dir_info": {}}, f"'{CLONE}[plot]'", f"git -C '{CLONE}' pull"),
    ({"url": "file:///gone", "dir_info": {}}, "'npvae[plot]'", "pip install --upgrade 'npvae'"),
    ({"url": "https://a.b/c.git", "vcs_info": {"vcs": "git", "commit_id": "0"}},
     "'npvae[plot] @ git+https://a.b/c.git'", "pip install --upgrade 'git+https://a.b/c.git'"),
])  # fmt: skip
def test_an_installation_is_extended_from_its_origin(
    installed, monkeypatch, tmp_path, origin, command, update
):
    installed(origin)
    monkeypatch.chdir(tmp_path)
    assert install.command("plot") == f"pip install {command}"
    assert install.update().startswith(update)


def test_pip_understands_the_command(monkeypatch, tmp_path):
    """A folder with an extra, from elsewhere; without a network."""
    constructors = pytest.importorskip("pip._internal.req.constructors")
    monkeypatch.chdir(tmp_path)
    required = constructors.install_req_from_line(install.command("plot").split("'")[1])
    assert (required.link.url, required.extras) == (CLONE.as_uri(), {"plot"})


@pytest.mark.parametrize("source", [
    "raise ImportError('libfoo.so: cannot open')",  # a library of the system is missing
    "import a_package_that_it_needs",  # of its own dependencies
    "import matplotlib_like.gone",  # one of its own files
    "raise ValueError('numpy.dtype size changed')",  # built for another NumPy
    "1 +",
])  # fmt: skip
def test_a_broken_package_is_said_to_be_broken(tmp_path, monkeypatch, source):
    monkeypatch.syspath_prepend(tmp_path)
    name = f"matplotlib_like{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source.replace("matplotlib_like", name))
    with pytest.raises(MissingExtraError) as caught:
        optional_import(name, "plot")
    text = str(caught.value)
    assert "installed but broken" in text and "\n" not in text
    assert f"pip install --upgrade --force-reinstall {name}" in text
    assert "not installed" not in text


def test_a_missing_package_is_said_to_be_missing():
    with pytest.raises(MissingExtraError, match=r"not installed: pip install '.*\[plot\]'"):
        optional_import("a_package_that_is_nowhere.figure", "plot")


def test_a_repair_names_the_package_as_pip_knows_it():
    pytest.importorskip("PIL")
    assert install.repair("PIL").lower().endswith("pillow")
