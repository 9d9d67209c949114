"""The process whose truth is known: its forward algorithm against enumeration, its samples against
its own numbers."""

import itertools

import numpy as np
import pytest

from dynamics.data import synthetic, tokenizer
from dynamics.errors import InputError


def tiny(states: int = 3, tokens: int = 3) -> synthetic.Chain:
    rng = np.random.default_rng(3)
    return synthetic.chain_of(
        rng.dirichlet(np.ones(states), states), rng.dirichlet(np.ones(tokens), states)
    )


def probability(chain: synthetic.Chain, tokens) -> float:
    """P(tokens) by walking every path of hidden states."""
    total = 0.0
    for path in itertools.product(range(len(chain.stationary)), repeat=len(tokens)):
        mass = chain.stationary[path[0]]
        for k, (state, token) in enumerate(zip(path, tokens, strict=True)):
            mass *= chain.emission[state, token]
            if k + 1 < len(path):
                mass *= chain.transition[state, path[k + 1]]
        total += mass
    return total


def test_predictions_equal_enumeration_of_every_path():
    chain, windows = tiny(), np.array([[0, 1, 2, 2, 0], [2, 2, 1, 0, 1]])
    found = np.exp(synthetic.log_predictive(chain, windows))
    for w, row in enumerate(windows):
        for t in range(1, len(row)):
            before = probability(chain, row[:t])
            expected = [probability(chain, [*row[:t], v]) / before for v in range(3)]
            np.testing.assert_allclose(found[w, t - 1], expected, rtol=1e-5)


def test_stationary_stays_and_rows_are_distributions():
    for chain in (tiny(), synthetic.chain()):
        np.testing.assert_allclose(
            chain.stationary @ chain.transition, chain.stationary, atol=1e-12
        )
        assert chain.stationary.sum() == pytest.approx(1)
    assert (synthetic.chain().transition > 0).all()


def test_every_token_is_always_possible():
    chain = synthetic.chain()
    found = np.asarray(synthetic.log_predictive(chain, synthetic.windows(chain, 40, 32, 0)))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, rtol=1e-5)


def test_corpus_and_windows_are_of_the_chain():
    """Counts of a pair of tokens lie within five binomial errors, doubled for dependence, of the
    exact chances."""
    chain = synthetic.chain()
    ids = np.concatenate(tokenizer.encode(synthetic.tokenizer(), synthetic.corpus()))
    windows = synthetic.windows(chain, 4000, 32, 5)
    pair = (
        (chain.stationary[:, None] * chain.emission).T @ chain.transition @ chain.emission
    )  # [V,V]
    for first, second in ((ids[:-1], ids[1:]), (windows[:, :-1].ravel(), windows[:, 1:].ravel())):
        counts = np.bincount(first * 64 + second, minlength=64 * 64).reshape(64, 64)
        share = counts / counts.sum()
        assert (np.abs(share - pair) < 10 * np.sqrt(pair / counts.sum()) + 2 / counts.sum()).all()
    assert chain.unigram[0] == pytest.approx(1 / 256)


def test_there_is_something_to_learn_at_every_range():
    """Entropy falls from uniform to unigram, to one token of context, to three, to all of them."""
    chain = synthetic.chain()
    windows = synthetic.windows(chain, 400, 65, 1)

    def entropy(length: int) -> float:
        cut = windows[:, 64 - length : 65]
        logs = np.asarray(synthetic.log_predictive(chain, cut), np.float64)[:, -1]
        return float(-(np.exp(logs) * logs).sum(-1).mean())

    unigram = float(-(chain.unigram * np.log(chain.unigram)).sum())
    course = [np.log(64), unigram, entropy(1), entropy(3), entropy(64)]
    assert np.all(np.diff(course) < -0.02)
    assert course[0] - unigram > 0.5


def test_one_token_is_one_letter():
    made = synthetic.tokenizer()
    assert made.get_vocab_size() == 64
    assert made.encode("abz.", add_special_tokens=False).ids == [1, 2, 26, 63]
    assert made.decode([1, 2, 26, 63]) == "abz."


def test_what_is_no_process_is_told():
    with pytest.raises(InputError, match="rows that are no distributions"):
        synthetic.chain_of(np.ones((2, 2)), np.eye(2))
    with pytest.raises(InputError, match="impossible"):
        synthetic.Process(background=0.0)
    with pytest.raises(InputError, match="topics 0"):
        synthetic.Process(topics=0)
