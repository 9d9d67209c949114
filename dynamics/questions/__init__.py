"""What is asked of a suite of checkpoints: a room for each question.

A room reads its results (`record`), says what they show (`findings`), draws it (`figures`) and puts
it on a page (`section`). It may use the toolkit, and of another room its findings alone. To add a
question: a folder, a script in `experiments/`, and a line in `ALL`. `site` writes what all of them
show; it loads on first touch, since it reads `ALL`.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from dynamics.questions import (
    audit,
    calibration,
    causes,
    convergence,
    curvature,
    development,
    icl_regression,
    in_context,
    llc,
    llc_sweeps,
    masked,
    mechanism,
    minimal_pairs,
    next_byte,
    paths,
    perplexity,
    predictability,
    reading,
    seed_predictions,
    stages,
    token_properties,
    truth,
    warmup,
    weights,
)
from dynamics.questions.committed import Committed
from dynamics.questions.question import Launch, Question

if TYPE_CHECKING:
    from dynamics.questions import site

__all__ = ["ALL", "Committed", "Launch", "Question", "site"]

ALL: tuple[Question, ...] = (
    audit.QUESTION,
    convergence.QUESTION,
    causes.QUESTION,
    warmup.QUESTION,
    token_properties.QUESTION,
    predictability.QUESTION,
    perplexity.QUESTION,
    in_context.QUESTION,
    minimal_pairs.QUESTION,
    masked.QUESTION,
    next_byte.QUESTION,
    truth.QUESTION,
    llc.QUESTION,
    calibration.QUESTION,
    llc_sweeps.QUESTION,
    curvature.QUESTION,
    stages.QUESTION,
    development.QUESTION,
    icl_regression.QUESTION,
    seed_predictions.QUESTION,
    mechanism.QUESTION,
    weights.QUESTION,
    paths.QUESTION,
    reading.QUESTION,
)


def __getattr__(name: str) -> ModuleType:
    if name == "site":
        return importlib.import_module(f"{__name__}.site")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
