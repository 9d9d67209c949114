"""Text in figures as data: drawn as it is, whatever a model or a file is called.

matplotlib reads "$" as the start of a formula; a label without end leaves no room for the axes;
half of a surrogate pair stops the font, and a character that it lacks raises a warning. None of
these may depend on a name.
"""

import functools
import re
import warnings

LONGEST = 44  # characters of a line of text; more of a name does not help to tell it from another
_UNDRAWABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]")


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

    for artist in figure.findobj(lambda artist: isinstance(artist, (Axis, Text))):
        if isinstance(artist, Axis):
            _make_ticks_literal(artist)
            continue
        artist.set_parse_math(False)
        if artist.get_text() != drawable(artist.get_text()):
            artist.set_text(drawable(artist.get_text()))


def _make_ticks_literal(axis):
    """Labels given by hand are set anew at every draw: it is the list that has to change."""
    from matplotlib.ticker import FixedLocator

    if isinstance(axis.get_major_locator(), FixedLocator):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        if any(label != drawable(label) for label in labels):
            axis.set_ticklabels([drawable(label) for label in labels])


def drawable(text: str, longest: int = LONGEST) -> str:
    """The text with a mark for what no font draws, and long lines without their middle.

    Example:
        >>> drawable("a name that goes on and on", 12)
        'a name…and on'
    """
    half = longest // 2
    return "\n".join(
        line if len(line) <= longest + 1 else f"{line[:half]}…{line[-half:]}"
        for line in _UNDRAWABLE.sub("\ufffd", text).split("\n")
    )
