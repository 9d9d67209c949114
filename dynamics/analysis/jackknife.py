"""Delete-one jackknives of the seed-pair divergence, and limits on the log scale made from them.

theta = mean over ordered pairs of seeds i != j, and over documents weighted by their tokens, of
KL(i || j): a U-statistic of degree two in seeds and a ratio mean in documents.

Axes: S seeds, G documents, n units of one kind; "..." any leading axes, such as steps. kl has zeros
on its diagonal.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import chdtri, stdtrit

from dynamics.analysis.means import pair_mean
from dynamics.errors import InputError

_OF_THREE = 1.3  # times the variance of three values: intervals then cover what they claim


class Source(NamedTuple):
    """One independent source of error of ln theta: its variance, third cumulant and degrees of
    freedom."""

    variance: float
    third: float
    df: int

    def scaled(self, ratio: float) -> "Source":
        """The source with `ratio` times the variance and the same skewness."""
        return Source(self.variance * ratio, self.third * ratio**1.5, self.df)


def theta(
    kl: Float[np.ndarray, "... S S G"], weights: Float[np.ndarray, " G"]
) -> Float[np.ndarray, "..."]:
    """The mean divergence, [..., S, S, G] -> [...].

    Example:
        >>> kl = np.array([[[0.0, 0.0], [1.0, 4.0]], [[3.0, 4.0], [0.0, 0.0]]])  # two documents
        >>> float(theta(kl, np.array([1.0, 3.0])))  # their means 2 and 4, the second three times
        3.5
    """
    return pair_mean(kl) @ weights / weights.sum()


def without_each_seed(
    kl: Float[np.ndarray, "... S S G"], weights: Float[np.ndarray, " G"]
) -> Float[np.ndarray, "... S"]:
    """theta from the pairs of the other seeds, [..., S, S, G] -> [..., S]."""
    pairs = kl @ weights / weights.sum()
    others = pairs.shape[-1] - 1
    both = pairs.sum(-1) + pairs.sum(-2)
    return (pairs.sum((-1, -2))[..., None] - both) / (others * (others - 1))


def without_each_document(
    kl: Float[np.ndarray, "... S S G"], weights: Float[np.ndarray, " G"]
) -> Float[np.ndarray, "... G"]:
    """theta from the other documents, [..., S, S, G] -> [..., G]."""
    total = weights * pair_mean(kl)
    return (total.sum(-1, keepdims=True) - total) / (weights.sum() - weights)


def mean_influences(
    values: Float[np.ndarray, "K S G"], weights: Float[np.ndarray, " G"]
) -> list[Float[np.ndarray, "n K"]]:
    """What every seed and document adds to the error of the mean of values [K,S,G], documents
    weighted [G]; [n, K] each. Documents alone where there are two seeds, which have no jackknife.

    Example:
        >>> of_seeds, of_documents = mean_influences(np.ones((7, 3, 4)), np.ones(4))
        >>> of_seeds.shape, of_documents.shape
        ((3, 7), (4, 7))
    """
    share = weights / weights.sum()
    total = values.mean(1) * share
    of_documents = influence((total.sum(-1, keepdims=True) - total) / (1 - share)).T
    seeds = values.shape[1]
    if seeds < 3:
        return [of_documents]
    each = values @ share
    others = (each.sum(-1, keepdims=True) - each) / (seeds - 1)
    return [influence(others).T, of_documents]


def influence(without_each: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "... n"]:
    """What each unit adds to the estimate's error, [..., n]: the sum of squares is the jackknife
    variance."""
    n = without_each.shape[-1]
    return (without_each.mean(-1, keepdims=True) - without_each) * np.sqrt((n - 1) / n)


def log_influence(without_each: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "... n"]:
    """`influence` on ln theta. Raises InputError unless theta > 0 without any one unit."""
    if not (without_each > 0).all():
        raise InputError(
            "a mean divergence that is zero or negative",
            expected="theta > 0, also without any one unit",
        )
    return influence(np.log(without_each))


def document_df(weights: Float[np.ndarray, " G"]) -> float:
    """Degrees of freedom of a variance over documents of these lengths [G].

    (sum w^2)^2 / sum w^4, at most G - 1: it is a sum of terms w^2 e^2, and a few long documents
    make most of it (Satterthwaite 1946).

    Example:
        >>> document_df(np.ones(10)), round(document_df(np.array([1.0, 1.0, 1.0, 10.0])), 1)
        (9.0, 1.1)
    """
    squares = np.square(weights / weights.max())
    return float(max(1.0, min(len(weights) - 1, squares.sum() ** 2 / (squares**2).sum())))


def seed_source(kl: Float[np.ndarray, "S S G"], weights: Float[np.ndarray, " G"]) -> Source:
    """The error of ln theta from the choice of seeds. Raises InputError unless theta > 0."""
    return _log_source(without_each_seed(kl, weights))


def document_source(kl: Float[np.ndarray, "S S G"], weights: Float[np.ndarray, " G"]) -> Source:
    """The error of ln theta from the choice of documents. Raises InputError unless theta > 0."""
    return _log_source(without_each_document(kl, weights))


def _log_source(without_each: np.ndarray) -> Source:
    """Variance and third cumulant of ln theta from its delete-one values [n].

    The third cumulant is freed of its bias towards zero, n / (n - 2) beside the n / (n - 1) that
    the influences carry. Three values show none that could be told from chance: a correction by it
    made intervals over three seeds e to the 3 to 15 long. Their variance is raised instead, since
    where KL is a squared distance seeds that are near by chance have a small one by chance.
    """
    each, n = log_influence(without_each), len(without_each)
    if n <= 3:
        return Source(_OF_THREE * float((each**2).sum()), 0.0, n - 1)
    return Source(float((each**2).sum()), float((each**3).sum() * n / (n - 2)), n - 1)


def less_pair_noise(
    source: Source, kl: Float[np.ndarray, "S S G"], weights: Float[np.ndarray, " G"]
) -> Source:
    """`source` of seeds, less what the jackknife counts twice of noise that belongs to pairs and
    not to seeds.

    With y_ij = theta + a_i + a_j + e_ij (i < j) the mean has the variance 4 var(a) / S + 2 var(e) /
    (S (S - 1)), while the jackknife's expectation is 4 (var(a) + var(e) / (S - 2)) / S (Efron &
    Stein 1981). Where the e are all there is (F = MS_seeds / MS_pairs is near 1) that is up to S /
    (2 (S - 1)) of it too much. The excess is taken off by F^-3, and in the share (S - 3) / (S - 1)
    that the residual has of all degrees of freedom: F is estimated, and a full subtraction would
    cover too little where the a are there and a chance F is small. Under four seeds the residual
    has no degree of freedom, and nothing is taken off.
    """
    seeds = len(kl)
    if seeds < 4 or source.variance == 0:
        return source
    mean = theta(kl, weights)
    pairs = kl @ weights / (weights.sum() * mean)
    pairs = (pairs + pairs.T) / 2
    off = ~np.eye(seeds, dtype=bool)
    effect = (seeds - 1) / (seeds - 2) * (pairs.sum(1) / (seeds - 1) - 1)
    residual = (pairs - 1 - effect[:, None] - effect[None])[off]
    of_pairs = (residual**2).sum() / (seeds * (seeds - 3))
    of_seeds = source.variance * seeds * (seeds - 2) / 4
    near_noise = min(1.0, of_pairs / of_seeds) ** 3
    return source.scaled(1 - (seeds - 3) / (seeds - 1) * seeds / (2 * (seeds - 1)) * near_noise)


def interaction_variance(kl: Float[np.ndarray, "S S G"], weights: Float[np.ndarray, " G"]) -> float:
    """Variance of ln theta from effects c_ig of one seed on one document: both jackknives have it
    in them."""
    seeds, documents, share = len(kl), len(weights), weights / weights.sum()
    mean = (kl.sum(0) + kl.sum(1)) / (2 * (seeds - 1))  # [S, G], of each seed with the others
    effect = (seeds - 1) / (seeds - 2) * (mean - mean.mean(0))
    effect = effect - (effect @ share)[:, None]
    lost = seeds / (seeds - 1) * documents / (documents - 1)
    return float((2 / seeds) ** 2 * lost * ((share * effect) ** 2).sum() / theta(kl, weights) ** 2)


def log_limits(mean: float, sources: list[Source], level: float) -> tuple[float, float, float]:
    """Limits of theta > 0 from the summed errors of ln theta, and its standard error: (low, high,
    sem).

    Student's t is corrected for skewness. Of several sources, t^2 is three quarters that on
    Satterthwaite's (1946) degrees of freedom and one quarter the mean of each source's own t^2 by
    its share of the variance (Graybill & Wang 1980). The first alone is short where a source of few
    degrees of freedom looks small by chance, the second alone long; of two it is the second (.91 to
    .93 otherwise at three seeds of rank two).
    """
    variance = sum(s.variance for s in sources)
    if variance == 0:
        return mean, mean, 0.0
    df = variance**2 / sum(s.variance**2 / s.df for s in sources)
    own = sum(s.variance / variance * stdtrit(s.df, (1 + level) / 2) ** 2 for s in sources)
    share = 0.25 if min(s.df for s in sources) > 2 else 1.0
    t = np.sqrt((1 - share) * stdtrit(df, (1 + level) / 2) ** 2 + share * own)
    skew, sem = sum(s.third for s in sources) / variance**1.5, np.sqrt(variance)
    low, high = (float(mean * np.exp(-_unskewed(sign * t, skew) * sem)) for sign in (1, -1))
    return low, high, float(mean * sem)


def widest(seeds: int, level: float) -> tuple[float, float]:
    """Limits of the true mean over the measured one that no squared distance needs to exceed.

    The seeds of the widest spread lie on one line: theta is then twice their variance, and its
    limits are those of chi-square on S - 1 degrees of freedom. In more dimensions, or above a
    floor, they are nearer. From three seeds a jackknife alone would give a factor of thousands.
    From four on it is at times the shorter of the two at one end, so that limits at the same level
    would leave .91 of .95 covered on a line; with half the tails it is .92 to .94.

    Example:
        >>> [round(limit, 2) for limit in widest(3, 0.95)]
        [0.27, 39.5]
    """
    tail = (1 - level) / (2 if seeds == 3 else 4)
    low, high = ((seeds - 1) / chdtri(seeds - 1, upper) for upper in (tail, 1 - tail))
    return float(low), float(high)


def _unskewed(t: float, skew: float) -> float:
    """The root T of T + skew (T^2 / 3 + 1/6) + skew^2 T^3 / 27 = t: a symmetric quantile t made one
    of a skewed mean's.

    Hall (1992), "On the removal of skewness by transformation", J. R. Statist. Soc. B 54: the cubic
    is monotone, and (1 + skew T / 3)^3 completes it. `skew` is that of the mean, skewness /
    sqrt(n).
    """
    t = t - skew / 6
    return 3 * (np.cbrt(1 + skew * t) - 1) / skew if abs(skew) > 1e-6 else t
