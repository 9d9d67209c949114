"""The page on the spread of weights."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.weights import figures, sentences
from dynamics.questions.weights.findings import Distribution, Spread, quantity
from dynamics.questions.weights.record_pictures import Record
from dynamics.report import words
from dynamics.report.section import Panel, Section, Table, Track

INTRODUCTION = (
    "Histograms and moments of stored tensors at every checkpoint: a census of all their weights, "
    "without sampling error. Where bars are drawn they are of seeds, or, of the valley between two "
    "modes of a single seed, of parts of its tensor."
)
_MOST_KINDS = 12  # in one panel
_MOST_LAYERS = 12
_MOST_CELLS = 6000  # of a picture whose numbers stand in a table
_ALL = "Densities of tensors"
_LAYERS = "Layer by layer"
_NUMBERS = "Width, tails, zeros and modes"
_PICTURES = "Pictures of the first and the last step"


def section(models: Sequence[Spread], look: style.Look) -> Section:
    """The unembedding's density first, raw and centred; other tensors, layers, numbers below."""
    largest = models[-1]
    pictured = [spread for spread in models if spread.pictures]
    return Section(
        introduction=INTRODUCTION,
        panels=[
            *_answer(models),
            *_densities(largest),
            *_layers(largest),
            *_numbers(largest),
            *(_pictures(pictured[-1]) if pictured else ()),
        ],
        findings=sentences.findings(models),
        tracks=[_track(models)],
        tables={
            "Two modes about zero at the last step": _modes(models),
            "Weights that no density shows": _outside(models),
        },
        numbers={
            **{
                f"weight {name}": {spread.model: quantity(spread.kinds, name) for spread in models}
                for name in _QUANTITIES
            },
            "gauge share": {s.model: s.gauge.share for s in models if s.gauge is not None},
            "pictures": {s.model: _profiles(s.pictures) for s in pictured[-1:]},
        },
    )


_QUANTITIES = (
    *("sd", "width", "excess_kurtosis", "norm", "near_zero"),
    *("moved", "depth", "half_distance", "asymmetry"),
)


def _pooled(spread: Spread) -> str:
    return "the seeds pooled" if len(spread.seeds) > 1 else "of one seed"


def _answer(models: Sequence[Spread]) -> list[Panel]:
    """The unembedding of every model: Figure 2 of the paper."""
    rows = [
        (spread, [d for role in _UNEMBEDDING if (d := spread.of_role(role)) is not None])
        for spread in models
    ]
    rows = [(spread, distributions) for spread, distributions in rows if distributions]
    if not rows:
        return []
    pooled = "; ".join(sorted({_pooled(spread) for spread, _ in rows}))
    return [
        Panel(
            name="density-unembedding",
            title="Density of the unembedding over training",
            caption=f"A column for each checkpoint, {pooled}: the brighter, the more weights have "
            "that value. A census without bars. Left as stored; right less the vector that all "
            "tokens share, which changes no softmax: what moves on the left alone is no change of "
            "the model.",
            draw=lambda: figures.unembeddings([(s.model, s.steps, ds) for s, ds in rows]),
            table=_stacked(
                [
                    ({"model": spread.model, "tensor": d.name}, _histogram(d, spread.steps))
                    for spread, distributions in rows
                    for d in distributions
                ]
            ),
        )
    ]


_UNEMBEDDING = ("unembedding", "centred unembedding")


def _densities(spread: Spread) -> list[Panel]:
    """Every other kind of tensor of one model."""
    return [
        Panel(
            name=f"density-{kind}",
            title=f"Density of {kind}, {spread.model}",
            caption=f"A column for each checkpoint, {_pooled(spread)}{_of_layers(spread, kind)}: "
            "the brighter, the more weights have that value. A census without bars.",
            draw=lambda d=d: figures.density(d, spread.steps),
            table=_histogram(d, spread.steps),
            group=_ALL,
        )
        for kind, d in spread.kinds.items()
        if d.role not in _UNEMBEDDING
    ]


def _of_layers(spread: Spread, kind: str) -> str:
    return ", all layers together" if kind in spread.layers else ""


def _layers(spread: Spread) -> list[Panel]:
    panels = []
    for kind, every in spread.layers.items():
        places = np.linspace(0, len(every) - 1, min(len(every), _MOST_LAYERS)).round().astype(int)
        shown = [every[k] for k in places]
        part = (
            "" if len(shown) == len(every) else f" {len(shown)} of {len(every)} layers are drawn."
        )
        panels.append(
            Panel(
                name=f"layers-{kind}",
                title=f"{kind} layer by layer, {spread.model}",
                caption=f"As above, a panel for each layer, {_pooled(spread)}, all on one scale. "
                f"A census without bars.{part}",
                draw=lambda shown=shown: figures.layers(shown, spread.steps),
                table=_stacked([({"layer": d.layer}, _histogram(d, spread.steps)) for d in shown]),
                group=_LAYERS,
            )
        )
    return panels


