"""Which sampler settings are healthy? A grid of them at several checkpoints."""

from dynamics.questions.calibration.findings import Calibration, find
from dynamics.questions.calibration.record import MEASURE
from dynamics.questions.calibration.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Calibration", "find"]

QUESTION = Question(
    name="calibration",
    title="Which sampler settings are healthy?",
    command="python -m experiments.calibration {flags}",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: list(dict.fromkeys(one_seed.grid.model for one_seed in findings)),
)
