"""The page on perplexity."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.headline import headline
from dynamics.questions.perplexity import figures
from dynamics.questions.perplexity.findings import LastWord, Perplexity
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "Perplexity is exp of a mean surprisal: 1 for a model that is always certain and right, the "
    "size of the vocabulary for one that knows nothing, and never below 1. Forward it is of a "
    "text's own tokens. By causal unmasking (Nicolini et al. 2024) the model completes every "
    "prefix of a text; then what it wrote itself and what the text has at those places are two "
    "numbers, and a model that repeats itself finds its own words easy."
)
_WRITTEN, _IN_TEXT = "perplexity of completions", "perplexity of the texts"
_MOST_STEPS = 6  # of the table of completions


def section(models: Sequence[Perplexity], look: style.Look) -> Section:
    """Forward perplexity first; last words, causal unmasking and repetition below."""
    last_words = [(m, m.last_word) for m in models if m.last_word is not None]
    forward = [m.forward for m in models]
    return Section(
        introduction=INTRODUCTION,
        panels=[
            _forward_panel(models, look),
            *_last_word_panels([word for _, word in last_words], look),
            *_unmasking_panels(models, look),
            *(_prefix_panel(m) for m in models),
        ],
        findings=_findings(models),
        tracks=[Track(label="perplexity", curves=forward)],
        tables={f"Completions of one phrase, {m.model}": _phrase(m) for m in models},
        numbers={
            "perplexity": forward,
            "surprisal of texts": [m.nats for m in models],
            "perplexity of completions": [m.completion for m in models],
            "perplexity of texts after completions": [m.unmasked for m in models],
            "repetition of completions": [m.repetition for m in models],
            "unmasking by prefix": {
                m.model: {
                    "step": m.by_prefix.step,
                    "completion": m.by_prefix.completion,
                    "text": m.by_prefix.text,
                }
                for m in models
            },
            **(
                {
                    "perplexity of last words": [w.perplexity for _, w in last_words],
                    "accuracy of last words": [w.accuracy for _, w in last_words],
                }
                if last_words
                else {}
            ),
        },
    )


def _forward_panel(models: Sequence[Perplexity], look: style.Look) -> Panel:
    curves, largest = [m.forward for m in models], models[-1]
    cut = f" {largest.num_cut} of them lost their beginning." if largest.num_cut else ""
    return Panel(
        name="perplexity-forward",
        title="Perplexity of texts",
        caption=f"exp of the mean surprisal of {largest.num_tokens:,} tokens, all but the first of "
        f"{largest.num_texts} texts ({largest.texts}).{cut} Dotted: a model that knows nothing. "
        f"{words.bars(curves)}",
        draw=lambda: figures.over_training(
            curves, look, "perplexity", sorted({m.vocab_size for m in models})
        ),
        table=Table.of_curves(curves, "perplexity"),
    )


def _last_word_panels(last_words: Sequence[LastWord], look: style.Look) -> list[Panel]:
    if not last_words:
        return []
    perplexities = [word.perplexity for word in last_words]
    accuracies = [word.accuracy for word in last_words]
    return [
        Panel(
            name="perplexity-last-word",
            title="Perplexity of last words",
            caption="exp of the mean over passages of the summed surprisal of the last word's "
            f"tokens, given all before it. {words.bars(perplexities)}",
            draw=lambda: figures.over_training(perplexities, look, "perplexity of the last word"),
            table=Table.of_curves(perplexities, "perplexity of the last word"),
            group="Last words",
        ),
        Panel(
            name="accuracy-last-word",
            title="Last words that the model would have written",
            caption="Share of passages in which every token of the last word is the likeliest at "
            f"its place. {words.bars(accuracies)}",
            draw=lambda: figures.share(accuracies, look, "accuracy of the last word"),
            table=Table.of_curves(accuracies, "accuracy of the last word"),
            group="Last words",
        ),
    ]


def _unmasking_panels(models: Sequence[Perplexity], look: style.Look) -> list[Panel]:
    group = "Causal unmasking"
    written, in_text = [m.completion for m in models], [m.unmasked for m in models]
    repetition, largest = [m.repetition for m in models], models[-1]
    texts = (
        f"{largest.num_unmasked} texts of {largest.unmasked_tokens} tokens are completed from "
        f"every prefix ({largest.decoding})"
    )
    return [
        Panel(
            name="perplexity-completions",
            title="Perplexity of what the models wrote",
            caption=f"{texts}. Scored: the tokens that the model wrote. Low values are those of "
            f"certain text, not of good text. {words.bars(written)}",
            draw=lambda: figures.over_training(written, look, _WRITTEN),
            table=Table.of_curves(written, _WRITTEN),
            group=group,
        ),
        Panel(
            name="perplexity-unmasked",
            title="Perplexity of what the texts have in its place",
            caption=f"{texts}. Scored: the tokens that the text has at each place, given the "
            "prefix and what the model wrote after it, seldom what the text had. Dotted: a "
            f"model that knows nothing. {words.bars(in_text)}",
            draw=lambda: figures.over_training(
                in_text, look, _IN_TEXT, sorted({m.vocab_size for m in models}), named=""
            ),
            table=Table.of_curves(in_text, _IN_TEXT),
            group=group,
        ),
        _repetition_panel(repetition, models, look, group),
    ]


def _repetition_panel(
    curves: Sequence[Curve], models: Sequence[Perplexity], look: style.Look, group: str
) -> Panel:
    n = models[-1].ngram
    of_text = sorted({m.repetition_of_text for m in models if np.isfinite(m.repetition_of_text)})
    return Panel(
        name="completions-repetition",
        title="How much of their completions is repetition",
        caption=f"Share of the {n}-grams of the completions that are there a second time, 1 − "
        f"distinct / all (seq-rep-{n}, Welleck et al. 2020). Dotted: of what the texts themselves "
        f"have at the same places. {words.bars(curves)}",
        draw=lambda: figures.share(
            curves, look, f"repeated {n}-grams (share)", [(value, "the texts") for value in of_text]
        ),
        table=Table.of_curves(curves, f"repeated {n}-grams (share)"),
        group=group,
    )


def _prefix_panel(model: Perplexity) -> Panel:
    shown = model.by_prefix
    written = Table.of_curves([shown.completion], _WRITTEN, ", wrote")
    in_text = Table.of_curves([shown.text], _IN_TEXT, ", text")
    columns = {
        "tokens of the prefix" if name == "step" else name: cells
        for name, cells in written.beside(in_text).columns.items()
    }
    return Panel(
        name=f"perplexity-by-prefix-{model.model}",
        title=f"By the length of the prefix, {model.model}, step {shown.step}",
        caption="The longer the prefix, the fewer tokens are left to write: at the right end a "
        f"single one. {words.bars([shown.completion, shown.text], 'Bands')}",
        draw=lambda: figures.by_prefix(model, shown),
        table=Table(columns=columns),
        group="By the length of the prefix",
    )


def _phrase(model: Perplexity) -> Table:
    """A row for each prefix, a column for each of some steps, the last among them."""
    phrase = model.phrase
    steps = list(phrase.completions)
    places = np.linspace(0, len(steps) - 1, min(_MOST_STEPS, len(steps))).round().astype(int)
    columns: dict[str, list[object]] = {"prefix": [_visible(text) for text in phrase.prefixes]}
    for step in (steps[k] for k in dict.fromkeys(places.tolist())):
        columns[f"step {step}"] = [_visible(text) for text in phrase.completions[step]]
    return Table(columns=columns)


def _visible(text: str) -> str:
    """Line breaks and tabs as signs: a completion may be nothing else."""
    return text.replace("\n", "↵").replace("\t", "⇥")


def _findings(models: Sequence[Perplexity]) -> list[Finding]:
    courses = [_forward_finding(m) for m in models]
    last = {m.model: float(m.forward.value[-1]) for m in models}
    sentence = f"The perplexity of texts ends at {words.by_model(last)}."
    own = [
        finding
        for m, course in zip(models, courses, strict=True)
        for finding in (course, _completion_finding(m), *_repetition_finding(m))
    ]
    return [*headline(sentence, courses), *own]


def _rests_on(model: Perplexity, clusters: str) -> str:
    return f"{words.counted(len(model.seeds), 'seed')}, {clusters}"


def _forward_finding(model: Perplexity) -> Finding:
    return Finding(
        sentence=f"The perplexity of {words.course(model.forward)}.",
        rests_on=_rests_on(model, words.counted(model.num_documents, "document")),
        grade=grades.course(model.nats),
    )


def _completion_finding(model: Perplexity) -> Finding:
    """Whether the model is surer of its own words than of the text's, at the last step."""
    written, in_text = float(model.completion.value[-1]), float(model.unmasked.value[-1])
    gap = np.log([in_text]) - np.log([written])
    sides = (np.log([c.high[-1]]) - np.log([c.low[-1]]) for c in (model.completion, model.unmasked))
    return Finding(
        sentence=f"{model.model} at step {model.forward.steps[-1]} gives its own completions "
        f"({model.decoding}) a perplexity of {words.number(written)}, and what the texts have "
        f"there {words.number(in_text)}.",
        rests_on=_rests_on(model, words.counted(model.num_unmasked, "text")),
        grade=grades.judge(gap, np.hypot(*(side / 2 for side in sides))),
    )


def _repetition_finding(model: Perplexity) -> list[Finding]:
    last, of_text = float(model.repetition.value[-1]), model.repetition_of_text
    if not np.isfinite([last, of_text]).all():
        return []
    verb = "more" if last > of_text else "no more"
    return [
        Finding(
            sentence=f"{model.model} at step {model.repetition.steps[-1]} repeats "
            f"{words.number(100 * last)} % of the {model.ngram}-grams of its completions, {verb} "
            f"than the {words.number(100 * of_text)} % of the texts themselves.",
            rests_on=_rests_on(model, words.counted(model.num_unmasked, "text")),
            grade=grades.judge(last - of_text, float(model.repetition.sem[-1])),
        )
    ]
