"""The page on curvature."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.agreement import RankCorrelation
from dynamics.figures import style
from dynamics.questions.curvature import figures
from dynamics.questions.curvature.findings import (
    TRACE,
    BesideLlc,
    Curvature,
    FirstSeed,
    PartTraces,
)
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "The Hessian of the training loss: its trace, whole and by part, and the two ends of its "
    "spectrum; the Gauss–Newton matrix, which is what of it comes from the softmax alone and is "
    "the Fisher information."
)
UNIT = "(nats / weight²)"


def section(models: Sequence[Curvature], look: style.Look) -> Section:
    """Trace and ends of every model; then of its first seed the parts, and the LLC beside."""
    trace, largest, smallest = zip(*((m.trace, m.largest, m.smallest) for m in models), strict=True)
    seeds = [m.first for m in models]
    return Section(
        introduction=INTRODUCTION,
        panels=[
            _trace_panel(models, look),
            _ends_panel(models, look),
            *_sharpness_panel(seeds, look),
            *(_parts_panel(s, s.parts) for s in seeds if s.parts is not None),
            *(_beside_panel(s, s.beside_llc, look) for s in seeds if s.beside_llc is not None),
        ],
        findings=[finding for model in models for finding in _findings(model)],
        tracks=[Track(label=TRACE, curves=trace)],
        tables=_agreement_table(seeds),
        numbers={"trace": list(trace), "largest": list(largest), "smallest": list(smallest)},
    )


def _trace_panel(models: Sequence[Curvature], look: style.Look) -> Panel:
    curves = [m.trace for m in models]
    return Panel(
        name="hessian-trace",
        title="Hessian trace",
        caption=f"{_block(m.first for m in models)}Sum of the Hessian's eigenvalues. "
        f"{words.bars(curves)}",
        draw=lambda: figures.trace(models, look),
        table=Table.of_curves(curves, f"{TRACE} {UNIT}"),
    )


def _ends_panel(models: Sequence[Curvature], look: style.Look) -> Panel:
    curves = [m.largest for m in models]
    columns = dict(Table.of_curves(curves, f"largest eigenvalue {UNIT}").columns)
    smallest = Table.of_curves([m.smallest for m in models], f"smallest eigenvalue {UNIT}").columns
    columns |= {
        name if "eigenvalue" in name else f"{name} of the smallest": cells
        for name, cells in smallest.items()
        if name not in ("model", "step")
    }
    return Panel(
        name="hessian-ends",
        title="Largest and smallest eigenvalue",
        caption=f"{_block(m.first for m in models)}A negative one is a direction in which the loss "
        f"bends down. {words.bars(curves)}",
        draw=lambda: figures.ends(models, look),
        table=Table(columns=columns),
    )


def _block(seeds) -> str:
    """What a caption begins with where it is not of the whole Hessian."""
    blocks = sorted({seed.block for seed in seeds} - {""})
    return f"Of the block of {words.listed(blocks)} alone. " if blocks else ""


def _sharpness_panel(seeds: Sequence[FirstSeed], look: style.Look) -> list[Panel]:
    rated = [seed for seed in seeds if np.isfinite(seed.sharpness).any()]
    if not rated:
        return []
    table = Table(
        columns={
            "model": [s.model for s in rated for _ in s.steps],
            "seed": [s.seed for s in rated for _ in s.steps],
            "step": np.concatenate([s.steps for s in rated]).tolist(),
            "sharpness η λ / 2": np.concatenate([s.sharpness for s in rated]).tolist(),
        }
    )
    return [
        Panel(
            name="sharpness",
            title="Sharpness against the learning rate",
            caption=f"{_block(rated)}Learning rate η times the largest eigenvalue λ over 2. Plain "
            "gradient descent is unstable above 1 (dotted); Adam's bound is on its preconditioned "
            "Hessian, so this line is for orientation.",
            draw=lambda: figures.sharpness(rated, look),
            table=table,
        )
    ]


def _parts_panel(seed: FirstSeed, traces: PartTraces) -> Panel:
    whole = "The parts sum to the whole." if traces.is_partition else "They are not all weights."
    return Panel(
        name=f"hessian-parts-{seed.model}",
        title=f"Where the trace sits, {seed.model}, seed {seed.seed}",
        caption=f"Trace of each part's block of the Hessian over training. {whole} The table has "
        "standard errors over probes.",
        draw=lambda: figures.parts(seed, traces),
        table=_parts_table(seed, traces),
        group="Where the trace sits",
    )


def _parts_table(seed: FirstSeed, traces: PartTraces) -> Table:
    k, m = (axis.ravel() for axis in np.indices(traces.trace.shape))
    return Table(
        columns={
            "model": [seed.model] * k.size,
            "seed": [seed.seed] * k.size,
            "step": seed.steps[k].tolist(),
            "part": [traces.names[place] for place in m],
            f"trace {UNIT}": traces.trace.ravel().tolist(),
            "standard error": traces.sem.ravel().tolist(),
        }
    )


def _beside_panel(seed: FirstSeed, beside: BesideLlc, look: style.Look) -> Panel:
    curves = [beside.llc, *seed.statistics.values()]
    return Panel(
        name=f"hessian-llc-{seed.model}",
        title=f"Curvature beside the LLC, {seed.model}, seed {seed.seed}",
        caption=f"{_block([seed])}Do they rise and fall together? A hollow LLC is not local. Rank "
        f"correlations are in the table below. "
        f"{words.bars(curves)}",
        draw=lambda: figures.beside_llc(seed, beside, look),
        table=_beside_table(seed, beside),
        group="Beside the LLC",
    )


def _beside_table(seed: FirstSeed, beside: BesideLlc) -> Table:
    columns: dict = {"model": [seed.model] * len(seed.steps), "step": seed.steps.tolist()}
    for name, curve in {"LLC": beside.llc, **seed.statistics}.items():
        columns |= {name: curve.value.tolist(), f"error of the {name}": curve.sem.tolist()}
    return Table(columns=columns)


def _agreement_table(seeds: Sequence[FirstSeed]) -> dict[str, Table]:
    """Rank correlations of every statistic with the LLC."""
    rows = [
        (seed, name, correlation)
        for seed in seeds
        if seed.beside_llc is not None
        for name, correlation in seed.beside_llc.agreement.items()
    ]
    if not rows:
        return {}
    columns = {
        "model": [seed.model for seed, _, _ in rows],
        "seed": [seed.seed for seed, _, _ in rows],
        "statistic": [name for _, name, _ in rows],
        "rank correlation": [correlation.rho for _, _, correlation in rows],
        "low": [correlation.low for _, _, correlation in rows],
        "high": [correlation.high for _, _, correlation in rows],
        "checkpoints": [correlation.count for _, _, correlation in rows],
    }
    return {"Rank correlation with the LLC over checkpoints": Table(columns=columns)}


def _findings(model: Curvature) -> list[Finding]:
    """Course of the trace, where it sits, sharpness, and agreement with the LLC."""
    seed = model.first
    return [
        _trace_finding(model),
        *([_parts_finding(seed, seed.parts)] if seed.parts is not None else []),
        *([_sharpness_finding(seed)] if np.isfinite(seed.sharpness).any() else []),
        *([_agreement_finding(seed, seed.beside_llc)] if seed.beside_llc is not None else []),
    ]


def _trace_finding(model: Curvature) -> Finding:
    block = f" of the block of {model.first.block}" if model.first.block else ""
    probes = f", {model.num_probes} probes" if model.num_probes else ""
    return Finding(
        sentence=f"The Hessian trace{block} of {words.course(model.trace, ' nats / weight²')}.",
        rests_on=f"{words.counted(len(model.runs), 'seed')}{probes} on one batch",
        grade=grades.course(model.trace),
    )


def _parts_finding(seed: FirstSeed, traces: PartTraces) -> Finding:
    last, sem = traces.trace[-1], traces.sem[-1]
    order = np.argsort(-last)
    largest = [
        f"{traces.names[m]} ({words.number(float(last[m]))} ± {words.number(float(sem[m]))})"
        for m in order[:3]
    ]
    sure = len(last) < 4 or last[order[2]] - last[order[3]] > 3 * np.hypot(*sem[order[2:4]])
    return Finding(
        sentence=f"At step {seed.steps[-1]} the trace of {seed.model} sits most in "
        f"{words.listed(largest)} nats / weight².",
        rests_on="one seed; standard errors over probes",
        grade="sure" if sure else "unsure",
    )


def _sharpness_finding(seed: FirstSeed) -> Finding:
    top = int(np.nanargmax(seed.sharpness))
    value = float(seed.sharpness[top])
    side = "above" if value > 1 else "below"
    return Finding(
        sentence=f"Learning rate times largest eigenvalue over 2 of {seed.model} is at most "
        f"{words.number(value)} (step {seed.steps[top]}), {side} plain gradient descent's bound "
        "of 1.",
        rests_on="one seed, one batch",
        grade="sure",
    )


def _agreement_finding(seed: FirstSeed, beside: BesideLlc) -> Finding:
    """Whether trace and LLC rank the checkpoints alike."""
    correlation, checkpoints = beside.agreement[TRACE], len(seed.steps)
    excludes_zero = correlation.low > 0 or correlation.high < 0  # False where they are NaN
    num_local, all_local = int(beside.local.sum()), bool(beside.local.all())
    doubts = [] if all_local else [f"{num_local} of {checkpoints} LLCs are local"]
    doubts += ["their values rest on the setting γ"] if beside.set_by_pull else []
    return Finding(
        sentence=f"The rank correlation of the Hessian trace of {seed.model} with its LLC is "
        f"{'; '.join([agreement_words(correlation, checkpoints), *doubts])}.",
        rests_on=f"one seed, {correlation.count} checkpoints, which are no independent draws; "
        "limits from the errors of both curves alone",
        grade="sure" if excludes_zero and all_local else "unsure",
    )


def agreement_words(correlation: RankCorrelation, checkpoints: int) -> str:
    """A rank correlation with its limits, or why there is none."""
    if not np.isfinite(correlation.rho):
        flat = "none, a curve being flat"
        few = "none, being finite at fewer than three checkpoints"
        return flat if correlation.count > 2 else few
    everywhere = correlation.count == checkpoints
    finite = "" if everywhere else f", over the {correlation.count} at which both are finite"
    limits = f"{_signed(correlation.low)} to {_signed(correlation.high)}"
    return f"{_signed(correlation.rho)} ({limits}{finite})"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
