"""Figures of convergence: Figures 1, 4 and 6 of the paper, and what its error bars rest on.

Paper: "Convergence and Divergence of Language Models under Different Random Seeds". E[conv] = -KL
between seeds; drawn is the KL itself, so that down is convergence. Nats per token throughout.

Their captions are in `panels`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import style
from dynamics.questions.convergence import record_ngram
from dynamics.questions.convergence.findings import TARGETS, Convergence, Findings
from dynamics.questions.convergence.phases import Phases

WIDTH = 7.2  # inches, of rows over one axis of steps
SEED_KL = "KL between seeds (nats)"
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


def seed_kl(models: Sequence[Convergence], look: style.Look):
    """Seed-pair KL of every model with the 95 % interval over seeds as a band, from 0."""
    figure, ax = style.axes(SEED_KL)
    curves = [model.divergence.seed_kl for model in models]
    style.lines(ax, curves, look, band=True)
    style.reference(ax, 0, "0: the seeds predict the same", at="left")
    ax.set_ylim(0, min(ax.get_ylim()[1], style.ceiling(curves)))
    return style.over_steps(figure, ax, all_steps(curves))


def overview(findings: Findings, look: style.Look):
    """Rows over one axis of steps; rows without data are left out.

    KL of seeds, KL to uniform and unigram, in-context score, loss, learning rate. Dotted lines are
    the phase boundaries of the largest model that has any.
    """
    seeds = [model.divergence for model in findings.models]
    scores = [benefit.score for benefit in findings.contexts]
    rates = [model.learning_rate for model in findings.models if model.learning_rate is not None]
    rows = ["KL between\nseeds (nats)", "KL to uniform —,\nunigram – – (nats)"]
    rows += ["ICL score\n(nats)"] if scores else []
    rows += ["cross-entropy\n(nats per token)"] + (["learning\nrate"] if rates else [])
    figure = style.sheet((WIDTH, 0.55 + 1.3 * len(rows)))
    panels = dict(zip(rows, figure.subplots(len(rows), 1, sharex=True), strict=True))
    for label, ax in panels.items():
        bottom = label == rows[-1]
        style.dress(ax, label, "training step" if bottom else "")
        ax.tick_params(labelbottom=bottom)
    first, second, *rest = panels.values()
    style.lines(first, [seed.seed_kl for seed in seeds], look, band=True, markersize=4)
    style.lines(second, [seed.kl_uniform for seed in seeds], look, markersize=3.5)
    style.lines(second, [seed.kl_unigram for seed in seeds], look, markersize=3.5, linestyle="--")
    for ax in (first, second):
        ax.set_ylim(bottom=0)
    others = [scores, [seed.surprisal for seed in seeds], rates]
    for ax, curves in zip(rest, filter(None, others), strict=True):
        style.lines(ax, curves, look, markersize=4)
    for boundary in last_boundaries(findings.models):
        for ax in panels.values():
            ax.axvline(boundary, color=style.QUIET, linewidth=1.1, linestyle=":")
    style.step_axis(list(panels.values())[-1], all_steps([seed.seed_kl for seed in seeds]).tolist())
    figure.align_ylabels(list(panels.values()))
    style.legend(figure, first)
    return figure


def last_boundaries(models: Sequence[Convergence]) -> list[float]:
    """Steps at which the phases of the largest model that has several meet."""
    marked = [model.phases for model in models if model.phases and model.phases.boundaries]
    return [phase.begin.value for phase in marked[-1].boundaries if phase.begin] if marked else []


def phases(convergence: Convergence, phases: Phases, look: style.Look):
    """A model's KL and the pieces fitted to it.

    Stretches are in their phase's colour; heavy bars are the intervals of where phases meet.
    """
    figure, ax = style.axes(SEED_KL)
    curve = convergence.divergence.seed_kl
    steps = curve.steps
    for phase in phases.phases:
        begin = phase.begin.value if phase.begin else steps[0] - 0.25
        end = phase.end.value if phase.end else steps[-1] * 1.15
        ax.axvspan(begin, end, color=HUES[phase.name], alpha=0.16, linewidth=0, label=phase.name)
    ax.plot(
        phases.corners,
        phases.pieces.at(phases.corners),
        color=style.INK,
        linewidth=1.2,
        label="fit",
    )
    style.lines(ax, [curve], look, linestyle="none")
    ax.set_ylim(bottom=0)
    for phase in phases.boundaries:
        if phase.begin:
            _boundary(ax, *phase.begin)
    return style.over_steps(figure, ax, steps, columns=2)


def _boundary(ax, step: float, low: float, high: float):
    """A dotted line at a step, named above the panel, and the bar of its interval at the foot."""
    ax.axvline(step, color=style.INK, linewidth=0.9, linestyle=":")
    foot = {"color": style.INK, "linewidth": 2.6, "transform": ax.get_xaxis_transform()}
    ax.plot([low, high], [0.03, 0.03], **foot)
    above = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    text = {"ha": "center", "va": "bottom", "fontsize": 9, "color": style.INK}
    ax.annotate(style.short_step(step), xy=(step, 1), xytext=(0, 1), **above, **text)


def late_slopes(models: Sequence[Convergence], look: style.Look):
    """Slope of the last phase against the size of the model, with 95 % intervals."""
    ylabel = "slope of the last phase\n(nats per e-fold of step)"
    figure, ax = style.axes(ylabel, "parameters")
    sizes = []
    for model in models:
        if model.last_slope and model.size:
            interval, color = model.last_slope.interval, look[model.model]["color"]
            sizes.append(model.size)
            ax.vlines(model.size, interval.low, interval.high, color=color, linewidth=1.8)
            point = {**look[model.model], "linestyle": "none", "label": model.model}
            ax.plot(model.size, interval.mean, **point)
    ax.axhline(0, color=style.QUIET, linewidth=0.9)
    _size_axis(ax, sizes)
    style.legend(figure, ax)
    return figure


def _size_axis(ax, sizes: Sequence[float]):
    """Logarithmic, a tick at every model's size."""
    ax.set_xscale("log")
    ax.set_xlim(min(sizes) / 1.5, max(sizes) * 1.5)
    labels = [style.short_step(size).replace("k", " k").replace("M", " M") for size in sizes]
    ax.set_xticks(sizes, labels)
    ax.minorticks_off()


