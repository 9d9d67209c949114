"""Words and panels of expected convergence: overview, phases, what the last step's interval is
about, single seeds."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis import expected as analysis
from dynamics.analysis import slopes
from dynamics.analysis.curves import Divergence
from dynamics.analysis.expected import Expected
from dynamics.analysis.leave_one_out import FEWEST
from dynamics.analysis.phases import Estimate, Phase, Phases
from dynamics.analysis.uncertainty import Interval
from dynamics.figures import expected as figures
from dynamics.figures import style
from dynamics.figures.stages import short
from dynamics.report import words
from dynamics.report.section import Findings, Panel


def overview(found: Findings, look: style.Look) -> list[Panel]:
    """Figures 1 and 6 of the paper in one."""
    scores = list(found.in_context)
    in_context = ""
    if scores:
        in_context = (
            f" ICL score: surprisal of {found.in_context_positions}, the difference (below 0 where context helps); "
            f"{words.courses(scores)}. {words.bars(scores)}"
        )
    absent = [] if scores else ["in-context scores (python -m experiments.in_context)"]
    if all(one.learning_rate is None for one in found.divergence):
        absent.append("learning rates (not known for this suite)")
    left_out = f" Not here: {words.listed(absent)}." if absent else ""
    marked = [one for one in found.expected if one.phases and len(one.phases.phases) > 1]
    dotted = f" Dotted: where the phases of {marked[-1].model} meet." if marked else ""
    return [
        Panel(
            name="overview",
            title="Seeds, references and loss over training",
            caption="E[conv] is minus the uppermost curve; its bands are 95 % intervals over seeds, bars below it "
            f"standard errors over seeds. Dashed: KL to the unigram distribution.{in_context}{dotted}{left_out}",
            draw=lambda: figures.overview(found.expected, scores, look),
        )
    ]


def phases(found: Sequence[Expected], look: style.Look) -> list[Panel]:
    """A panel per model with phases; where none has any, nothing (the reason is in `last_step`)."""
    return [
        Panel(
            name=f"phases-{one.model}",
            title=f"Phases of convergence, {one.model}",
            caption=phases_caption(one.phases),
            draw=lambda one=one, there=one.phases: figures.phases(one, there, look),
        )
        for one in found
        if one.phases
    ]


def phases_caption(there: Phases) -> str:
    told = "; ".join(map(_phase, there.phases))
    absent = "; ".join(f"{name}: {reason}" for name, reason in there.absent.items())
    bends = len(there.bends)
    return (
        f"{told[0].upper()}{told[1:]}. {f'Absent – {absent}. ' if absent else ''}Found as {bends} "
        f"bend{'' if bends == 1 else 's'} of straight pieces over ln(step + 1); heavy bars: 95 % intervals of where "
        f"phases meet, over {there.rests_on}. They presume straight pieces; a phase at either end may go on beyond it."
    )


def _phase(one: Phase) -> str:
    begin = "from the first step" if one.begin is None else f"from step {_step(one.begin)}"
    return f"{one.name} {begin}" + (" to the last" if one.end is None else "")


def _step(one: Estimate) -> str:
    return f"{short(one.value)} ({short(one.low)} to {short(one.high)})"


def last_step(found: Sequence[Expected], look: style.Look) -> list[Panel]:
    """The three intervals side by side, and the last slope against size."""
    panels = [
        Panel(
            name="intervals",
            title="How sure, and of what?",
            caption=_intervals_caption(found),
            draw=lambda: figures.intervals(found, look),
        )
    ]
    largest = found[-1]
    if largest.curves:
        widths = Panel(
            name="interval-widths",
            title=f"Error bars over training, {largest.model}",
            caption=_widths_caption(largest),
            draw=lambda: figures.widths(largest, look),
        )
        panels.append(widths)
    if any(one.slope is not None and one.size for one in found):
        slope = Panel(
            name="late-slope",
            title="Slope of the last phase against size",
            caption=_slope_caption(found),
            draw=lambda: figures.late_slopes(found, look),
        )
        panels.append(slope)
    return panels


def _intervals_caption(found: Sequence[Expected]) -> str:
    lines = []
    for one in found:
        limits = analysis.intervals(one.found)
        each = [_for(target, told) for target, told in limits.items()]
        mean = words.number(float(np.average(_pair_means(one.found), weights=one.found.tokens)))
        lines.append(f"{one.model} {mean} nats at step {one.found.steps[-1]}: {'; '.join(each)}")
    none = [f"{one.model}: no phases ({one.refusal.rstrip('.')})" for one in found if one.refusal]
    return f"95 % intervals. {'. '.join(lines)}.{' ' + '; '.join(none) + '.' if none else ''}"


def _widths_caption(one: Expected) -> str:
    told = []
    for target, curve in one.curves.items():
        share = 50 * (curve.high - curve.low) / curve.value
        told.append(f"{target}: {words.number(share.min())} to {words.number(share.max())} %")
    return f"Half the width of each 95 % interval, as a share of the KL. {'; '.join(told)}."


def _for(target: str, limits: Interval | str) -> str:
    if isinstance(limits, str):
        return f"none for {target} ({limits.rstrip('.')})"
    return f"{words.number(limits.low)} to {words.number(limits.high)} for {target}"


def _pair_means(found: Divergence) -> np.ndarray:
    return found.kl[-1][~np.eye(len(found.seeds), dtype=bool)].mean(0)


def _slope_caption(found: Sequence[Expected]) -> str:
    told = []
    for one in found:
        if one.slope is not None and one.phases:
            limits = slopes.interval(one.slope)
            told.append(
                f"{one.model} {_limits(limits)} nats per e-fold of step from step {one.slope_from} on "
                f"({one.phases.phases[-1].name}; {limits.rests_on})"
            )
    change, caution = analysis.against_size(found)
    against = f" Per e-fold of size it changes by {_limits(change)}." if change else ""
    return f"{'; '.join(told)}.{against} {caution} Bars: 95 % intervals over other seeds and documents, the steps fixed."


def _limits(one: Interval) -> str:
    return f"{words.number(one.mean)} ({words.number(one.low)} to {words.number(one.high)})"


def spreads(found: Sequence[Divergence], look: style.Look) -> list[Panel]:
    """Figure 4 of the paper, and the bounded divergence beside the KL."""
    panels = []
    if all(one.token_moments is not None for one in found):
        last = {one.model: one.token_moments[-1] for one in found if one.token_moments is not None}
        parts = [
            f"{model} {words.number(mean)} ± {words.number(sd)}"
            for model, (mean, sd) in last.items()
        ]
        contexts = Panel(
            name="contexts",
            title="Spread over contexts",
            caption=f"Mean over contexts with one standard deviation to either side, cut at 0: at the last step "
            f"{'; '.join(parts)} nats. A spread of single contexts, not an error of their mean.",
            draw=lambda: figures.contexts(found, look),
        )
        panels.append(contexts)
    drawn = [curve for curve in map(analysis.jensen_shannon, found) if curve is not None]
    if drawn:
        bounded = Panel(
            name="seed-js",
            title="Jensen–Shannon divergence between seeds",
            caption=f"{words.courses(drawn)}. Bounded by ln 2 = 0.693 where the KL is not: a rise of the KL alone is "
            f"one of tokens that a seed thinks next to impossible. {words.bars(drawn, 'Bands')}",
            draw=lambda: figures.jensen_shannon(found, look),
        )
        panels.append(bounded)
    return panels


def seed_rows(one: Expected) -> list[dict[str, str]]:
    """A row per seed of one model, at the last step."""
    share, mean = one.found.tokens, _pair_means(one.found)
    whole, steps = float(np.average(mean, weights=share)), len(one.found.steps)
    few = len(one.seeds) < FEWEST
    rows = []
    for seed, effect, flagged in zip(one.found.seeds, one.seeds, one.outlier_steps, strict=True):
        known = np.isfinite(effect.without)
        apart = (
            f"needs {FEWEST} seeds"
            if few
            else f"{'yes' if effect.outlier else 'no'}; at {flagged} of {steps} steps"
        )
        rows.append(
            {
                "model": one.model,
                "seed": str(seed),
                "KL without it": words.number(effect.without) if known else "–",
                "change": f"{100 * (effect.without / whole - 1):+.1f} %".replace("-", "−")
                if known
                else "–",
                "KL to the others": words.number(effect.to_others),
                "over the others’ median": f"{effect.ratio:.2f}",
                "lies apart (no coverage promised)": apart,
            }
        )
    return rows
