"""What is known of every token of the text before any model reads it.

    python -m experiments.token_properties --suite=nano

Its frequency and its part of speech. Seconds; reads no weights. `experiments.convergence` asks for
it too, so that its page can condition on what it says.
"""

from pathlib import Path

import numpy as np
from absl import flags

from dynamics.data import corpus, frequency, tags, tokenizer, windows
from dynamics.errors import InputError
from dynamics.questions.token_properties import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, scored_text

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "frequency_corpus",
    "eval",
    "text that token frequencies are counted in: eval (the windows), train, or a path",
)
flags.DEFINE_string(
    "tagger",
    "closed",
    "parts of speech: closed (function words by their spelling, no download), nltk (Penn tags), "
    "or module:function",
)
flags.DEFINE_list(
    "exclude_domain", [], "domains, such as code, that the page's table of single tokens leaves out"
)
# Characters of context that a tagger still sees after the last window, and room for its last word.
_TAIL = 200


def experiments(study: Study) -> list[common.Experiment]:
    """One unit: the text is the same at every checkpoint."""
    config = {**scored_text.config(study), "tagger": FLAGS.tagger}
    config["frequency_corpus"] = _frequency_corpus()
    if FLAGS.exclude_domain:
        config["exclude_domain"] = FLAGS.exclude_domain
    tags.tagger(FLAGS.tagger)  # an unknown one ends here, before any work
    unit = Unit.of_suite(record.MEASURE)
    return [common.Experiment(record.MEASURE, config, [unit], properties)]


def properties(study: Study, unit: Unit):
    """Ids, pieces, counts, tags and word classes of the tokens that divergence is measured on."""
    text = scored_text.of(study).predictions
    documents = study.evaluation_corpus.documents
    domain = {int(owner): documents[owner].domain for owner in np.unique(text.document)}
    _check_excluded(set(domain.values()))
    ids, index = np.unique(text.tokens, return_inverse=True)
    count, counted_in = _counts(study, text)
    overlap = FLAGS.context_mode == "prefix"
    tag_names, tag, word_class = _tagged(study.tokenizer, documents, text, overlap=overlap)
    known_text = record.Record(
        tokens=text.tokens,
        document=text.document,
        ids=ids,
        pieces=tuple(tokenizer.piece(study.tokenizer, int(token)) for token in ids),
        count=count[ids],
        index=index.reshape(text.tokens.shape),
        tag=tag,
        tag_names=tuple(tag_names),
        word_class=word_class,
        frequency_corpus=counted_in,
        frequency_total=int(count.sum()),
        tagger=FLAGS.tagger,
        domain=domain,
        excluded=tuple(FLAGS.exclude_domain),
    )
    return record.to_dataset(known_text), []


def _check_excluded(domains: set[str]):
    """Raises InputError for --exclude_domain of one that the text lacks, or of all that it has."""
    for name in FLAGS.exclude_domain:
        if name not in domains:
            raise InputError.unknown("--exclude_domain", name, sorted(domains))
    if domains <= set(FLAGS.exclude_domain):
        raise InputError(
            f"--exclude_domain={','.join(FLAGS.exclude_domain)}, every domain of the text",
            expected="one or more that are left",
        )


def _frequency_corpus() -> str:
    """eval, train, or a digest of the text at a path, which may hold another text tomorrow."""
    name = FLAGS.frequency_corpus
    if name in ("eval", "train"):
        return name
    return f"sha256 {corpus.read(Path(name)).fingerprint()}"


def _counts(study: Study, text: windows.Windows) -> tuple[np.ndarray, str]:
    """Counts of every id, and in words where they were counted."""
    if FLAGS.frequency_corpus == "eval" and FLAGS.context_mode == "prefix":
        documents, name = study.evaluation_documents, "the documents measured on"
    elif FLAGS.frequency_corpus == "eval":
        documents, name = [text.tokens], "the windows measured on"
    elif FLAGS.frequency_corpus == "train":
        part = "all of it" if study.measures_all else "its part for training"
        documents, name = study.train_documents, f"{study.corpus.name}, {part}"
    else:
        other = corpus.read(Path(FLAGS.frequency_corpus))
        documents = tokenizer.encode(study.tokenizer, other)
        name = f"{other.name} (sha256 {other.fingerprint()[:12]}…)"
    highest = max([int(text.tokens.max()), *(int(ids.max()) for ids in documents)])
    count = frequency.counts(documents, max(study.tokenizer.get_vocab_size(), highest + 1))
    return count, f"{name}, {int(count.sum()):,} tokens"


def _tagged(
    encoder, documents, text: windows.Windows, *, overlap: bool
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of tags, and per token of the windows its tag and word class, [W,T] each.

    Windows follow one another in their document or, where they `overlap`, begin at each token.
    """
    length, names = text.tokens.shape[1], []
    tag = np.full(text.tokens.shape, tags.NONE)
    word_class = np.full(text.tokens.shape, tags.NONE)
    tagger = tags.tagger(FLAGS.tagger)
    for owner in np.unique(text.document):
        own = np.flatnonzero(text.document == owner)  # the first windows of the document, in order
        begins = np.arange(len(own)) * (1 if overlap else length)
        places = begins[:, None] + np.arange(length)  # of the windows' tokens in the document
        ids, own_names, own_tags, own_classes = _of_document(
            encoder, _text_of(encoder, documents[owner]), tagger, int(places[-1, -1]) + 1
        )
        alike = len(ids) > places[-1, -1] and np.array_equal(ids[places], text.tokens[own])
        if not alike and documents[owner].ids is not None:
            continue  # ids that the tokenizer would not give: where they stand is not known
        if not alike:
            raise InputError(
                f"windows that are not the first of document {documents[owner].name}",
                expected="windows cut from each document's start, so that tokens can be found in "
                "its text",
            )
        names += [name for name in own_names if name not in names]
        rank = np.array([*(names.index(name) for name in own_names), tags.NONE])
        tag[own] = rank[own_tags][places]
        word_class[own] = own_classes[places]
    return names, tag, word_class


def _text_of(encoder, document: corpus.Document) -> str:
    """Its text; of a document that came as token ids what they spell."""
    if document.ids is None:
        return document.text
    return tokenizer.spelled(encoder, document.ids.tolist(), special=False)


def _of_document(encoder, text: str, tagger: tags.Tagger, count: int):
    """The first `count` ids of a document, separator first; names of tags, tags, word classes."""
    (encoding,) = tokenizer.encode_texts(encoder, [text], fast=False)
    ids = [encoder.token_to_id(tokenizer.SEPARATOR), *encoding.ids][:count]
    # The separator stands for no character.
    spans = np.array([(0, 0), *encoding.offsets][:count], np.int64)
    text = text[: int(spans.max()) + _TAIL]  # what no window reaches need not be tagged
    spans = np.minimum(spans, len(text))
    tagged = tags.tag_text(text, tagger)
    classes = tags.tag_text(text, tags.closed_class)
    of_class = np.array([int(name != "other") for name in classes.names] + [tags.NONE])
    by_class = tags.majority(of_class[classes.of_character], classes.votes, spans)
    by_tag = tags.majority(tagged.of_character, tagged.votes, spans)
    return np.array(ids), tagged.names, by_tag, by_class


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
