"""Continuous piecewise-linear regression with few bends, on points whose errors depend on each
other.

y(x) = a + b x + sum_m c_m (x - k_m)_+, with the knots k_m free. Hudson (1966), "Fitting segmented
curves whose join points have to be estimated"; the last digits of the knots by Muggeo (2003), whose
extra column -c_m 1(x > k_m) makes the model linear in a knot's shift.

Axes: K points (ascending x), M knots, R curves fitted at once, N candidate sets of knots.
Everything is generalised least squares: curves and designs are multiplied by `whiten(covariance)`
first.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

CANDIDATES = 32  # places where knots are looked for at first
REFINEMENTS = 6


class Fit(NamedTuple):
    """R fitted curves with M knots."""

    knots: Float[np.ndarray, "R M"]  # ascending
    slopes: Float[np.ndarray, "R M+1"]  # per unit of x
    level: Float[np.ndarray, "R K"]  # the fitted curve at the points
    misfit: Float[np.ndarray, " R"]  # squared whitened residuals


def whiten(covariance: Float[np.ndarray, "K K"]) -> Float[np.ndarray, "K K"]:
    """The matrix that makes errors of this covariance independent and of variance one."""
    return np.linalg.inv(np.linalg.cholesky(covariance))


def fit(
    x: Float[np.ndarray, " K"],
    y: Float[np.ndarray, "R K"],
    whitener: Float[np.ndarray, "K K"],
    bends: int,
    near: Float[np.ndarray, "M 2"] | None = None,
) -> Fit:
    """Fits y [R, K] at x [K] with `bends` knots; `near` [M, 2] confines each knot to an interval of
    x.

    Every segment holds two points or more, its ends counted: a bend within fewer is not seen by the
    data.
    """
    sets = _candidates(x, bends, near)
    knots = sets[_search(x, y, whitener, sets)]
    if bends:
        knots = _refined(x, y, whitener, knots)
    design = _design(x, knots)
    solved = _solve(whitener @ design, y @ whitener.T)
    level = np.einsum("rkp,rp->rk", design, solved)
    misfit = (((y - level) @ whitener.T) ** 2).sum(-1)
    return Fit(knots, np.cumsum(solved[:, 1:], axis=1), level, misfit)


def possible(x: Float[np.ndarray, " K"], bends: int) -> bool:
    """Are there places for so many knots?"""
    return len(_candidates(x, bends, None)) > 0


def _candidates(x: np.ndarray, bends: int, near: np.ndarray | None) -> np.ndarray:
    """[N, M] ascending sets of knots on a grid that refines the points' own, as `near` and the
    points allow."""
    if bends == 0:
        return np.zeros((1, 0))
    spacing = np.ptp(x) / CANDIDATES
    inner = [
        np.linspace(a, b, 1 + max(1, round((b - a) / spacing)))[:-1]
        for a, b in itertools.pairwise(x)
    ]
    grid = np.concatenate(inner)[1:]
    if len(grid) > 2 * CANDIDATES:
        grid = np.linspace(x[0], x[-1], CANDIDATES + 2)[1:-1]
    near = np.tile([x[0], x[-1]], (bends, 1)) if near is None else near
    choices = [grid[(grid >= low) & (grid <= high)] for low, high in near]
    sets = np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, bends)
    sets = sets[(np.diff(sets, axis=1) > 0).all(1)]
    return sets[_held(x, sets)]


def _held(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """bool [...]: does every segment of knots [..., M] hold two points or more?"""
    edges = np.concatenate(
        [np.full((*knots.shape[:-1], 1), x[0]), knots, np.full((*knots.shape[:-1], 1), x[-1])], -1
    )
    first, after = (
        np.searchsorted(x, edges[..., :-1], side="left"),
        np.searchsorted(x, edges[..., 1:], side="right"),
    )
    return np.asarray((after - first >= 2).all(-1))


def _search(x, y, whitener, sets) -> np.ndarray:
    """The best of the sets for each curve, [R]."""
    target = whitener @ y.T  # [K, R]
    block = max(1, 2**22 // (len(y) * (2 + sets.shape[1])))
    largest, best = np.full(len(y), -np.inf), np.zeros(len(y), int)
    for start in range(0, len(sets), block):
        basis = np.linalg.qr(whitener @ _design(x, sets[start : start + block]))[0]
        explained = ((basis.swapaxes(1, 2) @ target) ** 2).sum(1)  # [N, R]
        best_in_block = explained.argmax(0)
        value = explained[best_in_block, np.arange(len(y))]
        best = np.where(value > largest, start + best_in_block, best)
        largest = np.maximum(value, largest)
    return best


def _refined(x, y, whitener, knots) -> np.ndarray:
    """Knots moved by Gauss-Newton steps, each kept only where it lowers the misfit and leaves
    segments their points."""
    bends = knots.shape[1]
    misfit = _misfit(x, y, whitener, knots)
    for _ in range(REFINEMENTS):
        design = _design(x, knots)
        change = _solve(whitener @ design, y @ whitener.T)[:, 2:]
        moved = np.concatenate([design, -change[:, None] * (x[:, None] > knots[:, None])], axis=2)
        step = _solve(whitener @ moved, y @ whitener.T)[:, -bends:]
        for size in (1.0, 0.3):
            tried = knots + size * np.clip(step, -1, 1)
            inside = (
                (np.diff(tried, axis=1) > 0).all(1) & (tried[:, 0] > x[0]) & (tried[:, -1] < x[-1])
            )
            tried = np.where((inside & _held(x, tried))[:, None], tried, knots)
            value = _misfit(x, y, whitener, tried)
            knots, misfit = (
                np.where((value < misfit)[:, None], tried, knots),
                np.minimum(value, misfit),
            )
    return knots


def _misfit(x, y, whitener, knots) -> np.ndarray:
    design = whitener @ _design(x, knots)
    target = y @ whitener.T
    fitted = np.einsum("rkp,rp->rk", design, _solve(design, target))
    return ((target - fitted) ** 2).sum(-1)


def _design(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """[..., M] -> [..., K, 2+M]: 1, x, (x - k)_+."""
    bent = np.maximum(x[:, None] - knots[..., None, :], 0)
    straight = np.broadcast_to(
        np.stack([np.ones_like(x), x], axis=-1), (*knots.shape[:-1], len(x), 2)
    )
    return np.concatenate([straight, bent], axis=-1)


def _solve(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least squares [R, P] of target [R, K] on design [R, K, P]; a column that says nothing gets
    zero."""
    return (np.linalg.pinv(design, rcond=1e-9) @ target[..., None])[..., 0]
