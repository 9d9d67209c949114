"""Passages with what every model's seeds expect at each token, as the page's script reads them.

Numbers are whole ones: KL in thousandths of a nat, surprisal in hundredths, probabilities in
thousandths. They are rounded here and nowhere else; what is not finite is null.

Axes: M models, K steps, W passages, T tokens, P = T - 1 predictions, S seeds, R ranks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynamics.questions.committed import Committed, Pairs, by_largest_seed_set
from dynamics.questions.reading import record
from dynamics.questions.reading.record import Record

KL_UNIT, SURPRISAL_UNIT, PROBABILITY_UNIT = 1e-3, 1e-2, 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Passages:
    """What there is to read.

    Attributes:
        models: names, by size.
        count: W.
        tokens: predictions of all passages.
        payload: models -> steps -> whole numbers, beside the passages and the words. `words` are
            the tokens' texts; passages and ranks hold indices into them.
    """

    models: tuple[str, ...]
    count: int
    tokens: int
    payload: dict[str, Any] = field(repr=False)


def find(committed: Committed) -> Passages | None:
    """Of the largest set of seeds of every model; None where there is nothing to read."""
    groups = by_largest_seed_set(committed.of(record.MEASURE))
    if not groups:
        return None
    records = {
        model: [record.from_dataset(data) for _, data in pairs] for model, pairs in groups.items()
    }
    every = [one_step for steps in records.values() for one_step in steps]
    texts = {int(token): piece for r in every for token, piece in zip(r.ids, r.pieces, strict=True)}
    index = {token: place for place, token in enumerate(sorted(texts))}
    first = every[0]
    passages = [
        {"title": title, "tokens": [index[int(token)] for token in row]}
        for title, row in zip(first.titles, first.tokens, strict=True)
    ]
    payload = {
        "units": {"kl": KL_UNIT, "surprisal": SURPRISAL_UNIT, "probability": PROBABILITY_UNIT},
        "most": _most([r.kl for r in every]),
        "words": [texts[token] for token in sorted(texts)],
        "passages": passages,
        "models": [_model(model, groups[model], records[model], index) for model in groups],
    }
    return Passages(
        models=tuple(groups), count=len(passages), tokens=first.kl.size, payload=payload
    )


def _most(kl: Sequence[np.ndarray]) -> float:
    """Where the colours end, nats: one for all, so that a shade means the same everywhere."""
    finite = [values[np.isfinite(values)] for values in kl]
    highest = max((float(np.quantile(v, 0.95)) for v in finite if v.size), default=0.0)
    return float(f"{highest:.1g}") or 1.0


def _model(
    name: str, pairs: Pairs, records: Sequence[Record], index: dict[int, int]
) -> dict[str, Any]:
    places = np.vectorize(index.__getitem__)
    return {
        "name": name,
        "seeds": list(pairs[0][0].seeds),
        "steps": [unit.step for unit, _ in pairs],
        "kl": _whole([r.kl for r in records], KL_UNIT),  # [K,W,P]
        "surprisal": _whole([r.surprisal for r in records], SURPRISAL_UNIT),  # [K,S,W,P]
        "top": [places(r.top_id).tolist() for r in records],  # [K,S,W,P,R]
        "probability": _whole([r.top_probability for r in records], PROBABILITY_UNIT),
    }


def _whole(values: Sequence[np.ndarray], unit: float) -> list:
    """Numbers in whole units, None where one is not finite."""
    scaled = np.rint(np.asarray(values, np.float64) / unit)
    finite = np.isfinite(scaled)
    whole = np.where(finite, scaled, 0).astype(int).astype(object)
    whole[~finite] = None
    return whole.tolist()
