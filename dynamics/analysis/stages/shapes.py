"""Straight ramps with tapers about a pause, and how well they fit a stretch of a curve.

Axes: L checkpoints; P pauses; S shapes of one side, which are widths of a taper times its forms.

The slope of a curve goes within a taper from that of a ramp to that of the pause, linearly or as
half a period of a cosine. Levels, slopes of the ramps and the pause's own slope follow by least
squares; the last has a normal prior. The noise's variance is integrated out (Student's t).
"""

import numpy as np

from dynamics.analysis.stages.noise import Noise

FORMS = 2  # linear and cosine
WRONG = 50.0  # taken off the log posterior where a ramp has the wrong sign
WELL_KNOWN = 0.1  # spread of the logarithm of a noise that is well known
LINEAR = 5  # numbers that least squares and the shapes take


def ramps(beyond: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """[P, S, L] of slopes that grow from 0 to 1 within a width [S / 2] of a place.

    `beyond` [P, L] is how far beyond the place each checkpoint lies.
    """
    beyond = np.maximum(beyond, 0)[:, None, None]
    width = np.maximum(widths, 1e-9)[:, None, None]
    part = np.minimum(beyond / width, 1)
    tapers = np.concatenate([part**2, part - np.sin(np.pi * part) / np.pi], axis=2) * width / 2
    whole = tapers + np.maximum(beyond - width, 0)
    return whole.reshape(len(beyond), -1, beyond.shape[-1])


def log_likelihood(x, y, noise: Noise, steepness: float, before, after, ups) -> np.ndarray:
    """[P, S, S'] of y [L] for ramps `before` [P, S, L] and `after` [P, S', L] of the signs `ups`.

    `steepness` is the standard deviation of the pause's slope, in units of y per unit of x.
    """
    base = np.stack([np.ones(len(x)), x - x.mean()])
    rows = [_whitened(part, noise) for part in (y - y.mean(), base, before, after)]
    # A prior is one more observation.
    rows = [np.concatenate([part, np.zeros((*part.shape[:-1], 1))], -1) for part in rows]
    rows[1][1, -1] = 1 / steepness
    basis = np.linalg.qr(rows[1].T)[0]
    target, left, right = (part - (part @ basis) @ basis.T for part in (rows[0], *rows[2:]))
    a, b, c = (left**2).sum(-1)[..., None], left @ right.mT, (right**2).sum(-1)[..., None, :]
    u, v = (left @ target)[..., None], (right @ target)[..., None, :]
    tiny = 1e-9 * (1 + a.max() + c.max())
    a, c = a + tiny, c + tiny
    determinant = np.maximum(a * c - b**2, tiny**2)
    first, second = (c * u - b * v) / determinant, (a * v - b * u) / determinant
    misfit = np.maximum(target @ target - first * u - second * v, 0)
    prior = _prior(noise)
    value = -(prior + _freedom(len(x))) / 2 * np.log1p(misfit / prior)
    return value - WRONG * ((first * ups[0] < 0) | (second * ups[1] < 0))


def mean_square(value: float, count: int, noise: Noise) -> float:
    """What a fit with this log likelihood leaves, in units of the noise's variance."""
    prior = _prior(noise)
    misfit = prior * np.expm1(-2 * value / (prior + _freedom(count)))
    return float(misfit / _freedom(count))


def acceptable(count: int, noise: Noise) -> float:
    """The mean square that noise leaves of `count` checkpoints, two standard deviations up.

    Where the noise itself is not well known, about one standard deviation of its logarithm more.
    """
    return float(
        (1 + 2 * np.sqrt(2 / _freedom(count))) * np.exp(2 * max(noise.log_spread - WELL_KNOWN, 0))
    )


def _freedom(count: int) -> int:
    return max(count - LINEAR, 1)


def _prior(noise: Noise) -> float:
    """How many observations would tell the noise's variance as well as it is known."""
    return float(np.clip(0.5 / max(noise.log_spread, 1e-3) ** 2, 2, 10))


def _whitened(part: np.ndarray, noise: Noise) -> np.ndarray:
    """Rows [..., L] over the noise, which is then white and of variance 1."""
    scaled = part / noise.sd
    if noise.correlation == 0:
        return scaled
    fresh = np.sqrt(1 - noise.correlation**2)
    later = (scaled[..., 1:] - noise.correlation * scaled[..., :-1]) / fresh
    return np.concatenate([scaled[..., :1], later], -1)
