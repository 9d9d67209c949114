"""What the page says and in which order: every panel with its caption, and what to run where a
measure is absent."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curves import Curve, Llc, Weights
from dynamics.figures import llc, style
from dynamics.figures import weights as weight_figures
from dynamics.report import (
    audit,
    calibration,
    conditional,
    convergence,
    curvature,
    masked,
    minimal_pairs,
    stages,
    sweeps,
    truth,
    words,
)
from dynamics.report import bytes as per_byte
from dynamics.report.section import Findings, Panel, Section

HEAT_MAPS = ("unembed_centred", "mlp_up")


def all_sections(found: Findings, look: style.Look, suite: str) -> list[Section]:
    """The page's sections in reading order."""

    def section(name, title, question, panels, rows=()):
        missing = f"Not measured here. To get it: python -m experiments.{name} --suite={suite}"
        missing = "" if panels else missing
        return Section(
            name=name, title=title, question=question, panels=panels, missing=missing, rows=rows
        )

    audited = [audit.section(found.audit)] if found.audit else []
    chosen = [
        *audited,
        section(
            "convergence",
            "Do seeds converge to one model?",
            "Models that differ only in their random seed read the same held-out text. The Kullback–Leibler divergence "
            "of their next-token distributions says how far apart they are; entropy and loss say what they became.",
            convergence.panels(found, look) if found.divergence else [],
            convergence.rows(found),
        ),
        *([conditional.section(found.properties, look)] if found.properties else []),
        *([minimal_pairs.section(found.pairs, look)] if found.pairs else []),
        *([masked.section(found.masked, look)] if found.masked else []),
        *([per_byte.section(found.per_byte, look)] if found.per_byte else []),
        *([truth.section(found.truth, look)] if found.truth else []),
        section(
            "llc",
            "How degenerate is the loss around each checkpoint?",
            "The local learning coefficient is n β times what Langevin chains started at the checkpoint lose on "
            "average. It speaks of the landscape only while the chains stay near the model, so each estimate "
            "carries a verdict.",
            _llc(found.llc, look) if found.llc else [],
        ),
        *([calibration.section(list(found.calibration))] if found.calibration else []),
        *([sweeps.section(list(found.sweeps))] if found.sweeps else []),
        section(
            "curvature",
            "How curved is the loss?",
            "The Hessian of the training loss: its trace, whole and by part, and the two ends of its spectrum; the "
            "Gauss–Newton matrix, which is what of it comes from the softmax alone and is the Fisher information.",
            curvature.panels(found, look) if found.trace else [],
        ),
        *([stages.section(found.stages)] if found.stages else []),
        section(
            "weights",
            "How are the weights spread?",
            "Histograms and moments of every matrix at every checkpoint: a census, without sampling error.",
            _weights(found.weights, look) if found.weights else [],
        ),
    ]
    # What is asked of causal models alone is not missing where there are none.
    only_masked = found.masked and not (
        found.divergence or found.llc or found.trace or found.weights
    )
    return [one for one in chosen if one.panels] if only_masked else chosen


def _llc(found: list[Llc], look: style.Look) -> list[Panel]:
    last = found[-1]
    estimates = [one.estimate for one in found]
    settings = ", ".join(f"{_SYMBOLS[name]} = {value:g}" for name, value in last.settings.items())
    return [
        Panel(
            name="llc",
            title="Local learning coefficient",
            caption=f"{words.verdict_sentence(found)}: filled markers are local, a hollow one says nothing about the "
            f"landscape. {words.warning_sentence(found)} {_local_courses(found)} {words.loss_share_sentence(found)} "
            f"{words.pull_sentence(found)} {words.bars(estimates)} Comparable only at one setting: {settings}.",
            draw=lambda: llc.estimate(found, look),
        ),
        *(
            Panel(
                name=f"locality-{one.estimate.model}",
                title=f"Did the chains stay? {one.estimate.model}",
                caption=_locality_caption(one),
                draw=lambda one=one: llc.locality(one, look),
            )
            for one in (found if len(found) < 3 else (found[0], found[-1]))
        ),
        Panel(
            name="llc-running",
            title=f"Have the chains settled? {last.estimate.model}, step {last.estimate.steps[-1]}",
            caption=f"The running estimate of each of {len(last.running)} chains, n β (mean loss so far − the "
            f"checkpoint's own). Verdict there: {last.verdicts[-1][0]}. {last.sentences[-1]}".strip(),
            draw=lambda: llc.running(last, look),
        ),
    ]


