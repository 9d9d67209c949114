"""Divergence per byte of models that may have different tokenizers, over training.

Axes: K steps, S models, G documents. Nats per byte unless a name ends in _bits.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.analysis import curves
from dynamics.analysis.curves import Curve
from dynamics.analysis.pairs import pair_curve, seed_curve

BITS = 1 / np.log(2)


@dataclass(frozen=True, kw_only=True)
class ByteDivergence:
    """What the measure "bytes" says of one model's seeds."""

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray  # [K]
    documents: int
    bytes: int
    vocabularies: tuple[int, ...]  # [S]
    by_documents: Curve  # KL of the next byte, other documents
    by_both: Curve  # the same, other documents and seeds
    gap_bits: Curve  # |difference of surprisal|, bits per byte, other documents
    surprisal_bits: Curve  # of each tokenizer's own encoding, bits per byte, over seeds
    every_bits: Curve  # counting every encoding, bits per byte, over seeds
    last_kl: np.ndarray  # [S,S] at the last step
    last_bits: np.ndarray  # [S] surprisal at the last step


def byte_divergences(committed: curves.Committed) -> list[ByteDivergence]:
    """One per model, models by size, of the largest set of seeds."""
    groups: dict[str, dict[tuple[int, ...], list]] = {}
    for unit, data in committed:
        groups.setdefault(unit.model, {}).setdefault(unit.seeds, []).append((unit, data))
    chosen = (
        max(groups[m].values(), key=lambda g: (len(g[0][0].seeds), len(g)))
        for m in sorted(groups, key=curves.natural)
    )
    return [_byte_divergence(sorted(group, key=lambda pair: pair[0].step)) for group in chosen]


def _byte_divergence(group: list) -> ByteDivergence:
    units, data = zip(*group, strict=True)
    model, steps = units[0].model, [unit.step for unit in units]
    weights = data[0]["bytes"].values.astype(np.float64)
    share = weights / weights.sum()

    def of_pairs(name: str, over, scale: float = 1.0) -> Curve:
        return pair_curve(
            model, steps, [scale * d[name].values.astype(np.float64) for d in data], weights, over
        )

    def of_seeds(name: str) -> Curve:
        return seed_curve(model, steps, BITS * np.stack([d[name].values @ share for d in data]))

    return ByteDivergence(
        model=model,
        seeds=units[0].seeds,
        steps=np.array(steps),
        documents=len(weights),
        bytes=int(weights.sum()),
        vocabularies=tuple(_whole(data[-1]["vocabulary"])),
        by_documents=of_pairs("kl", "documents"),
        by_both=of_pairs("kl", "both"),
        gap_bits=of_pairs("surprisal_gap", "documents", BITS),
        surprisal_bits=of_seeds("surprisal"),
        every_bits=of_seeds("surprisal_bytes"),
        last_kl=data[-1]["kl"].values @ share,
        last_bits=BITS * data[-1]["surprisal"].values @ share,
    )


def _whole(values: xr.DataArray) -> list[int]:
    return [int(value) for value in values.values]
