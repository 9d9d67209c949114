"""A made-up site with everything that a section may hold, in names that may be anything."""

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.report.contents import Chapter, Contents, Model
from dynamics.report.provenance import Fact, Settings
from dynamics.report.section import Change, Finding, Panel, Section, Table, Track

STEPS = np.array([0, 1, 2, 8, 64, 512])


def curve(model: str, scale: float = 1.0) -> Curve:
    """A curve with an error everywhere but at its first step."""
    value = scale * (0.4 + 0.1 * np.sin(np.log1p(STEPS)))
    sem = np.where(STEPS > 0, 0.02, np.nan)
    return Curve.with_sem(model, STEPS, value, sem, "± standard error over 3 seeds")


def lines(curves, look: style.Look):
    """A figure of curves over training."""
    figure, ax = style.axes("KL (nats)")
    style.lines(ax, curves, look, band=True)
    return style.over_steps(figure, ax, STEPS)


HEAT = np.arange(3.0 * len(STEPS)).reshape(3, len(STEPS))


def heat_map(rows: list[str]):
    """A heat map of three rows, a column for each step."""
    figure, ax = style.axes("", size=(4.4, 1.8))
    ax.grid(False)
    image = ax.imshow(HEAT, aspect="auto", interpolation="nearest")
    style.step_columns(ax, STEPS)
    ax.set_yticks(range(3), rows)
    style.colour_bar(figure, ax, image, "trace")
    return figure


def two_rows(curves, look: style.Look):
    """Two panels over one axis of steps, of one curve each."""
    figure = style.sheet((7.0, 3.0))
    panels = figure.subplots(2, 1, sharex=True)
    for ax, one_curve in zip(panels, curves, strict=False):
        style.dress(ax, "KL (nats)", "training step")
        style.lines(ax, [one_curve], look)
    style.step_axis(panels[-1], STEPS.tolist())
    return figure


def section(models: list[str], look: style.Look, name: str, anything: str) -> Section:
    """Panels of every kind, findings of every grade; `anything` is wherever text may be."""
    curves = [curve(model, 1 + 0.1 * k) for k, model in enumerate(models)]
    table = Table.of_curves(curves, f"KL of {anything} (nats)")
    pictures = {
        "answer": lambda: lines(curves, look),
        "heat": lambda: heat_map([anything, "b", "c"]),
        "rows": lambda: two_rows(curves, look),
    }
    return Section(
        introduction=f"What is asked of {anything}, and how it is measured.",
        panels=[
            Panel(
                name=f"{name}-{kind} {anything}",
                title=f"The {kind} of {anything}",
                caption=f"What to see in {anything}. Bars: ± standard error over 3 seeds.",
                draw=draw,
                table=table,
                group=f"More on {anything}",
            )
            for kind, draw in pictures.items()
        ],
        findings=[
            Finding(sentence=f"{anything} is {grade}.", rests_on=f"3 {anything}", grade=grade)
            for grade in ("sure", "unsure", "open")
        ],
        tracks=[
            Track(
                label=f"KL of {anything}, {name} (nats)",
                curves=curves,
                changes=[
                    Change(model=models[0], step=20.0, low=10.0, high=40.0, name=anything),
                    Change(model=models[-1], step=30.0, low=np.nan, high=np.nan, name="end"),
                ],
            )
        ],
        tables={f"Table of {anything}": table},
        numbers={f"kl of {name}": curves, f"sizes of {name}": {anything: [1, np.nan]}},
    )


def contents(anything: str = "the toy", models=("toy-8", "toy-16")) -> Contents:
    """A site of two questions that were answered and two that were not."""
    names = [f"{model}{anything if anything != 'the toy' else ''}" for model in models]
    look = style.Look(names)
    return Contents(
        suite=anything,
        chapters=[
            Chapter(
                name=name,
                title=f"Is {anything} {name}?",
                command=f"python -m experiments.{name} --suite={anything}",
                section=section(names, look, name, anything) if answered else None,
            )
            for name, answered in (("alpha", True), ("beta", False), ("gamma", True))
        ]
        + [
            Chapter(
                name="empty",
                title="Is there nothing?",
                command="none",
                section=Section(introduction="Asked.", panels=(), absent=f"No {anything} was fit."),
            )
        ],
        models=[Model(name=name, seeds=(0, 1, 2), steps=STEPS.tolist()) for name in names],
        facts=[Fact(label="Text", values=[anything])],
        settings=[Settings(measure=anything, values={anything: anything})],
    )
