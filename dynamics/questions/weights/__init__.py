"""How are weights spread, and how does that change over training?"""

from dynamics.questions.question import Question
from dynamics.questions.weights import record, record_pictures
from dynamics.questions.weights.findings import Spread, find
from dynamics.questions.weights.section import section

__all__ = ["QUESTION", "Spread", "find"]

QUESTION = Question(
    name="weights",
    title="How are the weights spread?",
    command="python -m experiments.weights {flags}",
    measures=(record.MEASURE, record_pictures.MEASURE),
    find=find,
    section=section,
    models=lambda findings: [spread.model for spread in findings],
)
