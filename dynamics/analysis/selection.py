"""How rare a difference is when the steps that it is taken between were picked from the data.

A step that is picked because it is lowest is low by chance, too, and of many differences one is
large by chance. Both corrections give back a number of standard errors: as many as a difference
between steps named beforehand, of known error, would have to be long to be as rare.

Axes: n sources of error. "count" is the number of steps or differences that were looked at.
"""

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from scipy.special import log_ndtr, ndtri, stdtr, stdtridf, stdtrit
from scipy.stats import chi

from dynamics.errors import InputError

_MOST_DF = 2000.0  # beyond it Student's t is normal to three digits at any length that matters
_LOG_SCALES = np.linspace(-14.0, 2.0, 4001)  # ln s of an estimated error, in true errors


def picked_extreme(ratio: float, df: float, count: int) -> float:
    """Standard errors of a difference between a fixed step and the most extreme of `count` others.

    Of steps that are all alike the extreme one lies at most max_k z_k errors away, z_k normal, and
    its own estimated error s is independent of that, so that P(max_k z_k / s > ratio) is how rare
    the difference is: the studentised maximum (Hochberg & Tamhane 1987, "Multiple Comparison
    Procedures", appendix 3). Steps whose errors go together are fewer in effect (Slepian 1962), and
    less would do for them.

    Args:
        ratio: the difference in its own standard errors, in the direction of the picking.
        df: degrees of freedom of that standard error.
        count: steps that were looked at; 1 is Student's t.

    Returns:
        At most `ratio`; 0 where chance gives as much more often than not; NaN for a NaN.

    Raises:
        InputError: no step, or less than one degree of freedom.

    Example:
        >>> f"{picked_extreme(5.0, 30.0, 1):.1f} {picked_extreme(5.0, 30.0, 11):.1f}"
        '4.2 3.7'
    """
    _check(df, count)
    if not np.isfinite(ratio):
        return float(ratio)
    scale, df = np.exp(_LOG_SCALES), min(df, _MOST_DF)
    density = chi.pdf(scale * np.sqrt(df), df) * np.sqrt(df) * scale
    exceeds = -np.expm1(count * log_ndtr(ratio * scale))
    # the ends of the range have no mass, so that a plain sum is the integral
    return _errors(float(np.sum(density * exceeds)) * (_LOG_SCALES[1] - _LOG_SCALES[0]), ratio)


def one_of_many(ratio: float, df: float, count: int) -> float:
    """Standard errors of one difference among `count` that are all looked at (Bonferroni).

    Differences may depend on one another in any way. Arguments, return and errors are those of
    `picked_extreme`, which is stricter on none and milder where degrees of freedom are few.

    Example:
        >>> f"{one_of_many(5.0, 30.0, 1):.1f} {one_of_many(5.0, 30.0, 11):.1f}"
        '4.2 3.7'
    """
    _check(df, count)
    if not np.isfinite(ratio):
        return float(ratio)
    return _errors(count * float(stdtr(min(df, _MOST_DF), -ratio)), ratio)


def mixed_df(variances: Float[npt.ArrayLike, " n"], free: Float[npt.ArrayLike, " n"]) -> float:
    """Degrees of freedom of a sum of n independent variances, each with its own.

    Satterthwaite's (1946) are too many where a source of two looks small by chance (on a flat curve
    of three seeds `picked_extreme` would say 3 errors in .03). The squared 99 % quantile is here
    the mean of that on Satterthwaite's and of the sources' own by their shares of the variance
    (Graybill & Wang 1980).

    Example:
        >>> mixed_df([1.0, 0.0], [2.0, 9.0]), round(mixed_df([1.0, 1.0], [9.0, 9.0]), 1)
        (2.0, 11.7)
    """
    variances, free = np.asarray(variances, np.float64), np.asarray(free, np.float64)
    shares = variances / variances.sum()
    satterthwaite = 1 / (shares**2 / free).sum()
    own = (shares * stdtrit(free, 0.995) ** 2).sum()
    limit = np.sqrt((stdtrit(satterthwaite, 0.995) ** 2 + own) / 2)
    return float(np.clip(stdtridf(0.995, limit), free.min(), satterthwaite))


def _errors(probability: float, ratio: float) -> float:
    """The one-sided normal length of a probability, never beyond the ratio itself."""
    length = -float(ndtri(min(probability, 0.5))) if probability > 0 else np.inf
    return min(length, max(float(ratio), 0.0))


def _check(df: float, count: int) -> None:
    if count < 1 or not df >= 1:
        raise InputError(
            f"{count} steps and {df} degrees of freedom", expected="one or more of both"
        )
