"""Panels of expected convergence: Figures 1, 4 and 6 of the paper, and what its error bars rest on.

Paper: "Convergence and Divergence of Language Models under Different Random Seeds". E[conv] = -KL
between seeds; drawn is the KL itself, so that down is convergence.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis import curves, expected, slopes
from dynamics.analysis.curves import Curve, Divergence
from dynamics.analysis.expected import Expected
from dynamics.analysis.phases import Phases
from dynamics.analysis.uncertainty import Interval
from dynamics.figures import style
from dynamics.figures.stages import short

# Okabe-Ito hues for the stretches of training; a phase has the same one in every panel.
HUES = {
    "uniform": style.CATEGORIES[6],
    "sharp convergence": style.CATEGORIES[2],
    "convergence": style.CATEGORIES[2],
    "sharp divergence": style.CATEGORIES[1],
    "slow divergence": style.CATEGORIES[4],
    "slow reconvergence": style.CATEGORIES[0],
    "plateau": style.CATEGORIES[3],
}


def overview(found: Sequence[Expected], scores: Sequence[Curve], look: style.Look):
    """Rows over one axis of steps: KL of seeds, KL to uniform and unigram, in-context score, loss,
    learning rate.

    Rows without data are left out. Dotted lines are the phase boundaries of the largest model that
    has any.
    """
    data = [one.found for one in found]
    rows = [
        ("KL between\nseeds (nats)", _seeds),
        ("KL to uniform —,\nunigram – – (nats)", _references),
    ]
    rows += [("ICL score\n(nats)", lambda ax, *_: style.lines(ax, scores, look))] if scores else []
    rows += [("cross-entropy\n(nats per token)", _loss)]
    rows += (
        [("learning\nrate", _rates)] if any(one.learning_rate is not None for one in data) else []
    )
    figure = style.sheet((style.SIZE[0], 0.55 + 1.45 * len(rows)))
    panels = figure.subplots(len(rows), 1, sharex=True)
    for ax, (label, draw) in zip(panels, rows, strict=True):
        style.dress(ax, label, "training step" if ax is panels[-1] else "")
        draw(ax, data, look)
        ax.tick_params(labelbottom=ax is panels[-1])
    style.step_axis(panels[-1], np.concatenate([one.steps for one in data]).tolist())
    marked = [one.phases for one in found if one.phases and len(one.phases.phases) > 1]
    bounds = [phase.begin.value for phase in marked[-1].phases if phase.begin] if marked else []
    for bound in bounds:
        for ax in panels:
            ax.axvline(bound, color=style.QUIET, linewidth=1.1, linestyle=":")
    figure.align_ylabels(panels)
    style.legend(figure, panels[0])
    return figure


def _seeds(ax, data: Sequence[Divergence], look):
    style.lines(ax, [curves.seed_kl(one) for one in data], look, band=True, markersize=4)
    ax.set_ylim(bottom=0)


def _references(ax, data: Sequence[Divergence], look):
    for name, dashes in (("kl_uniform", "-"), ("kl_unigram", "--")):
        style.lines(
            ax,
            [curves.over_seeds(one, name) for one in data],
            look,
            markersize=3.5,
            linestyle=dashes,
        )
    ax.set_ylim(bottom=0)


def _loss(ax, data: Sequence[Divergence], look):
    style.lines(ax, [curves.over_seeds(one, "surprisal") for one in data], look, markersize=4)


def _rates(ax, data: Sequence[Divergence], look):
    for one in data:
        if one.learning_rate is not None:
            ax.plot(
                one.steps,
                one.learning_rate,
                **look[one.model],
                markersize=4,
                linewidth=1.6,
                label=one.model,
            )
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    ax.yaxis.get_offset_text().set_size(8.5)


def phases(one: Expected, there: Phases, look: style.Look):
    """A model's KL and the pieces fitted to it: stretches in their phase's colour, bars for its
    bounds' intervals."""
    figure, ax = style.axes("KL between seeds (nats)")
    steps = one.found.steps
    for phase in there.phases:
        begin = phase.begin.value if phase.begin else steps[0] - 0.25
        end = phase.end.value if phase.end else steps[-1] * 1.15
        ax.axvspan(begin, end, color=HUES[phase.name], alpha=0.16, linewidth=0, label=phase.name)
    x = np.log1p(steps)
    corners = np.unique(np.concatenate([x, np.log1p(there.bends)]))
    ax.plot(
        np.expm1(corners), there.at(np.expm1(corners)), color=style.INK, linewidth=1.2, label="fit"
    )
    style.lines(ax, [curves.seed_kl(one.found)], look, linestyle="none")
    ax.set_ylim(bottom=0)
    axis = ax.get_xaxis_transform()
    bounds = [phase.begin for phase in there.phases if phase.begin]
    for bound in bounds:
        ax.axvline(bound.value, color=style.INK, linewidth=0.9, linestyle=":")
        ax.plot(
            [bound.low, bound.high], [0.03, 0.03], color=style.INK, linewidth=2.6, transform=axis
        )
        at = {
            "xy": (bound.value, 1),
            "xycoords": ("data", "axes fraction"),
            "textcoords": "offset points",
        }
        ax.annotate(
            short(bound.value),
            xytext=(0, 1),
            ha="center",
            va="bottom",
            fontsize=9,
            color=style.INK,
            **at,
        )
    style.step_axis(ax, steps.tolist())
    style.legend(figure, ax, columns=2)
    return figure


