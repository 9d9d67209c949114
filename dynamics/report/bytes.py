"""The page's section on models compared byte by byte."""

from collections.abc import Sequence

from dynamics.analysis.byte_divergence import ByteDivergence
from dynamics.analysis.curves import Curve
from dynamics.figures import bytes as figures
from dynamics.figures import style
from dynamics.report import words
from dynamics.report.section import Panel, Section


def section(found: Sequence[ByteDivergence], look: style.Look) -> Section:
    """Panels of a store that holds the measure "bytes", and a row for every pair of models at the
    last step."""
    return Section(
        name="bytes",
        title="Do models predict the same next byte?",
        question="Models of different tokenizers have no token in common to be compared on, but each of them gives the "
        "next byte of a text a probability: that of all tokens which could spell it, every way of cutting the bytes so "
        "far into tokens counted.",
        panels=_panels(found, look),
        rows=tuple(row for one in found for row in _rows(one)),
    )


def _panels(found: Sequence[ByteDivergence], look: style.Look) -> list[Panel]:
    first = found[0]
    return [
        Panel(
            name="bytes-kl",
            title="Divergence of the next byte",
            caption=f"{words.courses([one.by_documents for one in found])}. Nats per byte, mean over ordered pairs, "
            f"{first.bytes} bytes of {first.documents} documents. {_bands(found)}",
            draw=lambda: figures.next_byte(found, look),
        ),
        Panel(
            name="bytes-gap",
            title="Gap in surprisal",
            caption="How much more surprised one of two models is by the same document than the other, bits per byte, "
            f"mean over pairs: {words.courses([one.gap_bits for one in found])}. No divergence: models that are "
            f"surprised alike may still predict apart. {words.bars([one.gap_bits for one in found], 'Bands')}",
            draw=lambda: figures.gap(found, look),
        ),
        Panel(
            name="bytes-surprisal",
            title="Surprisal per byte",
            caption=f"By the tokenizer's own encoding (solid): {words.courses([one.surprisal_bits for one in found])}. "
            f"{_every(found)} {words.bars([one.surprisal_bits for one in found])}",
            draw=lambda: figures.surprisal(found, look),
        ),
    ]


def _bands(found: Sequence[ByteDivergence]) -> str:
    def told(drawn: list[Curve], what: str) -> str:
        return words.bars(drawn, what) if any(curve.has_errors for curve in drawn) else ""

    dark = told([one.by_documents for one in found], "Dark bands")
    light = told([one.by_both for one in found], "Light ones, which the panel may cut off")
    few = "" if light else "Over other models no interval is given: it needs three."
    return " ".join(part for part in (dark, light, few) if part)


def _every(found: Sequence[ByteDivergence]) -> str:
    ends = [
        f"{words.number(one.surprisal_bits.value[-1] - one.every_bits.value[-1])} bits for {one.model}"
        for one in found
    ]
    return (
        f"Counting every encoding of the text (dashed) saves {words.listed(ends)} at the last step."
    )


def _rows(found: ByteDivergence) -> list[dict[str, str]]:
    rows = []
    for i, own in enumerate(found.seeds):
        for j, other in enumerate(found.seeds):
            if i != j:
                rows.append(
                    {
                        "model": f"{found.model}, step {found.steps[-1]}",
                        "pair": f"{own} against {other}",
                        "vocabularies": f"{found.vocabularies[i]} and {found.vocabularies[j]}",
                        "KL of the next byte, nats": words.number(found.last_kl[i, j]),
                        "bits per byte": f"{words.number(found.last_bits[i])} and {words.number(found.last_bits[j])}",
                    }
                )
    return rows
