"""How degenerate is the loss around each checkpoint? Local learning coefficients."""

from dynamics.questions.llc.findings import Estimates, find
from dynamics.questions.llc.record import MEASURE
from dynamics.questions.llc.record_settings import MEASURE as SETTINGS
from dynamics.questions.llc.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Estimates", "find"]

QUESTION = Question(
    name="llc",
    title="How degenerate is the loss around each checkpoint?",
    command="python -m experiments.llc {flags}",
    measures=(MEASURE, SETTINGS),
    find=find,
    section=section,
    models=lambda findings: [estimates.model for estimates in findings],
)
