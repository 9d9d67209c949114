"""The pages of a site as HTML: what their templates are filled with."""

import functools
import json
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynamics.figures import style
from dynamics.report import grades, policy, svg, words
from dynamics.report.cards import Card, Cards
from dynamics.report.contents import Chapter, Contents, Model
from dynamics.report.section import Entry, Section, Track
from dynamics.report.slugs import Slugs
from dynamics.report.timeline import merged

_TEMPLATES = Path(__file__).with_name("templates")
PROVENANCE, NUMBERS = "provenance.html", "numbers.json"


@dataclass(frozen=True, kw_only=True)
class Link:
    """An entry of the navigation: `path` from the folder that the overview lies in."""

    name: str
    path: str
    title: str = ""


class Pages:
    """Renders the pages of one site. The files that they link to gather in `files`.

    Example:
        >>> pages = Pages(Contents(suite="<toy>", chapters=[], models=[]), "report.html", "report")
        >>> "&lt;toy&gt;: how its models got their weights" in pages.overview()
        True
    """

    def __init__(self, contents: Contents, overview: str, folder: str):
        """`overview` is the file name of the first page, `folder` that of the folder beside it."""
        self._contents = contents
        self._folder = urllib.parse.quote(folder) + "/"
        self._variables = svg.theme(max(1, len(contents.models)))
        self._cards = Cards(self._variables)
        slugs = Slugs(PROVENANCE.removesuffix(".html"))
        self._sections = [(c, c.section) for c in contents.chapters if c.section is not None]
        self._links = [
            Link(
                name=chapter.name.replace("_", " "),
                path=f"{self._folder}{slugs.new(chapter.name)}.html",
                title=chapter.title,
            )
            for chapter, _ in self._sections
        ]
        self._overview = Link(name="Overview", path=urllib.parse.quote(overview))
        self._provenance = Link(name="provenance", path=f"{self._folder}{PROVENANCE}")

    @property
    def files(self) -> Mapping[str, str]:
        """Path in the site's folder -> text, of every figure and table rendered so far."""
        return self._cards.files

    def overview(self) -> str:
        """What happened when, what was found, and where to read on."""
        tracks = merged(t for _, section in self._sections for t in section.tracks)
        look = self._contents.look
        timeline = self._cards.timeline(tracks, look) if tracks else None
        return self._page(
            "overview.html",
            self._overview,
            [timeline] if timeline else [],
            extent=_extent(self._contents),
            timeline=timeline,
            grades=grades.MEANING,
            chapters=[
                {"link": link, "findings": section.findings, "absent": section.absent}
                for link, (_, section) in zip(self._links, self._sections, strict=True)
                if section.findings or section.absent
            ],
            models=self._contents.models,
            rows=_rows(self._contents.models, tracks),
            missing=[c for c in self._contents.chapters if c.section is None],
        )

    def questions(self) -> dict[str, str]:
        """Path in the site's folder -> the page of a question, of all that have findings."""
        return {
            link.path.removeprefix(self._folder): (
                policy.secured(section.document(self._entries(link)))
                if section.document is not None
                else self._question(place, chapter, section)
            )
            for place, (link, (chapter, section)) in enumerate(
                zip(self._links, self._sections, strict=True)
            )
        }

    def provenance(self) -> str:
        """Settings, and what the results say of their making."""
        contents = self._contents
        return self._page(
            "provenance.html",
            self._provenance,
            [],
            facts=contents.facts,
            settings=contents.settings,
        )

    def _entries(self, here: Link) -> list[Entry]:
        """The navigation as a page in the site's folder has it."""
        links = [self._overview, *self._links, self._provenance]
        return [
            Entry(name=link.name, address="" if link is here else f"../{link.path}")
            for link in links
        ]

    def _question(self, place: int, chapter: Chapter, section: Section) -> str:
        answer, groups = None, {}
        for index, panel in enumerate(section.panels):
            card = self._cards.panel(panel, large=index == 0)
            if index:
                groups.setdefault(panel.group, []).append(card)
            else:
                answer = card
        standing = [self._cards.table(chapter.name, h, t) for h, t in section.tables.items()]
        cards = [card for group in groups.values() for card in group]
        neighbours = [None, *self._links, None]
        return self._page(
            "question.html",
            self._links[place],
            [answer, *cards] if answer else [],
            chapter=chapter,
            section=section,
            answer=answer,
            groups=groups,
            tables=standing,
            before=neighbours[place],
            after=neighbours[place + 2],
        )

    def _page(self, template: str, link: Link, cards: Sequence[Card], **values: Any) -> str:
        from markupsafe import Markup

        css, js = _css(tuple(self._variables)), _asset("site.js")
        return (
            _environment()
            .get_template(template)
            .render(
                suite=self._contents.suite,
                here=link,
                overview=self._overview,
                links=[self._overview, *self._links, self._provenance],
                home="" if link is self._overview else "../",
                folder=self._folder,
                numbers=f"{self._folder}{NUMBERS}",
                settings_link=self._provenance,
                policy=policy.content_security_policy([css], [js]),
                css=Markup(css),
                js=Markup(js),
                readings=Markup(_script_data(self._readings(cards))),
                **values,
            )
        )

    def _readings(self, cards: Sequence[Card]) -> dict:
        """What the page's script reads."""
        plots = {view.plot: view.readings for card in cards for view in card.views}
        light = {variable.name: variable.light for variable in self._variables}
        return {"light": light | {"ink": style.INK}, "font": svg.FONT, "plots": plots}


