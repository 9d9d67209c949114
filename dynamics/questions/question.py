"""What a question is: which results it reads, what it finds in them, how it shows that.

A room of `dynamics.questions` holds all of one question: `record` the data set of a work unit,
`findings` what records show, `figures` and `section` how it is drawn and said. Its `__init__` has
the question's `QUESTION`, and `dynamics.questions.ALL` lists them in the order of the page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dynamics.figures.style import Look
from dynamics.questions.committed import Committed
from dynamics.report.section import Section


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question, asked of a folder of results.

    Attributes:
        name: of its room, its script and its page.
        title: the question, as the page asks it.
        command: what to run where there are no results; "{suite}" stands for the suite.
        measures: names of the results that it reads, for the page of provenance.
        find: findings of the results, computed once; None where there are none.
        section: what the page shows of the findings, in the look that all models have.
        models: names of the models that the findings speak of.
    """

    name: str
    title: str
    command: str
    measures: tuple[str, ...]
    find: Callable[[Committed], Any | None]
    section: Callable[[Any, Look], Section]
    models: Callable[[Any], list[str]]
