"""The panels of the page on convergence: the answer first, then its details in four groups."""

from collections.abc import Sequence

from dynamics.analysis.leave_one_out import FEWEST
from dynamics.figures import over_training, style
from dynamics.questions.convergence import figures, tables
from dynamics.questions.convergence.findings import Convergence, Findings
from dynamics.report import words
from dynamics.report.section import Panel, Table

PHASES = "Phases"
HOW_SURE = "How sure, and of what?"
DISTANCES = "Distances to simple predictors"
SPREAD = "Spread over tokens and contexts"


def panels(findings: Findings, look: style.Look) -> list[Panel]:
    """The divergence of seeds, and what it goes with and rests on."""
    return [
        _answer(findings.models, look),
        *_phases(findings, look),
        *_how_sure(findings.models, look),
        *_distances(findings, look),
        *_spread(findings.models, look),
    ]


def _answer(models: Sequence[Convergence], look: style.Look) -> Panel:
    curves = [model.divergence.seed_kl for model in models]
    seeds, documents = len(models[0].divergence.seeds), len(models[0].divergence.tokens)
    fixed = f"the {documents} documents held fixed"
    bands = words.bands(curves, seeds, fixed, style.ceiling(curves))
    return Panel(
        name="seed-kl",
        title="Divergence between seeds",
        caption="Down is convergence; at 0 all seeds would predict the same. Mean over tokens and "
        f"ordered pairs of seeds. {bands}{_unlike(models)}",
        draw=lambda: figures.seed_kl(models, look),
        table=Table.of_curves(curves, tables.SEED_KL),
    )


def _unlike(models: Sequence[Convergence]) -> str:
    """What bands over seeds cannot know, and at which seeds that shows; "" where there are none."""
    banded = [model for model in models if model.divergence.seed_kl.has_errors]
    if not banded:
        return ""
    apart = [
        f"seed {seed} of {model.model} at {count} of {len(model.divergence.steps)} steps"
        for model in banded
        for seed, count in zip(model.divergence.seeds, model.outlier_steps, strict=True)
        if count
    ]
    if apart:
        return (
            f" Far from the others lies {words.listed(apart)}: a band there depends on how common "
            "such seeds are, which these few do not show."
        )
    fewest = min(len(model.divergence.seeds) for model in banded)
    cannot = "cannot say whether one of them is" if fewest < FEWEST else "show no seed that is"
    return (
        f" {fewest} seeds {cannot} unlike the others, and no band knows of seeds unlike all of "
        "them: were one in five three times as far out, bands over five seeds would hold .74 of "
        "the time and not .95."
    )


def _phases(findings: Findings, look: style.Look) -> list[Panel]:
    models = findings.models
    panels = [
        Panel(
            name="overview",
            title="Seeds, references and loss over training",
            caption=_overview_caption(findings),
            draw=lambda: figures.overview(findings, look),
            table=tables.over_training(findings),
            group=PHASES,
        )
    ]
    for model in models:
        if model.phases:
            panels.append(_phases_of_model(model, look))
    if any(model.last_slope and model.size for model in models):
        caution = "" if findings.size_effect else f" {findings.size_caution}"
        panels.append(
            Panel(
                name="late-slope",
                title="Slope of the last phase against size",
                caption="Below 0 seeds still converge at the end, above it they diverge. Bars: "
                f"95 % intervals over other seeds and documents, the steps held fixed.{caution}",
                draw=lambda: figures.late_slopes(models, look),
                table=tables.late_slopes(models),
                group=PHASES,
            )
        )
    return panels


def _overview_caption(findings: Findings) -> str:
    """What the rows are, what is marked, and what there is no row for."""
    models, contexts = findings.models, findings.contexts
    marked = [model for model in models if model.phases and model.phases.boundaries]
    lines = [
        "E[conv] of the paper is minus the uppermost curve; its bands are 95 % intervals over "
        "seeds, bars below it standard errors over seeds."
    ]
    if contexts:
        lines.append(
            f"ICL score: surprisal of {contexts[-1].positions}, the difference; below 0 where "
            "context helps."
        )
    if marked:
        lines.append(f"Dotted: where the phases of {marked[-1].model} meet.")
    absent = [] if contexts else ["in-context scores (python -m experiments.in_context)"]
    if all(model.learning_rate is None for model in models):
        absent.append("learning rates (not known for this suite)")
    return " ".join([*lines, *([f"Not here: {words.listed(absent)}."] if absent else [])])


