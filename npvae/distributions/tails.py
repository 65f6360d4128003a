"""How fast a density falls at the ends of its support, as far as an integral has to know.

All supports are mapped on the real line: by log z where z > 0 and on the simplex, by log z/(1 − z)
where 0 < z < 1. With y of that line, −log q(y) grows as ``rate`` times

    polynomial           log |y|
    exponential          |y|ᵐ           m = ``order``
    double exponential   exp(m |y|)
    triple exponential   exp(m exp |y|)

and a density that is 0 from somewhere on is bounded. A rate or an order that the parameters move
may be any positive number; what is declared then is that of the member with all parameters 0.
"""
from npvae.records import dataclass

DECAYS = ("polynomial", "exponential", "double exponential", "triple exponential", "bounded")


@dataclass(frozen=True)
class Tail:
    """One end of a family.

    Attributes
    ----------
    decay : str
        One of the words above.
    order, rate : float
        The numbers above, of the member with all parameters 0.
    free : str
        What the parameters move: "rate", "order" (and the rate with it), or "" for neither.
    """

    decay: str
    order: float = 1.0
    rate: float = 1.0
    free: str = "rate"

    @property
    def level(self) -> int:
        """The place of its decay, from the slowest on."""
        return DECAYS.index(self.decay)


Tails = tuple[Tail, Tail]  # towards −∞ and towards ∞

POLYNOMIAL = Tail("polynomial", rate=2.0)
EXPONENTIAL = Tail("exponential")
GAUSSIAN = Tail("exponential", order=2.0, rate=0.5)
DOUBLE_EXPONENTIAL = Tail("double exponential")
BOUNDED = Tail("bounded", free="")

DEFAULT: dict[str, Tails] = {  # of a family that declares none, by its support
    "real": (EXPONENTIAL, EXPONENTIAL), "positive": (EXPONENTIAL, DOUBLE_EXPONENTIAL),
    "unit interval": (EXPONENTIAL, EXPONENTIAL), "simplex": (EXPONENTIAL, BOUNDED),
    "interval": (BOUNDED, BOUNDED),
}  # fmt: skip


def falls_too_fast(q: Tail, p: Tail, p_moves: bool = False) -> bool:
    """Whether ∫ p²/q diverges at this end, whatever the parameters of q, and of p if they move.

    Examples
    --------
    >>> falls_too_fast(GAUSSIAN, EXPONENTIAL), falls_too_fast(GAUSSIAN, GAUSSIAN)
    (True, False)
    """
    if q.level != p.level or q == BOUNDED:
        return q.level > p.level
    if q.free == "order" or (p_moves and p.free == "order"):
        return False
    if q.decay != "polynomial" and q.order != p.order:
        return q.order > p.order
    if q.free or (p_moves and p.free):
        return False
    return q.rate >= 2 * p.rate - (q.decay == "polynomial")


def has_finite_cost(q: Tail, p: Tail) -> bool:
    """Whether ∫ q |log p| converges at this end for all parameters of q, those of p being 0.

    Examples
    --------
    >>> has_finite_cost(GAUSSIAN, DOUBLE_EXPONENTIAL), has_finite_cost(POLYNOMIAL, GAUSSIAN)
    (True, False)
    """
    if q.level != p.level - 1:
        return q.level >= p.level
    if q.decay == "polynomial":
        return not q.free and q.rate > p.order + 1
    if q.free == "order" or q.order != 1:
        return q.free != "order" and q.order > 1
    return not q.free and q.rate > p.order


def has_infinite_moment(tails: Tails, support: str, n: int) -> bool:
    """Whether E|z|ⁿ is infinite for the member with all parameters 0.

    Examples
    --------
    >>> has_infinite_moment((POLYNOMIAL, POLYNOMIAL), "real", 1)  # a Cauchy variable
    True
    """
    if support == "real":
        return any(tail.decay == "polynomial" and tail.rate <= n + 1 for tail in tails)
    high = tails[1]  # of y = log z
    slow = high.decay == "polynomial" or (high.decay == "exponential" and high.order < 1)
    power = high.decay == "exponential" and high.order == 1
    return support == "positive" and (slow or (power and high.rate <= n))
