"""How much of the divergence of runs the initialisation makes, and how much the data order.

Axes: K steps (ascending), S runs, G documents. Nats per token.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dynamics.analysis import crossed
from dynamics.analysis.curve import Curve
from dynamics.analysis.pairs import seed_curve
from dynamics.errors import InputError
from dynamics.questions.causes import record
from dynamics.questions.causes.record import Record
from dynamics.questions.committed import Committed, Pairs, by_largest_seed_set

# What `analysis.crossed` calls a part, and which runs a mean divergence is of, in the page's words.
PARTS = {"initialisation": "row", "data order": "column", "both at once": "interaction"}
KINDS = {"nothing": "neither", "the data order": "same_column", "the initialisation": "same_row"}


@dataclass(frozen=True, kw_only=True, eq=False)
class CausesOfDivergence:
    """The divergence of one model's runs by its causes.

    Attributes:
        model: its name.
        steps: [K].
        inits, orders: how many initialisations are crossed with how many data orders.
        documents: G.
        parts: of `PARTS` -> what that cause makes of the divergence of runs that share nothing; the
            three sum to it. Bars are 95 % intervals over other initialisations and data orders.
        kinds: what two runs share, of `KINDS` -> their mean divergence.
        loss: cross-entropy, over runs.
    """

    model: str
    steps: np.ndarray
    inits: int
    orders: int
    documents: int
    parts: Mapping[str, Curve]
    kinds: Mapping[str, Curve]
    loss: Curve

    @property
    def shares(self) -> dict[str, np.ndarray]:
        """Of `PARTS` -> [K] the share in the divergence of runs that share nothing, in per cent."""
        whole = self.kinds["nothing"].value
        whole = np.where(whole > 0, whole, np.nan)
        return {name: 100 * part.value / whole for name, part in self.parts.items()}

    @property
    def last(self) -> int | None:
        """The last k at which all parts are there; None for none."""
        complete = np.flatnonzero(np.isfinite([part.value for part in self.parts.values()]).all(0))
        return int(complete[-1]) if complete.size else None

    @property
    def forgotten(self) -> int | None:
        """The step from which on the initialisation makes less than half; None for none."""
        more = np.flatnonzero(~(self.shares["initialisation"] < 50))
        since = int(more[-1]) + 1 if more.size else 0
        return int(self.steps[since]) if since < len(self.steps) else None


def find(committed: Committed) -> list[CausesOfDivergence] | None:
    """One per model, models by size, of the largest set of runs."""
    groups = by_largest_seed_set(committed.of(record.MEASURE))
    return [_causes(model, pairs) for model, pairs in groups.items()] or None


def _causes(model: str, pairs: Pairs) -> CausesOfDivergence:
    steps = np.array([unit.step for unit, _ in pairs])
    records = [record.from_dataset(data) for _, data in pairs]
    first, share = records[0], records[0].tokens / records[0].tokens.sum()
    inits, orders = len(np.unique(first.init)), len(np.unique(first.order))
    limits = [_limits(measured) for measured in records]  # of [3] by name

    def curve(name: str) -> Curve:
        mean, low, high = np.array([at[name] for at in limits]).T
        rests_on = f"95 % interval over {inits} x {orders} runs"
        return Curve.with_limits(model, steps, mean, low, high, rests_on)

    return CausesOfDivergence(
        model=model,
        steps=steps,
        inits=inits,
        orders=orders,
        documents=len(first.tokens),
        parts={name: curve(attribute) for name, attribute in PARTS.items()},
        kinds={name: curve(attribute) for name, attribute in KINDS.items()},
        loss=seed_curve(model, steps, np.stack([r.surprisal @ share for r in records])),
    )


def _limits(measured: Record) -> dict[str, tuple[float, float, float]]:
    """(mean, low, high) of every part and kind; without limits where runs allow none."""
    kl = measured.kl @ (measured.tokens / measured.tokens.sum())
    names = (*PARTS.values(), *KINDS.values())
    try:
        parts = crossed.components(kl, measured.init, measured.order)
    except InputError:  # runs that fill no grid, or too few; numbers that are not finite
        means = _means(kl, measured.init, measured.order)
        return {name: (means[name], np.nan, np.nan) for name in names}
    intervals = {name: getattr(parts, name) for name in names}
    return {name: (i.mean, i.low, i.high) for name, i in intervals.items()}


def _means(kl: np.ndarray, init: np.ndarray, order: np.ndarray) -> dict[str, float]:
    """What `crossed.components` estimates, of any runs; NaN where there is no pair to tell it."""
    same_init, same_order = init[:, None] == init, order[:, None] == order

    def mean(pairs: np.ndarray) -> float:
        return float(kl[pairs].mean()) if pairs.any() else np.nan

    same_row, same_column = mean(same_init & ~same_order), mean(same_order & ~same_init)
    neither = mean(~same_init & ~same_order)
    return {
        "same_row": same_row,
        "same_column": same_column,
        "neither": neither,
        "row": neither - same_row,
        "column": neither - same_column,
        "interaction": same_row + same_column - neither,
    }
