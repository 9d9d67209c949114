"""Findings to matplotlib figures: one idea per panel, each a pure function of curves.

`style` is what every figure shares, `Look` the colour and marker of each model, `over_training` the
plainest panel, `readout` what a reader may ask of a line, `literal` text drawn as it is. matplotlib
is imported when the first figure is drawn.
"""

from dynamics.figures import literal, over_training, readout, style
from dynamics.figures.style import Look

__all__ = ["Look", "literal", "over_training", "readout", "style"]
