"""A noisy curve as a Gaussian process in closed form: its mean, its slope, and draws of the slope.

Axes: K points of the curve, M points of a grid, R draws. x is where the points lie, y their values.

The kernel is Matérn's of smoothness 5/2 over a warped coordinate u, du/dx = 1/length(x). A smoother
one (RBF) rings beside sharp bends and is sure of it. Between points that lie far apart a short
length would let the process fall back to its mean and invent a peak or a valley, so that it is
never below `reach` times the gap between neighbours. Rasmussen & Williams (2006), chapters 2, 4.2
(kernels) and 9.4 (derivatives).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

# Of the scale: keeps the kernel's matrix invertible where the curve has no noise.
LEAST_NOISE = 1e-4


class Fit(NamedTuple):
    """A curve conditioned on its points. y = centre + scale f(u(x)) + noise, f of unit variance."""

    x: Float[np.ndarray, " K"]
    length: Float[np.ndarray, " K"]  # in units of x; linear in between
    centre: float
    scale: float
    factor: Float[np.ndarray, "K K"]  # lower Cholesky factor of kernel + noise
    weight: Float[np.ndarray, " K"]  # (kernel + noise)^-1 f
    noise: Float[np.ndarray, " K"]  # standard deviation in units of y


def fit(
    x: Float[np.ndarray, " K"],
    y: Float[np.ndarray, " K"],
    sem: Float[np.ndarray, " K"] | None,
    length: float,
    reach: float,
) -> Fit:
    """Conditions on y [K] at ascending x [K]; `sem` [K] is the noise's standard deviation.

    Without `sem` one noise for all points is estimated: the most likely one, by the marginal
    likelihood. Mean and variance of the curve are taken over x and not over points, so that they do
    not depend on where the points crowd.
    """
    gaps = np.diff(x)
    lengths = np.maximum(length, reach * np.maximum(np.r_[0.0, gaps], np.r_[gaps, 0.0]))
    share = np.r_[gaps, 0.0] + np.r_[0.0, gaps]
    centre = float(y[0] + np.average(y - y[0], weights=share))  # exact for a constant
    scale = float(np.sqrt(np.average((y - centre) ** 2, weights=share))) or 1.0
    f, u = (y - centre) / scale, warp(x, lengths, x)
    kernel = _kernel(u[:, None] - u[None])
    noise = np.full(len(x), _likeliest(kernel, f)) if sem is None else sem / scale
    noise = np.maximum(noise, LEAST_NOISE)
    factor = np.linalg.cholesky(kernel + np.diag(noise**2))
    weight = np.linalg.solve(factor.T, np.linalg.solve(factor, f))
    return Fit(x, lengths, centre, scale, factor, weight, noise * scale)


LENGTHS = (0.25, 0.5, 1.0, 2.0)  # that `likeliest` chooses from


def likeliest(x: np.ndarray, y: np.ndarray, sem: np.ndarray, reach: float = 1.5) -> Fit:
    """The fit of the length, among a few, that has the greatest marginal likelihood."""
    fits = [fit(x, y, sem, length, reach) for length in LENGTHS]
    return max(fits, key=lambda fitted: _log_evidence(fitted, y))


def _log_evidence(fitted: Fit, y: np.ndarray) -> float:
    """Up to a constant (Rasmussen & Williams 2006, equation 2.30)."""
    scaled = (y - fitted.centre) / fitted.scale
    return float(-scaled @ fitted.weight / 2 - np.log(np.diag(fitted.factor)).sum())


def warp(
    x: Float[np.ndarray, " K"], length: Float[np.ndarray, " K"], at: Float[np.ndarray, " M"]
) -> Float[np.ndarray, " M"]:
    """u(at) = integral of dx/length(x), length being linear between the x: exact within every
    segment."""
    rise = np.diff(length)
    flat = np.isclose(rise, 0)
    ratio = np.where(flat, 1.0, rise)
    whole = np.diff(x) * np.where(flat, 1 / length[:-1], np.log(length[1:] / length[:-1]) / ratio)
    before = np.r_[0.0, np.cumsum(whole)]
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    part = (at - x[k]) / np.diff(x)[k]
    local = 1 + part * rise[k] / length[k]
    inside = np.where(flat[k], part / length[k], np.log(np.maximum(local, 1e-12)) / ratio[k])
    return before[k] + np.diff(x)[k] * inside


def level(
    fitted: Fit, at: Float[np.ndarray, " M"]
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """The curve's posterior mean and standard deviation [M] at `at`, in units of y."""
    cross = _kernel(_apart(fitted, at))
    spread = np.linalg.solve(fitted.factor, cross.T)
    variance = np.maximum(1 - (spread**2).sum(0), 0)
    return fitted.centre + fitted.scale * (cross @ fitted.weight), fitted.scale * np.sqrt(variance)


def slope(
    fitted: Fit, at: Float[np.ndarray, " M"]
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, "M M"]]:
    """The slope's posterior mean [M] and covariance [M,M], in units of y per unit of x."""
    cross = _kernel_slope(_apart(fitted, at))
    u = warp(fitted.x, fitted.length, at)
    spread = np.linalg.solve(fitted.factor, cross.T)
    covariance = _slope_kernel(u[:, None] - u[None]) - spread.T @ spread
    per_x = fitted.scale / np.interp(at, fitted.x, fitted.length)
    return per_x * (cross @ fitted.weight), per_x[:, None] * covariance * per_x[None]


def draws(
    mean: Float[np.ndarray, " M"], covariance: Float[np.ndarray, "M M"], count: int, seed: int
) -> Float[np.ndarray, "R M"]:
    """R = `count` draws of a Gaussian vector. The covariance may be singular up to rounding."""
    jitter = 1e-9 * np.trace(covariance) / len(mean) + 1e-300
    for _ in range(8):
        try:
            factor = np.linalg.cholesky(covariance + jitter * np.eye(len(mean)))
            break
        except np.linalg.LinAlgError:
            jitter *= 10
    return mean[None] + np.random.default_rng(seed).standard_normal((count, len(mean))) @ factor.T


def _apart(fitted: Fit, at: np.ndarray) -> np.ndarray:
    """u(grid) - u(points) [M,K]."""
    u, points = (warp(fitted.x, fitted.length, where) for where in (at, fitted.x))
    return u[:, None] - points[None]


def _kernel(d: np.ndarray) -> np.ndarray:
    """Covariance of f(u + d) and f(u)."""
    r = np.sqrt(5) * np.abs(d)
    return (1 + r + r**2 / 3) * np.exp(-r)


def _kernel_slope(d: np.ndarray) -> np.ndarray:
    """Covariance of f'(u + d) and f(u): the kernel's first derivative."""
    r = np.sqrt(5) * np.abs(d)
    return -5 / 3 * d * (1 + r) * np.exp(-r)


def _slope_kernel(d: np.ndarray) -> np.ndarray:
    """Covariance of f'(u + d) and f'(u): minus the kernel's second derivative."""
    r = np.sqrt(5) * np.abs(d)
    return 5 / 3 * (1 + r - r**2) * np.exp(-r)


def _likeliest(kernel: np.ndarray, f: np.ndarray) -> float:
    """The noise's standard deviation of greatest marginal likelihood, among fifty a factor 1.2
    apart."""
    values, vectors = np.linalg.eigh(kernel)
    square = (vectors.T @ f) ** 2
    grid = LEAST_NOISE * 1.2 ** np.arange(51)
    total = np.maximum(values, 0)[None] + grid[:, None] ** 2
    return float(grid[np.argmin((square[None] / total + np.log(total)).sum(1))])