def contexts(found: Sequence[Divergence], look: style.Look):
    """Mean over contexts of the pair-mean KL, and one standard deviation to either side as a band
    (Figure 4)."""
    figure, ax = style.axes("KL of single contexts (nats)")
    for one in found:
        if one.token_moments is None:
            continue
        mean, sd = one.token_moments.T
        ax.plot(one.steps, mean, **look[one.model], markersize=5, linewidth=1.6, label=one.model)
        ax.fill_between(
            one.steps,
            np.maximum(mean - sd, 0),
            mean + sd,
            color=look[one.model]["color"],
            alpha=0.15,
            lw=0,
        )
    ax.set_ylim(bottom=0)
    style.step_axis(ax, np.concatenate([one.steps for one in found]).tolist())
    style.legend(figure, ax)
    return figure


def jensen_shannon(found: Sequence[Divergence], look: style.Look):
    """Jensen-Shannon divergence of seeds, which no pair can drive beyond ln 2."""
    figure, ax = style.axes("JS between seeds (nats)")
    drawn = [curve for curve in map(expected.jensen_shannon, found) if curve is not None]
    style.lines(ax, drawn, look, band=True)
    ax.set_ylim(bottom=0)
    style.step_axis(ax, np.concatenate([one.steps for one in found]).tolist())
    style.legend(figure, ax)
    return figure


def intervals(found: Sequence[Expected], look: style.Look):
    """The three 95 % intervals of the last step's KL, a group of bars per model, a row per
    target."""
    figure, ax = style.axes("", "KL between seeds at the last step (nats)")
    targets = list(expected.TARGETS)
    places = np.linspace(-0.22, 0.22, len(found)) if len(found) > 1 else np.zeros(1)
    for one, place in zip(found, places, strict=True):
        told = expected.intervals(one.found)
        known = [(at + place, told[name]) for at, name in enumerate(targets)]
        drawn = [(y, limits) for y, limits in known if isinstance(limits, Interval)]
        color, marker = look[one.model]["color"], look[one.model]["marker"]
        for y, limits in drawn:
            ax.hlines(y, limits.low, limits.high, color=color, linewidth=2)
        ys, means = [y for y, _ in drawn], [limits.mean for _, limits in drawn]
        ax.plot(means, ys, color=color, marker=marker, linestyle="none", label=one.model)
    ax.set_yticks(range(len(targets)), [name.replace(", ", ",\n") for name in targets])
    ax.set_ylim(len(targets) - 0.5, -0.5)
    style.legend(figure, ax)
    return figure


def widths(one: Expected, look: style.Look):
    """Half the width of each interval over training, as a share of the KL itself."""
    figure, ax = style.axes("half the interval / KL (%)")
    for (target, curve), color in zip(one.curves.items(), style.CATEGORIES, strict=False):
        share = 50 * (curve.high - curve.low) / curve.value
        ax.plot(
            curve.steps,
            share,
            color=color,
            marker=look[one.model]["marker"],
            markersize=4.5,
            label=target,
        )
    ax.set_ylim(bottom=0)
    style.step_axis(ax, one.found.steps.tolist())
    style.legend(figure, ax, columns=1)
    return figure


def late_slopes(found: Sequence[Expected], look: style.Look):
    """Slope of the last phase against the size of the model, with 95 % intervals."""
    figure, ax = style.axes(
        "slope of the last phase\n(nats per e-fold of step)", "numbers in the model"
    )
    for one in found:
        if one.slope is not None and one.size:
            limits = slopes.interval(one.slope)
            ax.vlines(
                one.size, limits.low, limits.high, color=look[one.model]["color"], linewidth=1.8
            )
            ax.plot(one.size, limits.mean, **look[one.model], linestyle="none", label=one.model)
    ax.axhline(0, color=style.QUIET, linewidth=0.9)
    _size_axis(ax, [one.size for one in found if one.slope is not None and one.size])
    style.legend(figure, ax)
    return figure


def _size_axis(ax, sizes: Sequence[float]):
    """Logarithmic, a tick at every model's size."""
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    ax.set_xlim(min(sizes) / 1.5, max(sizes) * 1.5)
    ax.set_xticks(sizes, [short(size).replace("k", " k").replace("M", " M") for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