def _extent(contents: Contents) -> str:
    """How much of a suite the site shows, in a sentence."""
    parts = []
    if models := contents.models:
        seeds = {seed for model in models for seed in model.seeds}
        steps = sorted({step for model in models for step in model.steps})
        parts.append(_count(len(models), "model"))
        parts.append(_count(len(seeds), "seed"))
        if len(steps) > 1:
            parts.append(f"{_count(len(steps), 'checkpoint')} from step {steps[0]} to {steps[-1]}")
        elif steps:
            parts.append(f"1 checkpoint, step {steps[0]}")
    sections = [chapter.section for chapter in contents.chapters]
    asked = sum(section is not None and not section.absent for section in sections)
    total = _count(len(contents.chapters), "question")
    return f"{', '.join(parts)}{'; ' if parts else ''}{asked} of {total} answered."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _rows(models: Sequence[Model], tracks: Sequence[Track]) -> list[tuple[str, list[str]]]:
    """The table of models: label -> a cell for each model."""
    if not models:
        return []
    rows = [
        ("seeds", [str(len(model.seeds)) for model in models]),
        ("checkpoints", [str(len(model.steps)) for model in models]),
        ("last step", [str(model.steps[-1]) if model.steps else "–" for model in models]),
    ]
    return rows + [
        (track.label, [_last(track, model.name) for model in models]) for track in tracks
    ]


def _last(track: Track, model: str) -> str:
    """The last value of a model's curve, and its error bar where it has one."""
    curve = next((c.finite() for c in track.curves if c.model == model), None)
    if curve is None or not len(curve.value):
        return "–"
    value, low, high = (float(v[-1]) for v in (curve.value, curve.low, curve.high))
    if not (np.isfinite(low) and np.isfinite(high)):
        return words.number(value)
    return f"{words.number(value)} [{words.number(low)}, {words.number(high)}]"


def _script_data(value: dict) -> str:
    """JSON for a script element: only "<" could end it, and as an escape it is the same text."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


@functools.cache
def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@functools.cache
def _css(variables: tuple[svg.Variable, ...]) -> str:
    """The style sheet with the colours of models filled in."""
    css = _asset("site.css")
    for scheme in ("light", "dark"):
        colours = " ".join(f"--{v.name}: {getattr(v, scheme)};" for v in variables)
        css = css.replace(f"/* variables: {scheme} */", colours)
    models = (v.name for v in variables if v.name.startswith("model-"))
    return css + "".join(f".swatch.{name} {{ background: var(--{name}); }}\n" for name in models)


@functools.cache
def _environment():
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _printable(value: object) -> object:
    """Text without what no HTML can hold: controls, and halves of surrogate pairs."""
    from markupsafe import Markup

    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "\ufffd", value)
