"""What seeds make of minimal pairs over training: how far apart they are, and how often right.

Axes: K steps (ascending), S seeds, N pairs, Q tasks, R phenomena. Divergences in nats, of a
distribution over the two sentences of a pair.

Pairs of a task are alike, so tasks take the place that documents have for text: errors over pairs
rest on them.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.means import clustered_mean, pair_mean
from dynamics.analysis.pairs import pair_curve
from dynamics.questions.committed import Committed, by_largest_seed_set
from dynamics.questions.minimal_pairs import record


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgements:
    """What one model's seeds say of minimal pairs.

    Attributes:
        model: name of the model.
        source: name of the file of pairs.
        seeds: [S].
        steps: [K].
        tasks: [Q] those that hold a pair.
        sizes: [Q] pairs of each.
        seed_kl: pair mean of the KL, with its interval over seeds, these pairs held fixed.
        accuracy: share of pairs whose good sentence is the likelier (a tie is half), mean over
            seeds, with the standard error over tasks: .5 for a guess.
        phenomena: the same by phenomenon.
        last_kl: [Q] mean over pairs of a task and ordered pairs of seeds, at the last step.
    """

    model: str
    source: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    tasks: tuple[str, ...]
    sizes: np.ndarray
    seed_kl: Curve
    accuracy: Curve
    phenomena: "Phenomena"
    last_kl: np.ndarray

    @property
    def num_pairs(self) -> int:
        """How many pairs were judged."""
        return int(self.sizes.sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class Phenomena:
    """Judgements by phenomenon, or by task where the file names none; most divergent first.

    Attributes:
        names: [R], by the KL at the last step, descending.
        sizes: [R] pairs of each.
        kl: [K,R] mean over pairs of sentences and of seeds.
        accuracy: [K,R] mean over seeds.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    kl: np.ndarray
    accuracy: np.ndarray


def find(committed: Committed) -> list[Judgements] | None:
    """One per model, models by size, of the largest set of seeds that it was measured with."""
    groups = by_largest_seed_set(committed.of(record.MEASURE))
    return [_judgements(model, pairs) for model, pairs in groups.items()] or None


def _judgements(model: str, pairs) -> Judgements:
    units = [unit for unit, _ in pairs]
    records = [record.from_dataset(data) for _, data in pairs]
    first, steps = records[0], np.array([unit.step for unit in units])
    member = np.eye(len(first.task_names))[first.task]  # [N,Q]
    present = member.sum(0) > 0
    sizes = member.sum(0)[present]
    share = member[:, present] / sizes
    kl = np.stack([r.kl @ share for r in records])  # [K,S,S,Q]
    right = np.stack([np.heaviside(r.preference, 0.5) for r in records]) @ share  # [K,S,Q]
    tasks, terms = (np.array(names)[present] for names in (first.task_names, first.terms))
    of_task = pair_mean(kl)  # [K,Q]
    return Judgements(
        model=model,
        source=first.source,
        seeds=units[0].seeds,
        steps=steps,
        tasks=tuple(tasks.tolist()),
        sizes=sizes,
        seed_kl=pair_curve(model, steps, list(kl), sizes, "seeds"),
        accuracy=_accuracy(model, steps, right, sizes),
        phenomena=_phenomena(tasks, terms, sizes, of_task, right.mean(1)),
        last_kl=of_task[-1],
    )


def _accuracy(model: str, steps, right: np.ndarray, sizes: np.ndarray) -> Curve:
    """right [K,S,Q], pairs of each task [Q]."""
    mean, sem, count = clustered_mean(right.mean(1), np.arange(len(sizes)), sizes)
    rests_on = f"± standard error over {count} tasks" if np.isfinite(sem).any() else ""
    return Curve.with_sem(model, steps, mean, sem, rests_on)


def _phenomena(tasks, terms, sizes, kl: np.ndarray, right: np.ndarray) -> Phenomena:
    """Tasks pooled by phenomenon, each pair counted once; kl and right [K,Q]."""
    labels = np.char.replace(np.where(terms == "", tasks, terms), "_", " ")
    names = np.unique(labels)
    weight = np.where(labels == names[:, None], sizes, 0.0)  # [R,Q]
    pooled = weight.sum(1)
    share = (weight / pooled[:, None]).T
    order = np.argsort(-(kl[-1] @ share), kind="stable")
    return Phenomena(
        names=tuple(names[order].tolist()),
        sizes=pooled[order],
        kl=(kl @ share)[:, order],
        accuracy=(right @ share)[:, order],
    )
