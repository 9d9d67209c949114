"""The plainest panel: one number of every model over training steps."""

from collections.abc import Sequence

from dynamics.analysis.curve import Curve, all_steps
from dynamics.figures import style


def panel(
    curves: Sequence[Curve],
    look: style.Look,
    ylabel: str,
    *,
    band: bool = False,
    from_zero: bool = False,
    cut: bool = False,
    columns: int = 3,
):
    """A figure of one curve for each model, with its errors.

    Args:
        curves: one for each model.
        look: colour and marker of each model.
        ylabel: the quantity, with its unit.
        band: errors as bands rather than as bars.
        from_zero: whether the axis begins at 0, where a divergence has its meaning.
        cut: whether it begins at 0 and ends at `style.ceiling`, beyond which bands are cut off.
        columns: of the legend.
    """
    figure, ax = style.axes(ylabel)
    style.lines(ax, curves, look, band=band)
    if cut:
        ax.set_ylim(0, style.ceiling(curves))
    elif from_zero:
        ax.set_ylim(bottom=0)
    return style.over_steps(figure, ax, all_steps(curves), columns=columns)
