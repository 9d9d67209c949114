"""Which heads look back, which units are dead, how much precision does the loss need?"""

from dynamics.questions.mechanism.findings import Mechanism, find
from dynamics.questions.mechanism.record import MEASURE
from dynamics.questions.mechanism.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Mechanism", "find"]

QUESTION = Question(
    name="mechanism",
    title="Which heads look back, which units are dead, how much precision does the loss need?",
    command="python -m experiments.mechanism {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [model.model for model in findings],
)
