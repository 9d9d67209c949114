"""Where a curve over training pauses, turns or falls: stage boundaries by one rule.

docs/stages.md explains the rule and says how well it does. From checkpoints to boundaries:

    noise       how far single checkpoints scatter about a curve that nobody knows
    slopes      mean slopes of all intervals, with limits that hold at once
    patterns    the order of sure movements and sure pauses
    candidates  the boundaries that this order makes
    falls       sharp falls, from differences of neighbours
    shapes, places  where each boundary is, given that it exists
    find        all of it; `published` the rule of the paper instead
    compare     boundaries over seeds and of two curves

Existence and place are two questions: the first is answered by what surely is, whatever the curve
looks like, the second by a posterior under a shape.
"""

from dynamics.analysis.stages.compare import Coincidence, Recurrence, coincidence, over_runs
from dynamics.analysis.stages.find import find_stages
from dynamics.analysis.stages.noise import Noise
from dynamics.analysis.stages.rule import (
    PUBLISHED_RULE,
    RULE,
    Boundary,
    Dropped,
    PublishedRule,
    Rule,
    Stages,
)

__all__ = [
    "PUBLISHED_RULE",
    "RULE",
    "Boundary",
    "Coincidence",
    "Dropped",
    "Noise",
    "PublishedRule",
    "Recurrence",
    "Rule",
    "Stages",
    "coincidence",
    "find_stages",
    "over_runs",
]
