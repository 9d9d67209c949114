"""Do masked models fill a gap alike? One mask at a time, over training."""

from dynamics.questions.masked.findings import find
from dynamics.questions.masked.record import MEASURE
from dynamics.questions.masked.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "find"]

QUESTION = Question(
    name="masked",
    title="Do masked models fill a gap alike?",
    command="python -m experiments.masked {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [divergence.model for divergence in findings],
    fewest_seeds=2,
)
