"""Deep linear networks, l = |W_L ... W_1 - A|^2 / 2, whose learning coefficient is known.

Axes: widths H_0 ... H_L, so that W_s is [H_s, H_{s-1}]; r the rank of the true product A
[H_L, H_0]; D_s = H_s - r. NumPy and SciPy, float64.

The loss is the population's for identity input covariance and noise of variance 1. The coefficient
is the one at the most degenerate of the points with W_L ... W_1 = A, such as `degenerate_point`;
other points have larger ones.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.integrate import cumulative_simpson, simpson

from dynamics.errors import InputError


class Degeneracy(NamedTuple):
    """V(epsilon) ~ epsilon^lambda log(1/epsilon)^(m - 1)."""

    llc: float  # lambda
    multiplicity: int  # m


def learning_coefficient(widths: Sequence[int], rank: int) -> Degeneracy:
    """lambda and m for a true product of rank r: Aoyagi (2024).

    "Consideration on the learning efficiency of multiple-layered neural networks with linear
    units". Z is the set of l + 1 layers, the narrowest, with sum_Z D >= l max_Z D that cannot be
    widened: sum_Z D < l D_s for every other s. With S = sum_Z D, M = ceil(S/l), a = S - (M - 1) l:

        lambda = [r (H_0 + H_L) - r^2]/2 + a (l - a)/(4 l) - l (l - 1)/4 (S/l)^2
                 + 1/2 sum_{i<j in Z} D_i D_j
        m = a (l - a) + 1

    Raises:
        InputError: fewer than two widths, a rank above the narrowest.

    Example:
        >>> learning_coefficient((2, 2, 2), rank=0)
        Degeneracy(llc=1.5, multiplicity=1)
    """
    _check(widths, rank)
    deficits = sorted(width - rank for width in widths)
    narrow = next(
        deficits[:n] for n in range(2, len(deficits) + 1) if _closed(deficits[:n], deficits[n:])
    )
    size, total = len(narrow) - 1, sum(narrow)  # l and S
    a = total - (math.ceil(total / size) - 1) * size
    pairs = (total**2 - sum(d**2 for d in narrow)) // 2
    regular = rank * (widths[0] + widths[-1]) - rank**2
    # 4 l lambda, a whole number: so no rounding enters before the division.
    quarters = 2 * size * (regular + pairs) + a * (size - a) - (size - 1) * total**2
    return Degeneracy(quarters / (4 * size), a * (size - a) + 1)


def degenerate_point(widths: Sequence[int], rank: int) -> list[Float[np.ndarray, "after before"]]:
    """W_1 ... W_L, each the identity of size r in its corner and zero elsewhere.

    Their product is the target A. Every other direction of every layer is zero, so the product
    vanishes there to order L.

    Raises:
        InputError: as `learning_coefficient`.
    """
    _check(widths, rank)
    return [_corner(after, before, rank) for before, after in itertools.pairwise(widths)]


def target(widths: Sequence[int], rank: int) -> Float[np.ndarray, "outputs inputs"]:
    """A [H_L, H_0], the identity of size r in its corner."""
    return _corner(widths[-1], widths[0], rank)


def two_layer_posterior(widths: Sequence[int], *, nbeta: float, localization: float) -> float:
    """n beta E[l] for two layers and A = 0: the exact value at finite n beta.

    The expectation is over exp(-n beta |W_2 W_1|^2/2 - gamma/2 |W|^2). W_2 integrates out row by
    row, which leaves det(gamma I + n beta W_1 W_1')^(-H_2/2). The k = min(H_0, H_1) squared
    singular values x of W_1 then have the density prod_i w(x_i) prod_{i<j} |x_i - x_j| with

        w(x) = x^((|H_1 - H_0| - 1)/2) e^(-gamma x/2) (gamma + n beta x)^(-H_2/2).

    Its integral is a Pfaffian (de Bruijn 1955) of

        A_ij = int int_{x < y} (x^i y^j - x^j y^i) w(x) w(y) dx dy,   i, j < k,

    bordered by int x^i w for odd k. The value is -d log Z / d log n beta = -tr(A^-1 dA)/2. The
    transposed network has the same value, so the side with fewer singular values is taken.

    Raises:
        InputError: another number of widths than three, n beta or gamma that are not positive.
    """
    if len(widths) != 3 or localization <= 0 or nbeta <= 0:
        raise InputError(
            f"widths {list(widths)}, nbeta={nbeta}, localization={localization}",
            expected="three widths, and a posterior that can be normalised",
        )
    _check(widths, 0)
    first, middle, last = min(widths, widths[::-1], key=lambda order: min(order[:2]))
    return _without_last(first, middle, last, nbeta, localization)


def plateau_posterior(
    widths: Sequence[int], singular_values: Sequence[float], *, nbeta: float, localization: float
) -> float:
    """n beta E[l] about a plateau of training: two layers that hold r singular values, teacher A_r.

    Trained from small weights a deep linear network stays near saddle after saddle, where it has
    learned the largest r singular values s of the target and nothing of the others (Saxe et al.
    2014). These are saddles of the loss, and minima of the loss with their own map A_r as teacher:
    W_1 = diag(sqrt s, 0) and W_2 likewise, up to rotations. There the product moves to first order
    in r (H_0 + H_2) - r^2 directions, with curvature s_i + s_j for a pair of learned values and s_i
    for a learned one and an input or output beyond them. The rest is the network of widths H - r
    about 0. So the value is

        sum 1/2 n beta h / (n beta h + gamma) + `two_layer_posterior` of the widths H - r

    up to terms of relative size gamma / (n beta s), which couple the two. With no value learned it
    is exact, and as n beta grows it tends to `learning_coefficient`.

    Raises:
        InputError: another number of widths than three; more values than the narrowest, or one that
            is not positive; n beta or gamma that are not positive.

    Example:
        >>> round(plateau_posterior((2, 2, 2), [1.0], nbeta=1e6, localization=1e-3), 1)
        2.0
        >>> learning_coefficient((2, 2, 2), rank=1)
        Degeneracy(llc=2.0, multiplicity=2)
    """
    s, rank = np.asarray(singular_values, np.float64), len(singular_values)
    if len(widths) != 3 or not (s > 0).all():
        raise InputError(
            f"widths {list(widths)} and singular values {list(singular_values)}",
            expected="three widths, and positive values",
        )
    _check(widths, rank)
    rest = [width - rank for width in widths]
    curvatures = np.concatenate([(s[:, None] + s).ravel(), np.repeat(s, rest[0] + rest[2])])
    regular = float(np.sum(nbeta * curvatures / (nbeta * curvatures + localization)) / 2)
    if min(rest) == 0:
        return regular
    return regular + two_layer_posterior(rest, nbeta=nbeta, localization=localization)


def _without_last(first: int, middle: int, last: int, nbeta: float, localization: float) -> float:
    """The value of `two_layer_posterior`, with W_2 [last, middle] integrated out."""
    k = min(first, middle)
    u = np.linspace(math.log(1400 / localization) - 60, math.log(1400 / localization), 20_001)
    x = np.exp(u)
    log_weight = (abs(middle - first) + 1) / 2 * u - localization / 2 * x  # with dx = x du
    log_weight -= last / 2 * np.log(localization + nbeta * x)
    slope = -last / 2 * nbeta * x / (localization + nbeta * x)  # d log w / d log n beta
    moments = np.exp(log_weight[None] + np.arange(k)[:, None] * u[None])
    # A scale of each row changes no derivative of log Z.
    moments /= np.sqrt(simpson(moments**2, x=u))[:, None]
    pfaffian, change = _bordered(moments, moments * slope[None], u)
    return float(-np.trace(np.linalg.solve(pfaffian, change)) / 2)


def _bordered(f, df, u):
    """De Bruijn's matrix of functions f_i(u), and its derivative where f changes by df.

    It has one row more for an odd number of functions.
    """
    below, dbelow = (cumulative_simpson(g, x=u, initial=0) for g in (f, df))

    def skew(inner, outer):
        half = np.asarray(simpson(inner[:, None] * outer[None], x=u))
        return half - half.T

    a, da = skew(below, f), skew(dbelow, f) + skew(below, df)
    if len(f) % 2 == 0:
        return a, da
    edge, dedge = (np.asarray(simpson(g, x=u))[:, None] for g in (f, df))
    return (np.block([[m, e], [-e.T, np.zeros((1, 1))]]) for m, e in ((a, edge), (da, dedge)))


def _closed(narrow: list[int], others: list[int]) -> bool:
    """Whether the deficits `narrow` are the set Z of `learning_coefficient`."""
    size, total = len(narrow) - 1, sum(narrow)
    return total >= size * narrow[-1] and all(d > narrow[-1] and total < size * d for d in others)


def _corner(rows: int, columns: int, rank: int) -> np.ndarray:
    return np.eye(rows, columns) * (np.arange(columns) < rank)


def _check(widths: Sequence[int], rank: int):
    if len(widths) < 2 or min(widths) < 1 or not 0 <= rank <= min(widths):
        raise InputError(
            f"widths {list(widths)} and rank {rank}",
            expected="two or more widths, a rank up to the narrowest",
        )
