"""Text in figures as data: drawn as it is, whatever a model or a file is called.

matplotlib reads "$" as the start of a formula, a label without end leaves no room for the axes, and
a character that the font lacks raises a warning. None of the three may depend on a name.
"""

import functools
import warnings

LONGEST = 44  # characters of a line of text; more of a name does not help to tell it from another


@functools.cache
def figure_class():
    """A matplotlib `Figure` that draws every text literally, and shortens what is too long."""
    import matplotlib
    from matplotlib.figure import Figure

    class LiteralFigure(Figure):
        def draw(self, renderer):
            with matplotlib.rc_context(), warnings.catch_warnings():
                matplotlib.rcParams["text.parse_math"] = False  # for ticks made while drawing
                warnings.filterwarnings("ignore", "Glyph .* missing from font")
                make_literal(self)
                super().draw(renderer)

    return LiteralFigure


def make_literal(figure):
    """Takes formulas out of every text of a figure, and the middle out of long lines."""
    from matplotlib.axis import Axis
    from matplotlib.text import Text
    from matplotlib.ticker import FixedLocator

    for axis in figure.findobj(Axis):
        # Labels given by hand are set anew at every draw: it is the list that has to change.
        if isinstance(axis.get_major_locator(), FixedLocator):
            labels = [label.get_text() for label in axis.get_ticklabels()]
            if any(label != shortened(label) for label in labels):
                axis.set_ticklabels([shortened(label) for label in labels])
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        if text.get_text() != shortened(text.get_text()):
            text.set_text(shortened(text.get_text()))


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text with the middle of every line of more than `longest` characters left out.

    Example:
        >>> shortened("a name that goes on and on", 12)
        'a name…and on'
    """
    half = longest // 2
    return "\n".join(
        line if len(line) <= longest + 1 else f"{line[:half]}…{line[-half:]}"
        for line in text.split("\n")
    )
