"""A figure as a page shows it: drawn once for its card, and a second time if it is to be large.

A figure of a card is 4.4 inches wide, so that its letters are those of the text beside it. Spread
over a page it would shout; the figure that answers a question is drawn anew, wider, and a narrow
screen keeps the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dynamics.report import hover, svg

LARGE = 10.6  # inches
_BROAD = 6.5  # inches; a wider figure does not shrink to a phone, it scrolls inside its card
_TALLEST = 4.6  # inches that a wide figure of one panel grows to


Kind = Literal["card", "wide", "narrow", "full"]


@dataclass(frozen=True, kw_only=True)
class View:
    """One drawing of a figure.

    Attributes:
        plot: its id.
        kind: "card" beside others, "wide" and "narrow" for screens of that kind, "full" for all
            screens: over the whole page, scrolling inside its card where that is narrower.
        svg: the markup.
        readings: what the pointer reads off it.
    """

    plot: str
    kind: Kind
    svg: str
    readings: dict


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure in all its drawings, and as an SVG file."""

    views: Sequence[View]
    file: str


def picture(
    plot: str, label: str, draw: Callable[[], Any], large: bool, variables: Sequence[svg.Variable]
) -> Picture:
    """A panel's figure.

    Args:
        plot: id of the figure, unique to the page.
        label: what it shows, in words.
        draw: makes the matplotlib figure.
        large: whether it spreads over the page.
        variables: the page's colours.
    """
    figure = draw()
    width, height = figure.get_size_inches()
    if width >= _BROAD:
        return _drawn(plot, label, {"full": lambda: figure}, variables)
    if not large:
        return _drawn(plot, label, {"card": lambda: figure}, variables)

    def widened():
        figure.set_size_inches(LARGE, max(height, min(1.4 * height, _TALLEST)))
        return figure

    return _drawn(plot, label, {"narrow": lambda: figure, "wide": widened}, variables)


def pair(
    plot: str,
    label: str,
    wide: Callable[[], Any],
    narrow: Callable[[], Any],
    variables: Sequence[svg.Variable],
) -> Picture:
    """A figure that is laid out differently for wide and for narrow screens."""
    return _drawn(plot, label, {"narrow": narrow, "wide": wide}, variables)


def _drawn(plot: str, label: str, draws: dict[Kind, Callable[[], Any]], variables) -> Picture:
    """All drawings, the widest first: that is the file."""
    colours, views, trees = svg.css_colours(variables), [], []
    for kind, draw in draws.items():
        figure = draw()
        trees.append(svg.tree(figure))
        name = f"{plot}-narrow" if kind == "narrow" else plot
        markup = svg.inline(trees[-1], name, label, colours)
        readings = hover.readings(figure, colours)
        views.insert(0, View(plot=name, kind=kind, svg=markup, readings=readings))
    return Picture(views=views, file=svg.standalone(trees[-1]))
