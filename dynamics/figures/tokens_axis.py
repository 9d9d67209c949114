"""A second axis of time: the tokens that a model has read, above the panels over training steps.

Steps of suites that read different batches do not compare; tokens do.
"""

import numpy as np

from dynamics.figures import style

STEPS = "training step"  # what the axis of steps is called


def add(figure, tokens_per_step: int | None):
    """Names the steps of a figure in tokens too, above every column of panels over them.

    A panel of another axis is left as it is, and so is a figure where `tokens_per_step` is None.
    Returns the figure.
    """
    if tokens_per_step is None:
        return figure
    for ax in list(figure.axes):
        if ax.get_xlabel() == STEPS and ax.get_xscale() == "symlog":
            _above(_topmost(figure, ax), ax, tokens_per_step)
    return figure


def short_tokens(tokens: float) -> str:
    """A number of tokens to two digits.

    Example:
        >>> [short_tokens(n) for n in (0, 96, 1536, 983_040, 2_097_152, 2.999e11)]
        ['0', '96', '1.5k', '980k', '2.1M', '300B']
    """
    rounded = float(f"{tokens:.2g}")
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if rounded >= size:
            return f"{rounded / size:g}{unit}"
    return f"{rounded:g}"


def _topmost(figure, ax):
    """The uppermost of the panels that share its steps and stand in its column."""
    siblings = ax.get_shared_x_axes().get_siblings(ax)
    column = ax.get_position().x0
    inside = [a for a in figure.axes if a in siblings and abs(a.get_position().x0 - column) < 0.02]
    return max(inside, key=lambda a: a.get_position().y1)


def _above(ax, steps_axis, tokens_per_step: int):
    from matplotlib.ticker import NullLocator

    above = ax.twiny()
    above.set_xscale("symlog", linthresh=1, linscale=0.6, base=2)
    ticks = steps_axis.get_xticks()
    above.set_xticks(ticks, [short_tokens(float(step) * tokens_per_step) for step in ticks])
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xlim(steps_axis.get_xlim())
    above.set_xlabel("tokens seen", fontsize=9, color=style.QUIET)
    above.tick_params(which="both", labelsize=8.5, labelcolor=style.QUIET, color=style.QUIET)
    for side, spine in above.spines.items():
        spine.set_visible(side == "top")
        spine.set_color(style.QUIET)
    assert np.allclose(above.get_xlim(), ax.get_xlim())  # or tokens would stand at other steps
