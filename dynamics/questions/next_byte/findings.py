"""Divergence per byte of models that may have different tokenizers, over training.

Axes: K steps (ascending), S models, G documents. Nats per byte unless a name ends in _bits.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.pairs import Over, pair_curve, seed_curve
from dynamics.questions.committed import Committed, Pairs, by_largest_seed_set
from dynamics.questions.next_byte import record

BITS = 1 / np.log(2)  # of a nat


@dataclass(frozen=True, kw_only=True, eq=False)
class ByteDivergence:
    """How far apart one model's seeds are in the next byte.

    Attributes:
        model: its name.
        seeds: [S].
        steps: [K].
        documents, bytes: how many were read.
        vocabularies: [S] number of token ids of each tokenizer.
        over_documents: KL of the next byte, with its interval over documents.
        over_both: the same, over documents and seeds.
        gap_bits: |difference of surprisal|, over documents.
        surprisal_bits: of each tokenizer's own encoding, over seeds.
        every_bits: counting every encoding, over seeds.
        last_kl: [S,S] at the last step.
        last_bits: [S] surprisal at the last step.
    """

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    documents: int
    bytes: int
    vocabularies: tuple[int, ...]
    over_documents: Curve
    over_both: Curve
    gap_bits: Curve
    surprisal_bits: Curve
    every_bits: Curve
    last_kl: np.ndarray
    last_bits: np.ndarray


def find(committed: Committed) -> list[ByteDivergence] | None:
    """One per model, models by size, of the largest set of seeds."""
    groups = by_largest_seed_set(committed.of(record.MEASURE, record.FORMER))
    return [_byte_divergence(model, pairs) for model, pairs in groups.items()] or None


def _byte_divergence(model: str, pairs: Pairs) -> ByteDivergence:
    steps = np.array([unit.step for unit, _ in pairs])
    records = [record.from_dataset(data) for _, data in pairs]
    sizes, last = records[0].sizes, records[-1]
    share = sizes / sizes.sum()

    def of_pairs(values, over: Over) -> Curve:
        return pair_curve(model, steps, values, sizes, over)

    def of_seeds(values) -> Curve:
        return seed_curve(model, steps, BITS * np.stack([of_step @ share for of_step in values]))

    kl = [r.kl for r in records]
    return ByteDivergence(
        model=model,
        seeds=pairs[0][0].seeds,
        steps=steps,
        documents=len(sizes),
        bytes=int(sizes.sum()),
        vocabularies=last.vocabularies,
        over_documents=of_pairs(kl, "documents"),
        over_both=of_pairs(kl, "both"),
        gap_bits=of_pairs([BITS * r.surprisal_gap for r in records], "documents"),
        surprisal_bits=of_seeds([r.surprisal for r in records]),
        every_bits=of_seeds([r.surprisal_every for r in records]),
        last_kl=last.kl @ share,
        last_bits=BITS * last.surprisal @ share,
    )
