"""Does structure account for degeneracy? Correlations given the loss, and weights set to 0."""

from dynamics.questions.degeneracy.findings import Degeneracy, find
from dynamics.questions.degeneracy.record import MEASURE
from dynamics.questions.degeneracy.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Degeneracy", "find"]

QUESTION = Question(
    name="degeneracy",
    title="Does structure account for degeneracy?",
    command="python -m experiments.development {flags}; python -m experiments.llc {flags}; "
    "python -m experiments.degeneracy {flags}",
    measures=("development", "llc", MEASURE),
    find=find,
    section=section,
    models=lambda findings: [m.model for m in findings],
)