def _numbers(spread: Spread) -> list[Panel]:
    normal = math.erf(spread.near_zero_sd / math.sqrt(2))
    start = spread.steps[0]
    smooth = (
        f"Densities are smoothed by {spread.bandwidth:g} standard deviations, or more where "
        "weights are few; modes are sought on either side of zero."
    )
    near = f"share within {spread.near_zero_sd:g} sd of 0"
    rows = [
        ("sd", "width", "Width of the weights", "standard deviation / first", 1.0, ""),
        ("kurtosis", "excess_kurtosis", "Tails of the weights", "excess kurtosis", 0.0, "normal"),
        ("norm", "norm", "Norm of the weights", "root of the sum of squares", None, ""),
        ("near-zero", "near_zero", "Weights near zero", near, normal, "normal"),
        ("moved", "moved", "How far the density moved", "distance (weight)", None, ""),
        ("depth", "depth", "Valley between two modes", "1 − valley / lower peak", None, ""),
        ("modes", "half_distance", "Two modes at ±µ", "µ (weight)", None, ""),
    ]
    captions = {
        "sd": f"Standard deviation over that of the same seed at step {start}: above the line a "
        "tensor has grown wider.",
        "kurtosis": "0 for a normal distribution; above it tails are heavier.",
        "norm": "Of all its weights, of all layers together.",
        "near-zero": "Standard deviations are each tensor's own at that step. The line is what a "
        "normal distribution about 0 has.",
        "moved": "How far weights must move on average for the density to become that of step "
        f"{start} (Wasserstein distance), whichever weight goes where.",
        "depth": f"0 where there are not two modes, 1 where nothing lies between them. {smooth}",
        "modes": f"Half of the distance between two modes; gaps where there are not two. {smooth}",
    }
    panels = []
    for name, quantity_name, title, label, level, line in rows:
        every = quantity(spread.kinds, quantity_name)
        curves = dict(list(every.items())[:_MOST_KINDS])
        if not any(np.isfinite(curve.value).any() for curve in curves.values()):
            continue
        part = (
            f" {len(curves)} of {len(every)} kinds of tensor are drawn."
            if len(curves) < len(every)
            else ""
        )
        bars = words.bars(list(curves.values()))
        panels.append(
            Panel(
                name=f"weight-{name}",
                title=f"{title}, {spread.model}",
                caption=f"{captions[name]} {bars}{part}",
                draw=lambda curves=curves, label=label, level=level, line=line: figures.numbers(
                    curves, label, level, line
                ),
                table=_by_kind(every, label),
                group=_NUMBERS,
            )
        )
    return panels


def _pictures(spread: Spread) -> list[Panel]:
    """What the paper's Figure 1 B, C and D shows, of one seed of one model."""
    pictures = spread.pictures
    of = f"{spread.model}, seed {spread.pictured_seed}"
    first = next(iter(pictures.values()))
    sentence = f"of one sentence, which begins “{first.sentence[:60].strip()}…”"
    unembedding = {s: p.unembedding for s, p in pictures.items() if p.unembedding is not None}
    attention = {s: p.attention for s, p in pictures.items()}
    panels = [
        _matrix(
            "unembedding",
            f"The unembedding, {of}",
            "A row for each of its first dimensions, a column for each of its first tokens.",
            unembedding,
            ("dimension", "token id", "weight"),
        ),
        _matrix(
            "attention-weights",
            f"Weights of the first layer's attention, {of}",
            "Queries, keys and values, head by head; the first inputs and outputs are drawn.",
            {s: p.attention_matrix for s, p in pictures.items()},
            ("input", "output", "weight"),
        ),
        Panel(
            name="picture-attention",
            title=f"Attention pattern of the first layer, {of}",
            caption=f"Where each token looks, averaged over heads, {sentence}; the root shows "
            "small shares. Below: the mean share that a source receives of what sees it. One seed "
            "and one sentence: without error bars.",
            draw=lambda: figures.attention_at_ends(attention),
            table=_cells(
                attention,
                figures.received,
                ("mean share received", "√(share of attention)"),
                shown=np.sqrt,
            ),
            group=_PICTURES,
        ),
    ]
    panels = [panel for panel in panels if panel is not None]
    if first.mean_logit is not None:
        panels.append(
            Panel(
                name="picture-logits",
                title=f"Mean logits, {of}",
                caption=f"The logit of every token averaged over the positions {sentence}. Lines: "
                "the mean of neighbouring ids; bands: from their least to their largest. One seed "
                "and one sentence: without error bars.",
                draw=lambda: figures.mean_logits(pictures),
                table=_logits(pictures),
                group=_PICTURES,
            )
        )
    return panels


def _profiles(pictures: Mapping[int, Record]) -> dict[str, list[float]]:
    """What the lines of the pictures show, step by step."""
    profiles = {}
    for step, picture in pictures.items():
        of_step = {
            "attention weights": figures.column_rms(picture.attention_matrix),
            "attention received": figures.received(picture.attention),
        }
        if picture.unembedding is not None:
            of_step["unembedding"] = figures.column_rms(picture.unembedding)
            of_step["mean logit"] = figures.logits_by_id(picture)[1]
        profiles |= {f"{name}, step {step}": values.tolist() for name, values in of_step.items()}
    return profiles


