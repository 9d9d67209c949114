"""How well do models foretell texts, and what do they write themselves?"""

from dynamics.questions.perplexity.findings import Perplexity, find
from dynamics.questions.perplexity.record import MEASURE
from dynamics.questions.perplexity.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Perplexity", "find"]

QUESTION = Question(
    name="perplexity",
    title="How well do models foretell texts, and what do they write themselves?",
    command="python -m experiments.perplexity {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [model.model for model in findings],
)
