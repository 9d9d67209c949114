"""Do seeds converge to one model? The divergence of their predictions over training."""

from dynamics.questions.convergence import record, record_ngram
from dynamics.questions.convergence.findings import Convergence, Findings, find
from dynamics.questions.convergence.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Convergence", "Findings", "find"]

QUESTION = Question(
    name="convergence",
    title="Do seeds converge to one model?",
    command="python -m experiments.convergence {flags}",
    measures=(record.MEASURE, record_ngram.MEASURE),
    find=find,
    section=section,
    models=lambda findings: [convergence.model for convergence in findings.models],
    fewest_seeds=2,
)
