"""What one model's seeds show over training: how far apart they predict, and what they became.

The findings that `convergence` and `masked` share, and the sentence that says them. Axes: K steps
(ascending), S seeds, G documents. Nats per token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.fall_and_rise import Change, FallAndRise, fall_and_rise
from dynamics.analysis.pairs import pair_curve, seed_sem_curve
from dynamics.analysis.significance import SURE
from dynamics.questions.committed import Pairs
from dynamics.questions.headline import headline
from dynamics.questions.seed_record import Record
from dynamics.report import grades, words
from dynamics.report.section import Finding

_MOST_GAPS = 8  # steps that a sentence names


class Seeds(Protocol):
    """What a sentence on the course of a divergence needs to know."""

    @property
    def model(self) -> str: ...
    @property
    def seed_kl(self) -> Curve: ...
    @property
    def turns(self) -> FallAndRise: ...
    @property
    def read(self) -> str: ...
    @property
    def evidence(self) -> str: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Divergence:
    """The predictions of one model's seeds.

    Attributes:
        model: name of the model.
        seeds: [S].
        steps: [K].
        tokens: [G] predictions of each document, float64.
        kl: [K,S,S,G] KL of every two seeds by document.
        seed_kl: pair mean of the KL, with its interval over seeds, these documents held fixed.
        turns: of `seed_kl`.
        surprisal, entropy, kl_uniform, kl_unigram: mean over tokens and seeds, with the standard
            error over seeds.
        max_logit: [K] the largest |logit| of any seed.
        records: [K] the numbers of single tokens, for questions that need them.
    """

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    tokens: np.ndarray
    kl: np.ndarray = field(repr=False)
    seed_kl: Curve
    turns: FallAndRise
    surprisal: Curve
    entropy: Curve
    kl_uniform: Curve
    kl_unigram: Curve
    max_logit: np.ndarray
    records: tuple[Record, ...] = field(repr=False)

    @property
    def read(self) -> str:
        """What seeds read, in words: errors are over them, too."""
        return "documents"

    @property
    def evidence(self) -> str:
        """What it rests on, in words."""
        return f"{len(self.seeds)} seeds, {words.counted(len(self.tokens), 'document')}"


def divergence(model: str, pairs: Pairs, records: Sequence[Record]) -> Divergence:
    """The findings of one model from its units by step, and their records in the same order."""
    steps = np.array([unit.step for unit, _ in pairs])
    tokens = records[0].tokens.astype(np.float64)
    share = tokens / tokens.sum()
    kl = np.stack([record.kl for record in records])
    seed_kl = pair_curve(model, steps, list(kl), tokens, "seeds")

    def over_seeds(values: Sequence[np.ndarray]) -> Curve:
        """K arrays [S,G] to their mean over tokens and seeds."""
        return seed_sem_curve(model, steps, np.stack(values) @ share)

    return Divergence(
        model=model,
        seeds=pairs[0][0].seeds,
        steps=steps,
        tokens=tokens,
        kl=kl,
        seed_kl=seed_kl,
        turns=fall_and_rise(seed_kl, kl, tokens),
        surprisal=over_seeds([record.surprisal for record in records]),
        entropy=over_seeds([record.entropy for record in records]),
        kl_uniform=over_seeds([record.kl_uniform for record in records]),
        kl_unigram=over_seeds([record.kl_unigram for record in records]),
        max_logit=np.array([np.abs(record.max_logit).max() for record in records]),
        records=tuple(records),
    )


def courses(models: Sequence[Seeds], quantity: str, unit: str) -> list[Finding]:
    """The course of every model's divergence; of several first what holds of them all."""
    own = [course(divergence, quantity, unit) for divergence in models]
    lowest = {d.model: float(d.seed_kl.value[d.turns.lowest]) for d in models}
    last = {d.model: float(d.seed_kl.value[-1]) for d in models}
    sentence = (
        f"The {quantity} is lowest at {words.by_model(lowest)} and ends at {words.by_model(last)} "
        f"{unit}."
    )
    return [*headline(sentence, own), *own]


def course(divergence: Seeds, quantity: str, unit: str) -> Finding:
    """The course of the seed-pair KL in plain sentences, with the error of its last rise.

    A curve that only falls is judged by its fall.
    """
    curve, turns = divergence.seed_kl, divergence.turns
    only_falls = turns.lowest == _finite_places(curve)[-1]
    change = turns.fall if only_falls else turns.rise
    sentence = f"The {quantity} of {divergence.model} {_course(curve, turns, unit)}."
    if not only_falls:
        sentence = f"{sentence} {_how_sure(turns.rise, divergence)}"
    grade = grades.judge(change.errors, 1.0)
    return Finding(sentence=sentence, rests_on=divergence.evidence, grade=grade)


def _course(curve: Curve, turns: FallAndRise, unit: str) -> str:
    """Start, lowest value, later peak and end, of the steps at which it is finite."""
    gaps = curve.steps[~np.isfinite(curve.value)]
    if len(gaps) == len(curve.steps):
        return "is not finite at any step"
    course = _finite_course(curve, turns, unit)
    return f"{course}; it is not finite at {_listed(gaps)}" if len(gaps) else course


def _listed(steps: np.ndarray) -> str:
    shown = ", ".join(str(int(step)) for step in steps[:_MOST_GAPS])
    more = f" and {len(steps) - _MOST_GAPS} more" if len(steps) > _MOST_GAPS else ""
    return f"step{'s' if len(steps) > 1 else ''} {shown}{more}"


def _finite_places(curve: Curve) -> np.ndarray:
    """Indices of the steps at which a curve is finite; of all where it is nowhere."""
    finite = np.flatnonzero(np.isfinite(curve.value))
    return finite if len(finite) else np.arange(len(curve.steps))


def _finite_course(curve: Curve, turns: FallAndRise, unit: str) -> str:
    places = _finite_places(curve)
    first, at, last = places[0], turns.lowest, places[-1]
    values, steps = [words.number(value) for value in curve.value], curve.steps
    if len(curve.steps) == 1:
        return f"is {values[0]} {unit} at step {steps[0]}, the only one measured"
    start = f"starts at {values[first]} {unit}"
    falls = f"{start}, falls to {values[at]} at step {steps[at]}"
    fall = falls if at > first else f"{start}, its lowest,"
    if at == last:
        return f"{fall}, the last measured: no rise is seen"
    fallback = curve.value[turns.peak] - curve.value[last]
    if fallback <= 0.05 * (curve.value[turns.peak] - curve.value[at]):
        return f"{fall} and rises to {values[last]} by step {steps[last]}"
    peak = f"rises to {values[turns.peak]} at step {steps[turns.peak]}"
    return f"{fall.rstrip(',')}, {peak} and comes back to {values[last]} by step {steps[last]}"


def _how_sure(rise: Change, divergence: Seeds) -> str:
    if np.isnan(rise.sem):
        return f"{divergence.evidence} are too few to say how sure the rise is."
    if rise.sem == 0 or np.isnan(rise.errors):  # a divergence of zero has no logarithm
        return "The rise has no error to be compared with."
    sure = rise.errors > SURE
    size = f"{rise.errors:.0f}" if sure else f"{rise.errors:.1f}"
    verdict = "" if sure else ", too few to rely on"
    steps = int(np.isfinite(divergence.seed_kl.value).sum())
    return (
        f"From the lowest step to the last it rises by {size} standard errors over seeds and "
        f"{divergence.read}{verdict}: what is left of {rise.value / rise.sem:.1f} as the "
        f"lowest of {steps} steps was picked and the error rests on {divergence.evidence}."
    )
