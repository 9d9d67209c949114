"""The page on divergence from a known truth."""

from collections.abc import Sequence

import numpy as np

from dynamics.figures import style
from dynamics.questions.truth import figures
from dynamics.questions.truth.findings import KnownTruth
from dynamics.report import words
from dynamics.report.section import Change, Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "These models are trained on text of a hidden Markov chain, whose exact next-token "
    "distribution the forward algorithm gives. So beside how far seeds are from one another stands "
    "how far they are from the truth."
)


def section(models: Sequence[KnownTruth], look: style.Look) -> Section:
    """Divergence from the truth and between seeds; what seeds share of it; the loss."""
    return Section(
        introduction=INTRODUCTION,
        panels=_panels(models, look),
        findings=[finding for truth in models for finding in _findings(truth)],
        tracks=[
            Track(label="KL to the truth (nats)", curves=[m.to_truth for m in models]),
            Track(
                label="KL between seeds (nats)",
                curves=[m.between for m in models],
                changes=[change for truth in models for change in _rises(truth)],
            ),
        ],
        numbers={
            "kl_to_truth": [m.to_truth for m in models],
            "kl_between_seeds": [m.between for m in models],
        },
    )


def _panels(models: Sequence[KnownTruth], look: style.Look) -> list[Panel]:
    losses, near = [m.loss for m in models], [m.from_unigram for m in models]
    entropy, error = models[0].entropy
    to_truth, between = [m.to_truth for m in models], [m.between for m in models]
    return [
        Panel(
            name="truth-kl",
            title="Divergence from the truth, and between seeds",
            caption="KL from the truth to the model (solid) and between seeds (dashed), on "
            f"{models[0].windows} independent windows. Dotted: what knowing the tokens' "
            f"frequencies alone leaves. {words.bars([*to_truth, *between], 'Bands')}",
            draw=lambda: figures.to_truth(models, look),
            table=_side_by_side(models),
        ),
        Panel(
            name="truth-share",
            title="What each seed has alone",
            caption="The divergence from the truth, mean over seeds, is what all have in common "
            "(from the truth to the normalised geometric mean of their distributions) and what "
            "each has alone, drawn here. Seeds can agree on what is wrong: only their own share "
            "shows as divergence between them.",
            draw=lambda: figures.own_share(models, look),
            table=_shares(models),
        ),
        Panel(
            name="truth-loss",
            title="Loss above the entropy of the process",
            caption=f"Below the entropy of the process, {words.number(entropy)} ± "
            f"{words.number(error)} nats per token on these windows (standard error over windows), "
            f"no model can be expected to go. {_identity(models)} {words.bars(losses, 'Bands')}",
            draw=lambda: figures.loss(models, look),
            table=Table.of_curves(losses, "cross-entropy (nats per token)"),
        ),
        Panel(
            name="truth-unigram",
            title="Distance from the tokens' frequencies",
            caption="KL from the tokens' frequencies to the model: lowest where it has learned "
            f"little else. {words.bars(near, 'Bands')}",
            draw=lambda: figures.unigram(models, look),
            table=Table.of_curves(near, "KL from the unigram distribution (nats)"),
        ),
    ]


def _side_by_side(models: Sequence[KnownTruth]) -> Table:
    to_truth = Table.of_curves([m.to_truth for m in models], "KL from the truth (nats)")
    between = Table.of_curves([m.between for m in models], "KL between seeds (nats)")
    renamed = {"low": "low, between seeds", "high": "high, between seeds"}
    beside = {renamed.get(name, name): cells for name, cells in between.columns.items()}
    return Table(columns={**to_truth.columns, **beside})


def _shares(models: Sequence[KnownTruth]) -> Table:
    return Table(
        columns={
            "model": [m.model for m in models for _ in m.steps],
            "step": [int(step) for m in models for step in m.steps],
            "in common (nats)": [value for m in models for value in m.common.tolist()],
            "each seed's own (nats)": [value for m in models for value in m.variance.tolist()],
            "own share (%)": [value for m in models for value in m.own_share.tolist()],
        }
    )


def _findings(truth: KnownTruth) -> list[Finding]:
    seeds = f"{len(truth.seeds)} seeds, {truth.windows} windows"
    sure = truth.to_truth.has_errors and truth.to_truth.high[-1] < truth.to_truth.low[0]
    approach = Finding(
        sentence=f"Divergence from the truth, nats per token: {words.course(truth.to_truth)}. "
        f"{_stages(truth)}",
        rests_on=seeds,
        grade="sure" if sure else "open",
    )
    return [approach, _apart(truth, seeds)]


def _apart(truth: KnownTruth, seeds: str) -> Finding:
    share = truth.own_share
    own = (
        f"{words.number(float(share[0]))} % of the divergence from the truth is each seed's own at "
        f"step {truth.steps[0]} and {words.number(float(share[-1]))} % at step {truth.steps[-1]}"
    )
    if not truth.rises:
        return Finding(
            sentence=f"{truth.model}: at no step did seeds draw apart, by two standard errors, "
            f"while they came nearer to the truth; {own}.",
            rests_on=seeds,
            grade="open",
        )
    where = np.isin(np.arange(len(truth.steps)), truth.rises)
    return Finding(
        sentence=f"{truth.model}: seeds drew apart, by two standard errors or more, while they "
        f"came nearer to the truth, at {words.steps_apart(truth.steps, where)}; {own}.",
        rests_on=f"{seeds}; not corrected for the number of steps looked at",
        grade="unsure",
    )


def _stages(truth: KnownTruth) -> str:
    beats = truth.beats_unigram
    later = (
        f"it comes nearer to the truth than they are at step {beats}"
        if beats is not None
        else "it never passes them"
    )
    return f"It is nearest to the tokens' frequencies at step {truth.unigram_step}, and {later}."


def _identity(models: Sequence[KnownTruth]) -> str:
    errors = [abs(gap / error) for m in models for gap, error in m.gap if error > 0]
    if not errors:
        return ""
    return (
        "Loss less the truth's own loss equals the divergence from it, but for which tokens were "
        f"drawn: over models and steps the two are at most {max(errors):.1f} standard errors apart."
    )


def _rises(truth: KnownTruth) -> list[Change]:
    return [
        Change(
            model=truth.model,
            step=float(truth.steps[k]),
            low=float(truth.steps[k - 1]),
            high=float(truth.steps[k]),
            name="seeds draw apart",
        )
        for k in truth.rises
    ]
