"""Events that the paper reads off its figures as one, with the gap between them.

"Convergence and Divergence of Language Models under Different Random Seeds", section 4: the sharp
convergence ends where predictions are nearest to word frequency, and the slow reconvergence begins
with in-context learning. Axes: K steps, S seeds, G documents.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.analysis.coincidence import Coincidence, Score, bend_and_minimum, bend_and_onset
from dynamics.analysis.phases import Phase
from dynamics.errors import InputError
from dynamics.questions.convergence.phases import Phases
from dynamics.questions.in_context.findings import ContextBenefit
from dynamics.questions.seed_divergence import Divergence

UNIGRAM, CONTEXT = "nearest to word frequency", "in-context learning begins"


@dataclass(frozen=True, kw_only=True)
class Events:
    """A boundary between phases, and what is said to coincide with it.

    Attributes:
        phase: in words, the boundary: "the sharp convergence ends".
        other: `UNIGRAM` or `CONTEXT`.
        together: how far apart they are; None where one of them is not seen.
        reason: why there is none; "" where there is.
    """

    phase: str
    other: str
    together: Coincidence | None
    reason: str


def events(
    seeds: Divergence, phases: Phases | None, benefit: ContextBenefit | None
) -> tuple[Events, ...]:
    """Both claims, for one model."""
    return _at_unigram(seeds, phases), _at_context(seeds, phases, benefit)


def _at_unigram(seeds: Divergence, phases: Phases | None) -> Events:
    phase, values = "the sharp convergence ends", np.stack([r.kl_unigram for r in seeds.records])
    ends = [p.end for p in _named(phases, "sharp convergence") if p.end]
    if phases is None or not ends:
        return Events(phase=phase, other=UNIGRAM, together=None, reason="no such end is seen")
    if not np.isfinite(values).all():
        reason = "a distance to word frequency is not finite"
        return Events(phase=phase, other=UNIGRAM, together=None, reason=reason)
    bend = _bend(phases, ends[-1].value)
    together = bend_and_minimum(phases.pieces, bend, values, seeds.tokens)
    return Events(phase=phase, other=UNIGRAM, together=together, reason="")


def _at_context(seeds: Divergence, phases: Phases | None, benefit: ContextBenefit | None) -> Events:
    together, reason = None, ""
    begins = [p.begin for p in _named(phases, "slow reconvergence") if p.begin]
    if phases is None or not begins:
        reason = "no reconvergence is seen"
    elif benefit is None or benefit.seeds != seeds.seeds:
        reason = "no in-context scores of these seeds"
    else:
        score = Score(benefit.steps, benefit.by_document, benefit.windows, benefit.documents)
        try:
            bend, documents = _bend(phases, begins[-1].value), seeds.records[0].documents
            together = bend_and_onset(phases.pieces, bend, documents, score)
            reason = (
                "" if together else "the in-context score has no step from which it surely falls"
            )
        except InputError as error:  # too few steps or documents for a bend
            reason = f"the in-context score has no pieces: {error}"
    phase = "the slow reconvergence begins"
    return Events(phase=phase, other=CONTEXT, together=together, reason=reason)


def _named(phases: Phases | None, name: str) -> list[Phase]:
    return [phase for phase in (phases.phases if phases else ()) if phase.name == name]


def _bend(phases: Phases, step: float) -> int:
    return int(np.argmin(np.abs(np.array(phases.pieces.bends) - step)))
