"""The page's section on where curves pause: a panel per run and curve, or in plain words why there
is none."""

import math
from collections.abc import Sequence

from dynamics.analysis.run_stages import RunStages
from dynamics.analysis.stages import RULE, Boundary, Stages
from dynamics.figures import stages as figures
from dynamics.report import words
from dynamics.report.section import Panel, Section


def section(found: Sequence[RunStages]) -> Section:
    looked = [one for one in found if one.found is not None]
    return Section(
        name="stages",
        title="When do curves pause?",
        question=f"A stage boundary is the middle of a stretch in which a smoothed curve moves by less than "
        f"{100 * RULE.tolerance:g} % of its range per e-fold of training. One rule, fixed in advance, for every curve; "
        f"the first {RULE.start:g} steps and the last {-100 * math.expm1(-RULE.edge):.0f} % are set apart.",
        panels=[_panel(one, one.found) for one in looked if one.found is not None],
        missing="" if looked else f"No boundaries were looked for. {_refusals(found)}",
        rows=tuple(_row(one) for one in found) if looked else (),
    )


def _refusals(found: Sequence[RunStages]) -> str:
    """One sentence for all curves that were refused for one reason."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        reasons.setdefault(one.refusal, []).append(f"{one.label} of {one.model}, seed {one.seed}")
    return " ".join(
        f"{_shortened(curves)}: {reason.removesuffix('.')}."
        for reason, curves in sorted(reasons.items())
        if reason
    )


def _shortened(names: list[str]) -> str:
    return (
        words.listed(names) if len(names) <= 3 else f"{names[0]}, and {len(names) - 1} other curves"
    )


def _panel(one: RunStages, found: Stages) -> Panel:
    return Panel(
        name=f"stages-{one.model}-{one.seed}-{one.label.split()[-1].lower()}",
        title=f"{one.label[0].upper()}{one.label[1:]}, {one.model}, seed {one.seed}",
        caption=_caption(one, found),
        draw=lambda: figures.stages(one.curve, found, one.label),
    )


def _caption(one: RunStages, found: Stages) -> str:
    boundaries, count = found.boundaries, len(one.curve.steps)
    told = "; ".join(map(boundary, boundaries))
    many = f"{len(boundaries)} stage boundar{'y' if len(boundaries) == 1 else 'ies'}"
    what = (
        f"{many} on {count} checkpoints: {told}."
        if boundaries
        else f"No stage boundary on {count} checkpoints."
    )
    unsure = " Shaded: 95 % intervals over draws of the smooth curve; a share is that of draws with the boundary."
    doubt = ""
    if one.local is not None and one.local < count:
        doubt = f" Only {one.local} of {count} estimates are local: elsewhere a pause is one of the loss."
    bars = words.bars([one.curve])
    return f"{what}{unsure if boundaries else ''}{doubt} Below: slope per e-fold, with the tolerance in grey. {bars}"


def boundary(one: Boundary) -> str:
    """A boundary in words: a peak at step 32k (21k to 45k, in 98 % of draws)."""
    low, high = figures.short(one.low), figures.short(one.high)
    return f"a {one.kind} at step {figures.short(one.step)} ({low} to {high}, in {100 * one.share:.0f} % of draws)"


def _row(one: RunStages) -> dict[str, str]:
    texts = (
        []
        if one.found is None
        else [boundary(found).removeprefix("a ") for found in one.found.boundaries]
    )
    told = one.refusal if one.found is None else "; ".join(texts) or "none"
    return {"model": one.model, "seed": str(one.seed), "curve": one.label, "stage boundaries": told}
