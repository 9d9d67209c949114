"""The page on curvature."""

import dataclasses
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
    Spectrum,
)
from dynamics.questions.headline import headline
from dynamics.questions.single_seeds import one_seed_warning
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "The Hessian of the training loss: its trace, whole and by part, and the two ends of its "
    "spectrum; the Gauss–Newton matrix, which is what of it comes from the softmax alone and is "
    "the Fisher information."
)
UNIT = "(nats / weight²)"
CHANCE = 0.05  # probability below which a correlation of changes is no chance


def section(models: Sequence[Curvature], look: style.Look) -> Section:
    """Trace and ends of every model; then of its first seed the parts, and the LLC beside."""
    trace, largest, smallest = zip(*((m.trace, m.largest, m.smallest) for m in models), strict=True)
    seeds = [m.first for m in models]
    return Section(
        introduction=f"{INTRODUCTION} {_one_seed(models)}".strip(),
        panels=[
            _trace_panel(models, look),
            _ends_panel(models, look),
            *(_spectrum_panel(s, s.spectrum, look) for s in seeds if s.spectrum is not None),
            *_sharpness_panel(seeds, look),
            *(_parts_panel(s, s.parts) for s in seeds if s.parts is not None),
            *(_beside_panel(s, s.beside_llc, look) for s in seeds if s.beside_llc is not None),
        ],
        findings=_findings(models),
        tracks=[Track(label=TRACE, curves=trace)],
        tables=_agreement_table(seeds) | _batches_table(seeds),
        numbers={
            "trace": list(trace),
            "largest": list(largest),
            "smallest": list(smallest),
            **_first_seed_numbers(seeds),
        },
    )


def _one_seed(models: Sequence[Curvature]) -> str:
    return one_seed_warning({model.model: [run.seed for run in model.runs] for model in models})


def _first_seed_numbers(seeds: Sequence[FirstSeed]) -> dict[str, object]:
    """What is drawn of each model's first seed: statistics, sharpness, the trace by part."""
    rated = [seed for seed in seeds if np.isfinite(seed.sharpness).any()]
    by_part = [(seed, seed.parts) for seed in seeds if seed.parts is not None]
    spectra = [(seed, seed.spectrum) for seed in seeds if seed.spectrum is not None]
    numbers: dict[str, object] = {
        "hessian_spectrum": {
            s.model: {
                "seed": s.seed,
                "step": spectrum.step,
                "eigenvalue": spectrum.points,
                "density": spectrum.density,
                "low": spectrum.density - spectrum.sem,
                "high": spectrum.density + spectrum.sem,
            }
            for s, spectrum in spectra
        },
        "curvature_of_first_seed": {s.model: dict(s.statistics) for s in seeds},
        "sharpness": {
            s.model: {"seed": s.seed, "steps": s.steps, "value": s.sharpness} for s in rated
        },
        "trace_by_part": {
            s.model: {
                "seed": s.seed,
                "steps": s.steps,
                "names": traces.names,
                "trace": traces.trace,
                "sem": traces.sem,
            }
            for s, traces in by_part
        },
        "between_batches": {
            s.model: dataclasses.asdict(s.between) for s in seeds if s.between is not None
        },
        "llc_of_first_seed": {s.model: s.beside_llc.llc for s in seeds if s.beside_llc is not None},
    }
    return {name: by_model for name, by_model in numbers.items() if by_model}


def _trace_panel(models: Sequence[Curvature], look: style.Look) -> Panel:
    curves = [m.trace for m in models]
    return Panel(
        name="hessian-trace",
        title="Hessian trace",
        caption=f"{_block(m.first for m in models)}Sum of the Hessian's eigenvalues. "
        f"{words.bars(curves)} {_one_seed(models)}".strip(),
        draw=lambda: figures.trace(models, look),
        table=Table.of_curves(curves, f"{TRACE} {UNIT}"),
    )


