"""How much does a longer context help? In-context learning over training."""

from dynamics.questions.in_context.findings import ContextBenefit, find
from dynamics.questions.in_context.record import FORMER, MEASURE
from dynamics.questions.in_context.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "ContextBenefit", "find"]

QUESTION = Question(
    name="in_context",
    title="How much does a longer context help?",
    command="python -m experiments.in_context {flags}",
    measures=(MEASURE, FORMER),
    find=find,
    section=section,
    models=lambda findings: [benefit.model for benefit in findings],
)
