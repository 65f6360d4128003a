"""Mapped parameters: what processes share, and what is nobody's but the writer's."""
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import npvae
from npvae.memory import is_aligned

X = np.random.default_rng(0).random((20, 4))


@pytest.fixture
def path(tmp_path):
    model = npvae.VAE(latent_dim=2, hidden=(5,), epochs=1, random_state=0, verbose=False).fit(X)
    model.save(tmp_path / "m.npz")
    return tmp_path / "m.npz"


def test_a_mapped_model_is_the_same_model(path):
    model, mapped = npvae.load(path), npvae.load(path, mmap=True, check=True)
    assert np.array_equal(mapped.transform(X), model.transform(X))
    assert np.array_equal(mapped.score_samples(X), model.score_samples(X))
    assert Path(f"{path}.map").read_bytes() == model.engine_.theta.tobytes()
    assert is_aligned(mapped.engine_.theta) and type(mapped.engine_.theta) is np.ndarray


def test_what_is_written_is_ones_own(path):
    """Training, and views of parameters: neither the file nor another model is touched."""
    one, other = npvae.load(path, mmap=True), npvae.load(path, mmap=True)
    before, content = other.transform(X), Path(f"{path}.map").read_bytes()
    one.partial_fit(X)
    one.parameters["decoder.logits.bias"][...] = 0
    assert not np.array_equal(one.transform(X), before)
    assert np.array_equal(other.transform(X), before)
    assert np.array_equal(npvae.load(path, mmap=True).transform(X), before)
    assert Path(f"{path}.map").read_bytes() == content


@pytest.mark.parametrize("damage", [
    lambda content: b"", lambda content: content[:-4], lambda content: content + b"\0\0\0\0",
    lambda content: bytes([content[0] ^ 1]) + content[1:],
])  # fmt: skip
def test_a_map_of_other_numbers_is_written_anew(damage, path):
    right, place = npvae.load(path, mmap=True).transform(X), Path(f"{path}.map")
    content = place.read_bytes()
    place.write_bytes(damage(content))
    assert np.array_equal(npvae.load(path, mmap=True).transform(X), right)
    assert place.read_bytes() == content


def test_a_map_that_is_right_is_not_written(path):
    npvae.load(path, mmap=True)
    before = Path(f"{path}.map").stat()
    npvae.load(path, mmap=True)
    after = Path(f"{path}.map").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_new_model_under_the_name_replaces_the_map(path):
    old = npvae.load(path, mmap=True)
    before = old.transform(X)
    npvae.VAE(latent_dim=2, hidden=(6,), random_state=1).initialize(4).save(path)
    assert np.array_equal(npvae.load(path, mmap=True).transform(X), npvae.load(path).transform(X))
    assert np.array_equal(old.transform(X), before)  # it has mapped what it was


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_share_the_memory(tmp_path):
    """Of 1.2 MB of parameters a process that decodes has no page to itself."""
    path = tmp_path / "m.npz"
    npvae.VAE(20, (200,), random_state=0).initialize(784).save(path)
    code = ("import sys, numpy, npvae\nmodel = npvae.load(sys.argv[1], mmap=True)\n"
            "model.reconstruct(numpy.zeros((1, 784)))\nprint(open('/proc/self/smaps').read())")
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True,
                          text=True, env={"PYTHONPATH": str(Path(npvae.__file__).parents[1])})
    regions = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", done.stdout, flags=re.MULTILINE)
    (mine,) = (region for region in regions if f"{path}.map" in region)
    resident, dirty = (int(re.search(rf"^{name}: +(\d+) kB", mine, re.MULTILINE)[1])
                       for name in ("Rss", "Private_Dirty"))  # fmt: skip
    assert resident > 1000 and dirty == 0


def test_a_gpu_has_memory_of_its_own(path, monkeypatch):
    class Cupy:
        name = "cupy"

    monkeypatch.setattr(npvae.estimators.model_file, "get_backend", lambda name: Cupy)
    with pytest.raises(npvae.ParameterError, match="a GPU has memory of its own"):
        npvae.load(path, mmap=True)
