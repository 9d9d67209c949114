"""The page on the paths of single weights."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis import stopping
from dynamics.figures import style
from dynamics.questions.paths import figures, sentences, tables
from dynamics.questions.paths.findings import Movement, Paths, Run
from dynamics.questions.paths.record import Record
from dynamics.report import words
from dynamics.report.section import Change, Panel, Section, Table, Track

INTRODUCTION = (
    "The same weights are followed over all checkpoints of a run: how far they come, whether that "
    "is diffusion or drift, whether their density forks, and how many directions their matrix "
    "spans. Four statistics go by the name of mean square displacement, and each is shown beside "
    "what constant, Brownian and ballistic weights would give. Errors are over groups of the "
    "weights followed, or over seeds; none is over other data."
)
_MOST_TENSORS = 6  # that are shown of one model
_SPECTRA = 5  # checkpoints whose spectrum is drawn


def section(paths: Paths, look: style.Look) -> Section:
    """How far weights have come first; of the largest model everything else."""
    models, largest = paths.models, paths.models[-1]
    run = largest.runs[0]
    tensors = range(min(len(run.record.tensors), _MOST_TENSORS))
    return Section(
        introduction=INTRODUCTION,
        panels=[
            _moved_panel(models, look),
            *(_fan_panel(largest, run, p, look) for p in tensors),
            *(panel for p in tensors for panel in _movement_panels(largest, run, p, look)),
            _depth_panel(models, look),
            _rate_panel(models, look),
            *(panel for p in tensors for panel in _rank_panels(largest, run, p)),
            *_change_panels(paths),
        ],
        findings=sentences.findings(paths),
        tracks=[_track(models)],
        tables=tables.below_the_figures(paths),
        numbers=_numbers(paths),
    )


def _moved_panel(models: Sequence[Movement], look: style.Look) -> Panel:
    moved = Table.of_curves([m.moved for m in models], "displacement / initial SD", " moved")
    exponent = Table.of_curves([m.exponent for m in models], "local exponent", " exponent")
    return Panel(
        name="paths-moved",
        title="How far weights have come from their start",
        caption="Above, the root mean square displacement from the first checkpoint; below, the "
        "exponent with which its square grows: 1 is diffusion, 2 drift at a steady velocity, under "
        f"1 slowing down. {_tensor_words(models)} {words.bars([m.exponent for m in models])}",
        draw=lambda: figures.moved(models, look),
        table=moved.beside(exponent),
    )


def _fan_panel(movement: Movement, run: Run, tensor: int, look: style.Look) -> Panel:
    data, name = run.record, run.record.tensors[tensor]
    levels = data.spread.quantile
    shown = data.spread.shown.shape[-1]
    columns = {"step": data.steps.tolist()}
    columns |= {
        f"quantile {level:g}": data.spread.fan[tensor, :, q].tolist()
        for q, level in enumerate(levels)
    }
    columns |= {f"weight {w + 1}": data.spread.shown[tensor, :, w].tolist() for w in range(shown)}
    return Panel(
        name=f"paths-fan-{movement.model}-{tensor}",
        title=f"Paths of single weights of {name}, {_of(movement, run)}",
        caption=f"{shown} weights drawn at random (thin lines) over quantiles of the "
        f"{_followed(data, tensor)} (shaded from {levels[0]:g} to {levels[-1]:g}; the thick line "
        f"is the median).{_gauge(name)}",
        draw=lambda: figures.fan(data, tensor, look[movement.model]["color"]),
        table=Table(columns=columns),
        group="Paths",
    )


def _movement_panels(movement: Movement, run: Run, tensor: int, look: style.Look) -> list[Panel]:
    data, name, color = run.record, run.record.tensors[tensor], look[movement.model]["color"]
    table = tables.displacements(data, tensor)
    return [
        Panel(
            name=f"paths-displacement-{movement.model}-{tensor}",
            title=f"Four displacements of {name}, {_of(movement, run)}",
            caption="Each statistic beside processes with the same variance at the start and the "
            "same displacement at the end, on the same steps. The cumulative one is the paper's "
            "Eq. 4-5: it sums positions, so that constant weights alone make it grow; on an uneven "
            "grid a position counts for the steps before it. The table has standard errors over "
            f"groups of the {_followed(data, tensor)}.{_gauge(name)}",
            draw=lambda: figures.displacement(data, tensor, color),
            table=table,
            group="Displacement",
        ),
        Panel(
            name=f"paths-exponent-{movement.model}-{tensor}",
            title=f"Local exponents of {name}, {_of(movement, run)}",
            caption="d ln statistic / d ln time, over a factor of two of time to either side; "
            "lines are the exponents of processes that start from one point. Band: 95\u00a0% "
            f"interval over groups of the {_followed(data, tensor)}.",
            draw=lambda: figures.exponents(data, tensor, color),
            table=table,
            group="Displacement",
        ),
    ]


def _depth_panel(models: Sequence[Movement], look: style.Look) -> Panel:
    curves = [m.depth for m in models]
    return Panel(
        name="paths-fork",
        title="Does the density of the weights fork?",
        caption="Depth of the deepest valley between two peaks of the smoothed density, in "
        "standard errors: of the sample, and between columns of the matrix, which move together. "
        "Above the line the density has two modes; the threshold allows for every checkpoint and "
        "every place, under any density with one mode. "
        f"{_tensor_words(models)} {words.bars(curves)}",
        draw=lambda: figures.depths(models, look),
        table=Table.of_curves(curves, "depth (standard errors)"),
        group="Forks and stops",
    )


def _rate_panel(models: Sequence[Movement], look: style.Look) -> Panel:
    curves, rule = [m.rate for m in models], stopping.RULE
    return Panel(
        name="paths-rate",
        title="When would a rule that watches movement have stopped?",
        caption="Squared displacement per step over each gap, over the highest so far. The alarm "
        f"is raised once it is surely under the line for {rule.hold} gaps in a row; a rate that "
        f"stays at the line raises one in at most {100 * rule.level:g}\u00a0% of runs. "
        f"{_tensor_words(models)} {words.bars(curves)}",
        draw=lambda: figures.rates(models, look, rule.share),
        table=Table.of_curves(curves, "rate / highest so far"),
        group="Forks and stops",
    )


def _rank_panels(movement: Movement, run: Run, tensor: int) -> list[Panel]:
    """None for a vector."""
    data, name = run.record, run.record.tensors[tensor]
    if not np.isfinite(data.rank.stable[tensor]).any():
        return []
    picks = np.unique(np.linspace(0, len(data.steps) - 1, _SPECTRA).round().astype(int))
    steps = [int(data.steps[k]) for k in picks]
    of = f"{name}, {_of(movement, run)}"
    effective = figures.effective_ranks(data, tensor)
    return [
        Panel(
            name=f"paths-rank-{movement.model}-{tensor}",
            title=f"Covariance rank of {of}",
            caption="Gaussian vectors are sent through the matrix, and the eigenvalues of their "
            "covariance above a tolerance are counted; below, the change of that count. It is at "
            "most the batch less one, and its tolerances say as much of the matrix's scale as of "
            "its shape. Mean over draws of the same vectors at every checkpoint; the table has the "
            "standard error.",
            draw=lambda: figures.covariance_rank(data, tensor),
            table=tables.ranks(data, tensor),
            group="Ranks",
        ),
        Panel(
            name=f"paths-effective-rank-{movement.model}-{tensor}",
            title=f"Ranks that no scale changes, {of}",
            caption="Solid, of the exact covariance; dashed, of the largest batch, which cannot "
            "see more directions than it has vectors.",
            draw=lambda: figures.shape_ranks(data, tensor),
            table=Table(
                columns={"step": data.steps.tolist()}
                | {label: values.tolist() for label, values in effective.items()}
            ),
            group="Ranks",
        ),
        Panel(
            name=f"paths-spectrum-{movement.model}-{tensor}",
            title=f"Exact spectrum of the covariance, {of}",
            caption="Eigenvalues of W W' by their place, at some checkpoints: what every rank "
            "above is counted from.",
            draw=lambda: figures.spectrum(data, tensor, steps),
            table=tables.spectrum(data, tensor, picks),
            group="Ranks",
        ),
    ]


def _change_panels(paths: Paths) -> list[Panel]:
    largest = paths.models[-1]
    panels = [_change_panel(movement) for movement in paths.models[-1:] if movement.runs[0].changes]
    names = [name for name, trend in paths.trends.items() if trend is not None]
    if names:
        panels.append(
            Panel(
                name="paths-change-size",
                title="When series change, against the number of parameters",
                caption="First seed of each model. Bars: 95\u00a0% intervals of each place. "
                f"{_not_yet(paths)}",
                draw=lambda: figures.against_size(paths.models, names),
                table=tables.sizes(paths, names),
                group="Changes",
            )
        )
    return panels if largest.runs[0].changes else []


def _change_panel(movement: Movement) -> Panel:
    run = movement.runs[0]
    return Panel(
        name=f"paths-changes-{movement.model}",
        title=f"When series of {_of(movement, run)} change",
        caption="One bend (circle) or jump (square) of each series that no smooth curve explains, "
        "with its 95\u00a0% interval; where there is none, “not yet”. Displacement, kurtosis and "
        f"rank are of {movement.tensor}.",
        draw=lambda: figures.changes(run),
        table=tables.changes([movement], first_alone=True),
        group="Changes",
    )


def _numbers(paths: Paths) -> dict:
    models, run = paths.models, paths.models[-1].runs[0]
    data = run.record
    return {
        "paths moved": {m.model: m.moved for m in models},
        "paths exponent": {m.model: m.exponent for m in models},
        "paths rate": {m.model: m.rate for m in models},
        "paths fork depth": {m.model: m.depth for m in models},
        "paths of the largest model": {
            "tensors": data.tensors,
            "steps": data.steps,
            "median": data.spread.fan[:, :, data.spread.fan.shape[2] // 2],
            "steps or lags": data.movement.steps,
            "displacement": data.movement.value,
            "exponents": data.movement.exponent,
            "expected": data.movement.expected,
            "rank": data.rank.absolute,
            "rank change": [
                [figures.rank_change(data, p, b) for b in range(len(data.rank.batch))]
                for p in range(len(data.tensors))
            ],
            "effective ranks": [
                dict(figures.effective_ranks(data, p)) for p in range(len(data.tensors))
            ],
            "spectrum": data.rank.spectrum,
        },
        "paths changes": {
            m.model: {
                name: [change.step, change.low, change.high]
                for name, change in m.runs[0].changes.items()
            }
            for m in models
        },
    }


def _track(models: Sequence[Movement]) -> Track:
    changes = [
        Change(
            model=m.model,
            step=m.runs[0].changes[name].step,
            low=m.runs[0].changes[name].low,
            high=m.runs[0].changes[name].high,
            name=f"{name} changes",
        )
        for m in models
        for name in ("ln displacement",)
        if name in m.runs[0].changes and m.runs[0].changes[name].exists
    ]
    curves = [m.moved for m in models]
    return Track(label="displacement of weights / initial SD", curves=curves, changes=changes)


def _of(movement: Movement, run: Run) -> str:
    return f"{movement.model}, seed {run.seed}"


def _followed(data: Record, tensor: int) -> str:
    """How many weights a number rests on."""
    sampled, size = int(data.sampled[tensor]), int(data.size[tensor])
    return "weights, all of them" if sampled == size else f"{sampled} weights drawn of {size}"


def _gauge(name: str) -> str:
    """What a caption adds for a tensor that a gauge may move."""
    if name.endswith(", centred"):
        return " Less the mean over the vocabulary, which changes no softmax."
    unembedding = name.endswith(("embed_out.weight", "lm_head.weight"))
    return " Part of this may be gauge: see the centred one." if unembedding else ""


def _tensor_words(models: Sequence[Movement]) -> str:
    names = list(dict.fromkeys(movement.tensor for movement in models))
    return f"Of {words.listed(names)}."


def _not_yet(paths: Paths) -> str:
    late = [trend.not_yet for trend in paths.trends.values() if trend is not None]
    return "Models whose series has not changed yet are left out." if any(late) else ""
