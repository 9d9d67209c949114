"""The page on sampler settings."""

from collections.abc import Sequence

import numpy as np

from dynamics.figures import style
from dynamics.questions.calibration import figures
from dynamics.questions.calibration.findings import Calibration, PullEffect
from dynamics.questions.calibration.grid import Grid
from dynamics.questions.calibration.recommendation import INDEPENDENT, Recommendation, Setting
from dynamics.questions.calibration.traces import Trace
from dynamics.questions.headline import headline
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table

INTRODUCTION = (
    "The same estimate of the local learning coefficient (LLC) over a grid of step sizes ε, "
    "inverse temperatures n β and localizations γ, at several checkpoints. A setting is healthy "
    "where chains are stable, converge, and stay near the model. Of healthy ones the one to take "
    "has the smallest γ, then the largest n β, then the largest ε."
)


def section(calibrations: Sequence[Calibration], look: style.Look) -> Section:
    """A picture of each model's seed, and the setting to take for it."""
    panels = [_panel(calibration) for calibration in calibrations]
    panels += [_traces(calibration, look) for calibration in calibrations if calibration.traces]
    return Section(
        introduction=INTRODUCTION,
        panels=panels,
        findings=_findings(calibrations),
        tables={"Settings to take": _settings(calibrations)},
        numbers={"calibration": {_run(c.grid): _numbers(c.grid) for c in calibrations}},
    )


def _run(grid: Grid) -> str:
    return f"{grid.model}, seed {grid.seed}"


def _numbers(grid: Grid) -> dict[str, object]:
    """The grid, indexed by step, step size, n beta and gamma in turn."""
    return {
        "steps": grid.steps,
        "step_sizes": grid.step_sizes,
        "nbetas": grid.nbetas,
        "localizations": grid.localizations,
        "llc": grid.llc,
        "sem": grid.sem,
        "failure": grid.failure,
    }


def _panel(calibration: Calibration) -> Panel:
    grid = calibration.grid
    framed = "recommended" if calibration.recommendation.healthy else "least bad"
    return Panel(
        name=f"calibration-{grid.model}-{grid.seed}",
        title=f"Sampler settings, {grid.model}, seed {grid.seed}",
        caption="Numbers are estimates ± standard error over "
        f"{words.counted(grid.num_chains, 'chain')}; a grey word names what failed. Framed: the "
        f"{framed} setting. Right of the dashed line ε (n β h + γ) exceeds 4, h being the largest "
        "Hessian eigenvalue, and SGLD's chains diverge. Colours compare within a row.",
        draw=lambda: figures.grid(calibration),
        table=_grid_table(grid),
        group="Other models and seeds",
    )


def _traces(calibration: Calibration, look: style.Look) -> Panel:
    grid, traces = calibration.grid, calibration.traces
    return Panel(
        name=f"calibration-traces-{grid.model}-{grid.seed}",
        title=f"How settings fail, {grid.model}, seed {grid.seed}",
        caption="Running estimates from the first draw on: a healthy setting where there is one, "
        "and of each failure the setting nearest to the framed one. Healthy chains level off "
        "together; those that have not converged still rise or lie apart; those that escape fall "
        "below zero or never level off; those beyond the bound grow until they are no numbers "
        "or end where the loss is flat (logarithmic above and below zero). Estimates "
        "leave out the shaded burn-in.",
        draw=lambda: figures.traces(traces, look[grid.model]["color"]),
        table=_trace_table(traces),
        group="How settings fail",
    )


def _trace_table(traces: Sequence[Trace]) -> Table:
    """A row for each setting and drawn draw."""
    rows = []
    for trace in traces:
        drawn = figures.thinned(trace.running.shape[1])
        setting = {
            "failure": trace.failure or "none",
            "step": trace.step,
            "step size ε": trace.step_size,
            "n β": trace.nbeta,
            "γ": trace.localization,
        }
        for draw in drawn:
            chains = {
                f"LLC of chain {number} so far": float(chain[draw])
                for number, chain in enumerate(trace.running)
            }
            rows.append(setting | {"draw": int(draw) + 1} | chains)
    return Table.of_rows(rows)


def _grid_table(grid: Grid) -> Table:
    """A row for each checkpoint and setting."""
    k, e, b, g = (axis.ravel() for axis in np.indices(grid.llc.shape))
    return Table(
        columns={
            "model": [grid.model] * k.size,
            "seed": [grid.seed] * k.size,
            "step": grid.steps[k].tolist(),
            "step size ε": grid.step_sizes[e].tolist(),
            "n β": grid.nbetas[b].tolist(),
            "γ": grid.localizations[g].tolist(),
            "LLC": grid.llc.ravel().tolist(),
            "standard error": grid.sem.ravel().tolist(),
            "failure": [name or "none" for name in grid.failure.ravel()],
            "ε (n β h + γ)": grid.step_curvature.ravel().tolist(),
            "draws per independent draw": grid.spacing.ravel().tolist(),
            "localization share": grid.localization_share.ravel().tolist(),
            "largest Hessian eigenvalue h (nats / weight²)": grid.top_eigenvalue[k].tolist(),
        }
    )


