"""The phases of the seed-pair divergence, by name: the four of the paper, and what else there is.

"Convergence and Divergence of Language Models under Different Random Seeds", section 4, reads four
phases off a curve by eye. Here they are the straight pieces that `analysis.phases` finds, named by
the sign of their slopes and by what came before. Fewer pieces have fewer names.

Axes: K steps, S seeds, G documents, M bends. Slopes are in nats per e-fold of step + 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.phases import RULE, Phase, Pieces, Rule, find_pieces, join

NAMES = ("uniform", "sharp convergence", "sharp divergence", "slow reconvergence")
FLAT = ("uniform", "plateau")
GENTLE = 0.04  # of the curve's range per e-fold: a first piece less steep than this is flat


@dataclass(frozen=True, kw_only=True, eq=False)
class Phases:
    """A model's phases.

    Attributes:
        phases: in order.
        absent: those of the four that are not among them -> why.
        pieces: the fitted curve, with the bends that are no boundary, too.
    """

    phases: tuple[Phase, ...]
    absent: Mapping[str, str]
    pieces: Pieces

    @property
    def boundaries(self) -> list[Phase]:
        """The phases that begin after another."""
        return [phase for phase in self.phases if phase.begin is not None]

    @property
    def corners(self) -> np.ndarray:
        """Every step that was measured and every one at which the fit bends, ascending."""
        return np.unique(np.r_[self.pieces.steps, self.pieces.bends])


def find_phases(
    steps: np.ndarray, kl: np.ndarray, weights: np.ndarray, rule: Rule = RULE
) -> Phases:
    """Phases of the pair mean of kl [K, S, S, G], documents weighted by weights [G].

    Raises InputError as `analysis.phases.find_pieces` does.

    Example:
        >>> steps = np.array([0, 1, 2, 4, 8, 16, 32])
        >>> level = np.abs(np.log1p(steps) - np.log1p(4)) + 0.1
        >>> kl = level[:, None, None, None] * np.ones((3, 3, 4))
        >>> [phase.name for phase in find_phases(steps, kl, np.ones(4)).phases]
        ['sharp convergence', 'sharp divergence']
    """
    pieces = find_pieces(steps, kl, weights, rule)
    names = names_of(pieces)
    return Phases(phases=join(pieces, names), absent=_absent(names, pieces.steps), pieces=pieces)


def names_of(pieces: Pieces) -> list[str]:
    """A name for every piece.

    A piece whose slope may as well be 0 is level. Where steps begin at 0 or 1, a level or gentle
    first piece is the uniform phase.
    """
    from_start = bool(pieces.steps[0] <= 1)
    gentle = GENTLE * float(np.ptp(pieces.fitted))
    low, high = pieces.slope_limits
    names: list[str] = []
    rises: list[float] = []  # slopes of the pieces before that have diverged
    for at, slope in enumerate(pieces.slopes):
        level = low[at] <= 0 <= high[at]
        if at == 0 and from_start and (level or abs(slope) < gentle):
            names.append("uniform")
        elif level:
            names.append("plateau")
        elif slope > 0:
            slow = rises and slope < max(rises) / 2
            names.append("slow divergence" if slow else "sharp divergence")
            rises.append(slope)
        elif rises:
            names.append("slow reconvergence")
        else:
            # Of the paper's two falls the first begins at the start, or a rise follows it.
            first = from_start or (pieces.slopes[at:] > 0).any()
            names.append("sharp convergence" if first else "convergence")
    return names


def _absent(names: list[str], steps: np.ndarray) -> dict[str, str]:
    """Those of the four that are not among the names -> the reason."""
    places = [NAMES.index(name) for name in names if name in NAMES]
    reasons = {}
    for at, name in enumerate(NAMES):
        if at in places:
            continue
        if "convergence" in names and name.endswith("convergence"):
            reasons[name] = f"may be the fall that is seen: the steps begin at {steps[0]:.0f}"
        elif steps[0] > 1 and at < min(places, default=2):
            reasons[name] = f"would lie before step {steps[0]:.0f}, the first measured"
        elif not places or at > max(places):
            reasons[name] = f"not seen by step {steps[-1]:.0f}, the last measured"
        else:
            reasons[name] = "not told apart from its neighbours at these steps"
    return reasons
