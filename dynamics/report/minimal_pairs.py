"""The page's section on minimal pairs."""

from collections.abc import Sequence

from dynamics.analysis import minimal_pairs as analysis
from dynamics.analysis.minimal_pairs import Judgements
from dynamics.figures import minimal_pairs as figures
from dynamics.figures import style
from dynamics.report import words
from dynamics.report.section import Panel, Section


def section(found: Sequence[Judgements], look: style.Look) -> Section:
    """Panels of a store that holds the measure "minimal_pairs", and a table of phenomena of the
    largest model."""
    return Section(
        name="minimal_pairs",
        title="Do seeds judge sentences alike?",
        question="Of two sentences that differ in one thing a grammar allows the first. A model's probabilities of the "
        "two, made a distribution over the pair, are compared between seeds, pair by pair.",
        panels=_panels(found, look),
        rows=_rows(found[-1]),
    )


def _panels(found: Sequence[Judgements], look: style.Look) -> list[Panel]:
    kl, right = ([of(one) for one in found] for of in (analysis.seed_kl, analysis.accuracy))
    first, largest = found[0], found[-1]
    most, least = map(words.listed, analysis.extremes(largest, 3))
    counted = f"{int(first.sizes.sum()):,} pairs of {len(first.tasks)} tasks ({first.pairs})"
    bands = words.bands(kl, len(first.seeds), "the pairs held fixed", style.ceiling(kl))
    tasks = f"At the last step {most} divide the seeds most, {least} least." if most else ""
    return [
        Panel(
            name="pairs-kl",
            title="Divergence between seeds on minimal pairs",
            caption=f"{words.courses(kl)}. Nats per pair, mean over {counted} and ordered pairs of seeds. {bands}",
            draw=lambda: figures.seed_kl(found, look),
        ),
        Panel(
            name="pairs-accuracy",
            title="Minimal pairs judged right",
            caption=f"Share of pairs whose good sentence is the likelier, mean over seeds: {words.courses(right)}. "
            f"{words.bars(right)}",
            draw=lambda: figures.accuracy(found, look),
        ),
        Panel(
            name="pairs-phenomena",
            title=f"Where seeds differ, {largest.model}",
            caption=f"Divergence between seeds by phenomenon, mean over its pairs. {tasks}".strip(),
            draw=lambda: figures.phenomena(largest),
        ),
    ]


def _rows(found: Judgements) -> tuple[dict[str, str], ...]:
    pooled, last = analysis.phenomena(found), found.steps[-1]
    return tuple(
        {
            f"{found.model}, step {last}": name,
            "pairs": str(int(pooled.sizes[r])),
            "KL between seeds (nats)": words.number(float(pooled.kl[-1, r])),
            "accuracy": f"{pooled.accuracy[-1, r]:.2f}",
        }
        for r, name in enumerate(pooled.names)
    )
