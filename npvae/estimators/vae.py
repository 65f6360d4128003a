"""The variational auto-encoder as a scikit-learn-like class."""
from typing import Any

from npvae import evaluation, random
from npvae.distributions.latents import FAMILIES, Variables
from npvae.distributions.priors import named_prior
from npvae.distributions.suitable import LEARNED, PRIORS, closed_kl, suitable, why_not
from npvae.errors import ParameterError
from npvae.estimators.arguments import not_negative, one_of, whole_number
from npvae.estimators.marginal import EncodedModel
from npvae.memory import Layout
from npvae.models import LearnedPriorModel, Penalty, VAEModel, parameter_prior
from npvae.networks import MLP
from npvae.objectives import ESTIMATORS, KLTerm, estimator_for

Array = Any


class VAE(EncodedModel):
    """Auto-Encoding Variational Bayes (Kingma & Welling 2013).

    Parameters
    ----------
    latent_dim : int
        J, the number of latent variables.
    hidden : tuple of int
        Widths of the encoder's hidden layers, from the data inwards; may be empty.
    decoder_hidden : tuple of int, optional
        Widths of the decoder's, from the latents outwards; the encoder's reversed if None.
    activation : str
        ``"tanh"``, ``"relu"``, ``"sigmoid"``, ``"softplus"``, ``"elu"`` or ``"identity"``.
    likelihood : str
        p(x|z): ``"bernoulli"`` for black and white pixels or grey ones as their probabilities,
        ``"continuous-bernoulli"`` for grey values in [0, 1], ``"normal"`` or ``"laplace"`` with
        learned scale for any real data, ``"poisson"`` for counts; and for values at K evenly
        spaced levels 0, 1/(K − 1), …, 1, ``"categorical"`` or ``"discretized-logistic"``.
    likelihood_mean : str
        ``"linear"`` or ``"sigmoid"``: the mean of a normal likelihood.
    posterior : str
        q(z|x): ``"normal"`` with diagonal covariance, ``"elliptical"`` with a full one,
        ``"laplace"``, ``"student-t"``, ``"gamma"``, ``"beta"``, ``"dirichlet"`` and all else that
        :data:`npvae.distributions.latents.FAMILIES` has.
    prior : str
        p(z): the same names, each for the member whose parameters are all 0, as N(0, I) or
        Exponential(1); or, learned with the rest, ``"mixture"`` of normals or ``"vamp"``, a
        mixture of the posteriors of learned pseudo-inputs. It must suit the posterior.
    estimator : str
        ``"A"`` (eq. 6), or ``"B"`` (eq. 7) where the KL has a closed form.
    n_samples : int
        The paper's L, samples of z a datapoint and step.
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
        ``"adam"``, ``"adamw"``, ``"adagrad"``, ``"rmsprop"``, ``"sgd"``, ``"momentum"``,
        ``"nesterov"``, or one of :mod:`npvae.optim` with other constants.
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
        Epochs without a better validation bound after which to stop, at the best parameters.
    backend : str
        ``"numpy"``, ``"cupy"`` or ``"auto"``.
    dtype : str
        ``"float32"`` or ``"float64"``.
    likelihood_std : float, optional
        σ of a normal likelihood, one for all features; learned for each x if None.
    n_levels : int, optional
        K. A discretised logistic likelihood has 256 if None, the levels of a byte; a categorical
        one has to be told, for its last layer is K times as wide as the data.
    initial_std : float, optional
        Deviation of the first weights, 0.01 in the paper; 1/√in of each layer if None.
    prior_components : int
        Of a ``"mixture"`` or ``"vamp"`` prior.
    tf32 : bool
        On a GPU, let products of float32 round their factors to ten bits of fraction: faster.
    random_state : int, Generator or None
        Everything random follows from it.
    verbose : bool
        One line an epoch, on a terminal.

    Attributes
    ----------
    history_ : dict of str to list
        One entry an epoch: ``epoch, elbo, reconstruction, kl, samples, seconds`` and, with
        validation data, ``validation_elbo`` and its parts; nats per datapoint. Where the KL is
        weighed or has free bits, ``objective`` is what was maximised in place of ``elbo``.
    n_features_in_ : int
        D.

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

    posterior: str
    prior: str
    estimator: str
    parameter_prior: bool
    prior_components: int
    kl_weight: float = 1.0  # these three are not for every algorithm
    kl_warmup: int = 0
    free_bits: float = 0.0

    def __init__(
        self, latent_dim: int = 2, hidden: tuple[int, ...] = (500,), activation: str = "tanh",
        likelihood: str = "bernoulli", likelihood_mean: str = "linear",
        posterior: str = "normal", prior: str = "normal",
        estimator: str = "B", n_samples: int = 1, parameter_prior: bool = False,
        optimizer: Any = "adam", learning_rate: float = 1e-3, batch_size: int = 100,
        epochs: int = 20, backend: str = "numpy", dtype: str = "float32",
        random_state: Any = None, verbose: bool = True,
        *, decoder_hidden: tuple[int, ...] | None = None, schedule: Any = "constant",
        binarize: str = "none", clip_norm: float | None = None,
        early_stopping: int | None = None, prior_components: int = 50, tf32: bool = False,
        kl_weight: float = 1.0, kl_warmup: int = 0, free_bits: float = 0.0,
        likelihood_std: float | None = None, n_levels: int | None = None,
        initial_std: float | None = None,
    ):  # fmt: skip
        self._store(locals())

    def _check_params(self) -> None:
        super()._check_params()
        one_of("posterior", self.posterior, FAMILIES)
        one_of("prior", self.prior, PRIORS)
        one_of("estimator", self.estimator, ESTIMATORS)
        self._check_pair(self.posterior, self.prior)
        self._check_kl_term()

    def _check_pair(self, posterior: str, prior: str) -> None:
        """Raise a ParameterError unless this posterior and this prior have a bound to train on."""
        if reason := why_not(posterior, prior):
            raise ParameterError(f"{reason}; choose prior from {', '.join(suitable(posterior))}")
        if posterior == "dirichlet" and self.latent_dim == 1:
            raise ParameterError(
                "posterior='dirichlet' of latent_dim=1 is always 1; take 2 or more, or 'beta'"
            )
        if prior in LEARNED:
            if "prior_components" not in self._parameter_names():
                raise ParameterError(
                    f"prior={prior!r} is learned, which {type(self).__name__} cannot; "
                    f"choose prior='normal', or train a VAE"
                )
            whole_number("prior_components", self.prior_components)
        if self.estimator == "B" and not closed_kl(posterior, prior):
            raise ParameterError(
                f"estimator='B' needs a KL in closed form, and that of posterior={posterior!r} "
                f"from prior={prior!r} has none; take estimator='A'"
            )

    def _check_kl_term(self) -> None:
        not_negative("kl_weight", self.kl_weight)
        not_negative("free_bits", self.free_bits)
        whole_number("kl_warmup", self.kl_warmup, least=0)
        for name, needed in (("posterior", "normal"), ("prior", "normal"), ("estimator", "B")):
            if self.free_bits and getattr(self, name) != needed:
                raise ParameterError(
                    f"free_bits={self.free_bits} needs the KL of each latent in closed form, which "
                    f"{name}={getattr(self, name)!r} does not give; choose {name}={needed!r}"
                )

    def _model(self, n_features: int) -> VAEModel:
        J, likelihood = self.latent_dim, self._likelihood()
        encoder_widths, decoder_widths = self._widths()
        q = Variables(self.posterior)
        K = self.prior_components if self.prior in LEARNED else 1
        p = named_prior(self.prior, q, K)
        estimator: Any = estimator_for(self.estimator, q, p)
        kind = LearnedPriorModel if self.prior in LEARNED else VAEModel
        return kind(
            MLP("encoder", n_features, encoder_widths, q.heads(J), self.activation),
            MLP("decoder", J, decoder_widths, likelihood.heads(n_features), self.activation),
            likelihood,
            estimator,
            q,
            p,
        )

    def _kl_term(self) -> KLTerm:
        return KLTerm(self.kl_weight, self.kl_warmup, self.free_bits)

    def _penalty(self, layout: Layout, n_data: int) -> Penalty:
        return parameter_prior(layout.n_weights, n_data) if self.parameter_prior else Penalty()

    def elbo(self, X: Any, eps: Array | None = None) -> evaluation.Elbo:
        """The lower bound of each datapoint and its parts, in nats.

        Parameters
        ----------
        X : array (N, D)
            Datapoints.
        eps : array (L, N, J), optional
            Noise; L = ``n_samples`` draws that depend on ``random_state`` alone if not given.

        Returns
        -------
        Elbo
            ``total``, ``reconstruction`` and ``kl``, each (N,).

        Raises
        ------
        DataError
            If ``X`` or ``eps`` is not finite, of another shape, or out of range.
        NotFittedError
            If there are no parameters yet.
        """
        bound = self._bound(X, eps)
        return evaluation.Elbo(
            self._like(X, bound.total),
            self._like(X, bound.reconstruction),
            self._like(X, bound.kl),
        )

    def sample(self, n: int, rng: Any = None) -> Array:
        """Images from the prior: E[x|z] for ``n`` draws z ~ p(z), as in figure 5.   (n, D)

        On the backend's own kind of array, since none goes in.

        Parameters
        ----------
        n : int
            How many.
        rng : int, numpy.random.Generator or None
            Where z comes from.

        Raises
        ------
        ParameterError
            If ``n`` is less than 1, or ``rng`` cannot seed a generator.
        NotFittedError
            If there are no parameters yet.
        """
        engine = self._engine()
        whole_number("n", n)
        model: Any = engine.model
        eps = random.as_generator(rng).standard_normal((n, model.prior.n_noise(model.decoder.n_in)))
        with engine.backend.room():
            prior = model.prior_at(engine.ops, engine.P, engine.work)
            z, _ = prior.value(prior.draw(engine.xp.asarray(eps, dtype=engine.theta.dtype)))
            return evaluation.decode(engine, z)
