"""The page's panels on curvature."""

import numpy as np

from dynamics.analysis.agreement import RankCorrelation
from dynamics.analysis.hessians import NAMES, Hessians
from dynamics.figures import curvature as figures
from dynamics.figures import style
from dynamics.report import words
from dynamics.report.section import Findings, Panel


def panels(found: Findings, look: style.Look) -> list[Panel]:
    """Trace and ends of every model; of each, its parts and the LLC beside; the learning rate
    against them."""
    block = _block(found)
    ends = f"{block}Largest: {words.courses(found.largest)}. Smallest: {words.courses(found.smallest)}."
    return [
        Panel(
            name="hessian-trace",
            title="Hessian trace",
            caption=f"{block}{words.courses(found.trace)}. Nats per squared weight. {words.bars(found.trace)}",
            draw=lambda: figures.trace(found.trace, look),
        ),
        Panel(
            name="hessian-ends",
            title="Largest and smallest eigenvalue",
            caption=f"{ends} A negative one is a direction in which the loss bends down. {words.bars(found.largest)}",
            draw=lambda: figures.extremes(found.largest, found.smallest, look),
        ),
        *_sharpness(found, look),
        *(_parts(one) for one in found.hessians if one.parts),
        *(_beside(one, look) for one in found.hessians if one.llc is not None),
    ]


def _block(found: Findings) -> str:
    """What a caption begins with where it is not of the whole Hessian."""
    blocks = sorted({one.block for one in found.hessians} - {""})
    return f"Of the block of {words.listed(blocks)} alone. " if blocks else ""


def _sharpness(found: Findings, look: style.Look) -> list[Panel]:
    known = [one for one in found.hessians if np.isfinite(one.sharpness).any()]
    if not known:
        return []
    highest = "; ".join(
        f"{one.model} at most {words.number(float(np.nanmax(one.sharpness)))} at step {one.steps[_top(one)]}"
        for one in known
    )
    caption = f"{_block(found)}Learning rate η times the largest eigenvalue over 2: {highest}. Plain gradient descent is "
    caption += "unstable above 1 (dotted); Adam's bound is on its preconditioned Hessian, so this line is for orientation."
    return [
        Panel(
            name="sharpness",
            title="Sharpness against the learning rate",
            caption=caption,
            draw=lambda: figures.sharpness(known, look),
        )
    ]


def _top(one: Hessians) -> int:
    return int(np.nanargmax(one.sharpness))


def _parts(one: Hessians) -> Panel:
    last, signs = one.part_trace[-1], one.part_sem[-1]
    order = np.argsort(-last)
    told = [
        f"{one.parts[m]} {words.number(float(last[m]))} ± {words.number(float(signs[m]))}"
        for m in order[:3]
    ]
    whole = "the parts sum to the whole" if one.partition else "they are not all of the weights"
    return Panel(
        name=f"hessian-parts-{one.model}",
        title=f"Where the trace sits, {one.model}, seed {one.seed}",
        caption=f"Trace of each part's block of the Hessian; {whole}. At step {one.steps[-1]} most "
        f"is in {words.listed(told)} (standard error over probes).",
        draw=lambda: figures.parts(one),
    )


def _beside(one: Hessians, look: style.Look) -> Panel:
    told = "; ".join(
        f"{NAMES[name]} {_rho(found, len(one.steps))}" for name, found in one.agreement.items()
    )
    block = f"Of the block of {one.block} alone. " if one.block else ""
    return Panel(
        name=f"hessian-llc-{one.model}",
        title=f"Curvature beside the LLC, {one.model}, seed {one.seed}",
        caption=f"{block}Rank correlation with the LLC over {len(one.steps)} checkpoints, with 95 % limits from "
        f"the errors of both curves alone: {told}. Whether the curves pause at the same steps is under the stages.",
        draw=lambda: figures.beside_llc(one, look),
    )


def _rho(found: RankCorrelation, checkpoints: int) -> str:
    if not np.isfinite(found.rho):
        return (
            "none, a curve being flat"
            if found.count > 2
            else "none, being finite at fewer than three checkpoints"
        )
    finite = (
        "" if found.count == checkpoints else f", over the {found.count} at which both are finite"
    )
    return f"{_signed(found.rho)} ({_signed(found.low)} to {_signed(found.high)}{finite})"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
