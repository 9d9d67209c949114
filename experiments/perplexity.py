"""How well do the models foretell texts, and what do they write themselves?

    python -m experiments.perplexity --suite=nano
    python -m experiments.perplexity --suite=pythia --models=70m --texts=lambada_test.jsonl
    python -m experiments.perplexity --suite=nano --temperature=1 --out=results/sampled

Half a minute on 2 cores. Forward perplexity of whole texts, by default of held-out windows; with
--texts, of passages, and of their last words as LAMBADA asks. Causal unmasking: every prefix of
some texts is completed to their length, and what the model wrote and what the text has there are
scored apart. Expect the vocabulary's size at step 0, and completions that repeat themselves.
--phrase="New York is the most popular" makes the table of Nicolini et al. 2024, Figure 5.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import numpy as np
from absl import flags

from dynamics import inputs
from dynamics.data import corpus, passages, tokenizer, windows
from dynamics.errors import InputError
from dynamics.measures import completions, perplexity
from dynamics.questions.perplexity import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "texts",
    None,
    "passages to score whole: jsonl with a text on each line, as LAMBADA's, or plain text with a "
    "passage on each line; default windows of the held-out text",
)
flags.DEFINE_bool("last_word", True, "score the last word of each passage of --texts, too")
number_flags.whole("perplexity_texts", 64, "texts to score forward (0: all)")
number_flags.whole("unmask_texts", 8, "texts to complete from every prefix", least=1)
number_flags.whole("unmask_tokens", 48, "tokens of each of them", least=2)
number_flags.real(
    "temperature", 0.0, "of the completions; 0 takes the likeliest token", least=0, most=100
)
number_flags.whole("sampling_seed", 0, "of completions that are drawn", most=common.MOST_SEED)
flags.DEFINE_string(
    "phrase",
    "If the file does not exist, the function raises an error",
    "its completions from every prefix are shown",
)
number_flags.whole("perplexity_seeds", 1, "how many of the seeds to take (0: all)")

NGRAM = 4  # of the repetition rate


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Texts:
    """What is measured on, encoded.

    Axes: N texts, T tokens; U texts to unmask of M tokens; S tokens of the phrase.

    Attributes:
        name: of the texts that are scored forward, in words.
        tokens, lengths: [N,T], [N] of the texts that are scored forward.
        document: [N] which document each is of.
        last_word: [N] where last words begin, or None.
        unmasked: windows of M tokens.
        phrase: [S] with the separator before it.
        num_cut: texts that lost their beginning.
    """

    name: str
    tokens: np.ndarray
    lengths: np.ndarray
    document: np.ndarray
    last_word: np.ndarray | None
    unmasked: windows.Windows
    phrase: np.ndarray
    num_cut: int


def experiments(study: Study) -> list[common.Experiment]:
    """Every checkpoint of the seeds that are asked for."""
    longest = min(config.max_positions for config in study.configs().values())
    if FLAGS.unmask_tokens > longest:
        raise InputError(
            f"--unmask_tokens={FLAGS.unmask_tokens}",
            expected=f"at most {longest}, the positions of the models",
        )
    inputs.check_text(FLAGS.phrase, "--phrase")
    scored = passages.read(FLAGS.texts) if FLAGS.texts else None
    config = {
        **study.text_config(),
        "texts_sha256": scored.fingerprint() if scored else "",
        "last_word": bool(scored and FLAGS.last_word),
        "texts": FLAGS.perplexity_texts,
        "unmask": [FLAGS.unmask_texts, FLAGS.unmask_tokens],
        "temperature": FLAGS.temperature,
        "sampling_seed": FLAGS.sampling_seed if FLAGS.temperature else 0,
        "phrase": FLAGS.phrase,
    }
    # Encoded at the first unit, when its checkpoint and tokenizer are here; all units share it.
    encoded = functools.cache(lambda: _encoded(study, scored, longest))
    seeds = study.suite.seeds[: FLAGS.perplexity_seeds or None]

    def compute(study: Study, unit: Unit):
        return _of_checkpoint(study, unit, encoded())

    units = study.single_units(record.MEASURE, seeds)
    return [common.Experiment(record.MEASURE, config, units, compute)]


def _of_checkpoint(study: Study, unit: Unit, texts: Texts):
    """Forward perplexity, causal unmasking and the phrase's completions of one checkpoint."""
    (cell,) = unit.cells()
    checkpoint = study.load(*cell)
    config, params = checkpoint.config, jax.device_put(checkpoint.params)
    forward = perplexity.text_surprisal(
        config, params, texts.tokens, texts.lengths, texts.last_word
    )
    unmask = functools.partial(
        completions.causal_unmasking,
        config,
        params,
        temperature=FLAGS.temperature,
        key=jax.random.key(FLAGS.sampling_seed) if FLAGS.temperature else None,
    )
    unmasked, shown = unmask(texts.unmasked.tokens), unmask(texts.phrase[None])
    prefix = np.arange(1, FLAGS.unmask_tokens)
    in_text = np.broadcast_to(texts.unmasked.tokens[:, None], unmasked.tokens.shape)
    perplexity.check_surprisal(shown.completion, "a phrase's completion")  # before it is spelled
    begun, completed = _spelled(study, shown.tokens[0])
    measured = record.Record(
        text_nats=forward.mean,
        text_tokens=forward.scored,
        text_document=texts.document,
        last_word_nats=forward.last_word,
        last_word_right=forward.last_right,
        completion_nats=perplexity.check_surprisal(unmasked.completion, "a completion"),
        unmasked_nats=perplexity.check_surprisal(unmasked.text, "a text after a completion"),
        unmasked_document=texts.unmasked.document,
        repeated=completions.repeated_ngrams(unmasked.tokens, prefix, NGRAM)[0],
        repeated_in_text=completions.repeated_ngrams(in_text, prefix, NGRAM)[0],
        ngram=NGRAM,
        phrase_prefix=begun,
        phrase_completion=completed,
        vocab_size=config.vocab_size,
        texts=texts.name,
        decoding=f"sampled at temperature {FLAGS.temperature:g}" if FLAGS.temperature else "greedy",
        num_cut=texts.num_cut,
    )
    return record.to_dataset(measured), [checkpoint.provenance]


