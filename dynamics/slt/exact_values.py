"""Exact values that an estimator of the local learning coefficient can be held to.

Axes: d weights, T draws of a chain, C chains. NumPy and SciPy, float64.

All are values of n beta (E[l(w)] - l(w*)) with w* = 0, at finite n beta and gamma. So none is the
learning coefficient itself: they tend to it as n beta grows, slowly where the multiplicity is above
1. Functions called *_posterior take the expectation over exp(-n beta l(w) - gamma/2 |w|^2), which
MALA and every sampler without a step-size bias must reproduce. Those called *_sgld and *_chain give
what SGLD itself gives at a finite step, and hold without any allowance. Deep linear networks have
a file of their own, `deep_linear`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import chex
import numpy as np
from jaxtyping import ArrayLike, Float
from scipy import special

from dynamics.errors import InputError

_UNDERFLOW = 700.0  # float64 holds exp(-700) and hardly less


class ChainValue(NamedTuple):
    """What C chains of finite length estimate: the expectation and its standard deviation."""

    mean: float
    sem: float


def quadratic_posterior(
    h: Float[ArrayLike, " d"],
    slope: Float[ArrayLike, " d"] | float = 0.0,
    *,
    nbeta: float,
    localization: float,
) -> float:
    """The posterior's value on l = sum_i c_i w_i + h_i w_i^2 / 2.

    With a = n beta h + gamma the posterior is Gaussian, of mean -n beta c/a and variance 1/a. So
    each direction gives n beta h/(2a) - (n beta c)^2/a (1 - n beta h/(2a)), which is negative off a
    minimum.

    Args:
        h: [d] curvatures.
        slope: c, [d] or one number.
        nbeta, localization: n beta and gamma.

    Raises:
        InputError: a direction that is not confined, a <= 0.

    Example:
        >>> round(quadratic_posterior([0.1, 1.0, 10.0], nbeta=100.0, localization=1.0), 4)
        1.4491
    """
    return quadratic_sgld(h, slope, nbeta=nbeta, localization=localization, step_size=0.0)


def quadratic_sgld(
    h: Float[ArrayLike, " d"],
    slope: Float[ArrayLike, " d"] | float = 0.0,
    *,
    nbeta: float,
    localization: float,
    step_size: float,
) -> float:
    """The value of stationary SGLD on the quadratic of `quadratic_posterior`.

    The step is w' = (1 - epsilon a/2) w - epsilon n beta c/2 + sqrt(epsilon) eta. Its variance is
    1/(a (1 - epsilon a/4)); its mean is the posterior's.

    Raises:
        InputError: a direction that is not confined, or not stable: epsilon a >= 4.
    """
    curvature, c, a = _directions(h, slope, nbeta, localization, step_size)
    variance, mean = 1 / (a * (1 - step_size * a / 4)), -nbeta * c / a
    return float(np.sum(nbeta * (c * mean + curvature / 2 * (mean**2 + variance))))


def quadratic_chain(
    h: Float[ArrayLike, " d"],
    slope: Float[ArrayLike, " d"] | float = 0.0,
    *,
    nbeta: float,
    localization: float,
    step_size: float,
    num_draws: int,
    burn_in: int = 0,
    thinning: int = 1,
    num_chains: int = 1,
) -> ChainValue:
    """Mean and error of SGLD chains that start at w* = 0 on the quadratic; both are exact.

    The chains are those of `SGLD` with whole-data batches. After t steps w is Gaussian with mean
    m_t = m (1 - rho^t) and variance v_t = v (1 - rho^2t), rho = 1 - epsilon a/2, and Cov(w_s, w_t)
    = rho^(t-s) v_s for t >= s. With z = w - m_t the loss is (c + h m_t) z + h z^2/2 + constant. So
    losses have the covariance (c + h m_s)(c + h m_t) Cov(w_s, w_t) + h^2/2 Cov(w_s, w_t)^2
    (Isserlis), which is summed here in closed form over t. For long chains without slope, sem^2
    tends to sum (n beta h v)^2/2 (1 + rho^2)/(1 - rho^2)/(T C).

    Raises:
        InputError: a direction that is not confined, or not stable.
    """
    curvature, c, a = (x[None] for x in _directions(h, slope, nbeta, localization, step_size))
    rho, limit = (1 - step_size * a / 2), -nbeta * c / a
    drawn = np.arange(burn_in, num_draws)[:, None]  # [T,1], against directions [1,d]
    decay, stride = rho ** (thinning * drawn), rho**thinning
    mean, variance = limit * (1 - decay), (1 - decay**2) / (a * (1 - step_size * a / 4))
    value = c * mean + curvature / 2 * (mean**2 + variance)
    remaining = drawn[-1] - drawn  # draws still to come
    slope_at, slope_end = c + curvature * mean, c + curvature * limit
    later = slope_end * _powers(stride, remaining)
    later = later - curvature * limit * decay * _powers(stride**2, remaining)
    linear = slope_at * variance * (slope_at + 2 * later)
    square = curvature**2 / 2 * variance**2 * (1 + 2 * _powers(stride**2, remaining))
    spread = np.sum(linear + square) / len(drawn) ** 2
    return ChainValue(
        mean=float(nbeta * value.mean(axis=0).sum()),
        sem=float(nbeta * math.sqrt(spread / num_chains)),
    )


def powers_posterior(
    exponents: Sequence[float], *, nbeta: float, localization: float = 0.0
) -> float:
    """The posterior's value on l = sum_i |w_i|^p_i, by quadrature.

    Without localization it is sum_i 1/p_i at every n beta.
    """
    return sum(monomial_posterior([p], nbeta=nbeta, localization=localization) for p in exponents)


def monomial_posterior(exponents: Sequence[float], *, nbeta: float, localization: float) -> float:
    """The posterior's value on l = prod_i |w_i|^p_i, of one or two weights.

    Its lambda is 1/max p, and its multiplicity is the number of exponents that reach the maximum.
    With w_i = e^{u_i} the integrands are analytic in u; they vanish doubly exponentially above and
    exponentially below. So the trapezoid rule converges exponentially (Trefethen & Weideman 2014,
    section 5). One weight allows gamma = 0.

    Raises:
        InputError: another number of weights, exponents that are not positive, a posterior that
            cannot be normalised.
    """
    p, d = np.asarray(exponents, np.float64), len(exponents)
    if d not in (1, 2) or not (p > 0).all():
        raise InputError(f"exponents {list(exponents)}", expected="one or two positive numbers")
    _check(nbeta, localization, confined=localization > 0 or d == 1)
    # Above the end of the grid the weight underflows: by the pull, or by the loss of one weight.
    by_pull = [math.log(2 * _UNDERFLOW / localization) / 2] if localization else []
    by_loss = [math.log(_UNDERFLOW / nbeta) / p[0]] if d == 1 else []
    end = min([*by_pull, *by_loss])
    u = np.linspace(end - 42, end, 3000 if d == 1 else 800)
    grids = np.meshgrid(*[u] * d, indexing="ij")
    height = nbeta * np.exp(sum(q * grid for q, grid in zip(p, grids, strict=True)))
    log_weight = sum(grids) - height - localization / 2 * sum(np.exp(2 * grid) for grid in grids)
    weight = np.exp(log_weight - log_weight.max())
    return float(np.sum(weight * height) / np.sum(weight))


def crossing_posterior(*, nbeta: float, localization: float) -> float:
    """The posterior's value on l = (w_1 w_2)^2, in Bessel functions.

    It is 1/2 + z (1 - K_1(z)/K_0(z)) with z = gamma^2/(8 n beta). Integrating out w_2 and then
    w_1^2 = gamma (cosh t - 1)/(2 n beta) gives Z ~ (n beta)^(-1/2) e^z K_0(z), and the value is
    -d log Z / d log n beta. It tends to lambda = 1/2 like 1/2 - 1/log(1/z), since the multiplicity
    is 2.

    Raises:
        InputError: a posterior that cannot be normalised, gamma = 0.
    """
    _check(nbeta, localization, confined=localization > 0)
    z = localization**2 / (8 * nbeta)
    return 0.5 + z * (1 - float(special.k1e(z) / special.k0e(z)))


def _powers(ratio, count):
    """sum_{k=1}^{count} ratio^k for |ratio| < 1."""
    return ratio * (1 - ratio**count) / (1 - ratio)


def _directions(h, slope, nbeta: float, localization: float, step_size: float):
    """(h, c, a), each [d].

    Raises:
        InputError: a direction that is not confined or not stable.
        AssertionError: curvatures that are no vector. A matrix would count each of its entries.
    """
    curvature = np.atleast_1d(np.asarray(h, np.float64))
    chex.assert_rank(curvature, 1)
    c = np.broadcast_to(np.asarray(slope, np.float64), curvature.shape)
    a = nbeta * curvature + localization
    _check(nbeta, localization, confined=bool((a > 0).all()))
    if (step_size * a >= 4).any():
        raise InputError(
            f"step_size {step_size} with a = {a.max():.4g}",
            expected="epsilon a < 4, or chains diverge",
        )
    return curvature, c, a


def _check(nbeta: float, localization: float, *, confined: bool):
    """Raises InputError for a posterior that cannot be normalised."""
    if not (0 < nbeta < math.inf and 0 <= localization < math.inf and confined):
        raise InputError(
            f"nbeta={nbeta}, localization={localization}",
            expected="a posterior that can be normalised",
        )