_SYMBOLS = {"nbeta": "n β", "localization": "γ", "step_size": "ε"}


def _local_courses(found: Sequence[Llc]) -> str:
    parts = []
    for one in found:
        kept = one.local
        if kept.any():
            curve = one.estimate
            picked = {
                name: getattr(curve, name)[kept] for name in ("steps", "value", "low", "high")
            }
            parts.append(words.course(Curve(model=curve.model, rests_on=curve.rests_on, **picked)))
    return (
        f"Among the local ones, {'; '.join(parts)}."
        if parts
        else "None is local: no course is read from them."
    )


def _locality_caption(found: Llc) -> str:
    chain, init = found.chain_loss, found.init_loss
    above = chain.value > found.trivial_loss
    where = f"The chains' loss lies above the trivial predictor's ({words.number(found.trivial_loss)} nats per token, "
    where += (
        f"dotted) at {words.steps_apart(chain.steps, above)}"
        if above.any()
        else "dotted) at no step"
    )
    # Chain and model see different minibatches; the estimate compares them on the same ones.
    gap = found.estimate.value[-1] / found.settings["nbeta"]
    return (
        f"{where}. Dashed: the model itself. On the same batches the chains of step {chain.steps[-1]} lose "
        f"{words.number(gap)} nats per token on it. {words.bars([chain, init])}"
    )


def _weights(found: list[Weights], look: style.Look) -> list[Panel]:
    last = found[-1]
    seeds = f"{len(last.seeds)} seeds pooled" if len(last.seeds) > 1 else "one seed"
    outside = (
        f"{100 * last.outside:.2g} % at most lie outside the bins"
        if last.outside
        else "none lies outside the bins"
    )
    maps = [
        Panel(
            name=f"density-{matrix}",
            title=f"Density of {matrix}, {last.model}",
            caption=f"{_widths(last.sd[matrix])}. A column per checkpoint, {seeds}; {outside}.",
            draw=lambda matrix=matrix: weight_figures.density(last, matrix),
        )
        for matrix in HEAT_MAPS
        if matrix in last.density
    ]
    heavy = max(
        last.excess_kurtosis.items(), key=lambda item: np.nan_to_num(item[1].value[-1], nan=-np.inf)
    )
    widths = last.width
    first = [curve.value[0] for curve in last.sd.values()]
    ratios = {matrix: curve.value[-1] for matrix, curve in widths.items()}
    most, least = (
        max(ratios, key=lambda name: ratios[name]),
        min(ratios, key=lambda name: ratios[name]),
    )
    return [
        *maps,
        Panel(
            name="weight-sd",
            title=f"Width of the weights, {last.model}",
            caption=f"Standard deviation relative to step {last.steps[0]}, where it is {words.number(min(first))} to "
            f"{words.number(max(first))}. At step {last.steps[-1]} {most} is at {ratios[most]:.2f} times its first "
            f"width and {least} at {ratios[least]:.2f}. {words.bars([widths[most]])}",
            draw=lambda: weight_figures.moment(widths, "standard deviation / first", 1.0),
        ),
        Panel(
            name="weight-kurtosis",
            title=f"Excess kurtosis of the weights, {last.model}",
            caption=f"0 for a Gaussian. {heavy[0]} ends with the heaviest tails, {words.number(heavy[1].value[-1])} at "
            f"step {heavy[1].steps[-1]}. {words.bars([heavy[1]])}",
            draw=lambda: weight_figures.moment(last.excess_kurtosis, "excess kurtosis", 0.0),
        ),
    ]


def _widths(sd: Curve) -> str:
    first, last = words.number(sd.value[0]), words.number(sd.value[-1])
    return f"Standard deviation {first} at step {sd.steps[0]}, {last} at step {sd.steps[-1]}"
