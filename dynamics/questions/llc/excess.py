"""What the chains of one seed found beyond a quadratic with the checkpoint's gradient and Hessian.

Axes: K steps (ascending). No number here has a unit.

The reference is measured with the chains, at their settings, on their data, over their weights; the
excess is the estimate minus it. It is what an LLC says more than the Hessian.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.significance import SURE
from dynamics.questions.llc.record import Record
from dynamics.questions.single_seeds import Steps

Answer = Literal["more", "nothing more", "cannot tell", "no quadratic"]
CONFINED = 0.5  # unconfined directions below which a quadratic holds chains, up to probes' noise
CLOSE = 0.1  # of the LLC: an error below this lets "nothing more" be said


@dataclass(frozen=True, kw_only=True, eq=False)
class Excess:
    """The LLC of one seed beside its quadratic reference.

    Attributes:
        model, seed: whose chains.
        llc: with the whole standard error of its chains and of what they share.
        reference: what a quadratic would give, with its standard error over probes of the spectrum;
            NaN where it confines no chain, which the real loss does: it would say -10^9.
        value: `llc` minus `reference`, with both errors.
        slope: [K] the part of the reference that the gradient makes.
        unconfined: [K] directions in which the quadratic holds no chain.
        local: bool [K]: the chains stayed near the model.
    """

    model: str
    seed: int
    llc: Curve
    reference: Curve
    value: Curve
    slope: np.ndarray
    unconfined: np.ndarray
    local: np.ndarray

    @property
    def answers(self) -> list[Answer]:
        """[K] whether the chains found more than the Hessian tells."""
        return [
            _answer(value, sem, llc)
            for value, sem, llc in zip(
                self.value.value, self.value.sem, self.llc.value, strict=True
            )
        ]


def _answer(excess: float, sem: float, llc: float) -> Answer:
    if np.isnan(excess):
        return "no quadratic"
    if abs(excess) > SURE * sem:
        return "more"
    return "nothing more" if sem < CLOSE * abs(llc) else "cannot tell"


def of_seed(model: str, seed: int, steps: Steps[Record]) -> Excess | None:
    """Of one seed's own records; None where no reference was measured."""
    measured = {
        step: (of_step[seed], of_step[seed].reference)
        for step, of_step in steps.items()
        if of_step[seed].reference is not None
    }
    if not measured:
        return None
    at = list(measured)
    records, references = zip(*measured.values(), strict=True)
    llc, error = _numbers(r.llc for r in records), _numbers(r.error for r in records)
    unconfined = _numbers(q.unconfined for q in references)
    defined = unconfined < CONFINED
    expected, sem, slope = (
        np.where(defined, _numbers(values), np.nan)
        for values in zip(*((q.llc, q.sem, q.slope) for q in references), strict=True)
    )
    between = "± standard error between chains"
    probes = "± standard error over probes of the spectrum"
    both = "± standard error of both"
    return Excess(
        model=model,
        seed=seed,
        llc=Curve.with_sem(model, at, llc, error, between),
        reference=Curve.with_sem(model, at, expected, sem, probes),
        value=Curve.with_sem(model, at, llc - expected, np.hypot(error, sem), both),
        slope=slope,
        unconfined=unconfined,
        local=np.array([r.verdict == "local" for r in records]),
    )


def exponents(model: str, seed: int, steps: Steps[Record]) -> Curve | None:
    """d ln llc / d ln gamma of one seed with its error; None where it was measured nowhere."""
    records = [of_step[seed] for of_step in steps.values()]
    value = _numbers(r.pull_exponent for r in records)
    if not np.isfinite(value).any():
        return None
    sem = _numbers(r.pull_exponent_sem for r in records)
    return Curve.with_sem(
        model, list(steps), value, sem, "± standard error between chains"
    ).finite()


def _numbers(values) -> np.ndarray:
    return np.array(list(values), np.float64)


def sentence(excesses: Sequence[Excess]) -> str:
    """What the local estimates say beyond the Hessian, over all that have a reference."""
    answers = [
        answer
        for excess in excesses
        for answer, local in zip(excess.answers, excess.local, strict=True)
        if local
    ]
    if not answers:
        return ""
    total = len(answers)
    parts = {
        "more": "the chains found what the Hessian does not tell",
        "nothing more": "they found nothing that the Hessian does not tell",
        "cannot tell": "the errors are too large to tell",
        "no quadratic": "the loss curves down so far that no quadratic holds chains at all",
    }
    said = [
        f"at {answers.count(answer)} {words}"
        for answer, words in parts.items()
        if answer in answers
    ]
    return f"Of {total} local LLC {'estimate' if total == 1 else 'estimates'}, {'; '.join(said)}."
