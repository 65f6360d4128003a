"""The public classes: scikit-learn's face on the floors below, with no mathematics."""
from npvae.estimators.autoencoder import Autoencoder
from npvae.estimators.files import load
from npvae.estimators.full_vb import FullVB
from npvae.estimators.mcem import MCEM
from npvae.estimators.state_dict import load_state_dict
from npvae.estimators.vae import VAE
from npvae.estimators.wake_sleep import WakeSleep

__all__ = ["MCEM", "VAE", "Autoencoder", "FullVB", "WakeSleep", "load", "load_state_dict"]
