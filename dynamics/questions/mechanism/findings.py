"""Heads, units and the precision of weights over training.

Axes: K steps (ascending), M scores, L layers, H heads, J heads of all layers, R rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.means import clustered_mean
from dynamics.questions.committed import Committed, Pairs, by_model
from dynamics.questions.mechanism import record
from dynamics.questions.mechanism.record import Record
from dynamics.questions.single_seeds import (
    Steps,
    of_seed,
    over_seeds,
    over_seeds_or_clusters,
    records_by_step,
    seeds_of,
)

RARE = 0.01  # share of tokens below which a unit is called rarely active
ENOUGH_TOKENS = 100_000  # to call a unit dead that is active at none of them
_MOST_HEADS = 32  # that a heat map names


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadScores:
    """One score of one model.

    Attributes:
        highest: of any head, at each step: the head may change.
        uniform: what a head scores that looks at all sources alike.
        names: [J] "layer.head" of the first seed's heads, those with the highest last score where
            there are many.
        by_head: [K,J] their scores, means over sequences.
        num_heads: of all.
        num_sequences: that the errors rest on.
    """

    highest: Curve
    uniform: float
    names: tuple[str, ...]
    by_head: np.ndarray
    num_heads: int
    num_sequences: int


@dataclass(frozen=True, kw_only=True, eq=False)
class DeadUnits:
    """MLP units that are never or rarely active.

    Attributes:
        dead: share of units that are active at none of the tokens.
        rare: share that are active at fewer than RARE of them, the dead ones among them.
        by_layer, rare_by_layer: [K,L] the same shares of each layer's units, of the first seed.
        num_tokens: fewest of any checkpoint.
        num_units: of all layers.
    """

    dead: Curve
    rare: Curve
    by_layer: np.ndarray
    rare_by_layer: np.ndarray
    num_tokens: int
    num_units: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Precision:
    """What it costs to give the weights fewer values.

    Attributes:
        loss: mean surprisal with the weights as they are.
        increase: (rule, parts) -> by how much it is higher after the rule, in nats.
        num_documents: of the text.
    """

    loss: Curve
    increase: Mapping[tuple[str, str], Curve]
    num_documents: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Mechanism:
    """Of one model over training.

    Attributes:
        model: name of the model.
        seeds: that were measured.
        steps: [K] of the first seed.
        scores: name of a score on repeated random tokens -> it.
        previous_on_text: the previous-token score on text.
        units: dead units.
        precision: losses after compression.
        block, repeats: tokens of a repeated block, and how often it stands in a sequence.
    """

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    scores: Mapping[str, HeadScores]
    previous_on_text: HeadScores
    units: DeadUnits
    precision: Precision
    block: int
    repeats: int


def find(committed: Committed) -> list[Mechanism] | None:
    """One per model, models by size."""
    groups = by_model(committed.of(record.MEASURE))
    return [_mechanism(model, pairs) for model, pairs in groups.items()] or None


def _mechanism(model: str, pairs: Pairs) -> Mechanism:
    steps = records_by_step(pairs, record.from_dataset)
    seeds = seeds_of(steps)
    own = of_seed(steps, seeds[0])
    first = [of_step[seeds[0]] for of_step in own.values()]
    last = first[-1].heads
    scores = {
        name: _head_scores(
            model,
            steps,
            first,
            # The place of a score is its own in every record.
            lambda r, place=place: (r.heads.repeated[place], np.arange(last.repeated.shape[-1])),
            float(last.uniform[place]),
            "sequences",
        )
        for place, name in enumerate(record.SCORES)
    }
    return Mechanism(
        model=model,
        seeds=tuple(seeds),
        steps=np.array(list(own)),
        scores=scores,
        previous_on_text=_head_scores(
            model,
            steps,
            first,
            lambda r: (r.heads.text, r.heads.document),
            last.text_uniform,
            "documents",
        ),
        units=_units(model, steps, first),
        precision=_precision(model, steps, first),
        block=last.block,
        repeats=last.repeats,
    )


def _head_scores(
    model: str,
    steps: Steps[Record],
    first: Sequence[Record],
    items: Callable[[Record], tuple[np.ndarray, np.ndarray]],
    uniform: float,
    clusters: str,
) -> HeadScores:
    """`items` gives a record's scores [L,H,N] and the cluster of each sequence [N]."""

    def highest(r: Record) -> tuple[float, float]:
        scores, owner = items(r)
        mean, sem, _ = clustered_mean(scores.reshape(-1, scores.shape[-1]), owner)
        top = int(np.argmax(np.nan_to_num(mean, nan=-np.inf)))
        return float(mean[top]), float(sem[top])

    means = [clustered_mean(*items(r))[0] for r in first]  # of [L,H]
    by_head = np.stack([mean.ravel() for mean in means])
    heads = first[-1].heads.text.shape[1]
    last = np.nan_to_num(by_head[-1], nan=-np.inf)
    shown = np.sort(np.argsort(-last, kind="stable")[:_MOST_HEADS])
    num_clusters = len(np.unique(items(first[-1])[1]))
    return HeadScores(
        highest=over_seeds_or_clusters(model, steps, highest, f"{num_clusters} {clusters}"),
        uniform=uniform,
        names=tuple(f"{j // heads}.{j % heads}" for j in shown),
        by_head=by_head[:, shown],
        num_heads=by_head.shape[1],
        num_sequences=num_clusters,
    )


def _units(model: str, steps: Steps[Record], first: Sequence[Record]) -> DeadUnits:
    def share(fewer_than: Callable[[Record], float]) -> Curve:
        return over_seeds(
            model, steps, lambda r: float((r.active < fewer_than(r)).mean()), lambda _: np.nan
        )

    return DeadUnits(
        dead=share(lambda r: 1),
        rare=share(lambda r: RARE * r.num_tokens),
        by_layer=np.stack([(r.active == 0).mean(1) for r in first]),
        rare_by_layer=np.stack([(r.active < RARE * r.num_tokens).mean(1) for r in first]),
        num_tokens=min(r.num_tokens for of_step in steps.values() for r in of_step.values()),
        num_units=first[-1].active.size,
    )


def _precision(model: str, steps: Steps[Record], first: Sequence[Record]) -> Precision:
    last = first[-1].compression
    num_documents = len(np.unique(last.document))
    clusters = f"{num_documents} documents"

    def increase(place: int) -> Curve:
        def of_record(r: Record) -> tuple[float, float]:
            losses = r.compression
            # Text by text, so that what makes a text hard cancels.
            mean, sem, _ = clustered_mean(losses.compressed[place] - losses.full, losses.document)
            return float(mean), float(sem)

        return over_seeds_or_clusters(model, steps, of_record, clusters)

    def loss(r: Record) -> tuple[float, float]:
        mean, sem, _ = clustered_mean(r.compression.full, r.compression.document)
        return float(mean), float(sem)

    rules = zip(last.rules, last.parts, strict=True)
    return Precision(
        loss=over_seeds_or_clusters(model, steps, loss, clusters),
        increase={rule: increase(place) for place, rule in enumerate(rules)},
        num_documents=num_documents,
    )
