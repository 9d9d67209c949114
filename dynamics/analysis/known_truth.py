"""Divergence from a known truth over training, beside that between seeds.

Axes: K steps, S seeds, G independent windows. Nats per token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dynamics.analysis import curves, uncertainty
from dynamics.analysis.curves import Curve
from dynamics.analysis.pairs import pair_curve, seed_curve
from dynamics.errors import InputError


@dataclass(frozen=True, kw_only=True)
class KnownTruth:
    """What the measure "truth" says of one model."""

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray  # [K]
    windows: int  # G
    to_truth: Curve  # KL(truth || model), over seeds
    between: Curve  # KL between seeds, over seeds
    from_unigram: Curve  # KL(unigram || model), over seeds
    loss: Curve  # cross-entropy under the truth, over seeds
    common: np.ndarray  # [K] of mean KL(truth || model), what the seeds have in common
    variance: np.ndarray  # [K] and what each has alone; they sum to it
    entropy: tuple[float, float]  # of the truth on these windows, and its error over windows
    truth_unigram: float  # KL(truth || unigram)
    rises: tuple[
        int, ...
    ]  # indices k at which seeds drew apart, by two errors, since k-1 and came nearer to the truth
    gap: np.ndarray = field(
        repr=False
    )  # [K,2]: (loss - true loss) - KL(truth || model), and its error over windows

    @property
    def unigram_step(self) -> int:
        """The step at which the seeds are nearest to the tokens' frequencies."""
        return int(self.steps[np.argmin(self.from_unigram.value)])

    @property
    def beats_unigram(self) -> int | None:
        """The first step at which the seeds are nearer to the truth than the tokens' frequencies
        are."""
        nearer = self.to_truth.value < self.truth_unigram
        return int(self.steps[np.argmax(nearer)]) if nearer.any() else None


def known_truths(committed: curves.Committed) -> list[KnownTruth]:
    """One per model, models by size, of the largest set of seeds."""
    groups: dict[str, dict[tuple[int, ...], list]] = {}
    for unit, data in committed:
        groups.setdefault(unit.model, {}).setdefault(unit.seeds, []).append((unit, data))
    chosen = [
        max(groups[m].values(), key=lambda g: (len(g[0][0].seeds), len(g)))
        for m in _by_size(groups)
    ]
    return [_known_truth(sorted(group, key=lambda pair: pair[0].step)) for group in chosen]


def _by_size(models) -> list[str]:
    return sorted(models, key=curves.natural)


def _known_truth(group: Sequence) -> KnownTruth:
    units, data = zip(*group, strict=True)
    model, steps, first = units[0].model, [unit.step for unit in units], data[0]
    weights = first["tokens"].values.astype(np.float64)

    def over_seeds(name: str) -> Curve:
        return seed_curve(
            model, steps, np.stack([d[name].values @ weights / weights.sum() for d in data])
        )

    pairs, to_truth = [d["kl"].values for d in data], over_seeds("truth_model")
    true_entropy = first["true_entropy"].values
    count = len(weights)
    return KnownTruth(
        model=model,
        seeds=units[0].seeds,
        steps=np.array(steps),
        windows=count,
        to_truth=to_truth,
        between=pair_curve(model, steps, pairs, weights, "seeds"),
        from_unigram=over_seeds("unigram_model"),
        loss=over_seeds("surprisal"),
        common=np.array([float(d["common"].mean()) for d in data]),
        variance=np.array([float(d["variance"].mean()) for d in data]),
        entropy=(
            float(true_entropy.mean()),
            float(true_entropy.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan,
        ),
        truth_unigram=float(first["truth_unigram"].mean()),
        rises=tuple(
            k
            for k in range(1, len(steps))
            if _apart(pairs, weights, k) and np.diff(to_truth.value)[k - 1] < 0
        ),
        gap=np.array([_gap(d) for d in data]),
    )


def _apart(pairs: Sequence[np.ndarray], weights: np.ndarray, k: int) -> bool:
    try:
        rise, sem = uncertainty.paired_difference(pairs[k - 1], pairs[k], weights)
    except InputError:  # too few seeds or windows to say
        return False
    return rise > 2 * sem


def _gap(data) -> tuple[float, float]:
    """Excess loss less divergence, and its error: the two agree where targets are drawn from the
    truth."""
    excess = (
        data["surprisal"].values.mean(0)
        - data["true_surprisal"].values
        - data["truth_model"].values.mean(0)
    )
    count = len(excess)
    return float(excess.mean()), float(excess.std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan
