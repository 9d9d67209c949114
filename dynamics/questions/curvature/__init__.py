"""How curved is the loss? Traces, ends of the spectrum, and both beside the LLC."""

from dynamics.questions.curvature.findings import Curvature, find
from dynamics.questions.curvature.record import MEASURE
from dynamics.questions.curvature.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Curvature", "find"]

QUESTION = Question(
    name="curvature",
    title="How curved is the loss?",
    command="python -m experiments.curvature {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [curvature.model for curvature in findings],
)
