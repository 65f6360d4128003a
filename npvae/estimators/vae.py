"""The variational auto-encoder as a scikit-learn-like class."""
from typing import Any

from npvae.estimators import building, coding, gradient, scoring
from npvae.estimators.base import GenerativeModel


class VAE(GenerativeModel):
    """Auto-Encoding Variational Bayes (Kingma & Welling 2013).

    Names may be written in any case. Where an object is taken beside a name, one of a class of
    your own will do as well; only a file cannot hold it.

    Parameters
    ----------
    latent_dim : int
        J, the number of latent variables.
    hidden : tuple of int
        Widths of the encoder's hidden layers, from the data inwards; may be empty.
    decoder_hidden : tuple of int, optional
        Widths of the decoder's, from the latents outwards; the encoder's reversed if None.
    activation : str
        Of the hidden layers: ``"tanh"``, ``"relu"``, ``"gelu"`` or another of
        :data:`npvae.ops.ACTIVATIONS`.
    likelihood : str or Likelihood
        p(x|z): ``"bernoulli"`` for black and white pixels or grey ones as their probabilities,
        ``"continuous-bernoulli"`` for grey values in [0, 1], ``"normal"`` or ``"laplace"`` with
        learned scale for any real data, ``"poisson"`` for counts; and for values at K evenly
        spaced levels 0, 1/(K − 1), …, 1, ``"categorical"`` or ``"discretized-logistic"``;
        or whatever has the methods of :class:`npvae.distributions.Likelihood`.
    likelihood_mean : str
        ``"linear"`` or ``"sigmoid"``: the mean of a normal likelihood.
    posterior : str, Family or LatentFamily
        q(z|x): ``"normal"`` with diagonal covariance, ``"elliptical"`` with a full one,
        ``"laplace"``, ``"student-t"``, ``"gamma"``, ``"beta"``, ``"dirichlet"`` and all else that
        :data:`npvae.distributions.latents.FAMILIES` has; or a
        :class:`npvae.distributions.Family`.
    prior : str, Family or Prior
        p(z): the same names, each for the member whose parameters are all 0, as N(0, I) or
        Exponential(1); or, learned with the rest, ``"mixture"`` of normals or ``"vamp"``, a
        mixture of the posteriors of learned pseudo-inputs. It must suit the posterior.
    estimator : str or Objective
        Of the bound's gradient: ``"A"`` (eq. 6), ``"B"`` (eq. 7) where the KL has a closed form, or
        ``"stl"``, the path derivative (Roeder et al. 2017). Or another bound, of ``n_samples``
        samples together: ``"iwae"`` (Burda et al. 2016), and ``"dreg"``, the same with a doubly
        reparameterized gradient (Tucker et al. 2018). ``"score"``, ``"score-ema"``,
        ``"score-loo"``, ``"vimco"`` and ``"rws"`` take no derivative by z; all names are in
        :data:`npvae.objectives.OBJECTIVES`. Or an :class:`npvae.objectives.Objective`.
    n_samples : int
        The paper's L, samples of z a datapoint and step.
    noise : str
        Of the L samples of a datapoint in training: ``"independent"``; ``"antithetic"``, in pairs
        ε and −ε (and u and 1 − u, where a posterior is made of uniforms), for an even L; or
        ``"sobol"``, the first L points of a Sobol sequence, scrambled for each datapoint and step,
        which lie most evenly for L = 2, 4, 8 … Each sample has the same distribution as ever, so
        gradients are of less variance and without bias; a bound of several samples, as IWAE's, is
        another one, and bounds log p(x) too. Estimators that need independent samples
        (``"score-loo"``, ``"vimco"``, ``"dreg"``) refuse other noise; evaluation is by
        independent noise always.
    parameter_prior : bool
        Add log N(weights; 0, I) / N to the objective.
    kl_weight : float
        β, the weight of the KL in what is minimised (Higgins et al. 2017). With it and with the
        next two, training maximises something else than the lower bound; whatever is reported
        as ``elbo`` or ``score`` is the bound itself.
    kl_warmup : int
        Epochs over which that weight rises linearly, step by step, from 0 to β.
    free_bits : float
        λ, in nats a latent: Σ_j max(λ, KL_j) takes the place of the KL, KL_j being the mean over
        the minibatch of latent j's (Kingma et al. 2016). For a normal posterior, a normal prior
        and estimator B.
    optimizer : str or Optimizer
        ``"adam"``, ``"adagrad"``, ``"sgd"`` or another name in :data:`npvae.optim.OPTIMIZERS`,
        or one of :mod:`npvae.optim` with other constants.
    schedule : str or Schedule
        Of the learning rate: ``"constant"``, ``"step"``, ``"cosine"`` or ``"warmup"``.
    learning_rate : float
        Before the schedule.
    batch_size, epochs : int
        M, and passes over the data.
    binarize : str
        ``"none"``, ``"threshold"``, ``"fixed"`` or ``"dynamic"``: what becomes of grey pixels.
    clip_norm : float, optional
        Largest norm of the gradient.
    early_stopping : int, optional
        Epochs without a better validation bound after which to stop, at the best parameters. Those
        of ``kl_warmup`` do not count, and none of them is the best: they maximise something else.
        A learning rate's ``"warmup"`` changes no objective, so its epochs do.
    backend : str
        ``"numpy"``, ``"cupy"`` or ``"auto"``.
    dtype : str
        ``"float32"`` or ``"float64"``.
    likelihood_std : float, optional
        σ of a normal likelihood, one for all features; learned for each x if None.
    likelihood_variance : str
        What a normal or Laplace likelihood learns where no σ is given: ``"latent"``, a variance
        that is a function of z, or ``"feature"``, one for each feature whatever z, as the noise of
        factor analysis. log σ² is what the decoder says from −14 to 14, for σ from 1e-3 to 1e3, and
        is kept within ±15 by a soft clip; ``"unbounded"`` is ``"latent"`` without that, as models
        have it that were saved before there was such a bound.
    n_levels : int, optional
        K. A discretised logistic likelihood has 256 if None, the levels of a byte; a categorical
        one has to be told, for its last layer is K times as wide as the data.
    initial_std : float, optional
        Deviation of the first weights, 0.01 in the paper; 1/√in of each layer if None.
    standardize : bool
        Whether a ``"normal"`` or ``"laplace"`` likelihood sees data in units of its own, each
        feature shifted and scaled to mean 0 and deviation 1 over the data of ``fit``, or of the
        first ``partial_fit`` (with ``likelihood_std`` one scale for all features). Inputs, outputs
        and every number reported stay in the data's units, ``likelihood_std`` too; parameters do
        not. Of a mean through a sigmoid nothing is standardized, nor of data that are binarised.
    prior_components : int
        Of a ``"mixture"`` or ``"vamp"`` prior.
    tf32 : bool
        On a GPU, let products of float32 round their factors to ten bits of fraction: faster.
    random_state : int, Generator or None
        Everything random follows from it.
    verbose : bool, optional
        Whether ``fit`` shows how it goes: by one line on a terminal and in a notebook, elsewhere by
        at most 20. If None, only where somebody watches: on a terminal and in a notebook.

    Attributes
    ----------
    history_ : dict of str to list
        One entry an epoch: ``epoch, elbo, reconstruction, kl, samples, seconds`` and, with
        validation data, ``validation_elbo`` and its parts; nats per datapoint. Where something
        else than the bound was maximised in place of ``elbo``, that is ``objective``.
        ``active_latents`` is how many of the J are active, by up to 1,000 training data; it is not
        there where the prior's variance has no formula.
    n_features_in_ : int
        D.
    feature_names_in_ : array of str (D,)
        The names of the columns that it was fitted to, if those of a table were all strings.
        Such a table and no other is taken afterwards.

    Examples
    --------
    >>> import npvae
    >>> X = npvae.data.load_digits().images
    >>> vae = npvae.VAE(latent_dim=2, hidden=(64,), epochs=3, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.sample(5, rng=0).shape
    ((1797, 2), (5, 64))
    >>> vae.history_["elbo"][0] < vae.history_["elbo"][-1]
    True
    """

    has_prior = has_bound = True

    def __init__(
        self, latent_dim: int = 2, hidden: tuple[int, ...] = (500,), activation: str = "tanh",
        likelihood: Any = "bernoulli", likelihood_mean: str = "linear",
        posterior: Any = "normal", prior: Any = "normal",
        estimator: Any = "B", n_samples: int = 1, parameter_prior: bool = False,
        optimizer: Any = "adam", learning_rate: float = 1e-3, batch_size: int = 100,
        epochs: int = 20, backend: str = "numpy", dtype: str = "float32",
        random_state: Any = None, verbose: bool | None = None,
        *, decoder_hidden: tuple[int, ...] | None = None, schedule: Any = "constant",
        binarize: str = "none", clip_norm: float | None = None,
        early_stopping: int | None = None, prior_components: int = 50, tf32: bool = False,
        kl_weight: float = 1.0, kl_warmup: int = 0, free_bits: float = 0.0,
        likelihood_std: float | None = None, n_levels: int | None = None,
        initial_std: float | None = None, standardize: bool = True,
        likelihood_variance: str = "latent", noise: str = "independent",
    ):  # fmt: skip
        self._store(locals())

    _model = building.vae_model
    _check = building.check_bound

    loss_and_grad = gradient.loss_and_grad
    elbo = scoring.elbo
    iwae_bound = scoring.iwae_bound
    log_likelihood = scoring.log_likelihood
    posterior_of = coding.posterior_of
    sample = coding.sample
