"""The explained share: an identity, invariances, and an interval that covers."""

import numpy as np
import pytest

from dynamics.analysis.explained import explained_share
from dynamics.errors import InputError

RNG = np.random.default_rng(0)
COLUMNS = RNG.normal(size=(3, 400))
VALUES = RNG.normal(size=(2, 400)) + COLUMNS[:2]
DOCUMENTS = RNG.integers(0, 9, 400)


def test_it_is_the_squared_correlation_with_the_fitted_values():
    share, low, high = explained_share(VALUES, COLUMNS, DOCUMENTS)
    design = np.vstack([np.ones(400), COLUMNS]).T
    for k, row in enumerate(VALUES):
        fitted = design @ np.linalg.lstsq(design, row, rcond=None)[0]
        assert share[k] == pytest.approx(np.corrcoef(fitted, row)[0, 1] ** 2, rel=1e-9)
    assert ((low < share) & (share < high)).all()


def test_scales_order_and_spanned_columns_change_nothing():
    expected = explained_share(VALUES, COLUMNS, DOCUMENTS)
    shuffled = RNG.permutation(400)
    twice = np.vstack([COLUMNS, COLUMNS[0] - 2 * COLUMNS[1]])[:, shuffled]
    again = explained_share(5 - 2 * VALUES[:, shuffled], 7 + 3 * twice, DOCUMENTS[shuffled])
    np.testing.assert_allclose(again, expected, rtol=1e-6)


def test_its_interval_covers_where_documents_differ():
    # Documents share a part of both column and value: R^2 = 1 / (1 + 1).
    rng, runs, size = np.random.default_rng(1), 250, 40
    covered = 0
    for _ in range(runs):
        lengths = rng.integers(5, size, 20)
        owner = np.repeat(np.arange(20), lengths)
        shared, noise = 0.6 * rng.normal(size=(2, 20))[:, owner] + 0.8 * rng.normal(
            size=(2, len(owner))
        )
        _, low, high = explained_share(shared + noise, [shared], owner)
        covered += low <= 0.5 <= high
    assert 0.92 <= covered / runs <= 0.98


def test_all_and_nothing():
    share, low, high = explained_share(COLUMNS[0], COLUMNS, DOCUMENTS)
    assert min(share, low, high) > 1 - 1e-9
    assert np.isnan(explained_share(np.ones(400), COLUMNS, DOCUMENTS)[0])
    noise = explained_share(RNG.normal(size=400), COLUMNS, DOCUMENTS)
    assert noise[0] < 0.05
    assert noise[1] < 0.01


@pytest.mark.parametrize(
    ("values", "documents", "reason"),
    [
        (VALUES, DOCUMENTS % 2, "2 documents"),
        (VALUES[:, :9], DOCUMENTS, "columns"),
        (np.full(400, np.nan), DOCUMENTS, "finite"),
    ],
)
def test_what_has_no_share_is_refused(values, documents, reason):
    with pytest.raises(InputError, match=reason):
        explained_share(values, COLUMNS, documents)