def intervals(models: Sequence[Convergence], look: style.Look):
    """The 95 % intervals of the last step's KL: a row for each target, a bar for each model."""
    figure, ax = style.axes("", SEED_KL.replace("seeds", "seeds at the last step"))
    places = np.linspace(-0.22, 0.22, len(models)) if len(models) > 1 else np.zeros(1)
    for model, place in zip(models, places, strict=True):
        color, marker = look[model.model]["color"], look[model.model]["marker"]
        bars = {list(TARGETS).index(name) + place: i for name, i in model.intervals.last.items()}
        for y, interval in bars.items():
            ax.hlines(y, interval.low, interval.high, color=color, linewidth=2)
        means = [interval.mean for interval in bars.values()]
        ax.plot(means, list(bars), color=color, marker=marker, linestyle="none", label=model.model)
    ax.set_yticks(range(len(TARGETS)), [name.replace(", ", ",\n") for name in TARGETS])
    ax.set_ylim(len(TARGETS) - 0.5, -0.5)
    style.legend(figure, ax)
    return figure


def widths(convergence: Convergence):
    """Half the width of each interval over training, as a share of the KL itself."""
    figure, ax = style.axes("half the interval / KL (%)")
    looks = zip(style.CATEGORIES, style.MARKERS, strict=False)
    shares = convergence.intervals.shares
    for (target, share), (color, marker) in zip(shares.items(), looks, strict=False):
        line = {"color": color, "marker": marker, "markersize": 4.5, "label": target}
        ax.plot(convergence.divergence.steps, share, **line)
    ax.set_ylim(bottom=0)
    return style.over_steps(figure, ax, convergence.divergence.steps, columns=1)


def cross_entropy(curves: Sequence[Curve], ngrams: record_ngram.Record | None, look: style.Look):
    """Loss of every model on the text, against n-grams on the same text."""
    figure, ax = style.axes("cross-entropy (nats per token)")
    lines = zip(ngrams.orders, ngrams.cross_entropy.tolist(), strict=True) if ngrams else ()
    for order, loss in lines:
        style.reference(ax, loss, f"Kneser–Ney n = {order}", at="left")
    style.lines(ax, curves, look)
    return style.over_steps(figure, ax, all_steps(curves))


def contexts(models: Sequence[Convergence], look: style.Look):
    """Mean over contexts of the pair-mean KL, one standard deviation to either side (Figure 4)."""
    figure, ax = style.axes("KL of single contexts (nats)")
    for model in models:
        steps, mean, sd = model.divergence.steps, model.spread.mean, model.spread.sd
        line = {**look[model.model], "markersize": 5, "linewidth": 1.6, "label": model.model}
        ax.plot(steps, mean, **line)
        band = {"color": line["color"], "alpha": 0.15, "linewidth": 0}
        ax.fill_between(steps, np.maximum(mean - sd, 0), mean + sd, **band)
    ax.set_ylim(bottom=0)
    return style.over_steps(figure, ax, all_steps([model.divergence.seed_kl for model in models]))


def token_spread(convergence: Convergence, look: style.Look):
    """Quantiles over tokens of one model's KL: a mean hides whether few tokens or all carry it."""
    figure, ax = style.axes("KL of single tokens (nats)")
    steps, line = convergence.divergence.steps, look[convergence.model]
    low, lower, median, upper, high = np.maximum(convergence.spread.quantiles.T, 1e-6)
    band = {"color": line["color"], "linewidth": 0}
    ax.fill_between(steps, low, high, alpha=0.15, label="5–95 % of tokens", **band)
    ax.fill_between(steps, lower, upper, alpha=0.3, label="25–75 %", **band)
    ax.plot(steps, median, **line, markersize=5, linewidth=1.6, label="median token")
    style.log_y(ax)
    return style.over_steps(figure, ax, steps)
