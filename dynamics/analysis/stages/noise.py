"""How far a checkpoint's value scatters about a curve that nobody knows.

Axes: K checkpoints, H hyperparameters. x = ln(step + 1), in e-folds.

The curve is an integrated Wiener process, y = f + sigma a: f'' is white noise of density q^2, a is
AR(1) noise of variance 1 and correlation rho from checkpoint to checkpoint. (sigma, q, rho) have a
prior, stated at `_log_prior`; their likelihood comes from a Kalman filter run for all of a grid at
once (Durbin & Koopman 2012, chapters 4.3 and 7.2). A step that no smooth curve would take is a jump
of the level and teaches nothing of the noise.

Stated errors are a prior for sigma and no more: chains that share their noise from checkpoint to
checkpoint state errors that neighbours have in common, which scatter shows, and training wiggles by
more than the error of a measurement.
"""

from typing import NamedTuple

import numpy as np

CORRELATIONS = (0.0, 0.4, 0.7, 0.9)
# Prior: of rho = 0, and of a jump at a checkpoint.
WHITE, JUMP = 0.7, 0.01
# Prior of sigma where none is stated, as share of the range: its median, and the spread of its log.
USUAL, SPREAD = 0.004, 1.5
STATED_SPREAD = 0.5  # of log(sigma / stated): a Cauchy distribution's scale
LEAST = 1e-5  # of the range: keeps weights finite where a curve has no noise


class Noise(NamedTuple):
    """The noise of single checkpoints."""

    sd: np.ndarray  # [K], in the unit of y
    correlation: float  # between neighbours
    log_spread: float  # posterior standard deviation of log(sd)


def estimate(x: np.ndarray, y: np.ndarray, stated: np.ndarray | None) -> Noise:
    """The noise of y [K] at ascending x [K], with stated errors [K] or without.

    Its profile over checkpoints is that of the stated errors or constant, whichever is likelier.
    """
    span = float(np.ptp(y))
    scaled = (y - y.mean()) / span
    profiles = [np.ones(len(x))]
    middle = None
    if stated is not None:
        relative = np.maximum(stated / span, LEAST)
        middle = float(np.exp(np.mean(np.log(relative))))
        if np.ptp(np.log(relative)) > 0.2:
            profiles.append(relative / middle)
    fits = [_fit(x, scaled, profile, middle) for profile in profiles]
    best = max(range(len(fits)), key=lambda k: fits[k][0])
    _, level, correlation, spread = fits[best]
    return Noise(span * level * profiles[best], correlation, spread)


def _fit(x, y, profile, stated: float | None):
    """Log evidence of a profile, and at its likeliest correlation the noise's level and spread."""
    levels = LEAST * 1.5 ** np.arange(27)
    roughness = 0.02 * 2.0 ** np.arange(10)
    level, q, rho = (
        grid.ravel() for grid in np.meshgrid(levels, roughness, CORRELATIONS, indexing="ij")
    )
    log_posterior = _log_likelihood(x, y, profile, level, q, rho) + _log_prior(level, rho, stated)
    weight = np.exp(log_posterior - log_posterior.max())
    shape = len(levels), len(roughness), len(CORRELATIONS)
    by_level = weight.reshape(shape).sum(1)
    k = int(by_level.sum(0).argmax())
    share = by_level[:, k] / by_level[:, k].sum()
    middle = share @ np.log(levels)
    spread = float(np.sqrt(share @ (np.log(levels) - middle) ** 2))
    evidence = float(np.log(weight.sum()) + log_posterior.max())
    return evidence, float(np.exp(middle)), CORRELATIONS[k], spread


def _log_prior(level, rho, stated: float | None):
    """Of log(level) and rho; log(q) is uniform over its grid."""
    colour = np.log(np.where(rho == 0, WHITE, (1 - WHITE) / (len(CORRELATIONS) - 1)))
    if stated is None:
        return colour - (np.log(level / USUAL) / SPREAD) ** 2 / 2
    return colour - np.log1p((np.log(level / stated) / STATED_SPREAD) ** 2)


def _log_likelihood(x, y, profile, level, q, rho):
    """[H] of y under each (level, q, rho) [H]. The state is (f, f', a)."""
    count = len(level)
    f, v, a = np.full(count, y[0]), np.zeros(count), np.zeros(count)
    # Covariance of the state before the first checkpoint: broad in f and f'.
    ff, fv, vv = np.full(count, 1.0), np.zeros(count), np.full(count, 1.0)
    fa, va, aa = np.zeros(count), np.zeros(count), np.ones(count)
    total, q2, fresh = np.zeros(count), q**2, 1 - rho**2
    jump_log = np.log(JUMP)  # a jump's size is uniform over the range, which is 1
    for k in range(len(x)):
        if k:
            h = x[k] - x[k - 1]
            f = f + h * v
            ff = ff + 2 * h * fv + h**2 * vv + q2 * h**3 / 3
            fv = fv + h * vv + q2 * h**2 / 2
            vv = vv + q2 * h
            fa, va = rho * (fa + h * va), rho * va
            a, aa = rho * a, rho**2 * aa + fresh
        sigma = level * profile[k]
        surprise = y[k] - f - sigma * a
        hf, hv, ha = ff + sigma * fa, fv + sigma * va, fa + sigma * aa
        variance = hf + sigma * ha
        log_density = -(surprise**2 / variance + np.log(2 * np.pi * variance)) / 2
        jumps = log_density < jump_log
        if k and jumps.any():
            log_density = np.where(jumps, jump_log, log_density)
            extra = np.where(jumps, surprise**2, 0)
            ff, hf, variance = ff + extra, hf + extra, variance + extra
        total += log_density
        gf, gv, ga = hf / variance, hv / variance, ha / variance
        f, v, a = f + gf * surprise, v + gv * surprise, a + ga * surprise
        ff, fv, vv = ff - gf * hf, fv - gf * hv, vv - gv * hv
        fa, va, aa = fa - gf * ha, va - gv * ha, aa - ga * ha
    return total
