"""Kneser-Ney against its formula, its normalisation, and the entropy rate of a known chain."""

import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics.analysis.means import clustered_mean
from dynamics.errors import InputError
from dynamics.measures.ngram import add_one_unigram, fit

V = 7
DOCUMENTS = st.lists(st.lists(st.integers(0, V - 1), max_size=12), min_size=1, max_size=6).filter(
    any
)
ORDER = st.integers(1, 5)


def arrays(documents: list[list[int]]) -> list[np.ndarray]:
    return [np.array(d, np.uint16) for d in documents]


class BruteForce:
    """Interpolated Kneser-Ney from the formula, in dictionaries of tuples.

    A begin symbol opens each document.
    """

    def __init__(self, documents, vocab_size: int, order: int):
        self.vocab_size, self.order = vocab_size, order
        self.children = [defaultdict(dict) for _ in range(order + 1)]
        for k in range(1, order + 1):
            occurrences, before = Counter(), defaultdict(set)
            for d in documents:
                for end in range(k, len(d) + 1):
                    gram = tuple(d[end - k : end])
                    occurrences[gram] += 1
                    before[gram].add(d[end - k - 1] if end > k else "begin")
            for gram in occurrences:
                count = occurrences[gram] if k == order else len(before[gram])
                self.children[k][gram[:-1]][gram[-1]] = count

    def discount(self, k: int) -> float:
        counts = [c for children in self.children[k].values() for c in children.values()]
        once, twice = counts.count(1), counts.count(2)
        return once / (once + 2 * twice) if once and twice else 0.5

    def probability(self, token: int, context: tuple[int, ...]) -> float:
        context = context[max(0, len(context) - self.order + 1) :]
        lower = self.probability(token, context[1:]) if context else 1 / self.vocab_size
        children = self.children[len(context) + 1].get(context)
        if children is None:
            return lower
        d, total = self.discount(len(context) + 1), sum(children.values())
        return (max(children.get(token, 0) - d, 0) + d * len(children) * lower) / total


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, ORDER, st.lists(st.integers(0, V - 1), max_size=8))
def test_agrees_with_the_formula_and_sums_to_one_in_any_context(documents, order, context):
    model, brute = fit(arrays(documents), V, order), BruteForce(documents, V, order)
    log_probs = model.distribution(np.array(context, np.int32))
    np.testing.assert_allclose(np.exp(log_probs).sum(), 1, rtol=1e-13)
    expected = [brute.probability(w, tuple(context)) for w in range(V)]
    np.testing.assert_allclose(log_probs, np.log(expected), rtol=1e-11)


@settings(max_examples=40, deadline=None)
@given(DOCUMENTS, ORDER, st.lists(st.integers(0, V - 1), min_size=1, max_size=12))
def test_log_probs_are_entries_of_the_distributions(documents, order, tokens):
    model = fit(arrays(documents), V, order)
    expected = [model.distribution(np.array(tokens[:t], int))[w] for t, w in enumerate(tokens)]
    np.testing.assert_allclose(model.log_probs(np.array(tokens)), expected, rtol=1e-12)


def test_unseen_contexts_back_off_to_the_unigram():
    model = fit(arrays([[0, 1, 2, 0, 1]]), V, 3)
    np.testing.assert_array_equal(
        model.distribution(np.array([5, 6])), model.distribution(np.array([], int))
    )
    np.testing.assert_array_equal(
        model.distribution(np.array([5, 0])), model.distribution(np.array([0]))
    )
    assert np.isfinite(model.distribution(np.array([0, 1]))).all()


def test_ngrams_never_cross_documents():
    apart, joined = fit(arrays([[0, 1], [2, 3]]), V, 2), fit(arrays([[0, 1, 2, 3]]), V, 2)
    after_one = np.array([1])
    np.testing.assert_array_equal(
        apart.distribution(after_one), apart.distribution(np.array([], int))
    )
    assert joined.distribution(after_one)[2] > apart.distribution(after_one)[2]


def test_lower_orders_count_contexts_not_occurrences():
    """'San Francisco': a token frequent after one context alone gets the unigram of a rare one."""
    documents = arrays([[0, 1] * 10 + [2, 3, 4, 3, 5, 3]])
    unigram = fit(documents, V, 2).distribution(np.array([], int))
    assert unigram[3] > unigram[1]


def sample_chain(
    rng: np.random.Generator, rows: np.ndarray, documents: int, length: int
) -> list[np.ndarray]:
    cumulative, state = rows.cumsum(1), rng.integers(0, len(rows), documents)
    steps = [state]
    for _ in range(length - 1):
        state = np.minimum((rng.random((documents, 1)) > cumulative[state]).sum(1), len(rows) - 1)
        steps.append(state)
    return list(np.stack(steps, 1))