def _ends_panel(models: Sequence[Curvature], look: style.Look) -> Panel:
    curves = [m.largest for m in models]
    largest = Table.of_curves(curves, f"largest eigenvalue {UNIT}")
    smallest = Table.of_curves(
        [m.smallest for m in models], f"smallest eigenvalue {UNIT}", " of the smallest"
    )
    return Panel(
        name="hessian-ends",
        title="Largest and smallest eigenvalue",
        caption=f"{_block(m.first for m in models)}A negative one is a direction in which the loss "
        f"bends down. {words.bars(curves)} {_one_seed(models)}".strip(),
        draw=lambda: figures.ends(models, look),
        table=largest.beside(smallest),
    )


def _spectrum_panel(seed: FirstSeed, shown: Spectrum, look: style.Look) -> Panel:
    probes = words.counted(shown.num_probes, "probe")
    band = "" if shown.num_probes < 2 else f" Band: ± standard error over {probes}."
    return Panel(
        name=f"hessian-spectrum-{seed.model}",
        title=f"Density of the Hessian's eigenvalues, {seed.model}, seed {seed.seed}, step "
        f"{shown.step}",
        caption=f"{_block([seed])}Nearly all eigenvalues lie at zero; the few far ones are "
        "directions that the loss feels. Each node of the quadrature is widened to a Gaussian of "
        f"standard deviation {words.number(shown.width)}.{band}",
        draw=lambda: figures.spectrum(seed, shown, look),
        table=Table(
            columns={
                "model": [seed.model] * len(shown.points),
                f"eigenvalue {UNIT}": shown.points.tolist(),
                "density": shown.density.tolist(),
                "low": (shown.density - shown.sem).tolist(),
                "high": (shown.density + shown.sem).tolist(),
            }
        ),
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
        columns |= {
            name: curve.value.tolist(),
            f"error of the {name}": curve.sem.tolist(),
            f"low of the {name}": curve.low.tolist(),
            f"high of the {name}": curve.high.tolist(),
        }
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
        "of changes": [correlation.changes for _, _, correlation in rows],
        "of changes by chance, low": [correlation.null_low for _, _, correlation in rows],
        "of changes by chance, high": [correlation.null_high for _, _, correlation in rows],
        "probability by chance": [correlation.chance for _, _, correlation in rows],
    }
    return {"Rank correlation with the LLC over checkpoints": Table(columns=columns)}


def _batches_table(seeds: Sequence[FirstSeed]) -> dict[str, Table]:
    """How far the Hessian differs from batch to batch."""
    rows = [(seed, seed.between) for seed in seeds if seed.between is not None]
    if not rows:
        return {}
    columns = {
        "model": [seed.model for seed, _ in rows],
        "seed": [seed.seed for seed, _ in rows],
        "step": [int(seed.steps[-1]) for seed, _ in rows],
        "batches": [between.count for _, between in rows],
        "windows of each": [between.size for _, between in rows],
        f"SD of the trace {UNIT}": [between.trace for _, between in rows],
        f"SD of the largest eigenvalue {UNIT}": [between.largest for _, between in rows],
    }
    return {"The Hessian from batch to batch": Table(columns=columns)}


def _findings(models: Sequence[Curvature]) -> list[Finding]:
    """Every model's trace, and then of each one its course and what its first seed shows."""
    courses = [_trace_finding(model) for model in models]
    first = {model.model: float(model.trace.value[0]) for model in models}
    last = {model.model: float(model.trace.value[-1]) for model in models}
    sentence = (
        f"The Hessian trace starts at {words.by_model(first)} and ends at {words.by_model(last)} "
        "nats / weight²."
    )
    own = [
        finding
        for model, course in zip(models, courses, strict=True)
        for finding in (course, *_first_seed_findings(model))
    ]
    return [*headline(sentence, courses), *own]


def _first_seed_findings(model: Curvature) -> list[Finding]:
    """Where the trace sits, sharpness, and agreement with the LLC."""
    seed = model.first
    return [
        *([_parts_finding(seed, seed.parts)] if seed.parts is not None else []),
        *([_sharpness_finding(seed)] if np.isfinite(seed.sharpness).any() else []),
        *([_agreement_finding(seed, seed.beside_llc)] if seed.beside_llc is not None else []),
    ]


