"""Do single weights keep moving, and do they move together?"""

from dynamics.questions.paths.findings import Paths, find
from dynamics.questions.paths.record import MEASURE
from dynamics.questions.paths.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Paths", "find"]

QUESTION = Question(
    name="paths",
    title="Do single weights keep moving, and do they move together?",
    command="python -m experiments.paths {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [movement.model for movement in findings.models],
)
