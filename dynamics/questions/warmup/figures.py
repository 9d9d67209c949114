"""Figures of phases under several warm-ups: where they begin, and the divergence itself.

Their captions are in `section`.
"""

from collections.abc import Sequence

import numpy as np

from dynamics.figures import over_training, readout, style
from dynamics.questions.warmup.findings import WarmedUp


def phases_of(models: Sequence[WarmedUp]) -> list[str]:
    """Every phase that begins in any of the models, in order."""
    return list(dict.fromkeys(phase for model in models for phase in model.boundaries))


def boundaries(models: Sequence[WarmedUp]):
    """The step at which each phase begins, with its interval, against the warm-up."""
    figure, ax = style.axes("step at which a phase begins", "warm-up (steps)")
    for phase, color, marker in zip(
        phases_of(models), style.CATEGORIES, style.MARKERS, strict=False
    ):
        of_phase = [model for model in models if phase in model.boundaries]
        warmups = [model.warmup for model in of_phase]
        value, low, high = np.array([model.boundaries[phase] for model in of_phase]).T
        form = {"color": color, "marker": marker, "markersize": 5, "linewidth": 1.6}
        (line,) = ax.plot(warmups, value, **form, label=phase)
        readout.set_series(line, phase, low, high)
        ax.vlines(warmups, low, high, color=color, linewidth=1.3)
    ax.set_yscale("symlog", linthresh=1, linscale=0.6, base=2)
    return style.over_steps(figure, ax, [model.warmup for model in models], columns=2)


def divergence(models: Sequence[WarmedUp], look: style.Look):
    """The divergence of seeds under every warm-up, with bands."""
    curves = [model.seed_kl for model in models]
    return over_training.panel(curves, look, "KL between seeds (nats)", band=True, cut=True)
