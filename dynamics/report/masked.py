"""The page's section on masked language models."""

from collections.abc import Sequence

from dynamics.analysis import curves
from dynamics.analysis.curves import Divergence
from dynamics.figures import masked, style
from dynamics.report import words
from dynamics.report.section import Panel, Section


def section(found: Sequence[Divergence], look: style.Look) -> Section:
    """Panels of a store that holds the measure "masked"."""
    return Section(
        name="masked",
        title="Do masked models fill a gap alike?",
        question="Tokens of held-out text are hidden one at a time, all others seen, and models that differ only in "
        "their random seed say what stood there. The Kullback–Leibler divergence of what they say tells how far apart "
        "they are.",
        panels=_panels(found, look),
    )


def _panels(found: Sequence[Divergence], look: style.Look) -> list[Panel]:
    losses = [curves.over_seeds(one, "surprisal") for one in found]
    to_unigram = [curves.over_seeds(one, "kl_unigram") for one in found]
    return [
        Panel(
            name="masked-kl",
            title="Divergence between seeds at a mask",
            caption=f"{'. '.join(map(words.kl_course, found))}. {_asked(found)} {_bands(found)}",
            draw=lambda: masked.seed_kl(found, look),
        ),
        Panel(
            name="masked-loss",
            title="Loss at a mask",
            caption=f"Surprisal of the hidden token, nats: {words.courses(losses)}. {words.bars(losses)}",
            draw=lambda: masked.loss(found, look),
        ),
        Panel(
            name="masked-unigram",
            title="Distance to word frequency at a mask",
            caption=f"KL from the model to the unigram distribution: {words.courses(to_unigram)}. Where it is lowest, "
            f"the text around the gap is not yet used. {words.bars(to_unigram)}",
            draw=lambda: masked.unigram(found, look),
        ),
    ]


def _asked(found: Sequence[Divergence]) -> str:
    first = found[0]
    tokens, documents, seeds = int(first.tokens.sum()), len(first.tokens), len(first.seeds)
    return f"Nats, mean over {tokens} hidden tokens of {documents} documents and the ordered pairs of {seeds} seeds."


def _bands(found: Sequence[Divergence]) -> str:
    drawn = [curves.seed_kl(one) for one in found]
    return words.bands(drawn, len(found[0].seeds), "the documents held fixed", style.ceiling(drawn))
