"""On which tokens do seeds agree? Divergence by frequency, kind of word, final surprisal."""

from dynamics.questions.question import Question
from dynamics.questions.token_properties import record_final
from dynamics.questions.token_properties.findings import Properties, find
from dynamics.questions.token_properties.record import FORMER, MEASURE
from dynamics.questions.token_properties.section import section

__all__ = ["QUESTION", "Properties", "find"]

QUESTION = Question(
    name="token_properties",
    title="On which tokens do seeds agree?",
    command="python -m experiments.convergence {flags}",
    measures=(MEASURE, FORMER, record_final.MEASURE),
    find=find,
    section=section,
    models=lambda properties: list(properties.models),
    fewest_seeds=2,
)