def _encoded(study: Study, scored: corpus.Corpus | None, longest: int) -> Texts:
    """What every checkpoint is measured on. Raises InputError."""
    bpe = study.tokenizer
    phrase = passages.encode(bpe, _one(FLAGS.phrase), longest).tokens[0]
    if len(phrase) < 3:
        raise InputError(
            f"--phrase={FLAGS.phrase!r} of {len(phrase) - 1} token", expected="two or more"
        )
    if scored is None:
        every_window = study.evaluation_windows
        text = every_window.take(FLAGS.perplexity_texts or len(every_window))
        return Texts(
            name="windows of the text" if study.measures_all else "windows of the held-out text",
            tokens=text.tokens,
            lengths=np.full(len(text), text.tokens.shape[1]),
            document=text.document,
            last_word=None,
            unmasked=_to_unmask(study.evaluation_documents),
            phrase=phrase,
            num_cut=0,
        )
    count = FLAGS.perplexity_texts or len(scored.documents)
    first = dataclasses.replace(scored, documents=scored.documents[:count])
    text = passages.encode(bpe, first, longest, last_word=FLAGS.last_word)
    rows = [row[:length] for row, length in zip(text.tokens, text.lengths, strict=True)]
    return Texts(
        name=f"passages of {scored.name}",
        tokens=text.tokens,
        lengths=text.lengths,
        document=np.arange(len(text.tokens)),
        last_word=text.last_word,
        unmasked=_to_unmask(rows),
        phrase=phrase,
        num_cut=text.num_cut,
    )


def _one(text: str) -> corpus.Corpus:
    return corpus.Corpus("--phrase", (corpus.Document("--phrase", "text", text),))


def _to_unmask(documents: Sequence[np.ndarray]) -> windows.Windows:
    """Windows of --unmask_tokens of --unmask_texts documents."""
    try:
        cut = windows.cut(documents, FLAGS.unmask_tokens)
    except InputError as error:
        mend = "Use fewer --unmask_tokens or longer texts."
        raise InputError(error.got, expected=error.expected, mend=mend) from error
    return _spread(cut, FLAGS.unmask_texts)


def _spread(text: windows.Windows, count: int) -> windows.Windows:
    """The first windows of `count` documents, evenly spread over all of them."""
    first = text.take(len(np.unique(text.document)))
    places = np.unique(np.linspace(0, len(first) - 1, min(count, len(first))).round().astype(int))
    return windows.Windows(first.tokens[places], first.document[places])


def _spelled(study: Study, completed: np.ndarray) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Texts of the prefixes and of their completions, of [P,T] tokens headed by the separator.

    The first row is left out, whose prefix is the separator alone.
    """

    def text(ids: np.ndarray) -> str:
        return tokenizer.spelled(study.tokenizer, ids.tolist())

    rows = [(row[1 : place + 1], row[place + 1 :]) for place, row in enumerate(completed)][1:]
    return tuple(text(begun) for begun, _ in rows), tuple(text(rest) for _, rest in rows)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
