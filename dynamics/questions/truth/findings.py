"""Divergence from a known truth over training, beside that between seeds.

Axes: K steps (ascending), S seeds, G independent windows. Nats per token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dynamics.analysis import selection, uncertainty
from dynamics.analysis.curve import Curve
from dynamics.analysis.pairs import pair_curve, seed_curve
from dynamics.errors import InputError
from dynamics.questions.committed import Committed, Pairs, by_largest_seed_set
from dynamics.questions.truth import record
from dynamics.questions.truth.record import Record

_APART = 2.0  # standard errors of a step at which seeds draw apart


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownTruth:
    """How one model's seeds approach a truth that is known.

    Attributes:
        model: its name.
        seeds: [S].
        steps: [K].
        windows: G.
        to_truth: KL(truth || model), over seeds.
        between: KL between seeds, over seeds.
        from_unigram: KL(unigram || model), over seeds.
        loss: cross-entropy under the truth, over seeds.
        common, variance: [K] what seeds have in common of the mean KL(truth || model), and what
            each has alone; they sum to it.
        common_error, variance_error: [K] their standard errors over windows, these seeds fixed.
        own_share: of the mean divergence from the truth, what each seed has alone, in per cent,
            with its standard error over windows.
        entropy: of the truth on these windows, and its error over windows.
        truth_unigram: KL(truth || unigram).
        rises: indices k at which seeds drew apart since k - 1, while they came nearer to the truth:
            by two errors, corrected for the K - 1 neighbours that are looked at.
        gap: [K,2] (loss - true loss) - KL(truth || model), and its error over windows.
    """

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    windows: int
    to_truth: Curve
    between: Curve
    from_unigram: Curve
    loss: Curve
    common: np.ndarray
    variance: np.ndarray
    common_error: np.ndarray
    variance_error: np.ndarray
    own_share: Curve
    entropy: tuple[float, float]
    truth_unigram: float
    rises: tuple[int, ...]
    gap: np.ndarray = field(repr=False)

    @property
    def unigram_step(self) -> int:
        """The step at which the seeds are nearest to the tokens' frequencies."""
        return int(self.steps[np.argmin(self.from_unigram.value)])

    @property
    def beats_unigram(self) -> int | None:
        """The first step at which the seeds are nearer to the truth than the frequencies are."""
        nearer = self.to_truth.value < self.truth_unigram
        return int(self.steps[np.argmax(nearer)]) if nearer.any() else None


def find(committed: Committed) -> list[KnownTruth] | None:
    """One per model, models by size, of the largest set of seeds."""
    groups = by_largest_seed_set(committed.of(record.MEASURE))
    return [_known_truth(model, pairs) for model, pairs in groups.items()] or None


def _known_truth(model: str, pairs: Pairs) -> KnownTruth:
    steps = np.array([unit.step for unit, _ in pairs])
    records = [record.from_dataset(data) for _, data in pairs]
    first, weights = records[0], records[0].tokens
    share, between = weights / weights.sum(), [r.kl for r in records]

    def over_seeds(values: Sequence[np.ndarray]) -> Curve:
        return seed_curve(model, steps, np.stack([per_window @ share for per_window in values]))

    to_truth = over_seeds([r.truth_model for r in records])
    falls = np.diff(to_truth.value) < 0
    common, common_error = np.array([_mean_and_error(r.common) for r in records]).T
    variance, variance_error = np.array([_mean_and_error(r.variance) for r in records]).T
    return KnownTruth(
        model=model,
        seeds=pairs[0][0].seeds,
        steps=steps,
        windows=len(weights),
        to_truth=to_truth,
        between=pair_curve(model, steps, between, weights, "seeds"),
        from_unigram=over_seeds([r.unigram_model for r in records]),
        loss=over_seeds([r.surprisal for r in records]),
        common=common,
        variance=variance,
        common_error=common_error,
        variance_error=variance_error,
        own_share=_own_share(model, steps, records),
        entropy=_mean_and_error(first.true_entropy),
        truth_unigram=float(first.truth_unigram.mean()),
        rises=tuple(
            k
            for k in range(1, len(steps))
            if falls[k - 1] and _apart(between[k - 1], between[k], weights, len(steps) - 1)
        ),
        gap=np.array([_gap(r) for r in records]),
    )


def _own_share(model: str, steps: np.ndarray, records: Sequence[Record]) -> Curve:
    """The ratio of two means over windows, with its linearised error (Cochran 1977, chapter 6)."""
    shares = []
    for each in records:
        whole = each.common + each.variance
        ratio = each.variance.mean() / whole.mean()
        _, error = _mean_and_error(each.variance - ratio * whole)
        shares.append((100 * ratio, 100 * error / whole.mean()))
    rests_on = f"± standard error over {len(records[0].common)} windows, these seeds held fixed"
    share, error = np.array(shares).T
    return Curve.with_sem(model, steps, share, error, rests_on)


def _apart(before: np.ndarray, after: np.ndarray, weights: np.ndarray, neighbours: int) -> bool:
    """Whether seeds are farther apart after than before, by two of the errors of `one_of_many`."""
    try:
        rise = uncertainty.paired_log_ratio(before, after, weights)
    except InputError:  # too few seeds or windows to say
        return False
    return rise.sem > 0 and selection.one_of_many(rise.ratio, rise.df, neighbours) >= _APART


def _gap(record: Record) -> tuple[float, float]:
    """Excess loss less divergence: the two agree where targets are drawn from the truth."""
    excess = record.surprisal.mean(0) - record.true_surprisal
    return _mean_and_error(excess - record.truth_model.mean(0))


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean over windows [G] and its standard error, NaN for one window."""
    count = len(values)
    error = float(values.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan
    return float(values.mean()), error
