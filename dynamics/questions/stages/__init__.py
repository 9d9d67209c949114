"""When do curves pause? Stage boundaries of LLCs, Hessian traces and largest eigenvalues."""

from dynamics.questions.question import Question
from dynamics.questions.stages.findings import RunStages, find
from dynamics.questions.stages.section import section

__all__ = ["QUESTION", "RunStages", "find"]

QUESTION = Question(
    name="stages",
    title="When do curves pause?",
    command="python -m experiments.llc {flags}; python -m experiments.curvature {flags}",
    measures=("llc", "curvature"),
    find=find,
    section=section,
    models=lambda findings: list(dict.fromkeys(run.model for run in findings)),
)
