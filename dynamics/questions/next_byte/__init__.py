"""Do models predict the same next byte? Seeds compared whose tokenizers may differ."""

from dynamics.questions.next_byte.findings import ByteDivergence, find
from dynamics.questions.next_byte.record import FORMER, MEASURE
from dynamics.questions.next_byte.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "ByteDivergence", "find"]

QUESTION = Question(
    name="next_byte",
    title="Do models predict the same next byte?",
    command="python -m experiments.next_byte {flags}",
    measures=(MEASURE, FORMER),
    find=find,
    section=section,
    models=lambda findings: [model.model for model in findings],
    fewest_seeds=2,
)
