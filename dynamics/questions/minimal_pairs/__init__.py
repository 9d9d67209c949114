"""Do seeds judge sentences alike? Minimal pairs (BLiMP) over training."""

from dynamics.questions.minimal_pairs.findings import Judgements, find
from dynamics.questions.minimal_pairs.record import MEASURE
from dynamics.questions.minimal_pairs.section import section
from dynamics.questions.question import Question

__all__ = ["QUESTION", "Judgements", "find"]

QUESTION = Question(
    name="minimal_pairs",
    title="Do seeds judge sentences alike?",
    command="python -m experiments.minimal_pairs {flags} --blimp=FILE",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda findings: [judgements.model for judgements in findings],
    fewest_seeds=2,
)
