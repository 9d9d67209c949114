"""Are the checkpoints what they claim to be? Audits of a suite's files."""

from dynamics.questions.audit.findings import Audit, find
from dynamics.questions.audit.record import MEASURE
from dynamics.questions.audit.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Audit", "find"]

QUESTION = Question(
    name="audit",
    title="Are the checkpoints what they claim to be?",
    command="python -m experiments.audit {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda audit: list(audit.models),
)
