"""The page on the paths of single weights."""

from collections.abc import Iterator, Sequence

import numpy as np

from dynamics.analysis import stopping
from dynamics.figures import style
from dynamics.questions.headline import headline
from dynamics.questions.paths import figures
from dynamics.questions.paths.findings import Movement, Paths, Run
from dynamics.questions.paths.record import KINDS, PROCESSES, Record
from dynamics.report import grades, words
from dynamics.report.section import Change, Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "The same weights are followed over all checkpoints of a run: how far they come, whether that "
    "is diffusion or drift, whether their density forks, and how many directions their matrix "
    "spans. Four statistics go by the name of mean square displacement, and each is shown beside "
    "what constant, Brownian and ballistic weights would give. Errors are over groups of the "
    "weights followed, or over seeds; none is over other data."
)
_MOST_TENSORS = 6  # that are shown of one model
_SPECTRA = 5  # checkpoints whose spectrum is drawn
_WEIGHT2 = "(weight²)"


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
        findings=_findings(paths),
        tracks=[_track(models)],
        tables=_tables(paths),
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
    table = _displacements(data, tensor)
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


def _displacements(data: Record, tensor: int) -> Table:
    """A row for every statistic and point; without the points that one has less than another."""
    movement, rows = data.movement, []
    for k, kind in enumerate(KINDS):
        for t in np.flatnonzero(np.isfinite(movement.steps[k])):
            value, sem = movement.value[tensor, k, t], movement.sem[tensor, k, t]
            rows.append(
                {
                    "statistic": figures.NAMES[kind],
                    "step or lag": float(movement.steps[k, t]),
                    f"displacement {_WEIGHT2}": float(value),
                    "low": float(value - sem),
                    "high": float(value + sem),
                    "exponent": float(movement.exponent[tensor, k, t]),
                    "low of the exponent": float(movement.exponent_low[tensor, k, t]),
                    "high of the exponent": float(movement.exponent_high[tensor, k, t]),
                    **{
                        f"{process} {_WEIGHT2}": float(movement.expected[tensor, c, k, t])
                        for c, process in enumerate(PROCESSES)
                    },
                }
            )
    return Table.of_rows(rows)


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
            table=_rank_table(data, tensor),
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
            table=_spectrum_table(data, tensor, picks),
            group="Ranks",
        ),
    ]


def _rank_table(data: Record, tensor: int) -> Table:
    rank, rows = data.rank, []
    for b, size in enumerate(rank.batch):
        change = figures.rank_change(data, tensor, b)
        for level, tolerance in enumerate(rank.tolerance):
            rows += [
                {
                    "batch": int(size),
                    "tolerance (weight²)": float(tolerance),
                    "step": int(step),
                    "rank": float(rank.absolute[tensor, b, level, k]),
                    "standard error": float(rank.absolute_sem[tensor, b, level, k]),
                    "change (per e-fold of step + 1)": float(change[level, k]),
                    "relative rank": float(rank.relative[tensor, b, level, k]),
                    "exact rank": float(rank.exact_absolute[tensor, level, k]),
                }
                for k, step in enumerate(data.steps)
            ]
    return Table.of_rows(rows)


def _spectrum_table(data: Record, tensor: int, picks: np.ndarray) -> Table:
    return Table(
        columns={"place": data.rank.place.astype(int).tolist()}
        | {
            f"step {int(data.steps[k])} {_WEIGHT2}": data.rank.spectrum[tensor, :, k].tolist()
            for k in picks
        }
    )


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
                table=_size_table(paths, names),
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
        table=_change_table([movement], first_alone=True),
        group="Changes",
    )


def _change_table(models: Sequence[Movement], first_alone: bool = False) -> Table:
    return Table.of_rows(
        [
            {
                "model": movement.model,
                "seed": run.seed,
                "series": name,
                "change": change.kind or "not yet",
                "step": change.step,
                "low": change.low,
                "high": change.high,
                "why none": change.reason,
            }
            for movement in models
            for run in (movement.runs[:1] if first_alone else movement.runs)
            for name, change in run.changes.items()
        ]
    )


def _size_table(paths: Paths, names: Sequence[str]) -> Table:
    return Table.of_rows(
        [
            {
                "series": name,
                "model": movement.model,
                "parameters": movement.num_parameters,
                "step": movement.runs[0].changes[name].step,
                "low": movement.runs[0].changes[name].low,
                "high": movement.runs[0].changes[name].high,
            }
            for name in names
            for movement in paths.models
            if name in movement.runs[0].changes
        ]
    )


