"""What a longer context is worth: surprisal of one token given many before it, and given few.

Axes: K steps (ascending), S seeds, W windows, D documents. Nats.
"""

from dataclasses import dataclass, field

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.means import clustered_mean
from dynamics.analysis.pairs import seed_sem_curve
from dynamics.questions.committed import Committed, Pairs, by_largest_seed_set
from dynamics.questions.in_context import record


@dataclass(frozen=True, kw_only=True, eq=False)
class ContextBenefit:
    """What one model's seeds gain from a longer context.

    Attributes:
        model: name of the model.
        seeds: [S].
        score: surprisal given the long context less that given the short one, mean over windows and
            seeds, with the standard error over seeds: below 0 where the longer context helps.
        given_long, given_short: the two surprisals, in the same form.
        long, short: tokens of either context.
        positions: which token is predicted given how many, in words, and whether that is scaled
            down from what was asked for.
        num_windows: W.
        num_documents: that the windows are of.
        steps: [K].
        by_document: [K,S,D] the scores of each document, of which `documents` [D] are the names and
            `windows` [D] the windows.
        last_sem: standard error of the last score over documents and, of two seeds or more, seeds.
    """

    model: str
    seeds: tuple[int, ...]
    score: Curve
    given_long: Curve
    given_short: Curve
    long: int
    short: int
    positions: str
    num_windows: int
    num_documents: int
    steps: np.ndarray
    by_document: np.ndarray = field(repr=False)
    documents: np.ndarray = field(repr=False)
    windows: np.ndarray = field(repr=False)
    last_sem: float


def find(committed: Committed) -> list[ContextBenefit] | None:
    """One per model, models by size, of the largest set of seeds that it was measured with."""
    units = by_largest_seed_set(committed.of(record.MEASURE, record.FORMER))
    return [_context_benefit(model, pairs) for model, pairs in units.items()] or None


def _context_benefit(model: str, pairs: Pairs) -> ContextBenefit:
    records = [record.from_dataset(data) for _, data in pairs]
    steps, last = np.array([unit.step for unit, _ in pairs]), records[-1]
    long, short = int(np.argmax(last.lengths)), int(np.argmin(last.lengths))
    surprisals = [r.surprisal for r in records]  # of [S,W,C]
    scores = [surprisal[..., long] - surprisal[..., short] for surprisal in surprisals]

    def over_seeds(values: list[np.ndarray]) -> Curve:
        """K arrays [S,W] to their mean over windows and seeds."""
        return seed_sem_curve(model, steps, np.stack([step.mean(1) for step in values]))

    documents, place, windows = np.unique(last.document, return_inverse=True, return_counts=True)
    to_document = (place[:, None] == np.arange(len(documents))) / windows  # [W,D]
    return ContextBenefit(
        model=model,
        seeds=pairs[0][0].seeds,
        score=over_seeds(scores),
        given_long=over_seeds([surprisal[..., long] for surprisal in surprisals]),
        given_short=over_seeds([surprisal[..., short] for surprisal in surprisals]),
        long=last.lengths[long],
        short=last.lengths[short],
        positions=last.positions + (", scaled down" if last.scaled else ""),
        num_windows=len(last.document),
        num_documents=len(documents),
        steps=steps,
        by_document=np.stack(scores) @ to_document,
        documents=documents,
        windows=windows.astype(np.float64),
        last_sem=_sem(scores[-1], last.document),
    )


def _sem(score: np.ndarray, document: np.ndarray) -> float:
    """Standard error of the mean of score [S,W] over seeds and documents; NaN for one document."""
    _, over_documents, _ = clustered_mean(score.mean(0), document)
    by_seed = score.mean(1)
    over_seeds = by_seed.std(ddof=1) / np.sqrt(len(by_seed)) if len(by_seed) > 1 else 0.0
    return float(np.hypot(over_documents, over_seeds))
