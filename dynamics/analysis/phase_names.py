"""What a straight piece of the divergence's curve is called: the four phases of the paper, and what
else there may be.

"Convergence and Divergence of Language Models under Different Random Seeds", section 4. Where fewer
than four pieces are seen, those are named that are there.

Axes: K steps, M bends.
"""

import numpy as np

NAMES = ("uniform", "sharp convergence", "sharp divergence", "slow reconvergence")


def names_of(slopes: np.ndarray, limits: np.ndarray, gentle: float, from_start: bool) -> list[str]:
    """A name for every piece, by the sign of its slope [M+1] and what came before it.

    `limits` [2, M+1] are the slopes' intervals: a piece that may as well be level is one. With
    `from_start` the steps begin at 0 or 1, and a first piece whose slope is less than `gentle` is
    the uniform phase.
    """
    low, high = limits
    names: list[str] = []
    for at, slope in enumerate(slopes):
        first_and_gentle = at == 0 and from_start and abs(slope) < gentle
        rises = [
            previous for previous, name in zip(slopes, names, strict=False) if "divergence" in name
        ]
        if first_and_gentle:
            names.append("uniform")
        elif low[at] <= 0 <= high[at]:
            names.append("uniform" if at == 0 and from_start else "plateau")
        elif slope < 0 and rises:
            names.append("slow reconvergence")
        elif slope < 0:
            told = from_start or (slopes[at:] > 0).any()
            names.append("sharp convergence" if told else "convergence")
        else:
            names.append(
                "slow divergence" if rises and slope < max(rises) / 2 else "sharp divergence"
            )
    return names


def absent(names: list[str], steps: np.ndarray) -> dict[str, str]:
    """Those of the four that were not found, with the reason."""
    seen = [NAMES.index(name) for name in names if name in NAMES]
    reasons = {}
    for at, name in enumerate(NAMES):
        if at in seen:
            continue
        if "convergence" in names and name.endswith("convergence"):
            reasons[name] = f"may be the fall that is seen: the steps begin at {steps[0]:.0f}"
        elif steps[0] > 1 and at < min(seen, default=2):
            reasons[name] = f"would lie before step {steps[0]:.0f}, the first measured"
        elif not seen or at > max(seen):
            reasons[name] = f"not seen by step {steps[-1]:.0f}, the last measured"
        else:
            reasons[name] = "not told apart from its neighbours at these steps"
    return reasons
