"""The page on what an LLC depends on."""

from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.headline import headline
from dynamics.questions.llc_sweeps import figures
from dynamics.questions.llc_sweeps.findings import (
    Move,
    NoiseCurves,
    Sweep,
    Sweeps,
    roughness,
)
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table

INTRODUCTION = (
    "One thing varied at a time: the size of the data set, the batch and where its loss is taken, "
    "the noise, and whether windows or single predictions are the independent items."
)
BARS = "Bars: ± standard error over chains."


def section(models: Sequence[Sweeps], look: style.Look) -> Section:
    """How far each thing moves the estimate; then the sweeps of every model."""
    return Section(
        introduction=INTRODUCTION,
        panels=[_answer(models, look), *(panel for m in models for panel in _panels(m))],
        findings=_findings(models),
        tables={"LLCs after the last draw": _last_table(models)},
        numbers={"llc_sweeps": {m.model: _numbers(m) for m in models}},
    )


def _numbers(sweeps: Sweeps) -> dict[str, object]:
    """Every sweep of one model, checkpoints first."""
    noise = sweeps.noise
    return {
        "seed": sweeps.seed,
        "steps": sweeps.steps,
        "data_size": vars(sweeps.data_size),
        "own_batch": vars(sweeps.own_batch),
        "fresh_batch": vars(sweeps.fresh_batch),
        "running_by_loss": vars(sweeps.by_loss),
        "running_by_likelihood": vars(sweeps.by_likelihood),
        "noise": {"common": noise.common, "own": noise.own} if noise else None,
        "moves": {name: vars(move) for name, move in sweeps.moves.items()},
    }


def _answer(models: Sequence[Sweeps], look: style.Look) -> Panel:
    return Panel(
        name="sweep-moves",
        title="How far does the estimate move?",
        caption="A marker for each checkpoint: the difference between the last two sizes of the "
        "data set or of the batch, between a loss on the step's own batch and on a fresh one, "
        "between noise common to all checkpoints and noise of each its own. In standard errors of "
        "the two estimates; beyond the dotted line the move is sure.",
        draw=lambda: figures.moves(models, look),
        table=_move_table(models),
    )


def _move_table(models: Sequence[Sweeps]) -> Table:
    moves = [(sweeps.model, name, move) for sweeps in models for name, move in sweeps.moves.items()]
    return Table(
        columns={
            "model": [model for model, _, move in moves for _ in move.steps],
            "changed": [name for _, name, move in moves for _ in move.steps],
            "step": [int(step) for _, _, move in moves for step in move.steps],
            "move of the LLC (standard errors)": [
                float(size) for _, _, move in moves for size in move.size
            ],
        }
    )


def _panels(sweeps: Sweeps) -> list[Panel]:
    group = f"Sweeps of {sweeps.model}"
    own, fresh = sweeps.own_batch, sweeps.fresh_batch
    panels = [
        Panel(
            name=f"sweep-data-{sweeps.model}",
            title=f"Size of the data set, {sweeps.model}",
            caption=f"Level where the data set is large enough for the estimate. {BARS}",
            draw=lambda: figures.data_size(sweeps),
            table=_sweep_table(sweeps, {"": sweeps.data_size}, "windows of the data set"),
            group=group,
        ),
        Panel(
            name=f"sweep-batch-{sweeps.model}",
            title=f"Size of the batch, {sweeps.model}",
            caption=f"Solid: the loss is taken on the step's own batch; dashed: on a fresh one. "
            f"n β is the same at all sizes. {BARS}",
            draw=lambda: figures.batch_size(sweeps),
            table=_sweep_table(sweeps, {"own": own, "fresh": fresh}, "windows of a batch"),
            group=group,
        ),
        Panel(
            name=f"sweep-likelihood-{sweeps.model}",
            title=f"Loss- and likelihood-based estimates, {sweeps.model}",
            caption="Likelihood-based: an item is one prediction at a position drawn for it, so "
            f"that items are independent{_plan(sweeps)}. Bands: ± standard error over chains.",
            draw=lambda: figures.running(sweeps),
            table=_running_table(sweeps),
            group=group,
        ),
    ]
    return panels + ([_noise_panel(sweeps, sweeps.noise)] if sweeps.noise else [])


def _plan(sweeps: Sweeps) -> str:
    """How many predictions the likelihood takes, where the results say so."""
    if sweeps.predictions is None or sweeps.batch_factor is None:
        return ""
    return (
        f"; {sweeps.predictions} are drawn of each window, and a batch has {sweeps.batch_factor} "
        "times as many"
    )


def _noise_panel(sweeps: Sweeps, curves: NoiseCurves) -> Panel:
    common = Table.of_curves([curves.common], "LLC, common noise")
    own = Table.of_curves([curves.own], "LLC, own noise", ", own noise")
    return Panel(
        name=f"sweep-noise-{sweeps.model}",
        title=f"Common noise or each its own, {sweeps.model}",
        caption="Common noise moves neighbouring checkpoints alike: its curve may be smoother than "
        f"its bars say. {BARS}",
        draw=lambda: figures.noise(curves),
        table=common.beside(own),
        group=f"Sweeps of {sweeps.model}",
    )


def _sweep_table(sweeps: Sweeps, named: dict[str, Sweep], varied: str) -> Table:
    """A row for each sweep, checkpoint and value."""
    first = next(iter(named.values()))
    k, x = (axis.ravel() for axis in np.indices(first.llc.shape))
    columns: dict = {
        "model": [sweeps.model] * (k.size * len(named)),
        "step": np.tile(sweeps.steps[k], len(named)).tolist(),
        varied: np.tile(first.values[x], len(named)).tolist(),
    }
    if len(named) > 1:
        columns["loss taken on the batch that is"] = np.repeat(list(named), k.size).tolist()
    llc, sem = (
        np.concatenate([array.ravel() for array in arrays])
        for arrays in zip(*((sweep.llc, sweep.sem) for sweep in named.values()), strict=True)
    )
    columns |= {"LLC": llc.tolist(), "standard error": sem.tolist()}
    return Table(columns=columns | {"low": (llc - sem).tolist(), "high": (llc + sem).tolist()})


