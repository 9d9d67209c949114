"""Shapes of planted curves, integrated from their slopes over log time.

Axes: M places of a fine grid of x = ln(step + 1), in e-folds. Every shape has range 1.
"""

from dataclasses import dataclass

import numpy as np

FINE = 6000  # places of the grid


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of a curve: a ramp or a pause.

    The slope is constant but for tapers at the two ends, where it goes to zero as half a period of
    a cosine (Tukey's window).

    Attributes:
        length: e-folds.
        rise: what the piece adds to the curve.
        tapers: shares of the length that the left and the right taper take.
    """

    length: float
    rise: float
    tapers: tuple[float, float] = (0.0, 0.0)


def of_pieces(pieces: list[Piece], start: float, low: float, high: float):
    """Pieces from x = `start` on, seen from `low` to `high`: x [M] and the curve [M]."""
    x = np.linspace(low, high, FINE)
    curve, begin = np.zeros(FINE), start
    for piece in pieces:
        part = np.clip((x - begin) / piece.length, 0, 1)
        curve += piece.rise * _share(part, *piece.tapers)
        begin += piece.length
    return x, curve / np.ptp(curve)


def of_slopes(knots, slopes, low: float, high: float):
    """A curve whose slope is linear between knots: x [M] and the curve [M]."""
    x = np.linspace(low, high, FINE)
    slope = np.interp(x, knots, slopes)
    curve = np.r_[0.0, np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(x))]
    return x, curve / np.ptp(curve)


def _share(part: np.ndarray, left: float, right: float) -> np.ndarray:
    """The share of a piece's rise at the share `part` of its length."""
    total = part.copy()
    if left:
        inside = np.minimum(part, left)
        total -= inside - (inside - left / np.pi * np.sin(np.pi * inside / left)) / 2
    if right:
        inside = np.maximum(part - (1 - right), 0)
        total -= (inside - right / np.pi * np.sin(np.pi * inside / right)) / 2
    return total / (1 - left / 2 - right / 2)
