"""Do phases come with the warm-up or with the tokens? Their boundaries under several warm-ups."""

from dynamics.questions.question import Question
from dynamics.questions.warmup.findings import WarmUps, find
from dynamics.questions.warmup.section import section

__all__ = ["QUESTION", "WarmUps", "find"]

QUESTION = Question(
    name="warmup",
    title="Do phases come with the warm-up or with the tokens?",
    command="python -m experiments.convergence --suite=nano-warmup",
    measures=("convergence",),
    find=find,
    section=section,
    models=lambda findings: [model.model for model in findings.models],
)
