"""The page on divergence from a known truth."""

from collections.abc import Sequence

import numpy as np

from dynamics.figures import over_training, style
from dynamics.questions.headline import headline
from dynamics.questions.truth import figures
from dynamics.questions.truth.findings import KnownTruth
from dynamics.report import grades, words
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
        findings=_findings(models),
        tracks=[
            Track(label="KL to the truth (nats)", curves=[m.to_truth for m in models]),
            Track(
                label="KL between seeds (nats)",
                curves=[m.between for m in models],
                changes=[change for truth in models for change in _rises(truth)],
            ),
        ],
        tables={"The process, and loss against divergence": _process(models)},
        numbers={
            "kl_to_truth": [m.to_truth for m in models],
            "kl_between_seeds": [m.between for m in models],
            "truth_loss": [m.loss for m in models],
            "truth_unigram": [m.from_unigram for m in models],
            "truth_own_share": {
                m.model: {
                    "steps": m.steps,
                    "common": m.common,
                    "own": m.variance,
                    "own_error": m.variance_error,
                    "own_share": m.own_share.value,
                    "own_share_error": m.own_share.sem,
                }
                for m in models
            },
            "truth_entropy": models[0].entropy[0],
            "truth_to_unigram": models[0].truth_unigram,
        },
    )


def _panels(models: Sequence[KnownTruth], look: style.Look) -> list[Panel]:
    losses, near = [m.loss for m in models], [m.from_unigram for m in models]
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
            f"shows as divergence between them. {words.bars([m.own_share for m in models])}",
            draw=lambda: figures.own_share(models, look),
            table=_shares(models),
        ),
        Panel(
            name="truth-loss",
            title="Loss above the entropy of the process",
            caption="No model can be expected to go below the entropy of the process (dotted); "
            "dashed is what the tokens' frequencies alone reach. Loss less the truth's own loss is "
            "the divergence from it, but for which tokens were drawn. "
            f"{words.bars(losses, 'Bands')}",
            draw=lambda: figures.loss(models, look),
            table=_losses(models),
        ),
        Panel(
            name="truth-unigram",
            title="Distance from the tokens' frequencies",
            caption="KL from the tokens' frequencies to the model: lowest where it has learned "
            f"little else. {words.bars(near, 'Bands')}",
            draw=lambda: over_training.panel(
                near, look, "KL(unigram ‖ model) (nats)", band=True, from_zero=True, columns=2
            ),
            table=Table.of_curves(near, "KL from the unigram distribution (nats)"),
        ),
    ]


def _side_by_side(models: Sequence[KnownTruth]) -> Table:
    to_truth = Table.of_curves([m.to_truth for m in models], "KL from the truth (nats)")
    between = Table.of_curves(
        [m.between for m in models], "KL between seeds (nats)", ", between seeds"
    )
    unigram = [models[0].truth_unigram] * len(to_truth.rows)
    level = Table(columns={"KL from the truth to the unigram (nats)": unigram})
    return to_truth.beside(between, level)


def _losses(models: Sequence[KnownTruth]) -> Table:
    table = Table.of_curves([m.loss for m in models], "cross-entropy (nats per token)")
    entropy, rows = models[0].entropy[0], len(table.rows)
    levels = {
        "entropy of the process (nats per token)": [entropy] * rows,
        "unigram (nats per token)": [entropy + models[0].truth_unigram] * rows,
    }
    return table.beside(Table(columns=levels))


def _process(models: Sequence[KnownTruth]) -> Table:
    """How far loss less the truth's own loss is from the divergence, which it equals on average."""
    rows = [(m, k) for m in models for k in range(len(m.steps))]
    return Table(
        columns={
            "model": [m.model for m, _ in rows],
            "step": [int(m.steps[k]) for m, k in rows],
            "entropy of the process (nats per token)": [m.entropy[0] for m, _ in rows],
            "its standard error over windows": [m.entropy[1] for m, _ in rows],
            "excess loss less divergence (nats per token)": [float(m.gap[k, 0]) for m, k in rows],
            "standard error over windows": [float(m.gap[k, 1]) for m, k in rows],
        }
    )


def _shares(models: Sequence[KnownTruth]) -> Table:
    return Table(
        columns={
            "model": [m.model for m in models for _ in m.steps],
            "step": [int(step) for m in models for step in m.steps],
            "in common (nats)": [value for m in models for value in m.common.tolist()],
            "each seed's own (nats)": [value for m in models for value in m.variance.tolist()],
            **{
                name: [value for m in models for value in of(m).tolist()]
                for name, of in {
                    "standard error over windows, in common": lambda m: m.common_error,
                    "standard error over windows, own": lambda m: m.variance_error,
                    "own share (%)": lambda m: m.own_share.value,
                    "share, low": lambda m: m.own_share.low,
                    "share, high": lambda m: m.own_share.high,
                }.items()
            },
        }
    )


def _findings(models: Sequence[KnownTruth]) -> list[Finding]:
    own = [_approach(truth) for truth in models]
    first = {m.model: float(m.to_truth.value[0]) for m in models}
    last = {m.model: float(m.to_truth.value[-1]) for m in models}
    sentence = (
        f"Divergence from the truth starts at {words.by_model(first)} and ends at "
        f"{words.by_model(last)} nats per token."
    )
    pairs = [
        pair
        for truth, finding in zip(models, own, strict=True)
        for pair in (finding, _apart(truth))
    ]
    return [*headline(sentence, own), *pairs]


def _approach(truth: KnownTruth) -> Finding:
    return Finding(
        sentence=f"Divergence from the truth, nats per token: {words.course(truth.to_truth)}. "
        f"{_stages(truth)}",
        rests_on=_evidence(truth),
        grade=grades.course_of_intervals(truth.to_truth),
    )


def _evidence(truth: KnownTruth) -> str:
    return f"{len(truth.seeds)} seeds, {truth.windows} windows"


def _apart(truth: KnownTruth) -> Finding:
    seeds, share, error = _evidence(truth), truth.own_share.value, truth.own_share.sem
    own = (
        f"{_with_error(share[0], error[0])} % of the divergence from the truth is each seed's own "
        f"at step {truth.steps[0]} and {_with_error(share[-1], error[-1])} % at step "
        f"{truth.steps[-1]} (standard errors over windows)"
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
        rests_on=f"{seeds}; corrected for the {len(truth.steps) - 1} neighbours looked at",
        grade="unsure",
    )


def _with_error(value: float, error: float) -> str:
    shown = words.number(float(value))
    return f"{shown} ± {words.number(float(error))}" if np.isfinite(error) else shown


def _stages(truth: KnownTruth) -> str:
    beats = truth.beats_unigram
    later = (
        f"it comes nearer to the truth than they are at step {beats}"
        if beats is not None
        else "it never passes them"
    )
    return f"It is nearest to the tokens' frequencies at step {truth.unigram_step}, and {later}."


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
