"""The page on masked language models."""

from collections.abc import Sequence

from dynamics.figures import over_training, style
from dynamics.questions.seed_divergence import Divergence, courses
from dynamics.report import words
from dynamics.report.section import Panel, Section, Table, Track

INTRODUCTION = (
    "Tokens of held-out text are hidden one at a time, all others seen, and models that differ "
    "only in their random seed predict what stood there. The Kullback–Leibler divergence between "
    "their predictions is how far apart they are."
)


def section(models: Sequence[Divergence], look: style.Look) -> Section:
    """Divergence between seeds at a mask, loss there, and the distance to word frequency."""
    kl = [divergence.seed_kl for divergence in models]
    loss = [divergence.surprisal for divergence in models]
    return Section(
        introduction=INTRODUCTION,
        panels=_panels(models, look),
        findings=courses(models, "KL between seeds at a mask", "nats per hidden token"),
        tracks=[
            Track(label="KL between seeds at a mask (nats)", curves=kl),
            Track(label="loss at a mask (nats)", curves=loss),
        ],
        numbers={
            "masked_seed_kl": kl,
            "masked_surprisal": loss,
            "masked_kl_unigram": [divergence.kl_unigram for divergence in models],
        },
    )


def _panels(models: Sequence[Divergence], look: style.Look) -> list[Panel]:
    first, kl = models[0], [divergence.seed_kl for divergence in models]
    losses = [divergence.surprisal for divergence in models]
    to_unigram = [divergence.kl_unigram for divergence in models]
    tokens = f"{int(first.tokens.sum()):,} hidden tokens of {len(first.tokens)} documents"
    bands = words.bands(kl, len(first.seeds), "the documents held fixed", style.ceiling(kl))
    return [
        Panel(
            name="masked-kl",
            title="Divergence between seeds at a mask",
            caption=f"Mean over {tokens} and the ordered pairs of {len(first.seeds)} seeds; 0 "
            f"where seeds predict the same. {bands}",
            draw=lambda: over_training.panel(
                kl, look, "KL between seeds (nats)", band=True, cut=True
            ),
            table=Table.of_curves(kl, "KL between seeds (nats per hidden token)"),
        ),
        Panel(
            name="masked-loss",
            title="Loss at a mask",
            caption=f"Surprisal of the hidden token, mean over seeds. {words.bars(losses)}",
            draw=lambda: over_training.panel(losses, look, "surprisal (nats)"),
            table=Table.of_curves(losses, "loss (nats per hidden token)"),
        ),
        Panel(
            name="masked-unigram",
            title="Distance to word frequency at a mask",
            caption="KL from the model to the unigram distribution. Where it is lowest, the text "
            f"around the gap is not yet used. {words.bars(to_unigram)}",
            draw=lambda: over_training.panel(
                to_unigram, look, "KL to unigram (nats)", from_zero=True
            ),
            table=Table.of_curves(to_unigram, "KL to unigram (nats per hidden token)"),
        ),
    ]
