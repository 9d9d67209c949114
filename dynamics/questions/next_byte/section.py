"""The page on models compared byte by byte."""

import itertools
from collections.abc import Sequence

from dynamics.figures import over_training, style
from dynamics.questions.headline import headline
from dynamics.questions.next_byte import figures
from dynamics.questions.next_byte.findings import ByteDivergence
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "Models of different tokenizers have no token in common to be compared on, but each of them "
    "gives the next byte of a text a probability: that of all tokens which could spell it, every "
    "way of cutting the bytes so far into tokens counted."
)


def section(models: Sequence[ByteDivergence], look: style.Look) -> Section:
    """Divergence of the next byte, the gap in surprisal, and every pair at the last step."""
    kl, gap = [m.over_documents for m in models], [m.gap_bits for m in models]
    return Section(
        introduction=INTRODUCTION,
        panels=_panels(models, look),
        findings=_findings(models),
        tracks=[Track(label="KL of the next byte (nats)", curves=kl)],
        tables={"Every pair at the last step": _pairs(models)},
        numbers={
            "next_byte_kl": kl,
            "next_byte_kl_over_models": [m.over_both for m in models],
            "surprisal_gap_bits": gap,
            "surprisal_bits": [m.surprisal_bits for m in models],
            "surprisal_bits_every_encoding": [m.every_bits for m in models],
        },
    )


def _panels(models: Sequence[ByteDivergence], look: style.Look) -> list[Panel]:
    first, gap = models[0], [m.gap_bits for m in models]
    own = [m.surprisal_bits for m in models]
    return [
        Panel(
            name="bytes-kl",
            title="Divergence of the next byte",
            caption=f"Mean over ordered pairs of models, on {first.bytes} bytes of "
            f"{first.documents} documents; 0 where two models expect the same. {_bands(models)}",
            draw=lambda: figures.next_byte(models, look),
            table=_divergences(models),
        ),
        Panel(
            name="bytes-gap",
            title="Gap in surprisal",
            caption="How much more surprised one of two models is by the same document than the "
            "other, mean over pairs. It is no divergence: models that are surprised alike may "
            f"still predict apart. {words.bars(gap, 'Bands')}",
            draw=lambda: over_training.panel(
                gap,
                look,
                "gap in surprisal (bits per byte)",
                band=any(len(curve.steps) > 1 for curve in gap),
                from_zero=True,
                columns=2,
            ),
            table=Table.of_curves(gap, "gap in surprisal (bits per byte)"),
        ),
        Panel(
            name="bytes-surprisal",
            title="Surprisal per byte",
            caption="By the tokenizer's own encoding (solid) and counting every encoding of the "
            f"text (dashed), which is never more. {words.bars(own)}",
            draw=lambda: figures.surprisal(models, look),
            table=_surprisals(models),
        ),
    ]


def _bands(models: Sequence[ByteDivergence]) -> str:
    inner, outer = [m.over_documents for m in models], [m.over_both for m in models]
    dark = words.bars(inner, "Dark bands") if any(c.has_errors for c in inner) else ""
    if any(curve.has_errors for curve in outer):
        light = words.bars(outer, "Light ones, which the panel may cut off")
    else:
        light = "Over other models no interval is given: it needs three."
    return f"{dark} {light}".strip()


def _divergences(models: Sequence[ByteDivergence]) -> Table:
    quantity, of_both = "KL of the next byte (nats)", ", over models and documents"
    inner = Table.of_curves([m.over_documents for m in models], quantity)
    return inner.beside(Table.of_curves([m.over_both for m in models], quantity, of_both))


def _surprisals(models: Sequence[ByteDivergence]) -> Table:
    own = Table.of_curves([m.surprisal_bits for m in models], "surprisal (bits per byte)")
    every = [value for m in models for value in m.every_bits.value.tolist()]
    return Table(columns={**own.columns, "counting every encoding (bits per byte)": every})


def _pairs(models: Sequence[ByteDivergence]) -> Table:
    cells = [
        (model, i, j)
        for model in models
        for i, j in itertools.permutations(range(len(model.seeds)), 2)
    ]
    return Table(
        columns={
            "model": [m.model for m, _, _ in cells],
            "step": [int(m.steps[-1]) for m, _, _ in cells],
            "seed": [m.seeds[i] for m, i, _ in cells],
            "other seed": [m.seeds[j] for m, _, j in cells],
            "vocabulary": [m.vocabularies[i] for m, i, _ in cells],
            "other vocabulary": [m.vocabularies[j] for m, _, j in cells],
            "KL of the next byte (nats)": [float(m.last_kl[i, j]) for m, i, j in cells],
            "surprisal (bits per byte)": [float(m.last_bits[i]) for m, i, _ in cells],
            "other surprisal (bits per byte)": [float(m.last_bits[j]) for m, _, j in cells],
        }
    )


def _findings(models: Sequence[ByteDivergence]) -> list[Finding]:
    own = [_finding(model) for model in models]
    last = {m.model: float(m.over_documents.value[-1]) for m in models}
    sentence = f"Divergence of the next byte ends at {words.by_model(last, ' nats')}."
    return [*headline(sentence, own), *own]


def _finding(model: ByteDivergence) -> Finding:
    saved = words.number(float(model.surprisal_bits.value[-1] - model.every_bits.value[-1]))
    return Finding(
        sentence=f"Divergence of the next byte, nats: {words.course(model.over_documents)}. "
        f"Counting every encoding of the text saves {saved} bits a byte at the last step.",
        rests_on=f"{len(model.seeds)} models, {model.documents} documents",
        grade=grades.course_of_intervals(model.over_both),
    )
