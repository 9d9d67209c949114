"""Do seeds agree where n-grams suffice? Their divergence beside the surprisal of n-grams."""

from dynamics.questions.predictability.findings import Predictability, find
from dynamics.questions.predictability.record import MEASURE
from dynamics.questions.predictability.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Predictability", "find"]

QUESTION = Question(
    name="predictability",
    title="Do seeds agree where n-grams suffice?",
    command="python -m experiments.predictability {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [predictability.model for predictability in findings],
    fewest_seeds=2,
)