def _tables(paths: Paths) -> dict[str, Table]:
    models = paths.models
    tables = {
        "When series change, every run": _change_table(models),
        "What stopping would have cost": _stop_table(models),
        "Forks of the density": _fork_table(models),
    }
    together = _together_table(models)
    trends = _trend_table(paths)
    repeats = _repeat_table(models)
    for heading, table in (
        ("Do series of one run change together?", together),
        ("Change against parameters: power laws over models", trends),
        ("Change against the same model on deduplicated data", _deduplicated_table(paths)),
        ("Checkpoints that repeat another, left out", repeats),
    ):
        tables |= {heading: table} if table.rows else {}
    return {heading: table for heading, table in tables.items() if table.rows}


def _together_table(models: Sequence[Movement]) -> Table:
    return Table.of_rows(
        [
            {
                "model": movement.model,
                "seed": run.seed,
                "first": pair.first,
                "second": pair.second,
                "second step / first": pair.coincidence.ratio,
                "low": pair.coincidence.ratio_low,
                "high": pair.coincidence.ratio_high,
                "may be the same": "yes" if pair.coincidence.compatible else "no",
                "probability within one checkpoint": pair.coincidence.within_one,
            }
            for movement in models
            for run in movement.runs
            for pair in run.together
        ]
    )


def _stop_table(models: Sequence[Movement]) -> Table:
    rows = []
    for movement in models:
        for run in movement.runs:
            for name, stop, cost in zip(run.record.tensors, run.stops, run.costs, strict=True):
                nothing = (float("nan"),) * 4
                saved, share, loss, sem = nothing if cost is None else cost
                rows.append(
                    {
                        "model": movement.model,
                        "seed": run.seed,
                        "tensor": name,
                        "would stop at step": stop.step if stop.step is not None else "not yet",
                        "steps saved": saved,
                        "share saved": share,
                        "loss above the last (nats per token)": loss,
                        "standard error": sem,
                    }
                )
    return Table.of_rows(rows)


def _fork_table(models: Sequence[Movement]) -> Table:
    rows = []
    for movement in models:
        for run in movement.runs:
            fork = run.record.fork
            for p, name in enumerate(run.record.tensors):
                forked = np.isfinite(fork.step[p])
                rows.append(
                    {
                        "model": movement.model,
                        "seed": run.seed,
                        "tensor": name,
                        "two modes from step": fork.step[p] if forked else "not yet",
                        "low": fork.low[p],
                        "high": fork.high[p],
                        "share that stays on its side": fork.loyal[p],
                        "deepest valley (standard errors)": float(np.nanmax(fork.depth[p])),
                        "threshold": fork.threshold,
                    }
                )
    return Table.of_rows(rows)


def _trend_table(paths: Paths) -> Table:
    return Table.of_rows(
        [
            {
                "series": name,
                "d ln step / d ln parameters": trend.slope,
                "low": trend.low,
                "high": trend.high,
                "models that have changed": trend.count,
                "not yet": trend.not_yet,
            }
            for name, trend in paths.trends.items()
            if trend is not None
        ]
    )


def _deduplicated_table(paths: Paths) -> Table:
    return Table.of_rows(
        [
            {
                "series": series,
                "model": model,
                "step on deduplicated data / plain": both.ratio,
                "low": both.ratio_low,
                "high": both.ratio_high,
            }
            for series, model, both in paths.deduplicated
        ]
    )


def _repeat_table(models: Sequence[Movement]) -> Table:
    return Table.of_rows(
        [
            {"model": movement.model, "seed": run.seed, "step": step, "repeats step": other}
            for movement in models
            for run in movement.runs
            for step, other in run.record.repeats.items()
        ]
    )


def _findings(paths: Paths) -> list[Finding]:
    moved = [_moved_finding(movement) for movement in paths.models]
    last = {m.model: float(m.exponent.finite().value[-1]) for m in paths.models if _has_end(m)}
    sentence = (
        "Squared displacement from the start grows with an exponent, at the last checkpoint that "
        f"has one, of {words.by_model(last)}; 1 is diffusion, 2 drift."
    )
    own = [
        finding
        for movement, finding in zip(paths.models, moved, strict=True)
        for finding in (finding, *_other_findings(movement))
    ]
    return [*(headline(sentence, moved) if len(last) == len(moved) else []), *own]


def _has_end(movement: Movement) -> bool:
    return bool(np.isfinite(movement.exponent.value).any())


def _other_findings(movement: Movement) -> Iterator[Finding]:
    yield _fork_finding(movement)
    yield _stop_finding(movement)
    yield from _together_finding(movement)


