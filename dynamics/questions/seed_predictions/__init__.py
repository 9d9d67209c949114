"""Do seeds of in-context regression predict the same? Their divergence over training."""

from dynamics.questions.question import Question
from dynamics.questions.seed_predictions.findings import SeedPredictions, find
from dynamics.questions.seed_predictions.record import MEASURE
from dynamics.questions.seed_predictions.section import section

__all__ = ["QUESTION", "SeedPredictions", "find"]

QUESTION = Question(
    name="seed_predictions",
    title="Do seeds of in-context regression predict the same?",
    command="python -m experiments.convergence {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [m.model for m in findings],
    fewest_seeds=2,
)
