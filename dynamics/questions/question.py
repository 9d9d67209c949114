"""What a question is: which results it reads, what it finds in them, how it shows that.

A room of `dynamics.questions` holds all of one question: `record` the data set of a work unit,
`findings` what records show, `figures` and `section` how it is drawn and said. Its `__init__` has
the question's `QUESTION`, and `dynamics.questions.ALL` lists them in the order of the page.
"""

import shlex
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
        command: what to run where there are no results; "{flags}" stands for the suite and the
            folder of results.
        measures: names of the results that it reads, for the page of provenance.
        find: findings of the results, computed once; None where there are none.
        section: what the page shows of the findings, in the look that all models have.
        models: names of the models that the findings speak of.
        fewest_seeds: of a model, without which the command refuses.
    """

    name: str
    title: str
    command: str
    measures: tuple[str, ...]
    find: Callable[[Committed], Any | None]
    section: Callable[[Any, Look], Section]
    models: Callable[[Any], list[str]]
    fewest_seeds: int = 1


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How scripts were called that filled a folder of results.

    Attributes:
        suite: of --suite.
        out: of --out; "" where it was left to its default.

    Example:
        >>> Launch(suite="my runs.toml", out="results/mine").flags
        "--suite='my runs.toml' --out=results/mine"
    """

    suite: str
    out: str = ""

    @property
    def flags(self) -> str:
        """As a shell takes them."""
        flags = f"--suite={shlex.quote(self.suite)}"
        return f"{flags} --out={shlex.quote(self.out)}" if self.out else flags
