"""What does the LLC depend on beside its sampler's settings? Data, batches, noise, loss."""

from dynamics.questions.llc_sweeps.findings import Sweeps, find
from dynamics.questions.llc_sweeps.record import MEASURE, NOISE_MEASURE
from dynamics.questions.llc_sweeps.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Sweeps", "find"]

QUESTION = Question(
    name="llc_sweeps",
    title="What does the estimate depend on?",
    command="python -m experiments.llc_sweeps {flags}",
    measures=(MEASURE, NOISE_MEASURE),
    find=find,
    section=section,
    models=lambda findings: [sweeps.model for sweeps in findings],
)
