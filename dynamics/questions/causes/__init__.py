"""Why do seeds diverge and converge? Their divergence, split by initialisation and data order."""

from dynamics.questions.causes.findings import CausesOfDivergence, find
from dynamics.questions.causes.record import MEASURE
from dynamics.questions.causes.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "CausesOfDivergence", "find"]

QUESTION = Question(
    name="causes",
    title="Is it the initialisation or the data order that sets seeds apart?",
    command="python -m experiments.causes --suite=nano-causes",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [causes.model for causes in findings],
)
