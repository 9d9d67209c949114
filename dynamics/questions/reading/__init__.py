"""Where do seeds agree, word by word? Passages to read, coloured by divergence."""

from dynamics.questions.question import Question
from dynamics.questions.reading.findings import Passages, find
from dynamics.questions.reading.record import MEASURE
from dynamics.questions.reading.section import section

__all__ = ["QUESTION", "Passages", "find"]

QUESTION = Question(
    name="reading",
    title="Where do seeds agree, token by token?",
    command="python -m experiments.reading {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda passages: list(passages.models),
)
