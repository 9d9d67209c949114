"""What a site shows of a suite: questions as chapters, its models, the making of its results."""

from collections.abc import Sequence
from dataclasses import dataclass

from dynamics.figures.style import Look
from dynamics.report.provenance import Fact, Settings
from dynamics.report.section import Section


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A question on the site.

    Attributes:
        name: of its page.
        title: the question.
        command: what makes its results.
        needs: what lacks to ask it of this suite; "" where the command would run.
        section: what is shown of it; None where nothing was measured.
    """

    name: str
    title: str
    command: str
    section: Section | None
    needs: str = ""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model of the suite, with the seeds and steps that any result is of.

    An audit alone is of no step.
    """

    name: str
    seeds: Sequence[int]
    steps: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that is shown of a suite.

    Attributes:
        suite: its name.
        chapters: in the order in which they are read.
        models: in the order of their colours.
        facts: what the results say of their making.
        settings: the configuration of each measure.
        tokens_per_step: what every model read at a step; None where results do not say one number.
    """

    suite: str
    chapters: Sequence[Chapter]
    models: Sequence[Model]
    facts: Sequence[Fact] = ()
    settings: Sequence[Settings] = ()
    tokens_per_step: int | None = None

    @property
    def look(self) -> Look:
        """The colour and marker that each model has on every page."""
        return Look([model.name for model in self.models], self.tokens_per_step)
