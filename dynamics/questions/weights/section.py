"""The page on the spread of weights."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.headline import headline
from dynamics.questions.weights import figures
from dynamics.questions.weights.findings import Spread
from dynamics.report import grades, words
from dynamics.report.section import Finding, Grade, Panel, Section, Table, Track

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
        findings=_findings(models),
        tracks=[_track(models)],
        tables={"Weights outside the bins of the densities": _outside(models)},
        numbers={
            "weight sd": {spread.model: spread.sd for spread in models},
            "weight width": {spread.model: spread.width for spread in models},
            "weight excess_kurtosis": {spread.model: spread.excess_kurtosis for spread in models},
        },
    )


def _densities(spread: Spread) -> list[Panel]:
    seeds = "the seeds pooled" if len(spread.seeds) > 1 else "of one seed"
    # The unembedding is what the paper's Figure 2 shows; its mean over tokens changes no softmax.
    first = [name for name in ("unembed", "unembed_centred") if name in spread.density]
    names = [*first, *(n for n in figures.ordered(spread.density) if n not in first)]
    gauge = " Less its mean over the vocabulary, which changes no softmax."
    return [
        Panel(
            name=f"density-{name}",
            title=f"Density of {name}, {spread.model}",
            caption=f"A column for each checkpoint, {seeds}: the brighter, the more weights have "
            f"that value. A census without bars.{gauge if name.endswith('centred') else ''}",
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
    """The occupied bins of every step."""
    density = spread.density[matrix]  # [K,N]
    k, n = np.nonzero(density > 0)
    occupied = density[k, n]
    return Table(
        columns={
            "step": spread.steps[k].tolist(),
            "weight": spread.center[n].tolist(),
            "density (per unit of weight)": occupied.tolist(),
            "log₁₀ density": np.log10(occupied).tolist(),
        }
    )


def _outside(models: Sequence[Spread]) -> Table:
    return Table(
        columns={
            "model": [spread.model for spread in models],
            "seeds": [len(spread.seeds) for spread in models],
            "largest share outside of any matrix and step": [spread.outside for spread in models],
        }
    )


def _by_matrix(curves: dict[str, Curve], quantity: str) -> Table:
    names = figures.ordered(curves)
    table = Table.of_curves([curves[name] for name in names], quantity)
    matrix = [name for name in names for _ in curves[name].steps]
    return Table(columns={"matrix": matrix, **table.columns})


def _findings(models: Sequence[Spread]) -> list[Finding]:
    """Which matrix of every model changes its width most; then of each one that, and its tails."""
    widths = [_width_finding(spread) for spread in models]
    change: dict[str, list[str]] = {}
    for spread in models:
        change.setdefault(_by_change(spread)[0], []).append(spread.model)
    leaders = [f"{matrix} in {words.listed(names)}" for matrix, names in change.items()]
    sentence = f"The matrix whose width changes most is {words.listed(leaders)}."
    own = [
        finding
        for spread, width in zip(models, widths, strict=True)
        for finding in (width, _tail_finding(spread))
    ]
    return [*headline(sentence, widths), *own]


def _width_finding(spread: Spread) -> Finding:
    """The matrix that changed its width most, as a ratio either way; sure where the next lags."""
    by_change = _by_change(spread)
    ratio = words.number(float(spread.width[by_change[0]].value[-1]))
    return Finding(
        sentence=f"{spread.model}: {by_change[0]} ends at {ratio} times its first width, more "
        "change than any other matrix.",
        rests_on=_seeds(spread),
        grade=_ahead([_log_change(spread.width[name]) for name in by_change[:2]]),
    )


def _tail_finding(spread: Spread) -> Finding:
    """The matrix with the heaviest tails at the last step; sure where the next has lighter ones."""
    by_tail = _by_tail(spread)
    tail = words.number(float(spread.excess_kurtosis[by_tail[0]].value[-1]))
    return Finding(
        sentence=f"{spread.model}: {by_tail[0]} has the heaviest tails (excess kurtosis {tail}) at "
        f"step {spread.steps[-1]}.",
        rests_on=_seeds(spread),
        grade=_ahead([_last(spread.excess_kurtosis[name]) for name in by_tail[:2]]),
    )


Estimate = tuple[float, float]  # a value and its standard error


def _ahead(leaders: Sequence[Estimate]) -> Grade:
    """Whether the first of two estimates is surely larger; "open" for one alone."""
    if len(leaders) < 2:
        return "open"
    (first, first_sem), (second, second_sem) = leaders
    return grades.judge(first - second, np.hypot(first_sem, second_sem))


def _last(curve: Curve) -> Estimate:
    return float(curve.value[-1]), float(curve.sem[-1])


def _log_change(curve: Curve) -> Estimate:
    """|ln| of the last width over the first, and its error."""
    ratio = max(float(curve.value[-1]), 1e-300)
    return abs(float(np.log(ratio))), float(curve.sem[-1]) / ratio


def _by_change(spread: Spread) -> list[str]:
    """Matrices by how much their width changed, most first."""
    change = {n: np.nan_to_num(_log_change(spread.width[n])[0]) for n in _distinct(spread)}
    return sorted(change, key=lambda name: -change[name])


def _distinct(spread: Spread) -> list[str]:
    """Names of the matrices, one that is another less its mean left out: it is no rival."""
    names = list(spread.width)
    twins = [name for name in names if name.removesuffix("_centred") in set(names) - {name}]
    return [name for name in names if name not in twins]


def _by_tail(spread: Spread) -> list[str]:
    """Matrices by their last excess kurtosis, the heaviest tails first."""
    last = {name: _last(spread.excess_kurtosis[name])[0] for name in _distinct(spread)}
    return sorted(last, key=lambda name: -np.nan_to_num(last[name], nan=-np.inf))


def _seeds(spread: Spread) -> str:
    count = len(spread.seeds)
    return f"all weights of {count} seeds" if count > 1 else "all weights of one seed"


def _track(models: Sequence[Spread]) -> Track:
    curves = []
    for spread in models:
        name = "unembed" if "unembed" in spread.width else next(iter(spread.width))
        curves.append(dataclasses.replace(spread.width[name], model=spread.model))
    return Track(label="width of the unembedding / first", curves=curves)
