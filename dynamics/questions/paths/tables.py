"""The tables behind and below the figures on the paths of single weights."""

from collections.abc import Sequence

import numpy as np

from dynamics.questions.paths import figures
from dynamics.questions.paths.findings import Movement, Paths
from dynamics.questions.paths.record import KINDS, PROCESSES, Record
from dynamics.report.section import Table

_WEIGHT2 = "(weight²)"


def displacements(data: Record, tensor: int) -> Table:
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


def ranks(data: Record, tensor: int) -> Table:
    """A row for every batch, tolerance and checkpoint."""
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


def spectrum(data: Record, tensor: int, picks: np.ndarray) -> Table:
    """Eigenvalues of the checkpoints at `picks`."""
    return Table(
        columns={"place": data.rank.place.astype(int).tolist()}
        | {
            f"step {int(data.steps[k])} {_WEIGHT2}": data.rank.spectrum[tensor, :, k].tolist()
            for k in picks
        }
    )


def changes(models: Sequence[Movement], first_alone: bool = False) -> Table:
    """Where each series of each run changes, or why it does not."""
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


def sizes(paths: Paths, names: Sequence[str]) -> Table:
    """The changes of first seeds beside the number of parameters."""
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


def below_the_figures(paths: Paths) -> dict[str, Table]:
    """Heading -> table, those with rows."""
    models = paths.models
    tables = {
        "When series change, every run": changes(models),
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