def _running_table(sweeps: Sweeps) -> Table:
    """Both running estimates with their bands, at every draw that the figure shows."""
    kinds = {"loss-based": sweeps.by_loss, "likelihood-based": sweeps.by_likelihood}
    draws = sweeps.by_loss.drawn
    columns: dict = {
        "model": [sweeps.model] * (len(sweeps.steps) * len(draws)),
        "step": np.repeat(sweeps.steps, len(draws)).tolist(),
        "draw after the burn-in": np.tile(draws + 1, len(sweeps.steps)).tolist(),
    }
    for kind, estimate in kinds.items():
        llc, sem = estimate.llc[:, draws].ravel(), estimate.sem[:, draws].ravel()
        columns |= {
            f"LLC so far, {kind}": llc.tolist(),
            f"low, {kind}": (llc - sem).tolist(),
            f"high, {kind}": (llc + sem).tolist(),
        }
    return Table(columns=columns)


def _last_table(models: Sequence[Sweeps]) -> Table:
    """The estimates after the last draw."""

    def last(estimates: Sequence[np.ndarray]) -> list[float]:
        return np.concatenate([estimate[:, -1] for estimate in estimates]).tolist()

    by_loss, by_likelihood = [m.by_loss for m in models], [m.by_likelihood for m in models]
    return Table(
        columns={
            "model": [m.model for m in models for _ in m.steps],
            "step": [int(step) for m in models for step in m.steps],
            "LLC after the last draw, loss-based": last([e.llc for e in by_loss]),
            "standard error, loss-based": last([e.sem for e in by_loss]),
            "LLC after the last draw, likelihood-based": last([e.llc for e in by_likelihood]),
            "standard error, likelihood-based": last([e.sem for e in by_likelihood]),
        }
    )


def _findings(models: Sequence[Sweeps]) -> list[Finding]:
    """What moves the estimates of all models, and then of each one."""
    dependences = [_dependence(sweeps) for sweeps in models]
    names = dict.fromkeys(name for sweeps in models for name in sweeps.moves)
    moves = {
        name: _pooled([sweeps.moves[name] for sweeps in models if name in sweeps.moves])
        for name in names
    }
    sentence = dependence_sentence(words.listed([sweeps.model for sweeps in models]), moves)
    own = [
        finding
        for sweeps, dependence in zip(models, dependences, strict=True)
        for finding in (dependence, *_further_findings(sweeps))
    ]
    return [*headline(sentence, dependences), *own]


def _pooled(moves: Sequence[Move]) -> Move:
    """The moves of several models as one."""
    return Move(
        steps=np.concatenate([move.steps for move in moves]),
        size=np.concatenate([move.size for move in moves]),
    )


def _dependence(sweeps: Sweeps) -> Finding:
    """What moves the estimate: as sure as the largest move, which is in standard errors."""
    largest = [move.largest for move in sweeps.moves.values() if np.isfinite(move.largest)]
    return Finding(
        sentence=dependence_sentence(sweeps.model, sweeps.moves),
        rests_on=_rests_on(sweeps),
        grade=grades.judge(max(largest, default=np.nan), 1.0),
    )


def _further_findings(sweeps: Sweeps) -> list[Finding]:
    """Whether the likelihood ranks the checkpoints alike, and how rough the curves are."""
    same = "rank the checkpoints alike" if sweeps.same_order else "rank the checkpoints differently"
    findings = [
        Finding(
            sentence=f"Loss- and likelihood-based LLCs of {sweeps.model} {same}.",
            rests_on=_rests_on(sweeps),
            grade="sure" if sweeps.order_is_sure else "unsure",
        )
    ]
    if sweeps.noise and len(sweeps.noise.common.steps) > 2:
        sentence = roughness_sentence(sweeps.model, sweeps.noise)
        findings.append(Finding(sentence=sentence, rests_on=_rests_on(sweeps), grade="open"))
    return findings


def _rests_on(sweeps: Sweeps) -> str:
    chains = f", {sweeps.num_chains} chains an estimate" if sweeps.num_chains else ""
    return f"one seed, {words.counted(len(sweeps.steps), 'checkpoint')}{chains}"


def dependence_sentence(model: str, moves: Mapping[str, Move]) -> str:
    """What surely moves the LLC of a model, or of several, and what does not."""
    measured = {name: move for name, move in moves.items() if np.isfinite(move.largest)}
    sure = [f"{n} ({move.largest:.1f})" for n, move in measured.items() if move.is_sure]
    unsure = [f"{n} ({move.largest:.1f})" for n, move in measured.items() if not move.is_sure]
    parts = [f"surely moves with {words.listed(sure)}"] if sure else []
    if unsure:
        verb = "not surely" if sure else "does not surely move"
        parts.append(f"{verb} with {words.listed(unsure)}")
    if not parts:
        return f"Nothing says what moves the LLC of {model}."
    return f"By its largest moves in standard errors, the LLC of {model} {', and '.join(parts)}."


def roughness_sentence(model: str, curves: NoiseCurves) -> str:
    """Whether common noise makes the curve smoother."""

    def rough(curve: Curve) -> str:
        return words.number(roughness(curve))

    return (
        f"The LLC curve of {model} has a roughness (root mean square second difference along "
        f"checkpoints) of {rough(curves.common)} with common noise and {rough(curves.own)} with "
        "noise of each checkpoint's own."
    )
