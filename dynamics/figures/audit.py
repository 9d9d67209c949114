"""The grid of a suite's checkpoints, coloured by what an audit says of each."""

import numpy as np

from dynamics.analysis.audits import CONVICTED, REMARK, SOUND, UNSEEN, Audit
from dynamics.figures import style

# Okabe & Ito (2008), told apart by every common colour vision; a mark says the same without colour.
_LOOKS = {
    UNSEEN: ("not audited", "#b9c0c9", ""),
    SOUND: ("no fault found", "#56b4e9", ""),
    REMARK: ("remark", "#e69f00", "–"),
    CONVICTED: ("convicted", "#d55e00", "×"),
}
_MOST_MARKS = 600  # a larger grid shows colour alone


def grid(found: Audit):
    """Steps by runs, a cell per checkpoint."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    figure, ax = style.axes("")
    figure.set_figheight(1.1 + 0.2 * min(max(len(found.runs), 3), 30))
    colors = ListedColormap([color for _, color, _ in _LOOKS.values()])
    ruled = {"edgecolor": "white", "linewidth": 0.8} if len(found.steps) <= 40 else {}
    ax.pcolormesh(found.state, cmap=colors, vmin=-0.5, vmax=3.5, rasterized=not ruled, **ruled)
    if ruled and found.state.size <= _MOST_MARKS:
        for (row, column), state in np.ndenumerate(found.state):
            mark = _LOOKS[state][2]
            if mark:
                ax.text(
                    column + 0.5,
                    row + 0.5,
                    mark,
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="black",
                )
    columns = np.unique(np.linspace(0, len(found.steps) - 1, 7).round().astype(int))
    ax.set_xticks(columns + 0.5, [style.step_label(found.steps[column]) for column in columns])
    every = -(-len(found.runs) // 30)  # the names of at most 30 runs fit
    rows = range(0, len(found.runs), every)
    ax.set_yticks([row + 0.5 for row in rows], [found.runs[row] for row in rows], fontsize=8.5)
    ax.invert_yaxis()
    ax.grid(False)
    present = [(label, color) for state, (label, color, _) in _LOOKS.items() if found.count(state)]
    handles = [Patch(facecolor=color, label=label) for label, color in present]
    options = {
        "loc": "outside upper left",
        "ncols": 4,
        "frameon": False,
        "fontsize": 9,
        "labelcolor": style.INK,
    }
    figure.legend(handles=handles, handlelength=1, columnspacing=1.1, borderpad=0.1, **options)
    return figure
