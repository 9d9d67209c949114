"""Perplexity over training: of texts, of their last words, and of what a model writes itself.

Axes: K steps (ascending), U completed texts, P lengths of a prefix, Q shown completions.

Surprisals are averaged, and exp is taken of the mean and of the ends of its bar: the bars of a
perplexity are not symmetric.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.means import clustered_mean
from dynamics.questions.committed import Committed, Pairs, by_model
from dynamics.questions.perplexity import record
from dynamics.questions.perplexity.record import Record
from dynamics.questions.single_seeds import (
    of_seed,
    over_seeds_or_clusters,
    records_by_step,
    seeds_of,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class LastWord:
    """Of each text's last word.

    Attributes:
        perplexity: exp of the mean over texts of its summed surprisal.
        accuracy: share of texts whose last word the model would have written.
    """

    perplexity: Curve
    accuracy: Curve


@dataclass(frozen=True, kw_only=True, eq=False)
class ByPrefix:
    """Causal unmasking at the last step of the first seed, by the length of the prefix.

    Attributes:
        step: which one.
        completion, text: perplexities, their `steps` being the lengths [P] in tokens.
    """

    step: int
    completion: Curve
    text: Curve


@dataclass(frozen=True, kw_only=True, eq=False)
class Phrase:
    """A phrase's completions by the first seed.

    Attributes:
        prefixes: [Q] what the model was given.
        completions: step -> [Q] what it wrote after each.
    """

    prefixes: tuple[str, ...]
    completions: Mapping[int, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Perplexity:
    """Of one model over training.

    Attributes:
        model: name of the model.
        seeds: that were measured.
        nats: mean surprisal of texts, forward.
        forward: its exp.
        completion: perplexity of what the model wrote after all prefixes of some texts.
        unmasked: perplexity of what the texts have there.
        repetition: share of the completions' n-grams that are there a second time.
        repetition_of_text: the same of what the texts have there.
        last_word: None where it was not scored.
        by_prefix: at the last step.
        phrase: shown completions.
        ngram: n of the repetition.
        vocab_size: the perplexity of a model that knows nothing.
        texts: what was scored forward, in words.
        num_texts, num_documents, num_tokens: of that.
        num_cut: texts that lost their beginning.
        num_unmasked, unmasked_tokens: texts that were completed, and tokens of each.
        decoding: how, in words.
    """

    model: str
    seeds: tuple[int, ...]
    nats: Curve
    forward: Curve
    completion: Curve
    unmasked: Curve
    repetition: Curve
    repetition_of_text: float
    last_word: LastWord | None
    by_prefix: ByPrefix
    phrase: Phrase
    ngram: int
    vocab_size: int
    texts: str
    num_texts: int
    num_documents: int
    num_tokens: int
    num_cut: int
    num_unmasked: int
    unmasked_tokens: int
    decoding: str


def find(committed: Committed) -> list[Perplexity] | None:
    """One per model, models by size."""
    groups = by_model(committed.of(record.MEASURE))
    return [_perplexity(model, pairs) for model, pairs in groups.items()] or None


def _perplexity(model: str, pairs: Pairs) -> Perplexity:
    steps = records_by_step(pairs, record.from_dataset)
    seeds = seeds_of(steps)
    own = of_seed(steps, seeds[0])
    last = own[max(own)][seeds[0]]
    texts, prefixes = last.completion_nats.shape

    def curve(estimate: Callable[[Record], tuple[float, float]], clusters: str) -> Curve:
        return over_seeds_or_clusters(model, steps, estimate, clusters)

    completed = f"{texts} texts"
    nats = curve(_forward, f"{len(np.unique(last.text_document))} documents")
    return Perplexity(
        model=model,
        seeds=tuple(seeds),
        nats=nats,
        forward=_exp(nats),
        completion=_exp(curve(lambda r: _unmasked(r, r.completion_nats), completed)),
        unmasked=_exp(curve(lambda r: _unmasked(r, r.unmasked_nats), completed)),
        repetition=curve(lambda r: _repetition(r, r.repeated), completed),
        repetition_of_text=_repetition(last, last.repeated_in_text)[0],
        last_word=_last_word(curve, last),
        by_prefix=_by_prefix(model, max(own), last),
        phrase=Phrase(
            prefixes=last.phrase_prefix,
            completions={step: of[seeds[0]].phrase_completion for step, of in own.items()},
        ),
        ngram=last.ngram,
        vocab_size=last.vocab_size,
        texts=last.texts,
        num_texts=len(last.text_nats),
        num_documents=len(np.unique(last.text_document)),
        num_tokens=int(last.text_tokens.sum()),
        num_cut=last.num_cut,
        num_unmasked=texts,
        unmasked_tokens=prefixes + 1,
        decoding=last.decoding,
    )


def _exp(curve: Curve) -> Curve:
    with np.errstate(over="ignore"):
        value, low, high = (np.exp(x) for x in (curve.value, curve.low, curve.high))
    return Curve.with_limits(curve.model, curve.steps, value, low, high, curve.rests_on)


def _forward(r: Record) -> tuple[float, float]:
    mean, sem, _ = clustered_mean(r.text_nats, r.text_document, r.text_tokens)
    return float(mean), float(sem)


def _unmasked(r: Record, nats: np.ndarray) -> tuple[float, float]:
    """Mean over the tokens of all completions; a prefix of p tokens has P + 1 - p after it."""
    prefixes = nats.shape[1]
    weights = np.broadcast_to(np.arange(prefixes, 0, -1), nats.shape)
    owner = np.repeat(r.unmasked_document, prefixes)
    mean, sem, _ = clustered_mean(nats.ravel(), owner, weights.ravel())
    return float(mean), float(sem)


def _repetition(r: Record, repeated: np.ndarray) -> tuple[float, float]:
    """Share of all n-grams; completions of fewer than n tokens have none."""
    prefixes = repeated.shape[1]
    total = np.maximum(np.arange(prefixes, 0, -1) - r.ngram + 1, 0)
    if not total.any():
        return np.nan, np.nan
    share = repeated / np.maximum(total, 1)
    owner = np.repeat(r.unmasked_document, prefixes)
    weights = np.broadcast_to(total, repeated.shape)
    mean, sem, _ = clustered_mean(share.ravel(), owner, weights.ravel())
    return float(mean), float(sem)


def _last_word(curve: Callable[..., Curve], last: Record) -> LastWord | None:
    if last.last_word_nats is None:
        return None
    clusters = f"{len(last.text_nats)} texts"

    def over_texts(values: np.ndarray | None) -> tuple[float, float]:
        if values is None:
            return np.nan, np.nan
        mean, sem, _ = clustered_mean(values, np.arange(len(values)))
        return float(mean), float(sem)

    return LastWord(
        perplexity=_exp(curve(lambda r: over_texts(r.last_word_nats), clusters)),
        accuracy=curve(lambda r: over_texts(r.last_word_right), clusters),
    )


def _by_prefix(model: str, step: int, last: Record) -> ByPrefix:
    def over_texts(nats: np.ndarray) -> Curve:
        mean, sem, count = clustered_mean(nats.T, last.unmasked_document)
        lengths = np.arange(1, nats.shape[1] + 1)
        rests_on = f"± standard error over {count} texts, one seed" if count > 1 else ""
        return _exp(Curve.with_sem(model, lengths, mean, sem, rests_on))

    return ByPrefix(
        step=step,
        completion=over_texts(last.completion_nats),
        text=over_texts(last.unmasked_nats),
    )
