"""When does in-context regression change? Loss, weights and landscape in one picture."""

from dynamics.questions.icl_regression.findings import Picture, find
from dynamics.questions.icl_regression.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Picture", "find"]

QUESTION = Question(
    name="icl_regression",
    title="Do loss, weights and landscape change together?",
    command="python -m experiments.development {flags}; python -m experiments.llc {flags}; "
    "python -m experiments.curvature {flags}",
    measures=("development", "llc", "curvature"),
    find=find,
    section=section,
    models=lambda pictures: [picture.model for picture in pictures],
)