def _trace_finding(model: Curvature) -> Finding:
    block = f" of the block of {model.first.block}" if model.first.block else ""
    probes = f", {model.num_probes} probes" if model.num_probes else ""
    batches = _batches(model.first)
    return Finding(
        sentence=f"The Hessian trace{block} of {words.course(model.trace, ' nats / weight²')}.",
        rests_on=f"{words.counted(len(model.runs), 'seed')}{probes} on one batch{batches}",
        grade=grades.course(model.trace),
    )


def _batches(seed: FirstSeed) -> str:
    """What another batch would have made of the trace and the largest eigenvalue."""
    between = seed.between
    if between is None:
        return ""
    return (
        f"; at step {seed.steps[-1]} batches differ by an SD of {words.number(between.trace)} in "
        f"the trace and {words.number(between.largest)} in the largest eigenvalue "
        f"({between.count} batches of {words.counted(between.size, 'window')})"
    )


def _parts_finding(seed: FirstSeed, traces: PartTraces) -> Finding:
    """The parts with the largest trace: three, or all but the smallest of few."""
    last, sem = traces.trace[-1], traces.sem[-1]
    order = np.argsort(-last)
    count = max(1, min(3, len(order) - 1))
    largest = [
        f"{traces.names[m]} ({words.number(float(last[m]))} ± {words.number(float(sem[m]))})"
        for m in order[:count]
    ]
    beside = order[count - 1 : count + 1]  # the last of those that are named, and the next
    gap, error = (-np.diff(last[beside]), np.hypot(*sem[beside])) if len(beside) > 1 else ([], [])
    return Finding(
        sentence=f"At step {seed.steps[-1]} the trace of {seed.model} sits most in "
        f"{words.listed(largest)} nats / weight².",
        rests_on="one seed; standard errors over probes",
        grade=grades.judge(gap, error),
    )


def _sharpness_finding(seed: FirstSeed) -> Finding:
    """The largest sharpness against 1, by how far it scatters over seeds.

    The solver's own bound says nothing of another seed or batch, so one seed leaves it open.
    """
    top = int(np.nanargmax(seed.sharpness))
    value, scatter = float(seed.sharpness[top]), float(seed.sharpness_scatter[top])
    side = "above" if value > 1 else "below"
    error = "; its error is the scatter over seeds" if np.isfinite(scatter) else ""
    return Finding(
        sentence=f"Learning rate times largest eigenvalue over 2 of {seed.model} is at most "
        f"{words.number(value)} (step {seed.steps[top]}), {side} plain gradient descent's bound "
        "of 1.",
        rests_on=f"one seed, one batch{error}",
        grade=grades.judge(value - 1, scatter),
    )


def _agreement_finding(seed: FirstSeed, beside: BesideLlc) -> Finding:
    """Whether trace and LLC rank the checkpoints alike."""
    correlation, checkpoints = beside.agreement[TRACE], len(seed.steps)
    beyond_chance = grades.excludes(0.0, correlation.chance, CHANCE)
    measured, num_local = np.isfinite(beside.llc.value), int(beside.local.sum())
    all_local = bool(beside.local[measured].all())
    doubts = [] if all_local else [f"{num_local} of {measured.sum()} LLCs are local"]
    doubts += ["their values rest on the setting γ"] if beside.set_by_pull else []
    return Finding(
        sentence=f"The rank correlation of the Hessian trace of {seed.model} with its LLC is "
        f"{'; '.join([agreement_words(correlation, checkpoints), *doubts])}.",
        rests_on=f"one seed, {correlation.count} checkpoints; limits from the errors of both "
        "curves; chance from changes of neighbours, against independent curves as smooth as these",
        grade="unsure" if doubts else beyond_chance,
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
    values = f"{_signed(correlation.rho)} ({limits}{finite})"
    if not np.isfinite(correlation.changes):
        return f"{values}, all changes of a curve being equal"
    null = f"{_signed(correlation.null_low)} to {_signed(correlation.null_high)}"
    return f"{values}, that of their changes {_signed(correlation.changes)} (by chance {null})"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
