"""Figures of phases under several warm-ups: where they begin, and the divergence itself.

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.figures import over_training, readout, style
from dynamics.questions.warmup.findings import WarmedUp


def events_of(models: Sequence[WarmedUp]) -> list[str]:
    """Every event of any of the models, in order."""
    return list(dict.fromkeys(event for model in models for event in model.boundaries))


def boundaries(models: Sequence[WarmedUp]):
    """The step of each event, with its interval, against the warm-up."""
    from matplotlib.ticker import FuncFormatter

    figure, ax = style.axes("training step of the event", "warm-up (steps)")
    for event, color, marker in zip(
        events_of(models), style.CATEGORIES, style.MARKERS, strict=False
    ):
        of_event = [model for model in models if event in model.boundaries]
        warmups = [model.warmup for model in of_event]
        value, low, high = np.array([model.boundaries[event] for model in of_event]).T
        form = {"color": color, "marker": marker, "markersize": 5, "linewidth": 1.6}
        (line,) = ax.plot(warmups, value, **form, label=event)
        readout.set_series(line, event, low, high)
        ax.vlines(warmups, low, high, color=color, linewidth=1.3)
    ax.set_yscale("symlog", linthresh=1, linscale=0.6, base=2)
    ax.yaxis.set_major_formatter(FuncFormatter(style.plain))
    return style.over_steps(figure, ax, [model.warmup for model in models], columns=1)


def divergence(models: Sequence[WarmedUp], look: style.Look):
    """The divergence of seeds under every warm-up, with bands."""
    curves = [model.seed_kl for model in models]
    return over_training.panel(curves, look, "KL between seeds (nats)", band=True, cut=True)