def _moved_finding(movement: Movement) -> Finding:
    """How the weights move at the end: sure where its error sets it apart from diffusion."""
    name = _spoken(movement)
    rests_on = f"{_seeds(movement)}; {_errors(movement)}"
    if not _has_end(movement):
        sentence = f"How {name} moves cannot be said: too few checkpoints differ."
        return Finding(sentence=sentence, rests_on=rests_on, grade="open")
    curve = movement.exponent.finite()
    exponent, sem = float(curve.value[-1]), float(curve.sem[-1])
    manner = "more slowly than by diffusion" if exponent < 1 else "faster than by diffusion"
    error = f" ± {words.number(sem)}" if np.isfinite(sem) else ""
    return Finding(
        sentence=f"T{name[1:]} {_distance(movement)}moves {manner} at step {curve.steps[-1]} "
        f"(exponent {words.number(exponent)}{error}).",
        rests_on=rests_on,
        grade=grades.judge(exponent - 1, sem),
    )


def _distance(movement: Movement) -> str:
    """How far it has come; "" for weights that were all equal at the start."""
    distance = movement.moved.finite()
    if not len(distance.steps):
        return ""
    far = words.number(float(distance.value[-1]))
    return f"ends {far} initial SDs from where it was at step {distance.steps[0]}, and "


def _fork_finding(movement: Movement) -> Finding:
    steps = [run.record.fork.step[movement.main] for run in movement.runs]
    forked = [int(step) for step in steps if np.isfinite(step)]
    name, many = _spoken(movement), len(steps)
    if forked:
        places = f"step {min(forked)}" + (f" to {max(forked)}" if len(set(forked)) > 1 else "")
        sentence = (
            f"The density of {name} has two modes from {places} on, in {len(forked)} of "
            f"{words.counted(many, 'seed')}."
        )
    else:
        sentence = f"No second mode in the density of {name} at any checkpoint: no fork yet."
    return Finding(
        sentence=sentence,
        rests_on=f"{_seeds(movement)}; columns of the matrix taken as independent",
        grade="sure" if len(forked) == many else "unsure",
    )


def _stop_finding(movement: Movement) -> Finding:
    stops = [(run.stops[movement.main], run.costs[movement.main]) for run in movement.runs]
    raised = [(stop, cost) for stop, cost in stops if stop.step is not None and cost is not None]
    name = f"a rule that watches {_spoken(movement)}"
    if not raised:
        sentence = f"No alarm of {name}: it would not have stopped by the last checkpoint."
        return Finding(sentence=sentence, rests_on=_seeds(movement), grade="open")
    stop, cost = raised[0]
    saved = f"{100 * cost.share_saved:.0f}\u00a0% of the steps"
    measured = np.isfinite(cost.loss)
    price = (
        f"{words.number(cost.loss)} ± {words.number(cost.loss_sem)} nats per token"
        if measured
        else "a loss that was not measured"
    )
    return Finding(
        sentence=f"An alarm of {name} would have stopped at step {stop.step}, saving {saved} for "
        f"{price}.",
        rests_on=f"the first seed that has one, {len(raised)} of {_seeds(movement)} have; errors "
        "over documents",
        grade=grades.judge(cost.loss, cost.loss_sem) if measured else "open",
    )


def _together_finding(movement: Movement) -> Iterator[Finding]:
    """Which series of the first seed may change at one and the same place."""
    run = movement.runs[0]
    if not run.together:
        return
    same = [pair for pair in run.together if pair.coincidence.compatible]
    best = max(run.together, key=lambda pair: pair.coincidence.within_one)
    chance = f"{best.coincidence.within_one:.2f}"
    yield Finding(
        sentence=f"Of {words.counted(len(run.together), 'pair')} of series of {movement.model} "
        f"that change, {len(same)} may do so at one step; nearest are {best.first} and "
        f"{best.second}, within one checkpoint with probability {chance}.",
        rests_on="one seed; intervals of single series, taken as independent",
        grade="sure" if not same else "unsure",
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


def _spoken(movement: Movement) -> str:
    """The main tensor in a sentence."""
    tensor = movement.tensor.removesuffix(", centred")
    centred = "centred " if tensor != movement.tensor else ""
    return f"the {centred}{tensor} of {movement.model}"


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


def _seeds(movement: Movement) -> str:
    return words.counted(len(movement.runs), "seed")


def _errors(movement: Movement) -> str:
    return movement.exponent.rests_on or "no error is known"
