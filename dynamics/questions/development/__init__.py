"""What does in-context regression learn when? Behaviour and structure over training."""

from dynamics.questions.development.findings import Development, find
from dynamics.questions.development.record import MEASURE
from dynamics.questions.development.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Development", "find"]

QUESTION = Question(
    name="development",
    title="What does in-context regression learn, and when?",
    command="python -m experiments.development {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [m.model for m in findings],
)
