"""Reference numbers: what npvae computed before its internals were redrawn, and what does it again.

    configurations.py   the table of configurations, and their data
    measure.py          what is measured of one, by the public surface alone
    stored.py           the models and runs that were saved to files
    record.py           wrote everything below, once
    gradients.npz       losses, gradients and outputs
    likelihoods.npz     estimates of log p(x)
    histories.npz       histories of training
    files/              models, checkpoints and a run folder, and what they led to
"""