def _settings(calibrations: Sequence[Calibration]) -> Table:
    """The setting of each model and seed, as flags too."""
    grids = [calibration.grid for calibration in calibrations]
    recommendations = [calibration.recommendation for calibration in calibrations]
    return Table(
        columns={
            "model": [grid.model for grid in grids],
            "seed": [grid.seed for grid in grids],
            "healthy at every checkpoint": [
                "yes" if recommendation.healthy else "no, the least bad"
                for recommendation in recommendations
            ],
            "step size ε": [r.setting.step_size for r in recommendations],
            "n β": [r.setting.nbeta for r in recommendations],
            "γ": [r.setting.localization for r in recommendations],
            f"draws for {INDEPENDENT} independent ones": [
                r.num_draws or float("nan") for r in recommendations
            ],
            "flags": [flags(r) for r in recommendations],
        }
    )


def flags(recommendation: Recommendation) -> str:
    """The setting as flags of the scripts that sample."""
    setting, draws = recommendation.setting, recommendation.num_draws
    settings = f"--step_size={setting.step_size:g} --nbeta={setting.nbeta:g}"
    settings += f" --localization={setting.localization:g}"
    return f"{settings} --draws={draws}" if draws else settings


def _findings(calibrations: Sequence[Calibration]) -> list[Finding]:
    """For how many runs there is a healthy setting, and then each run's."""
    choices = [_choice(calibration) for calibration in calibrations]
    healthy = [c.grid for c in calibrations if c.recommendation.healthy]
    named = f": {words.listed([_run(grid) for grid in healthy])}" if healthy else ""
    sentence = (
        f"{len(healthy)} of {len(calibrations)} runs have a setting that is healthy at every "
        f"checkpoint{named}."
    )
    own = [
        finding
        for calibration, choice in zip(calibrations, choices, strict=True)
        for finding in (choice, *_pull_finding(calibration))
    ]
    return [*headline(sentence, choices), *own]


def _choice(calibration: Calibration) -> Finding:
    healthy = calibration.recommendation.healthy
    return Finding(
        sentence=recommendation_sentence(calibration),
        rests_on=_rests_on(calibration.grid),
        grade="sure" if healthy else "unsure",
    )


def _pull_finding(calibration: Calibration) -> list[Finding]:
    grid, effect = calibration.grid, calibration.pull_effect
    if effect is None:
        return []
    grade = grades.judge(effect.neighbour_llc - effect.llc, effect.gap_sem)
    sentence = pull_sentence(grid, effect)
    return [Finding(sentence=sentence, rests_on=_rests_on(grid), grade=grade)]


def _rests_on(grid: Grid) -> str:
    checkpoints = words.counted(len(grid.steps), "checkpoint")
    return f"one seed, {checkpoints}, {grid.num_chains} chains an estimate"


def recommendation_sentence(calibration: Calibration) -> str:
    """The setting to take and why, or why none is to be taken."""
    grid, recommendation = calibration.grid, calibration.recommendation
    tried, setting = grid.failure[0].size, _named(recommendation.setting)
    checkpoints = len(grid.steps)
    everywhere = "the checkpoint" if checkpoints == 1 else f"all {checkpoints} checkpoints"
    if recommendation.healthy:
        return (
            f"For {grid.model}, seed {grid.seed}, take {setting}: {recommendation.num_alike} of "
            f"{tried} settings are healthy at {everywhere}.{_length(recommendation)}"
        )
    failures = [
        f"“{name}” at {count} of {checkpoints}"
        for name, count in recommendation.failures.most_common()
    ]
    return (
        f"For {grid.model}, seed {grid.seed}, none of {tried} settings is healthy at {everywhere}; "
        f"the least bad, {setting}, fails by {', '.join(failures)}: try {recommendation.mend}."
    )


def _length(recommendation: Recommendation) -> str:
    if recommendation.num_draws is None:
        return ""
    return (
        f" Chains of {recommendation.num_draws} draws would hold {INDEPENDENT} independent ones "
        "each."
    )


def _named(setting: Setting) -> str:
    return f"ε = {setting.step_size:g}, n β = {setting.nbeta:g} and γ = {setting.localization:g}"


def pull_sentence(grid: Grid, effect: PullEffect) -> str:
    """What another gamma makes of the estimate."""
    values = f"{_estimate(effect.llc, effect.sem)} at γ = {effect.localization:g} and "
    values += f"{_estimate(effect.neighbour_llc, effect.neighbour_sem)} at γ = "
    values += f"{effect.neighbour:g}"
    ending = ", which its errors do not tell apart"
    if effect.is_sure:
        ending = f": γ {'decides' if effect.decides else 'shifts'} its value"
    return (
        f"At the same ε and n β the LLC of {grid.model}, seed {grid.seed}, at step {effect.step} "
        f"is {values}{ending}."
    )


def _estimate(llc: float, sem: float) -> str:
    return f"{words.number(llc)} ± {words.number(sem)}"