def _phases_of_model(model: Convergence, look: style.Look) -> Panel:
    phases = model.phases
    assert phases is not None
    bends = words.counted(len(phases.pieces.bends), "bend")
    return Panel(
        name=f"phases-{model.model}",
        title=f"Phases of convergence, {model.model}",
        caption=f"The curve as straight pieces over ln(step + 1) with {bends}; a colour for each "
        "phase. Heavy bars: 95 % intervals of where phases meet, over "
        f"{phases.pieces.rests_on}. They presume straight pieces; a phase at either end may go on "
        "beyond it.",
        draw=lambda: figures.phases(model, phases, look),
        table=tables.fitted(model.divergence.seed_kl, phases),
        group=PHASES,
    )


def _how_sure(models: Sequence[Convergence], look: style.Look) -> list[Panel]:
    largest = models[-1]
    panels = [
        Panel(
            name="intervals",
            title="Three intervals of the last step",
            caption="95 % intervals of each model's last KL, by what else might have been sampled. "
            "Where a bar is missing, the table says why.",
            draw=lambda: figures.intervals(models, look),
            table=tables.intervals(models),
            group=HOW_SURE,
        )
    ]
    if largest.intervals.curves:
        panels.append(
            Panel(
                name="interval-widths",
                title=f"Error bars over training, {largest.model}",
                caption="Half the width of each 95 % interval, as a share of the KL.",
                draw=lambda: figures.widths(largest),
                table=tables.widths(largest),
                group=HOW_SURE,
            )
        )
    return panels


def _distances(findings: Findings, look: style.Look) -> list[Panel]:
    seeds = [model.divergence for model in findings.models]
    losses = [seed.surprisal for seed in seeds]
    to_uniform, to_unigram = [s.kl_uniform for s in seeds], [s.kl_unigram for s in seeds]
    entropies = [seed.entropy for seed in seeds]
    yardstick = (
        "Dotted: interpolated Kneser–Ney n-grams on the same text."
        if findings.ngrams
        else "No n-grams to compare with."
    )
    return [
        Panel(
            name="cross-entropy",
            title="Loss on the text",
            caption=f"Surprisal of the next token, mean over seeds. {yardstick} "
            f"{words.bars(losses)}",
            draw=lambda: figures.cross_entropy(losses, findings.ngrams, look),
            table=tables.losses(losses, findings.ngrams),
            group=DISTANCES,
        ),
        Panel(
            name="kl-uniform",
            title="Distance to the uniform distribution",
            caption=f"KL from the model to a uniform guess. {words.bars(to_uniform)}",
            draw=lambda: over_training.panel(
                to_uniform, look, "KL to uniform (nats)", from_zero=True
            ),
            table=Table.of_curves(to_uniform, "KL to uniform (nats per token)"),
            group=DISTANCES,
        ),
        Panel(
            name="kl-unigram",
            title="Distance to word frequency",
            caption="KL from the model to the unigram distribution. Where it is lowest, the model "
            f"says little beyond how frequent tokens are. {words.bars(to_unigram)}",
            draw=lambda: over_training.panel(
                to_unigram, look, "KL to unigram (nats)", from_zero=True
            ),
            table=Table.of_curves(to_unigram, "KL to unigram (nats per token)"),
            group=DISTANCES,
        ),
        Panel(
            name="entropy",
            title="Entropy of the prediction",
            caption=f"How undecided the models are, mean over seeds. {words.bars(entropies)}",
            draw=lambda: over_training.panel(entropies, look, "entropy (nats)"),
            table=Table.of_curves(entropies, "entropy (nats per token)"),
            group=DISTANCES,
        ),
    ]


def _spread(models: Sequence[Convergence], look: style.Look) -> list[Panel]:
    largest, js = models[-1], [model.js for model in models if model.js is not None]
    panels = [
        Panel(
            name="contexts",
            title="Spread over contexts",
            caption="Mean over contexts, and one standard deviation to either side as a band, cut "
            "at 0: a spread of single contexts, not an error of their mean.",
            draw=lambda: figures.contexts(models, look),
            table=tables.contexts(models),
            group=SPREAD,
        ),
        Panel(
            name="token-spread",
            title=f"Spread over tokens, {largest.model}",
            caption="Whether few tokens carry the mean or all do. Bands are quantiles over tokens, "
            "not errors.",
            draw=lambda: figures.token_spread(largest, look),
            table=tables.token_spread(largest),
            group=SPREAD,
        ),
    ]
    if js:
        panels.append(
            Panel(
                name="seed-js",
                title="Jensen–Shannon divergence between seeds",
                caption="Bounded by ln 2 = 0.693 where the KL is not: a rise of the KL alone is "
                "one of tokens that a seed thinks next to impossible. "
                f"{words.bars(js, 'Bands')}",
                draw=lambda: over_training.panel(
                    js, look, "JS between seeds (nats)", band=True, from_zero=True
                ),
                table=Table.of_curves(js, "JS between seeds (nats per token)"),
                group=SPREAD,
            )
        )
    return panels
