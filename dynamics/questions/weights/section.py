"""The page on the spread of weights."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.weights import figures
from dynamics.questions.weights.findings import Spread
from dynamics.report import words
from dynamics.report.section import Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "Histograms and moments of every matrix at every checkpoint: a census of all weights, without "
    "sampling error. Where bars are drawn they are of seeds."
)


def section(models: Sequence[Spread], look: style.Look) -> Section:
    """The unembedding's density first; other matrices, widths and tails below."""
    largest = models[-1]
    return Section(
        introduction=INTRODUCTION,
        panels=[*_densities(largest), *_moments(largest)],
        findings=[_finding(spread) for spread in models],
        tracks=[_track(models)],
        numbers={
            f"weight {name}": {spread.model: getattr(spread, name) for spread in models}
            for name in ("sd", "excess_kurtosis")
        },
    )


def _densities(spread: Spread) -> list[Panel]:
    seeds = f"{len(spread.seeds)} seeds pooled" if len(spread.seeds) > 1 else "one seed"
    outside = (
        f"{100 * spread.outside:.2g} % of a matrix at most lie outside the bins"
        if spread.outside
        else "no weight lies outside the bins"
    )
    # The unembedding is what the paper's Figure 2 shows; its mean over tokens changes no softmax.
    first = [name for name in ("unembed", "unembed_centred") if name in spread.density]
    names = [*first, *(n for n in figures.ordered(spread.density) if n not in first)]
    gauge = " Less its mean over the vocabulary, which changes no softmax."
    return [
        Panel(
            name=f"density-{name}",
            title=f"Density of {name}, {spread.model}",
            caption=f"A column for each checkpoint, {seeds}; {outside}."
            f"{gauge if name.endswith('centred') else ''}",
            draw=lambda name=name: figures.density(spread, name),
            table=_histogram(spread, name),
            group="Densities of matrices",
        )
        for name in names
    ]


def _moments(spread: Spread) -> list[Panel]:
    start = spread.steps[0]
    return [
        Panel(
            name="weight-sd",
            title=f"Width of the weights, {spread.model}",
            caption=f"Standard deviation over that of the same seed at step {start}: above the "
            f"line a matrix has grown wider. {words.bars(list(spread.width.values()))}",
            draw=lambda: figures.moment(spread.width, "standard deviation / first", 1.0),
            table=_by_matrix(spread.width, "standard deviation / first"),
            group="Width and tails",
        ),
        Panel(
            name="weight-kurtosis",
            title=f"Excess kurtosis of the weights, {spread.model}",
            caption="0 for a normal distribution; above it tails are heavier. "
            f"{words.bars(list(spread.excess_kurtosis.values()))}",
            draw=lambda: figures.moment(spread.excess_kurtosis, "excess kurtosis", 0.0),
            table=_by_matrix(spread.excess_kurtosis, "excess kurtosis"),
            group="Width and tails",
        ),
    ]


def _histogram(spread: Spread, matrix: str) -> Table:
    """The occupied bins of the first and the last step."""
    density = spread.density[matrix][[0, -1]]
    occupied = (density > 0).any(0)
    first, last = density[:, occupied].tolist()
    return Table(
        columns={
            "weight": spread.center[occupied].tolist(),
            f"density at step {spread.steps[0]} (per unit of weight)": first,
            f"density at step {spread.steps[-1]} (per unit of weight)": last,
        }
    )


def _by_matrix(curves: dict[str, Curve], quantity: str) -> Table:
    names = figures.ordered(curves)
    table = Table.of_curves([curves[name] for name in names], quantity)
    matrix = [name for name in names for _ in curves[name].steps]
    return Table(columns={"matrix": matrix, **table.columns})


def _finding(spread: Spread) -> Finding:
    """Which matrix changed its width most, as a ratio either way."""
    change = {name: curve.value[-1] for name, curve in spread.width.items()}
    most = max(change, key=lambda name: np.nan_to_num(abs(np.log(max(change[name], 1e-300)))))
    heaviest = max(
        spread.excess_kurtosis,
        key=lambda name: np.nan_to_num(spread.excess_kurtosis[name].value[-1], nan=-np.inf),
    )
    tail = words.number(float(spread.excess_kurtosis[heaviest].value[-1]))
    return Finding(
        sentence=f"{spread.model}: {most} ends at {words.number(float(change[most]))} times its "
        f"first width, more change than any other matrix; {heaviest} has the heaviest tails "
        f"(excess kurtosis {tail}) at step {spread.steps[-1]}.",
        rests_on=_seeds(spread),
        grade="sure" if len(spread.seeds) > 1 else "open",
    )


def _seeds(spread: Spread) -> str:
    count = len(spread.seeds)
    return f"all weights of {count} seeds" if count > 1 else "all weights of one seed"


def _track(models: Sequence[Spread]) -> Track:
    curves = []
    for spread in models:
        name = "unembed" if "unembed" in spread.width else next(iter(spread.width))
        curves.append(dataclasses.replace(spread.width[name], model=spread.model))
    return Track(label="width of the unembedding / first", curves=curves)
