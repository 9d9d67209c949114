"""What chains would find on a quadratic landscape: the part of an LLC that the Hessian tells.

Axes: P free weights, N probes, K nodes of a probe, M nodes of the slope, T draws after the burn-in.

On l = sum_i c_i u_i + h_i u_i^2 / 2 a Langevin chain is Gaussian at every step, so the estimate of
chains of finite length is known in closed form, direction by direction. Summed over the eigenvalues
of a checkpoint's Hessian it is what `estimate_llc` would give if the loss had no more than a
gradient and a Hessian. What an estimate has beyond it, its excess, is what the chains found that
the Hessian does not tell.

Where n beta h << gamma in all but a few directions the reference is n beta tr H / (2 gamma): the
pull has decided it, and `QuadraticReference.pull_exponent` is near -1.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float, Float64

from dynamics.errors import InputError
from dynamics.measures.curvature import SpectralDensity
from dynamics.slt.samplers.base import Constants, Sampler

_CHUNK = 2**22  # numbers of draws times nodes that are held at once


class Slope(NamedTuple):
    """The gradient at w*, seen by the Hessian's eigenvectors: sum c^2 f(h) = sum squares f(nodes).

    Either each eigenvalue with its squared component, or the nodes and weights of Gauss's rule from
    Lanczos started at the gradient, times |gradient|^2.
    """

    nodes: Float64[np.ndarray, " M"]
    squares: Float64[np.ndarray, " M"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuadraticReference:
    """What a quadratic landscape would give at a sampler's settings; dimensionless.

    Attributes:
        llc: the chains' expected estimate, the slope's part included.
        sem: standard error over the spectrum's probes; 0 for exact eigenvalues, nan for one probe.
        slope: the part of `llc` that the gradient at w* makes, 0 or negative for upward curvature.
        pull_exponent: log2 of what twice gamma makes of `llc`: about -1 where the pull decides the
            value, 0 where the landscape does; nan where either is not above 0.
        pull_exponent_sem: its standard error over probes.
        unconfined: directions in which n beta h + gamma <= 0. No posterior exists there, and chains
            leave until the loss is quadratic no more.
        smallest: the lowest curvature h of the spectrum.
        largest: the highest.
    """

    llc: float
    sem: float
    slope: float
    pull_exponent: float
    pull_exponent_sem: float
    unconfined: float
    smallest: float
    largest: float


def quadratic_llc(
    spectrum: Float[ArrayLike, " P"] | SpectralDensity,
    sampler: Sampler,
    num_data: int,
    slope: Slope | None = None,
) -> QuadraticReference:
    """The estimate that `sampler` would make on a quadratic with this Hessian.

    Chains with whole-data batches: minibatch noise adds to what they find. Langevin samplers follow
    the closed form draw by draw; SGNHT is taken as relaxed at its first draw. Source: the finite
    chain of `exact_values.quadratic_chain`.

    Args:
        spectrum: eigenvalues h of the Hessian at w*, in the sampler's units and over the weights
            that it moves; or their density.
        sampler: the settings of the chains.
        num_data: N, the items that batches are drawn from; it decides n beta where the sampler
            leaves that open.
        slope: the gradient at w*; by default none.

    Raises:
        InputError: a sampler without a closed form (a box, a preconditioner); eigenvalues that are
            not finite or none; a stiffest direction that is unstable.

    Example:
        >>> from dynamics import slt
        >>> sampler = slt.SGLD(
        ...     step_size=1e-3, nbeta=100.0, localization=1.0,
        ...     num_chains=4, num_draws=2500, burn_in=500
        ... )
        >>> reference = quadratic_llc([0.1, 1.0, 10.0], sampler, num_data=100)
        >>> round(reference.llc, 4), round(reference.pull_exponent, 3)
        (1.6298, -0.039)
    """
    nodes, weights, exact = _quadrature(spectrum)
    constants = sampler.constants(num_data)
    _check_closed_form(sampler, constants, float(nodes.max()))
    doubled = constants._replace(localization=2 * constants.localization)
    slope_llc, slope_doubled = (_slope_llc(sampler, c, slope) for c in (constants, doubled))
    per_probe = _sums(sampler, constants, nodes, weights) + slope_llc
    per_probe_doubled = _sums(sampler, doubled, nodes, weights) + slope_doubled
    exponent, exponent_sem = pull_exponent(per_probe, per_probe_doubled, exact=exact)
    unconfined = (weights * (constants.nbeta * nodes + constants.localization <= 0)).sum(1)
    seen = nodes[weights > 0]
    return QuadraticReference(
        llc=float(per_probe.mean()),
        sem=0.0 if exact else _sem(per_probe),
        slope=slope_llc,
        pull_exponent=exponent,
        pull_exponent_sem=exponent_sem,
        unconfined=float(unconfined.mean()),
        smallest=float(seen.min()),
        largest=float(seen.max()),
    )


def pull_exponent(
    values: Float[ArrayLike, " N"], doubled: Float[ArrayLike, " N"], *, exact: bool = False
) -> tuple[float, float]:
    """d ln llc / d ln gamma as the secant from gamma to 2 gamma, and its standard error.

    Args:
        values, doubled: repeats of the estimate at gamma and, each with the same randomness, at
            twice gamma.
        exact: whether a lone repeat has no error.

    Returns:
        (log2(mean doubled / mean value), its error by the delta method over paired repeats); nan
        where a mean is not above 0, since a logarithm needs that.

    Example:
        >>> exponent, sem = pull_exponent([4.0, 4.2, 3.8], [2.0, 2.1, 1.9])
        >>> round(exponent, 3), round(sem, 3)
        (-1.0, 0.0)
    """
    values, doubled = np.asarray(values, np.float64), np.asarray(doubled, np.float64)
    first, second = values.mean(), doubled.mean()
    if not (first > 0 and second > 0):
        return math.nan, math.nan
    relative = doubled / second - values / first  # of each repeat, around 0
    error = 0.0 if exact else _sem(relative) / math.log(2)
    return float(np.log2(second / first)), error


def _sem(values: np.ndarray) -> float:
    if len(values) < 2:
        return math.nan
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _quadrature(spectrum) -> tuple[np.ndarray, np.ndarray, bool]:
    """(nodes [N,K], weights [N,K] that sum to P, whether they are the eigenvalues themselves)."""
    if isinstance(spectrum, SpectralDensity):
        nodes, weights, exact = spectrum.nodes, spectrum.weights * spectrum.dimension, False
    else:
        nodes = np.asarray(spectrum, np.float64)[None]
        weights, exact = np.ones(nodes.shape), True
    if nodes.ndim != 2 or not nodes.size or not np.isfinite(nodes).all():
        raise InputError(
            f"a spectrum of shape {nodes.shape[1:] if exact else nodes.shape}",
            expected="finite eigenvalues [P], or their density",
        )
    return nodes, weights, exact


def _check_closed_form(sampler: Sampler, constants: Constants, largest: float):
    """Raises InputError where a quadratic has no closed form under the sampler."""
    if sampler.box is not None:
        raise InputError(
            f"a sampler with box={sampler.box}",
            expected="chains without walls, which a quadratic has a closed form for",
        )
    product = constants.step_size * (constants.nbeta * largest + constants.localization)
    factor = sampler.bias_factor(product)
    if math.isnan(factor):
        raise InputError(
            f"a {type(sampler).__name__}, whose preconditioner follows the loss",
            expected="SGLD, MALA or SGNHT, which a quadratic has a closed form for",
        )
    if math.isinf(factor):
        raise InputError(
            f"step_size={constants.step_size:g} with epsilon (n beta h + gamma) = {product:.3g} in "
            "the stiffest direction",
            expected="less than 4, or chains diverge",
        )


def _sums(sampler: Sampler, constants: Constants, nodes, weights) -> np.ndarray:
    """[N] sum over nodes of weight times n beta h E[u^2] / 2, without slope."""
    flat = nodes.ravel()
    values = 0.5 * constants.nbeta * flat * _mean_variance(sampler, constants, flat)
    return (weights * values.reshape(nodes.shape)).sum(1)


def _slope_llc(sampler: Sampler, constants: Constants, slope: Slope | None) -> float:
    """What a gradient adds: sum c^2 times n beta (m + h m^2 / 2) for the mean offset m per c."""
    if slope is None:
        return 0.0
    h = np.asarray(slope.nodes, np.float64)
    mean, square = _mean_offset(sampler, constants, h)
    return float(np.sum(slope.squares * constants.nbeta * (mean + h * square / 2)))


def _draws(sampler: Sampler) -> np.ndarray:
    """[T,1] steps after which the draws that count are recorded."""
    return (np.arange(sampler.burn_in, sampler.num_draws) * sampler.thinning)[:, None]


def _mean_variance(sampler: Sampler, constants: Constants, h: np.ndarray) -> np.ndarray:
    """[K] E[u^2] along directions of curvature h, mean over draws."""

    def of(h):
        a = constants.nbeta * h + constants.localization
        rho = sampler.contraction(constants.step_size * a)
        return (constants.step_size * _geometric(rho**2, _draws(sampler))).mean(0) * _excess_width(
            sampler, constants, a, rho
        )

    return _chunked(of, h, sampler)


def _excess_width(sampler: Sampler, constants: Constants, a, rho) -> np.ndarray:
    """Variance of the sampler in the long run, over epsilon / (1 - rho^2); 1 for Langevin steps."""
    product = constants.step_size * a
    confined = (a > 0) & (product < 4)
    safe = np.where(confined, product, 1.0)
    factor = np.array([sampler.bias_factor(float(p)) for p in safe])
    shrink = np.where(confined, 1 - rho**2, 1.0)
    return np.where(confined, factor * shrink / safe, 1.0)


def _mean_offset(sampler: Sampler, constants: Constants, h: np.ndarray):
    """([K] mean of m_t, [K] mean of m_t^2) per unit of slope: m_t = -n beta (1 - rho^t) / a."""
    a = constants.nbeta * h + constants.localization
    rho = sampler.contraction(constants.step_size * a)
    lengths = _geometric(rho, _draws(sampler))  # [T,K]; (1 - rho^t) / (1 - rho)
    flat = np.abs(a) * constants.step_size < 1e-12
    reach = np.where(flat, constants.step_size / 2, (1 - rho) / np.where(flat, 1.0, a))
    offset = -constants.nbeta * reach * lengths
    return offset.mean(0), np.square(offset).mean(0)


def _geometric(ratio: np.ndarray, count: np.ndarray) -> np.ndarray:
    """sum_{s < count} ratio^s, [T,K], exact near ratio = 1."""
    near = np.abs(1 - ratio) < 1e-9
    away = np.where(near, 0.5, ratio)
    positive = np.where(away > 0, away, 1.0)
    power = np.where(away > 0, np.expm1(count * np.log(positive)), away**count - 1)
    return np.where(near, count, power / (away - 1))


def _chunked(function, h: np.ndarray, sampler: Sampler) -> np.ndarray:
    size = max(1, _CHUNK // (sampler.num_draws - sampler.burn_in))
    return np.concatenate([function(h[k : k + size]) for k in range(0, len(h), size)])
