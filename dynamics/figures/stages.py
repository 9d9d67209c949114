"""A curve with its stage boundaries, and beside it other curves of the same run (Figs. B.1 and B.2
of the paper).

Paper: "Loss Landscape Degeneracy and Stagewise Development in Transformers". Above the curves,
below their slopes.
"""

from collections.abc import Mapping

import numpy as np

from dynamics.analysis import smooth
from dynamics.analysis.curves import Curve
from dynamics.analysis.stages import Stages
from dynamics.figures import style

CURVE, BOUNDARY = style.LIGHT_RAMP[0], style.CATEGORIES[1]
DENSITY = 40  # places per e-fold that a smooth curve is drawn at


def stages(curve: Curve, found: Stages, label: str, beside: Mapping[str, Curve] | None = None):
    """`curve` with what `find_stages` found on it; then each of `beside`, label -> curve, smoothed
    by the same rule.

    Points are the measured values, the line and its band the smooth curve ± 2 standard deviations.
    Vertical lines are the boundaries, their shades the intervals; grey at either end is what the
    rule sets apart. In the slopes' row the horizontal band is the tolerance and dots are
    differences of neighbouring points.
    """
    beside = beside or {}
    width = style.SIZE[0] if not beside else 3.6 * (1 + len(beside))
    figure = style.sheet((width, 4.4))
    columns = figure.subplots(
        2, 1 + len(beside), sharex=True, squeeze=False, height_ratios=(1.35, 1)
    ).T
    _column(columns[0], curve, found.fitted, label, found.tolerance)
    for pair, (name, other) in zip(columns[1:], beside.items(), strict=True):
        steps, value, sem = _finite(other)
        fitted = smooth.fit(np.log1p(steps), value, sem, found.rule.length, found.rule.reach)
        _column(pair, other, fitted, name, None)
    for above, below in columns:
        _boundaries(above, found)
        _boundaries(below, found)
        _labels(above, found)
        _axis(below, found)
    return figure


def _finite(curve: Curve):
    """Steps, values and standard errors (None without) where the value is finite."""
    kept = np.isfinite(curve.value)
    sem = (curve.high - curve.low)[kept] / 2
    return curve.steps[kept], curve.value[kept], sem if np.isfinite(sem).all() else None


def _column(pair, curve: Curve, fitted: smooth.Fit, label: str, tolerance: float | None):
    """A curve in the upper panel, its slope in the lower one."""
    above, below = pair
    style.dress(above, label, "")
    style.dress(
        below,
        f"slope, per e-fold\nof {label}" if len(label) < 16 else "slope per e-fold",
        "training step",
    )
    above.tick_params(labelbottom=False)
    steps, value, _ = _finite(curve)
    x = np.linspace(fitted.x[0], fitted.x[-1], int(DENSITY * np.ptp(fitted.x)) + 2)
    drawn_at = np.expm1(x)
    points = {
        "color": style.QUIET,
        "linestyle": "none",
        "marker": "o",
        "markersize": 2.2,
        "alpha": 0.7,
    }
    if curve.has_errors:
        above.vlines(
            curve.steps, curve.low, curve.high, color=style.QUIET, linewidth=0.8, alpha=0.6
        )
    above.plot(steps, value, **points)
    _banded(above, drawn_at, *smooth.level(fitted, x))
    mean, covariance = smooth.slope(fitted, x)
    _banded(below, drawn_at, mean, np.sqrt(np.diag(covariance)))
    middle = np.expm1((fitted.x[1:] + fitted.x[:-1]) / 2)
    below.plot(middle, np.diff(value) / np.diff(fitted.x), **points, zorder=1)
    # Differences of near points are mostly noise, and bands widest where no point is: neither
    # decides the scale.
    room = 0.25 * max(np.ptp(mean), 2 * (tolerance or 0))
    below.set_ylim(mean.min() - room, mean.max() + room)
    above.ticklabel_format(axis="y", useOffset=False)
    below.axhline(0, color=style.QUIET, linewidth=0.8)
    if tolerance:
        below.axhspan(-tolerance, tolerance, color=style.QUIET, alpha=0.25, linewidth=0)


def _banded(ax, at, mean, sd):
    ax.fill_between(at, mean - 2 * sd, mean + 2 * sd, color=CURVE, alpha=0.18, linewidth=0)
    ax.plot(at, mean, color=CURVE, linewidth=1.6)


def _boundaries(ax, found: Stages):
    for one in found.boundaries:
        ax.axvspan(one.low, one.high, color=BOUNDARY, alpha=0.16, linewidth=0)
        ax.axvline(one.step, color=BOUNDARY, linewidth=1.4)
    last = np.expm1(found.fitted.x[-1])
    for low, high in (
        (-1, found.rule.start),
        (np.expm1(found.fitted.x[-1] - found.rule.edge), 2 * last),
    ):
        ax.axvspan(low, high, color=style.GRID, alpha=0.45, linewidth=0, zorder=0)


def _labels(ax, found: Stages):
    """Steps above the lines; those that would run into the one before are set higher."""
    row, last = 0, -np.inf
    for one in found.boundaries:
        place = np.log1p(one.step)
        row = (row + 1) % 3 if place - last < 1.1 else 0
        last = place
        at = {
            "xy": (one.step, 1),
            "xycoords": ("data", "axes fraction"),
            "textcoords": "offset points",
        }
        text = {
            "ha": "center",
            "va": "bottom",
            "fontsize": 9,
            "color": BOUNDARY,
            "annotation_clip": False,
        }
        ax.annotate(short(one.step), xytext=(0, 1 + 10 * row), **at, **text)


def short(step: float) -> str:
    """A step to two or three digits: 740, 1.1k, 32k, 134k, 1.2M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if step >= 0.9995 * size:
            return f"{step / size:.{int(step < 9.95 * size)}f}".removesuffix(".0") + unit
    return f"{step:.0f}"


def _axis(ax, found: Stages):
    """Decades, from a little before what the rule leaves out; step 0 is shown where that is
    none."""
    from matplotlib.ticker import NullLocator

    first, last = np.expm1(found.fitted.x[[0, -1]])
    first = max(first, found.rule.start / 5)
    style.step_axis(ax, [int(first), int(np.ceil(last))])
    ticks = [0] if first < 1 else []
    ticks += [int(tick) for tick in 10.0 ** np.arange(0, 10) if first <= tick <= last]
    ax.set_xticks(ticks, [short(tick) for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(right=last * 1.03)
