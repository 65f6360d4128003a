"""The parts of ``benchmarks/estimators.py``: each makes the numbers of a JSON file, and a picture.

    normal.py      three kinds of derivatives of E[(x − k)²]
    gamma.py       two kinds of reparameterization of a gamma variable
    bounds.py      signal-to-noise ratios by the number of samples
    bias.py        every estimator against quadrature
    latents.py     variances by the number of latents
    posterior.py   variances by how far q(z|x) is from p(z|x)
    training.py    variances along training
    lines.py       what some of them share: lines in log-log, and their slopes
"""
