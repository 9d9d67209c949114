"""The grid of a suite's checkpoints, coloured by what an audit says of each.

Their captions are in `section`.
"""

import numpy as np

from dynamics.figures import literal, style
from dynamics.questions.audit.findings import Audit
from dynamics.questions.audit.record import CONVICTED, REMARK, SOUND, UNSEEN

# Okabe & Ito (2008), told apart by every common colour vision; a mark says the same without colour.
LOOKS = {
    UNSEEN: ("not audited", "#b9c0c9", ""),
    SOUND: ("no fault found", "#56b4e9", ""),
    REMARK: ("remark", "#e69f00", "–"),
    CONVICTED: ("convicted", "#d55e00", "×"),
}
_MOST_MARKS = 600  # a larger grid shows colour alone
_MOST_NAMES = 30  # of runs, whose labels fit
_NAME = 24  # characters of a run's name that leave room for the grid


def grid(audit: Audit):
    """Steps by runs, a cell for each checkpoint."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    rows = len(audit.runs)
    figure, ax = style.axes("", size=(4.4, 1.1 + 0.2 * min(max(rows, 3), _MOST_NAMES)))
    colors = ListedColormap([color for _, color, _ in LOOKS.values()])
    ruled = {"edgecolor": "white", "linewidth": 0.8} if len(audit.steps) <= 40 else {}
    ax.pcolormesh(audit.state, cmap=colors, vmin=-0.5, vmax=3.5, rasterized=not ruled, **ruled)
    if ruled and audit.state.size <= _MOST_MARKS:
        _mark(ax, audit)
    columns = np.unique(np.linspace(0, len(audit.steps) - 1, 7).round().astype(int))
    ax.set_xticks(columns + 0.5, [style.step_label(audit.steps[column]) for column in columns])
    named = range(0, rows, -(-rows // _MOST_NAMES))
    names = [literal.drawable(audit.runs[row], _NAME) for row in named]
    ax.set_yticks([row + 0.5 for row in named], names, fontsize=8.5)
    ax.invert_yaxis()
    ax.grid(False)
    present = [(label, color) for state, (label, color, _) in LOOKS.items() if audit.count(state)]
    handles = [Patch(facecolor=color, label=label) for label, color in present]
    form = {"ncols": 4, "frameon": False, "fontsize": 9, "labelcolor": style.INK}
    spacing = {"handlelength": 1, "columnspacing": 1.1, "borderpad": 0.1}
    figure.legend(handles=handles, loc="outside upper left", **form, **spacing)
    return figure


def _mark(ax, audit: Audit):
    centred = {"ha": "center", "va": "center", "fontsize": 8, "color": "black"}
    for (row, column), state in np.ndenumerate(audit.state):
        if LOOKS[state][2]:
            ax.text(column + 0.5, row + 0.5, LOOKS[state][2], **centred)
