"""The measure "minimal_pairs" over training: how far seeds are apart in which sentence is better,
and how often right.

Axes: K steps (ascending), S seeds, N pairs, Q tasks, R phenomena. Divergences in nats, of a
distribution over the two sentences of a pair.

Pairs of a task are alike, so tasks take the place that documents have for text: errors over pairs
rest on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis import curves, uncertainty
from dynamics.analysis.curves import Committed, Curve
from dynamics.analysis.means import clustered_mean
from dynamics.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Judgements:
    """What one model's seeds say of minimal pairs."""

    model: str
    pairs: str  # the name of the file
    seeds: tuple[int, ...]
    steps: np.ndarray  # [K]
    tasks: tuple[str, ...]  # Q
    terms: tuple[str, ...]  # [Q], the phenomenon of each, "" where the file does not say
    sizes: np.ndarray  # [Q], pairs of each task
    kl: np.ndarray  # [K,S,S,Q], mean over a task's pairs
    accuracy: (
        np.ndarray
    )  # [K,S,Q], share of pairs whose good sentence is the likelier; a tie is half


def judgements(committed: Committed) -> list[Judgements]:
    """One per model, models by size, of the largest set of seeds that it was measured with."""
    models = sorted({unit.model for unit, _ in committed}, key=curves.natural)
    return [_judgements(model, committed) for model in models]


def _judgements(model: str, committed: Committed) -> Judgements:
    own = [(unit, data) for unit, data in committed if unit.model == model]
    seeds = max({unit.seeds for unit, _ in own}, key=lambda s: (len(s), s))
    own = sorted((pair for pair in own if pair[0].seeds == seeds), key=lambda pair: pair[0].step)
    first = own[0][1]
    task = first["task"].values.astype(np.int64)
    member = np.eye(first.sizes["task_name"])[task]  # [N,Q]
    sizes = member.sum(0)
    kept = sizes > 0
    mean = (member / np.maximum(sizes, 1))[:, kept]
    right = [np.heaviside(data["preference"].values.astype(np.float64), 0.5) for _, data in own]
    return Judgements(
        model=model,
        pairs=str(first.attrs.get("pairs", "")),
        seeds=seeds,
        steps=np.array([unit.step for unit, _ in own]),
        tasks=tuple(map(str, first["task_name"].values[kept])),
        terms=tuple(map(str, first["term"].values[kept])),
        sizes=sizes[kept],
        kl=np.stack([data["kl"].values.astype(np.float64) @ mean for _, data in own]),
        accuracy=np.stack(right) @ mean,
    )


def seed_kl(found: Judgements) -> Curve:
    """Pair mean of the KL over steps, with its 95 % interval over seeds, these pairs held fixed."""
    value = np.array([_weighted(_of_pairs(kl), found.sizes) for kl in found.kl])
    limits = np.array([_limits(kl, found.sizes) for kl in found.kl])
    rests_on = f"95 % interval over {len(found.seeds)} seeds" if np.isfinite(limits).any() else ""
    low, high = limits.T
    return Curve(
        model=found.model, steps=found.steps, value=value, low=low, high=high, rests_on=rests_on
    )


def accuracy(found: Judgements) -> Curve:
    """Share of pairs judged right, mean over seeds, with the standard error over tasks: .5 for a
    guess."""
    pairs = [
        clustered_mean(row.mean(0), np.arange(len(found.sizes)), found.sizes)
        for row in found.accuracy
    ]
    value, sem = np.array([(mean, error) for mean, error, _ in pairs]).T
    rests_on = f"± standard error over {len(found.sizes)} tasks" if np.isfinite(sem).any() else ""
    return Curve(
        model=found.model,
        steps=found.steps,
        value=value,
        low=value - sem,
        high=value + sem,
        rests_on=rests_on,
    )


@dataclass(frozen=True, kw_only=True)
class Phenomena:
    """Judgements by phenomenon, or by task where the file names none; the most divergent at the
    last step first."""

    names: tuple[str, ...]  # R
    sizes: np.ndarray  # [R], pairs of each
    kl: np.ndarray  # [K,R], pair mean
    accuracy: np.ndarray  # [K,R], seed mean


def phenomena(found: Judgements) -> Phenomena:
    """Tasks pooled by phenomenon, each pair counted once."""
    labels = np.array(
        [
            (term or task).replace("_", " ")
            for term, task in zip(found.terms, found.tasks, strict=True)
        ]
    )
    names = np.unique(labels)
    share = np.array([np.where(labels == name, found.sizes, 0.0) for name in names])  # [R,Q]
    sizes = share.sum(1)
    kl = np.stack([_of_pairs(one) for one in found.kl]) @ (share / sizes[:, None]).T
    right = found.accuracy.mean(1) @ (share / sizes[:, None]).T
    order = np.argsort(-kl[-1], kind="stable")
    return Phenomena(
        names=tuple(names[order].tolist()),
        sizes=sizes[order],
        kl=kl[:, order],
        accuracy=right[:, order],
    )


def extremes(found: Judgements, count: int = 5) -> tuple[Sequence[str], Sequence[str]]:
    """The tasks on which seeds are farthest apart at the last step, and those on which they agree
    most."""
    order = np.argsort(-_of_pairs(found.kl[-1]), kind="stable")
    count = min(count, len(order) // 2)
    return [found.tasks[q] for q in order[:count]], [found.tasks[q] for q in order[::-1][:count]]


def _of_pairs(kl: np.ndarray) -> np.ndarray:
    """[S,S,Q] -> [Q], mean over ordered pairs of different seeds."""
    return kl[~np.eye(len(kl), dtype=bool)].mean(0)


def _weighted(values: np.ndarray, sizes: np.ndarray) -> float:
    return float(values @ sizes / sizes.sum())


def _limits(kl: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    try:
        found = uncertainty.seed_interval(kl, sizes)
    except InputError:  # two seeds show no spread
        return np.nan, np.nan
    return found.low, found.high
