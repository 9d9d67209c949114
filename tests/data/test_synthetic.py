"""The process of known distribution: its forward algorithm against enumeration, its samples."""

import itertools

import numpy as np
import pytest

from dynamics.data import synthetic, tokenizer
from dynamics.errors import InputError


def tiny(states: int = 3, tokens: int = 3) -> synthetic.HMM:
    rng = np.random.default_rng(3)
    return synthetic.hmm_of(
        rng.dirichlet(np.ones(states), states), rng.dirichlet(np.ones(tokens), states)
    )


def probability(hmm: synthetic.HMM, tokens) -> float:
    """P(tokens) by walking every path of hidden states."""
    total = 0.0
    for path in itertools.product(range(len(hmm.stationary)), repeat=len(tokens)):
        mass = hmm.stationary[path[0]]
        for k, (state, token) in enumerate(zip(path, tokens, strict=True)):
            mass *= hmm.emission[state, token]
            if k + 1 < len(path):
                mass *= hmm.transition[state, path[k + 1]]
        total += mass
    return total


def test_predictions_equal_enumeration_of_every_path():
    hmm, windows = tiny(), np.array([[0, 1, 2, 2, 0], [2, 2, 1, 0, 1]])
    predicted = np.exp(synthetic.log_predictive(hmm, windows))
    for w, row in enumerate(windows):
        for t in range(1, len(row)):
            before = probability(hmm, row[:t])
            expected = [probability(hmm, [*row[:t], v]) / before for v in range(3)]
            np.testing.assert_allclose(predicted[w, t - 1], expected, rtol=1e-5)


def test_stationary_stays_and_rows_are_distributions():
    for hmm in (tiny(), synthetic.draw_hmm()):
        np.testing.assert_allclose(hmm.stationary @ hmm.transition, hmm.stationary, atol=1e-12)
        assert hmm.stationary.sum() == pytest.approx(1)
    assert (synthetic.draw_hmm().transition > 0).all()


def test_every_token_is_always_possible():
    hmm = synthetic.draw_hmm()
    log_p = np.asarray(synthetic.log_predictive(hmm, synthetic.windows(hmm, 40, 32, 0)))
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(np.exp(log_p).sum(-1), 1, rtol=1e-5)


def test_corpus_and_windows_have_the_pair_frequencies():
    """Counts of token pairs lie within five binomial errors, doubled for dependence."""
    hmm = synthetic.draw_hmm()
    ids = np.concatenate(tokenizer.encode(synthetic.tokenizer(), synthetic.corpus()))
    windows = synthetic.windows(hmm, 4000, 32, 5)
    pair = (hmm.stationary[:, None] * hmm.emission).T @ hmm.transition @ hmm.emission  # [V,V]
    for first, second in ((ids[:-1], ids[1:]), (windows[:, :-1].ravel(), windows[:, 1:].ravel())):
        counts = np.bincount(first * 64 + second, minlength=64 * 64).reshape(64, 64)
        share = counts / counts.sum()
        assert (np.abs(share - pair) < 10 * np.sqrt(pair / counts.sum()) + 2 / counts.sum()).all()
    assert hmm.unigram[0] == pytest.approx(1 / 256)


def test_there_is_something_to_learn_at_every_range():
    """Entropy falls from uniform to unigram, to one token of context, to three, to all of them."""
    hmm = synthetic.draw_hmm()
    windows = synthetic.windows(hmm, 400, 65, 1)

    def entropy(length: int) -> float:
        cut = windows[:, 64 - length : 65]
        logs = np.asarray(synthetic.log_predictive(hmm, cut), np.float64)[:, -1]
        return float(-(np.exp(logs) * logs).sum(-1).mean())

    unigram = float(-(hmm.unigram * np.log(hmm.unigram)).sum())
    course = [np.log(64), unigram, entropy(1), entropy(3), entropy(64)]
    assert np.all(np.diff(course) < -0.02)
    assert course[0] - unigram > 0.5


def test_one_token_is_one_letter():
    made = synthetic.tokenizer()
    assert made.get_vocab_size() == 64
    assert made.encode("abz.", add_special_tokens=False).ids == [1, 2, 26, 63]
    assert made.decode([1, 2, 26, 63]) == "abz."


def test_what_is_no_process_is_refused():
    with pytest.raises(InputError, match="rows that are no distributions"):
        synthetic.hmm_of(np.ones((2, 2)), np.eye(2))
    with pytest.raises(InputError, match="impossible"):
        synthetic.Process(background=0.0)
    with pytest.raises(InputError, match="topics 0"):
        synthetic.Process(topics=0)