def _matrix(
    name: str,
    title: str,
    caption: str,
    pictures: Mapping[int, np.ndarray],
    axes: tuple[str, str, str],
) -> Panel | None:
    if not pictures:
        return None
    rows, columns, label = axes
    return Panel(
        name=f"picture-{name}",
        title=title,
        caption=f"{caption} Colours end at the size that 99.5 % of the weights stay below; below "
        "each column is the root mean square of its weights. One seed: without error bars.",
        draw=lambda: figures.weights_at_ends(dict(pictures), rows, columns, label),
        table=_cells(pictures, figures.column_rms, (f"root mean square {label}", label)),
        group=_PICTURES,
    )


def _cells(
    pictures: Mapping[int, np.ndarray],
    profile: Callable[[np.ndarray], np.ndarray],
    names: tuple[str, str],
    shown: Callable[[np.ndarray], np.ndarray] = lambda picture: picture,
) -> Table:
    """The profile of every picture's columns; of small pictures every cell as it is shown, too.

    `names` are those of the profile and of a cell.
    """
    rows: list[dict[str, object]] = [
        {"step": step, "column": column, names[0]: float(value)}
        for step, picture in pictures.items()
        for column, value in enumerate(profile(picture))
    ]
    if any(picture.size > _MOST_CELLS for picture in pictures.values()):
        return Table.of_rows(rows)
    cells: list[dict[str, object]] = [
        {"step": step, "column": column, names[0]: None, "row": row, names[1]: float(value)}
        for step, picture in pictures.items()
        for (row, column), value in np.ndenumerate(shown(picture))
    ]
    return Table.of_rows([{**row, "row": None, names[1]: None} for row in rows] + cells)


def _logits(pictures: Mapping[int, Record]) -> Table:
    columns: dict[str, Sequence[object]] = {}
    for step, picture in pictures.items():
        ids, *values = figures.logits_by_id(picture)
        columns["token id, middle of a group"] = ids.tolist()
        for name, numbers in zip(("mean", "least", "largest"), values, strict=True):
            columns[f"{name} logit at step {step}"] = numbers.tolist()
    return Table(columns=columns)


def _histogram(distribution: Distribution, steps: np.ndarray) -> Table:
    """The occupied bins of every step."""
    k, n = np.nonzero(distribution.density > 0)
    occupied = distribution.density[k, n]
    return Table(
        columns={
            "step": steps[k].tolist(),
            "weight": distribution.center[n].tolist(),
            "density (per unit of weight)": occupied.tolist(),
            "log₁₀ density": np.log10(occupied).tolist(),
        }
    )


def _stacked(tables: Sequence[tuple[Mapping[str, object], Table]]) -> Table:
    """One table under the other, each row with what its table is of."""
    columns: dict[str, list[object]] = {}
    for labels, table in tables:
        for name, label in labels.items():
            columns.setdefault(name, []).extend([label] * len(table.rows))
        for name, cells in table.columns.items():
            columns.setdefault(name, []).extend(cells)
    return Table(columns=columns)


def _modes(models: Sequence[Spread]) -> Table:
    """Of every tensor on its own, layer by layer."""
    rows = []
    for spread in models:
        kinds = spread.kinds.items()
        tensors = [d for kind, d in kinds for d in spread.layers.get(kind, [d])]
        for d in tensors:
            if d.depth is None or d.half_distance is None or d.asymmetry is None:
                continue
            rows.append(
                {
                    "model": spread.model,
                    "tensor": d.name,
                    "step": int(spread.steps[-1]),
                    "1 − valley / lower peak": float(d.depth.value[-1]),
                    "its error": float(d.depth.sem[-1]),
                    "µ (weight)": float(d.half_distance.value[-1]),
                    "|sum| / distance of the modes": float(d.asymmetry.value[-1]),
                    "error of that": float(d.asymmetry.sem[-1]),
                    "rests on": d.depth.rests_on or "all weights of one seed",
                }
            )
    return Table.of_rows(rows)


def _outside(models: Sequence[Spread]) -> Table:
    return Table.of_rows(
        [
            {
                "model": spread.model,
                "seeds": len(spread.seeds),
                "tensor": kind,
                "largest share outside of the bins at any step": d.outside,
                "weights that are not finite": d.not_finite,
            }
            for spread in models
            for kind, d in spread.kinds.items()
        ]
    )


def _by_kind(curves: Mapping[str, Curve], label: str) -> Table:
    table = Table.of_curves(list(curves.values()), label)
    kind = [name for name, curve in curves.items() for _ in curve.steps]
    return Table(columns={"tensor": kind, **table.columns})


def _track(models: Sequence[Spread]) -> Track:
    curves = []
    for spread in models:
        d = spread.of_role("unembedding") or next(iter(spread.kinds.values()))
        curves.append(dataclasses.replace(d.width, model=spread.model))
    return Track(label="width of the unembedding / first", curves=curves)
