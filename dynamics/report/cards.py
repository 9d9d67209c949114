"""Figures and tables with the files behind them, under names that no other has."""

from collections.abc import Sequence
from dataclasses import dataclass

from dynamics.figures.style import Look
from dynamics.report import picture, svg, tables, timeline
from dynamics.report.section import Panel, Table, Track
from dynamics.report.slugs import Slugs
from dynamics.report.tables import Shown

_ROWS = (
    "A row for each quantity, a colour for each model, over the same training steps; rows differ "
    "in their scales."
)
_CHANGES = "Diamonds mark changes, the bars through them their intervals."


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file behind a card: what it is called, and its path in the site's folder."""

    label: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """A figure, its words, and the numbers behind it.

    Attributes:
        slug: its id and the name of its files.
        title: what is drawn.
        caption: what to see.
        views: its drawings; none for a table alone.
        numbers: its table.
        folded: what the folded table is called.
        downloads: its files.
    """

    slug: str
    title: str
    caption: str
    views: Sequence[picture.View]
    numbers: Shown
    folded: str
    downloads: Sequence[Download]


class Cards:
    """Makes the cards of a site, and keeps the files behind them: path -> text."""

    def __init__(self, variables: Sequence[svg.Variable]):
        self.files: dict[str, str] = {}
        self._variables = variables
        self._slugs = Slugs()

    def panel(self, panel: Panel, large: bool) -> Card:
        """The card of a panel."""
        slug = self._slugs.new(panel.name)
        drawn = picture.picture(slug, panel.title, panel.draw, large, self._variables)
        return Card(
            slug=slug,
            title=panel.title,
            caption=panel.caption,
            views=drawn.views,
            numbers=tables.shown(panel.table),
            folded="Numbers",
            downloads=[self._csv("CSV", slug, panel.table), self._svg(slug, drawn)],
        )

    def table(self, name: str, heading: str, table: Table) -> Card:
        """The card of a table that stands alone."""
        slug = self._slugs.new(f"{name}-{heading}")
        return Card(
            slug=slug,
            title=heading,
            caption="",
            views=(),
            numbers=tables.shown(table),
            folded="",
            downloads=[self._csv("CSV", slug, table)],
        )

    def timeline(self, tracks: Sequence[Track], look: Look) -> Card:
        """The card of what happened when, which holds the changes as its table."""
        slug, title = self._slugs.new("timeline"), "All measures over training"
        changes, values = timeline.changes_table(tracks), timeline.table(tracks)
        drawn = picture.pair(
            slug,
            title,
            lambda: timeline.figure(tracks, look, wide=True),
            lambda: timeline.figure(tracks, look, wide=False),
            self._variables,
        )
        files = [self._csv("CSV", slug, values), self._svg(slug, drawn)]
        if changes.rows:
            files.insert(1, self._csv("CSV of changes", f"{slug}-changes", changes))
        return Card(
            slug=slug,
            title=title,
            caption=f"{_ROWS} {_CHANGES}" if changes.rows else _ROWS,
            views=drawn.views,
            numbers=tables.shown(changes if changes.rows else values),
            folded="Changes" if changes.rows else "Numbers",
            downloads=files,
        )

    def _csv(self, label: str, slug: str, table: Table) -> Download:
        path = f"data/{slug}.csv"
        self.files[path] = tables.csv_text(table)
        return Download(label=label, path=path)

    def _svg(self, slug: str, drawn: picture.Picture) -> Download:
        path = f"figures/{slug}.svg"
        self.files[path] = drawn.file
        return Download(label="SVG", path=path)
