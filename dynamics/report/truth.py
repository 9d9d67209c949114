"""The page's section on divergence from a known truth."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.known_truth import KnownTruth
from dynamics.figures import style, truth
from dynamics.report import words
from dynamics.report.section import Panel, Section


def section(found: Sequence[KnownTruth], look: style.Look) -> Section:
    """Panels of a store that holds the measure "truth"."""
    return Section(
        name="truth",
        title="Do seeds that agree come near the truth?",
        question="These models are trained on text of a hidden Markov chain, whose exact next-token distribution the "
        "forward algorithm gives. So beside how far seeds are from one another stands how far they are from the truth.",
        panels=_panels(found, look),
    )


def _panels(found: Sequence[KnownTruth], look: style.Look) -> list[Panel]:
    losses, near = [one.loss for one in found], [one.from_unigram for one in found]
    entropy, error = found[0].entropy
    return [
        Panel(
            name="truth-kl",
            title="Divergence from the truth, and between seeds",
            caption=f"KL from the truth to the model (solid): {words.courses([one.to_truth for one in found])}. "
            f"Between seeds (dashed): {words.courses([one.between for one in found])}. {_apart(found)} "
            f"Nats per token, on {found[0].windows} independent windows. {_bands(found)}",
            draw=lambda: truth.to_truth(found, look),
        ),
        Panel(
            name="truth-share",
            title="What each seed has alone",
            caption="The divergence from the truth, mean over seeds, is what all have in common (from the truth to the "
            f"normalised geometric mean of their distributions) and what each has alone. {_shares(found)} "
            "Seeds can agree on what is wrong: only their own share shows as divergence between them.",
            draw=lambda: truth.own_share(found, look),
        ),
        Panel(
            name="truth-loss",
            title="Loss above the entropy of the process",
            caption=f"{words.courses(losses)}. Below the entropy of the process, {words.number(entropy)} ± "
            f"{words.number(error)} nats per token on these windows (standard error over windows), no model can be "
            f"expected to go. {_identity(found)} {words.bars(losses, 'Bands')}",
            draw=lambda: truth.loss(found, look),
        ),
        Panel(
            name="truth-unigram",
            title="Distance from the tokens' frequencies",
            caption=f"KL from the tokens' frequencies to the model: {words.courses(near)}. {_stages(found)} "
            f"{words.bars(near, 'Bands')}",
            draw=lambda: truth.unigram(found, look),
        ),
    ]


def _apart(found: Sequence[KnownTruth]) -> str:
    told = [
        f"{one.model} at {words.steps_apart(one.steps, np.isin(np.arange(len(one.steps)), one.rises))}"
        for one in found
        if one.rises
    ]
    if not told:
        return "At no step did seeds draw apart, by two standard errors, while they came nearer to the truth."
    return f"By two standard errors or more seeds drew apart, while they came nearer to the truth: {words.listed(told)}."


def _bands(found: Sequence[KnownTruth]) -> str:
    return words.bars([curve for one in found for curve in (one.to_truth, one.between)], "Bands")


def _shares(found: Sequence[KnownTruth]) -> str:
    parts = []
    for one in found:
        share = 100 * one.variance / (one.common + one.variance)
        top = int(np.argmax(share))
        parts.append(
            f"{one.model}: {share[0]:.0f} % of it is each seed's own at step {one.steps[0]}, at most "
            f"{share[top]:.0f} % at step {one.steps[top]}, {share[-1]:.0f} % at step {one.steps[-1]}"
        )
    return f"{'; '.join(parts)}."


def _identity(found: Sequence[KnownTruth]) -> str:
    off = [abs(gap / error) for one in found for gap, error in one.gap if error > 0]
    if not off:
        return ""
    return (
        "Loss less the truth's own loss equals the divergence from it, but for which tokens were drawn: over models "
        f"and steps the two are at most {max(off):.1f} standard errors apart."
    )


def _stages(found: Sequence[KnownTruth]) -> str:
    told = []
    for one in found:
        beats = one.beats_unigram
        later = (
            f"comes nearer to the truth than they are at step {beats}"
            if beats is not None
            else "never passes them"
        )
        told.append(
            f"{one.model} is nearest to the frequencies at step {one.unigram_step} and {later}"
        )
    return f"{'; '.join(told)}."
