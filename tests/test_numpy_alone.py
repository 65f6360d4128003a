"""NumPy is the only thing that npvae needs: everything optional is forbidden, and it works."""
import os
import subprocess
import sys
from pathlib import Path

import npvae

OPTIONAL = ("scipy", "matplotlib", "tqdm", "pooch", "sklearn", "cupy", "torch", "PIL", "pyarrow",
            "h5py")

BEGIN = f"import sys; OPTIONAL = {OPTIONAL}"

FORBID = """
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OPTIONAL:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Forbid())
"""

WORK = """
import npvae
import numpy as np

digits = npvae.data.load_digits()
train, held_out = digits.split(100, seed=0)
for make in (npvae.VAE, npvae.Autoencoder):
    model = make(latent_dim=2, hidden=(16,), epochs=2, random_state=0, early_stopping=2)
    model.fit(train, validation=held_out, checkpoint="checkpoint.npz")
    model.save("model.npz")
    loaded = npvae.load("model.npz")
    Z = loaded.transform(held_out)
    assert Z.tobytes() == model.transform(held_out).tobytes() and Z.shape == (100, 2)
    assert loaded.inverse_transform(Z).shape == (100, 64)
    loaded.partial_fit(held_out)
    assert np.isfinite(loaded.score(held_out))
    if make is npvae.VAE:
        assert loaded.sample(3, rng=0).shape == (3, 64)
        assert "</html>" in npvae.explain.explore(loaded, held_out)
        assert np.isfinite(loaded.log_likelihood(held_out, 50, rng=0).estimate).all()
    assert npvae.testing.check_gradients(model, held_out.images[:2]).ok
"""

HELD = """
found = {name.partition(".")[0] for name in sys.modules} & set(OPTIONAL)
assert not found, found
"""


def run(program, folder):
    """What a fresh interpreter says to the program, but that digits are grey; it must end well."""
    package = str(Path(npvae.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore::UserWarning", "-c", program], cwd=folder,
        env=os.environ | {"PYTHONPATH": package}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_numpy_alone_is_enough(tmp_path):
    assert run(BEGIN + FORBID + WORK + HELD, tmp_path) == ""


def test_nothing_optional_is_loaded_by_itself(tmp_path):
    """Where all of it is installed, importing, training and saving still load none of it."""
    assert run(BEGIN + WORK + HELD, tmp_path) == ""


def test_what_is_missing_is_named(tmp_path):
    """One line with the pip command, from the first picture."""
    program = """
import npvae
vae = npvae.VAE(hidden=(4,), epochs=1).fit(npvae.data.load_digits().images)
try:
    npvae.plotting.samples(vae, (8, 8))
except npvae.MissingExtraError as error:
    print(error)
"""
    text = run(BEGIN + FORBID + program, tmp_path)
    package = Path(npvae.__file__).parents[1]  # the clone
    assert text == f"this needs matplotlib, which is not installed: pip install '{package}[plot]'\n"
