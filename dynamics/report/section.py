"""What a page is made of. A question's findings become a `Section`; the page knows no question.

Axes: none; a table's columns have one length.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dynamics.analysis.curve import Curve

Grade = Literal["sure", "unsure", "open"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The numbers behind a figure: header, with its unit -> cells, all columns of one length.

    Numbers stay numbers: the page shortens them, the CSV does not.
    """

    columns: Mapping[str, Sequence[object]]

    @classmethod
    def of_curves(cls, curves: Sequence[Curve], quantity: str, of: str = "") -> "Table":
        """A row for every model and step: the value of `quantity` and the ends of its error bar.

        `of` is what their headers add, so that two quantities can stand in one table: "low{of}".
        """
        columns: dict[str, list[object]] = {"model": [], "step": [], quantity: []}
        columns |= {f"low{of}": [], f"high{of}": []}
        for curve in curves:
            columns["model"] += [curve.model] * len(curve.steps)
            columns["step"] += curve.steps.tolist()
            columns[quantity] += curve.value.tolist()
            columns[f"low{of}"] += curve.low.tolist()
            columns[f"high{of}"] += curve.high.tolist()
        return cls(columns=columns)

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, object]]) -> "Table":
        """A table from rows of the same columns."""
        return cls(columns={name: [row[name] for row in rows] for name in (rows or [{}])[0]})

    def beside(self, *others: "Table") -> "Table":
        """The columns of this table and then those of others with the same rows.

        A column that several have, such as the step, is taken once.
        """
        columns = dict(self.columns)
        for other in others:
            columns |= {name: cells for name, cells in other.columns.items() if name not in columns}
        return Table(columns=columns)

    @property
    def rows(self) -> list[tuple[object, ...]]:
        """The cells, row by row."""
        return list(zip(*self.columns.values(), strict=True))


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A figure with its words and its numbers.

    Attributes:
        name: unique on the site; names the downloads.
        title: what is drawn.
        caption: what to see and what the bars mean, once; it does not read numbers aloud.
        draw: makes the matplotlib figure.
        table: the numbers behind it.
        group: heading that the panel folds away under; the first panel of a section is its answer
            and never folds.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Any]
    table: Table
    group: str = "Details"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence of the overview, and how far it can be trusted.

    Attributes:
        sentence: a whole sentence, with its unit.
        rests_on: what it rests on ("3 seeds, 40 documents"), in words.
        grade: "sure" where its own error allows the sentence, "unsure" where it does not, "open"
            where nothing measured says so.
    """

    sentence: str
    rests_on: str
    grade: Grade


@dataclass(frozen=True, kw_only=True)
class Change:
    """A step at which a curve changes: `low` to `high` is its interval, NaN where none is known."""

    model: str
    step: float
    low: float
    high: float
    name: str


@dataclass(frozen=True, kw_only=True)
class Track:
    """One row of the overview's time axis: a quantity, a curve for each model, its changes.

    Tracks of one label are one row: a question may add changes to the curves of another.
    """

    label: str
    curves: Sequence[Curve]
    changes: Sequence[Change] = ()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A page in the navigation of another: `address` leads there, "" from the page itself."""

    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """What the page of one question shows.

    Attributes:
        introduction: what is asked and how it is measured, in two or three sentences.
        panels: the answer first, then its details.
        findings: the sentences of the overview.
        tracks: its rows of the overview's time axis.
        tables: heading -> table, beyond those behind the figures.
        absent: why there is no panel; "" where there is one.
        numbers: name -> curves by model, or plain data: what the JSON of the site holds.
        document: makes a whole HTML document in place of the page, for a question that has its own
            form, from the entries of the site's navigation.
    """

    introduction: str
    panels: Sequence[Panel]
    findings: Sequence[Finding] = ()
    tracks: Sequence[Track] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    absent: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    document: Callable[[Sequence[Entry]], str] | None = None
