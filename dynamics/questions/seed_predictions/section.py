"""The page on seeds of in-context regression."""

from collections.abc import Sequence

from dynamics.figures import over_training, style
from dynamics.questions.seed_divergence import courses
from dynamics.questions.seed_predictions.findings import SeedPredictions
from dynamics.report import words
from dynamics.report.section import Panel, Section, Table, Track

INTRODUCTION = (
    "Transformers that differ only in their random seed read the same contexts of linear "
    "regression. Each prediction is taken as the mean of a normal distribution of variance 1; the "
    "Kullback–Leibler divergence of two of them is half their squared distance."
)


def section(models: Sequence[SeedPredictions], look: style.Look) -> Section:
    """Divergence between seeds, and the distance to the prediction that needs no context."""
    kl = [m.seed_kl for m in models]
    from_mean_task = [m.from_mean_task for m in models]
    return Section(
        introduction=INTRODUCTION,
        panels=_panels(models, look),
        findings=courses(models, "KL between seeds", "nats per prediction"),
        tracks=[
            Track(label="KL between seeds (nats per prediction)", curves=kl),
            Track(label="KL to the mean task (nats per prediction)", curves=from_mean_task),
        ],
        numbers={
            "prediction_seed_kl": kl,
            "prediction_from_mean_task": from_mean_task,
            "prediction_loss": [m.loss for m in models],
        },
    )


def _panels(models: Sequence[SeedPredictions], look: style.Look) -> list[Panel]:
    first, kl = models[0], [m.seed_kl for m in models]
    losses, from_mean_task = [m.loss for m in models], [m.from_mean_task for m in models]
    return [
        Panel(
            name="seed-predictions",
            title="Divergence between seeds",
            caption=f"Mean over {first.num_contexts:,} held-out contexts, their pairs, and the "
            f"pairs of {len(first.seeds)} seeds; 0 where seeds predict the same. Bands: ± standard "
            "error over contexts, these seeds held fixed.",
            draw=lambda: over_training.panel(
                kl, look, "KL between seeds (nats)", band=True, cut=True
            ),
            table=Table.of_curves(kl, "KL between seeds (nats per prediction)"),
        ),
        Panel(
            name="seed-predictions-mean-task",
            title="Distance to the mean task",
            caption="KL from the prediction to 0, which is best where the context is not used: "
            f"half of E[ŷ²]. {words.bars(from_mean_task)}",
            draw=lambda: over_training.panel(
                from_mean_task, look, "KL to the mean task (nats)", from_zero=True
            ),
            table=Table.of_curves(from_mean_task, "KL to the mean task (nats per prediction)"),
        ),
        Panel(
            name="seed-predictions-loss",
            title="Squared error",
            caption=f"Mean over contexts and seeds. {words.bars(losses)}",
            draw=lambda: over_training.panel(losses, look, "mean squared error"),
            table=Table.of_curves(losses, "mean squared error"),
        ),
    ]