def test_bigrams_approach_the_entropy_rate_of_a_chain_and_unigrams_do_not():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(20, 0.3), 20)
    stationary = np.linalg.matrix_power(rows, 500)[0]
    rate = -(stationary @ np.where(rows > 0, rows * np.log(np.maximum(rows, 1e-300)), 0).sum(1))
    held_out = sample_chain(rng, rows, 200, 500)
    excess = []
    for documents in (2, 20, 400):
        model = fit(sample_chain(rng, rows, documents, 500), 20, 2)
        nats, sem, _ = clustered_mean(*model.surprisal(held_out))
        assert nats > rate - 4 * sem
        excess.append(nats - rate)
    assert excess[0] > excess[1] > excess[2] - 1e-3
    assert abs(excess[2]) < 0.01
    unigram = fit(sample_chain(rng, rows, 400, 500), 20, 1)
    nats, _ = unigram.surprisal(held_out)
    assert nats.mean() > rate + 0.3


def test_surprisal_leaves_out_first_tokens_and_names_each_document():
    train, held_out = (
        arrays([[0, 1, 2, 0, 1, 3], [4, 0, 1]]),
        arrays([[0, 1, 2], [5], [4, 0, 1, 6], []]),
    )
    model = fit(train, V, 3)
    nats = [-model.log_probs(d) for d in held_out]
    surprisal, document = model.surprisal(held_out)
    np.testing.assert_array_equal(surprisal, np.concatenate([n[1:] for n in nats]))
    np.testing.assert_array_equal(document, [0, 0, 2, 2, 2])
    mean, sem, count = clustered_mean(surprisal, document)
    assert count == 2
    sums = np.array([(n[1:] - mean).sum() for n in nats if len(n) > 1])
    assert sem == pytest.approx(np.sqrt(2 * (sums**2).sum()) / 5)
    with_first, document = model.surprisal(held_out, skip_first=False)
    np.testing.assert_array_equal(with_first, np.concatenate(nats))
    np.testing.assert_array_equal(document, [0, 0, 0, 1, 2, 2, 2, 2])


def test_add_one_unigram():
    documents = arrays([[0, 0, 1], [2], []])
    np.testing.assert_allclose(np.exp(add_one_unigram(documents, 4)), np.array([3, 2, 2, 1]) / 8)


def test_a_vocabulary_whose_fifth_power_overflows():
    vocab_size = 50304
    assert vocab_size**5 > 2**63
    rng = np.random.default_rng(1)
    documents = [
        rng.integers(vocab_size - 40, vocab_size, 300).astype(np.uint16) for _ in range(10)
    ]
    model, brute = (
        fit(documents, vocab_size, 5),
        BruteForce([d.tolist() for d in documents], vocab_size, 5),
    )
    context = documents[3][100:104]
    log_probs = model.distribution(context)
    assert np.exp(log_probs).sum() == pytest.approx(1, rel=1e-12)
    for token in (0, int(documents[3][104]), vocab_size - 1):
        assert log_probs[token] == pytest.approx(
            np.log(brute.probability(token, tuple(context.tolist()))), rel=1e-10
        )


def test_a_million_tokens_in_seconds():
    rng = np.random.default_rng(2)
    tokens = np.minimum(rng.zipf(1.3, (1000, 1000)), 50303).astype(np.uint16)
    start = time.process_time()  # the processor's time: the machine is shared
    fit(list(tokens), 50304, 3)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    "tokens", [np.array([0, V]), np.array([-1, 0]), np.array([0.5]), np.zeros((2, 2), int)]
)
def test_tokens_that_are_no_ids_are_refused(tokens):
    model = fit(arrays([[0, 1]]), V, 2)
    for call in (
        lambda: fit([tokens], V, 2),
        lambda: add_one_unigram([tokens], V),
        lambda: model.log_probs(tokens),
        lambda: model.distribution(tokens),
        lambda: model.surprisal([tokens]),
    ):
        with pytest.raises(InputError, match="token"):
            call()


def test_nothing_to_count_or_score_is_refused():
    with pytest.raises(InputError, match="order 0"):
        fit(arrays([[0]]), V, 0)
    with pytest.raises(InputError, match="at least one token"):
        fit(arrays([[]]), V, 2)
    with pytest.raises(InputError, match="two tokens"):
        fit(arrays([[0, 1]]), V, 2).surprisal(arrays([[0]]))
