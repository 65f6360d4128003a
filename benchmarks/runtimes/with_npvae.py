"""npvae: the model file and ``load``. Its threads are those of BLAS."""
import npvae


def export(vae, folder):
    """One file for both directions."""
    vae.save(folder / "model.npz")


def decoder(folder, threads):
    """z (M, J) → images (M, D)."""
    return npvae.load(folder / "model.npz").inverse_transform


def encoder(folder, threads):
    """Images (M, D) → posterior means (M, J)."""
    return npvae.load(folder / "model.npz").transform
