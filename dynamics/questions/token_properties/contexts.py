"""Divergences of single tokens joined with what is known of the text.

Axes: K steps, W windows, T tokens of a window, P = T - 1 predictions of a window, N = W P
predictions, S seeds, U distinct ids. Prediction (w, p) is of token (w, p + 1); the last token of
its context is (w, p). Where every token is predicted from its whole prefix, windows have two
tokens, and one after another they are the predictions of a document. Nats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.errors import InputError
from dynamics.questions.seed_divergence import Divergence
from dynamics.questions.seed_record import Record as SeedRecord
from dynamics.questions.token_properties.record import Record


@dataclass(frozen=True, eq=False, kw_only=True)
class Text:
    """Windows of text and what is known of their tokens before any model reads them.

    Attributes:
        document: [W].
        index: [W,T] into `pieces`.
        pieces: [U].
        count: [W,T] of each token in the frequency corpus.
        tag: [W,T] index into `tag_names`, or -1.
        tag_names: names of tags.
        word_class: [W,T] 1 function word, 0 other word, -1 neither.
        frequency_corpus: where tokens were counted, in words.
        tagger: its name.
        domain: of each document.
        excluded: domains that the table of single tokens leaves out.
    """

    document: np.ndarray
    index: np.ndarray
    pieces: tuple[str, ...]
    count: np.ndarray
    tag: np.ndarray
    tag_names: tuple[str, ...]
    word_class: np.ndarray
    frequency_corpus: str
    tagger: str
    domain: dict[int, str]
    excluded: tuple[str, ...] = ()

    @property
    def owners(self) -> np.ndarray:
        """[N] the document of every prediction."""
        return np.repeat(self.document, self.index.shape[1] - 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Final:
    """What the seeds of one model predict at one step, the last of their runs."""

    seeds: tuple[int, ...]
    step: int
    record: SeedRecord


@dataclass(frozen=True, eq=False, kw_only=True)
class Contexts:
    """Every prediction of one model's seeds.

    Attributes:
        model: name of the model.
        seeds: [S].
        steps: [K].
        kl: [K,N] mean over ordered pairs of seeds.
        surprisal: [K,N] of the predicted token, mean over seeds.
        last_surprisal: [S,N] at the last step of the runs.
        last_step: which that is; where it was not measured, the last that was.
    """

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    kl: np.ndarray
    surprisal: np.ndarray
    last_surprisal: np.ndarray
    last_step: int


def predicted(places: np.ndarray) -> np.ndarray:
    """[W,T] -> [N]: of every prediction the value at the token that it is of."""
    return places[:, 1:].ravel()


def last_context(places: np.ndarray) -> np.ndarray:
    """[W,T] -> [N]: of every prediction the value at the last token that it is given."""
    return places[:, :-1].ravel()


def text_of(record: Record) -> Text:
    """What a stored record says of the text."""
    return Text(
        document=record.document,
        index=record.index,
        pieces=record.pieces,
        count=record.count[record.index],
        tag=record.tag,
        tag_names=record.tag_names,
        word_class=record.word_class,
        frequency_corpus=record.frequency_corpus,
        tagger=record.tagger,
        domain=record.domain,
        excluded=record.excluded,
    )


def contexts(
    models: Sequence[Divergence], text: Text, finals: Mapping[str, Final] | None = None
) -> list[Contexts]:
    """One per model. Models without numbers of every token (older results) are left out.

    `finals` has what models predict at the last step of their runs, where that is beyond the steps
    measured.

    Raises InputError where a model was measured on other windows than the text's.
    """
    return [
        _contexts(model, text, (finals or {}).get(model.model))
        for model in models
        if all(record.token_surprisal is not None for record in model.records)
    ]


def _contexts(model: Divergence, text: Text, final: Final | None) -> Contexts:
    shape = (text.index.shape[0], text.index.shape[1] - 1)
    last = model.steps[-1], model.records[-1]
    if final is not None and final.seeds == model.seeds and final.step > last[0]:
        last = final.step, final.record
    for step, record in [*zip(model.steps, model.records, strict=True), last]:
        windows = np.asarray(record.window_document)
        if record.token_kl.shape != shape or not np.array_equal(windows, text.document):
            raise InputError(
                f"{model.model} at step {step} on {record.token_kl.shape} predictions, properties "
                f"of a text of {shape}",
                expected="properties of the very windows that divergence was measured on",
                mend="Delete the folder token_properties/ (or text/) of the results and run the "
                "same command again.",
            )
    surprisal = [np.asarray(record.token_surprisal) for record in model.records]
    return Contexts(
        model=model.model,
        seeds=model.seeds,
        steps=model.steps,
        kl=np.stack([record.token_kl.ravel() for record in model.records]),
        surprisal=np.stack([of_seeds.mean(0).ravel() for of_seeds in surprisal]),
        last_surprisal=np.asarray(last[1].token_surprisal).reshape(len(model.seeds), -1),
        last_step=int(last[0]),
    )
