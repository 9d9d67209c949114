"""Do seeds that agree come near the truth? Divergence from a distribution that is known exactly."""

from dynamics.questions.question import Question
from dynamics.questions.truth.findings import KnownTruth, find
from dynamics.questions.truth.record import MEASURE
from dynamics.questions.truth.section import section

__all__ = ["QUESTION", "KnownTruth", "find"]

QUESTION = Question(
    name="truth",
    title="Do seeds that agree come near the truth?",
    command="python -m experiments.truth --suite=truth",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [truth.model for truth in findings],
)
