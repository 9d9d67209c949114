"""Windows keep to their documents, and a sample of them spreads over as many as it can.

Axes: N windows, T tokens.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics.data import windows
from dynamics.errors import InputError

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=12)


def numbered(lengths: list[int]) -> list[np.ndarray]:
    """Documents whose every token says where it stands: 1000 * document + position."""
    return [1000 * k + np.arange(n, dtype=np.int32) for k, n in enumerate(lengths)]


@settings(deadline=None)
@given(lengths=LENGTHS, length=st.integers(1, 9))
def test_windows_are_whole_runs_of_one_document(lengths, length):
    if max(lengths) < length:
        with pytest.raises(InputError):
            windows.cut(numbered(lengths), length)
        return
    cut = windows.cut(numbered(lengths), length)
    assert cut.tokens.shape == (len(cut), length)
    assert cut.tokens.dtype == cut.document.dtype == np.int32
    np.testing.assert_array_equal(
        cut.tokens // 1000, np.broadcast_to(cut.document[:, None], cut.tokens.shape)
    )
    np.testing.assert_array_equal(np.diff(cut.tokens, axis=1), 1)
    # Each document is cut from its start, without gap or overlap, and less than a window of it is
    # left out.
    for k, n in enumerate(lengths):
        own = cut.tokens[cut.document == k].ravel() - 1000 * k
        np.testing.assert_array_equal(own, np.arange(n - n % length))


@settings(deadline=None)
@given(lengths=LENGTHS.filter(lambda n: max(n) >= 3), count=st.integers(0, 60))
def test_take_spreads_over_as_many_documents_as_it_can(lengths, count):
    cut = windows.cut(numbered(lengths), 3)
    taken = cut.take(count)
    assert len(taken) == min(count, len(cut))
    np.testing.assert_array_equal(
        taken.tokens // 1000, np.broadcast_to(taken.document[:, None], taken.tokens.shape)
    )
    assert len(np.unique(taken.tokens[:, 0])) == len(taken)  # none twice
    available = np.bincount(cut.document, minlength=len(lengths))
    per_document = np.bincount(taken.document, minlength=len(lengths))
    # Water-filling: a document gives fewer than the most generous one, less a turn, only when it
    # has no more.
    assert (per_document >= np.minimum(available, per_document.max() - 1)).all()
    assert np.count_nonzero(per_document) == min(count, np.count_nonzero(available))
    for k in range(len(lengths)):
        np.testing.assert_array_equal(
            taken.tokens[taken.document == k], cut.tokens[cut.document == k][: per_document[k]]
        )


def test_take_keeps_the_order():
    taken = windows.cut(numbered([12, 3, 9]), 3).take(5)
    np.testing.assert_array_equal(taken.document, [0, 0, 1, 2, 2])


def test_documents_shorter_than_the_window_are_refused():
    with pytest.raises(
        InputError, match="2 documents, all shorter than 9 tokens; expected at least one window"
    ):
        windows.cut(numbered([8, 3]), 9)
    with pytest.raises(InputError, match="0 documents"):
        windows.cut([], 9)


@pytest.mark.parametrize("length", [0, -3])
def test_windows_of_no_tokens_are_refused(length):
    with pytest.raises(InputError, match=f"windows of {length} tokens"):
        windows.cut(numbered([8]), length)


def test_vocabulary_is_checked_at_both_ends():
    windows.check_vocabulary(np.array([[0, 100]]), 101)
    with pytest.raises(
        InputError, match="token ids from 0 to 101; expected 0 to 100, the model's vocabulary"
    ):
        windows.check_vocabulary(np.array([[0, 101]]), 101)
    with pytest.raises(InputError, match="token ids from -1 to 3"):
        windows.check_vocabulary(np.array([[3, -1]]), 101)


@settings(deadline=None)
@given(lengths=LENGTHS.filter(lambda n: max(n) >= 2), positions=st.integers(2, 9))
def test_prefixes_predict_every_token_once_from_all_that_a_model_reads(lengths, positions):
    text = windows.prefixes(numbered(lengths), positions)
    assert text.scored.any(1).all()
    assert text.tokens.shape[1] <= positions + 1
    assert (text.short, text.long) == (
        sum(n < 2 for n in lengths),
        sum(n > positions + 1 for n in lengths),
    )
    pairs = text.pairs()
    for k, n in enumerate(lengths):
        own = text.document == k
        predictions = pairs.tokens[pairs.document == k] - 1000 * k
        np.testing.assert_array_equal(predictions[:, 1], np.arange(1, n))
        np.testing.assert_array_equal(predictions[:, 0], np.arange(max(n - 1, 0)))
        place, given_tokens = (
            text.tokens[own][:, 1:] - 1000 * k,
            np.nonzero(text.scored[own])[1] + 1,
        )
        target = place[text.scored[own]]
        # The whole prefix wherever a model can read it, and never under half of what it can.
        assert (given_tokens >= np.minimum(target, positions // 2)).all()
        inside = target <= positions
        np.testing.assert_array_equal(given_tokens[inside], target[inside])


def test_documents_of_which_nothing_can_be_predicted_are_refused():
    with pytest.raises(InputError, match="2 documents, all shorter than 2 tokens"):
        windows.prefixes(numbered([1, 0]), 9)
    with pytest.raises(InputError, match="prefixes of 1 tokens"):
        windows.prefixes(numbered([8]), 1)
