"""The page on models compared byte by byte."""

import itertools
from collections.abc import Sequence

from dynamics.figures import style
from dynamics.questions.next_byte import figures
from dynamics.questions.next_byte.findings import ByteDivergence
from dynamics.report import words
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
        findings=[_finding(model) for model in models],
        tracks=[Track(label="KL of the next byte (nats)", curves=kl)],
        tables={"Every pair at the last step": _pairs(models)},
        numbers={"next_byte_kl": kl, "surprisal_gap_bits": gap},
    )


def _panels(models: Sequence[ByteDivergence], look: style.Look) -> list[Panel]:
    first = models[0]
    kl, gap = [m.over_documents for m in models], [m.gap_bits for m in models]
    own = [m.surprisal_bits for m in models]
    return [
        Panel(
            name="bytes-kl",
            title="Divergence of the next byte",
            caption=f"Mean over ordered pairs of models, on {first.bytes} bytes of "
            f"{first.documents} documents; 0 where two models expect the same. {_bands(models)}",
            draw=lambda: figures.next_byte(models, look),
            table=Table.of_curves(kl, "KL of the next byte (nats)"),
        ),
        Panel(
            name="bytes-gap",
            title="Gap in surprisal",
            caption="How much more surprised one of two models is by the same document than the "
            "other, mean over pairs. It is no divergence: models that are surprised alike may "
            f"still predict apart. {words.bars(gap, 'Bands')}",
            draw=lambda: figures.gap(models, look),
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


def _finding(model: ByteDivergence) -> Finding:
    saved = words.number(float(model.surprisal_bits.value[-1] - model.every_bits.value[-1]))
    return Finding(
        sentence=f"Divergence of the next byte, nats: {words.course(model.over_documents)}. "
        f"Counting every encoding of the text saves {saved} bits a byte at the last step.",
        rests_on=f"{len(model.seeds)} models, {model.documents} documents",
        grade="sure" if model.over_both.has_errors else "open",
    )
