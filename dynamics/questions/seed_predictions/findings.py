"""How far seeds of in-context regression are apart over training.

Axes: K steps (ascending), S seeds, B contexts. Nats per prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.fall_and_rise import FallAndRise, fall_and_rise
from dynamics.analysis.means import clustered_mean, pair_mean
from dynamics.analysis.pairs import seed_sem_curve
from dynamics.questions.committed import Committed, Pairs, by_largest_seed_set
from dynamics.questions.seed_predictions import record
from dynamics.report import words


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedPredictions:
    """Of one model over training.

    Attributes:
        model: name of the model.
        seeds: [S].
        num_contexts: B.
        seed_kl: mean over pairs of seeds, with its standard error over contexts.
        turns: of `seed_kl`, with errors over seeds and contexts.
        loss: mean squared error, with its standard error over seeds.
        from_mean_task: KL to the prediction 0, likewise.
    """

    model: str
    seeds: tuple[int, ...]
    num_contexts: int
    seed_kl: Curve
    turns: FallAndRise
    loss: Curve
    from_mean_task: Curve

    @property
    def read(self) -> str:
        """What seeds read, in words: errors are over them, too."""
        return "contexts"

    @property
    def evidence(self) -> str:
        """What it rests on, in words."""
        return f"{len(self.seeds)} seeds, {words.counted(self.num_contexts, 'context')}"


def find(committed: Committed) -> list[SeedPredictions] | None:
    """One per model, models by size, of the largest set of seeds that it was measured with."""
    units = by_largest_seed_set(committed.of(record.MEASURE))
    return [_of_model(model, pairs) for model, pairs in units.items()] or None


def _of_model(model: str, pairs: Pairs) -> SeedPredictions:
    records = [record.from_dataset(data) for _, data in pairs]
    steps = np.array([unit.step for unit, _ in pairs])
    kl = np.stack([r.kl for r in records])
    seed_kl = _over_contexts(model, steps, kl)

    def over_seeds(values: Sequence[np.ndarray]) -> Curve:
        return seed_sem_curve(model, steps, np.stack(values).mean(-1))

    return SeedPredictions(
        model=model,
        seeds=pairs[0][0].seeds,
        num_contexts=kl.shape[-1],
        seed_kl=seed_kl,
        turns=fall_and_rise(seed_kl, kl, np.ones(kl.shape[-1])),
        loss=over_seeds([r.squared_error for r in records]),
        from_mean_task=over_seeds([r.from_mean_task for r in records]),
    )


def _over_contexts(model: str, steps: np.ndarray, kl: np.ndarray) -> Curve:
    """Pair mean of kl [K,S,S,B] with its standard error over contexts, these seeds held fixed."""
    count = kl.shape[-1]
    mean, sem, _ = clustered_mean(pair_mean(kl), np.arange(count))
    return Curve.with_sem(model, steps, mean, sem, f"± standard error over {count} contexts")
