"""Ranks of covariances against matrices whose spectrum is known."""

import jax
import numpy as np
import pytest

from dynamics.errors import InputError
from dynamics.measures import covariance_rank as ranks

KEY = jax.random.key(0)


def of_spectrum(singular: np.ndarray, rows: int = 300, seed: int = 0) -> np.ndarray:
    """A matrix [rows, D] of these singular values, in directions at random."""
    rng, width = np.random.default_rng(seed), len(singular)
    left = np.linalg.qr(rng.normal(size=(rows, width)))[0]
    right = np.linalg.qr(rng.normal(size=(width, width)))[0]
    return ((left * singular) @ right).astype(np.float32)


@pytest.fixture(scope="module")
def graded() -> ranks.CovarianceRank:
    """Of a matrix whose covariance has the eigenvalues 2, 1/2, 1/8, ..."""
    return ranks.covariance_rank(of_spectrum(2 ** (0.5 - np.arange(24))), KEY)


def test_the_exact_ranks_are_those_of_the_spectrum(graded):
    eigenvalues = 4.0 ** (0.5 - np.arange(24))
    np.testing.assert_allclose(graded.spectrum[:6], eigenvalues[:6], rtol=1e-4)
    assert graded.exact.absolute.tolist() == [(eigenvalues > t).sum() for t in ranks.TOLERANCES]
    relative = [(eigenvalues > t * eigenvalues[0]).sum() for t in ranks.TOLERANCES]
    assert graded.exact.relative.tolist() == relative
    assert graded.exact.stable == pytest.approx(4 / 3, rel=1e-4)
    shares = eigenvalues / eigenvalues.sum()
    entropy = np.exp(-(shares * np.log(shares)).sum())
    assert graded.exact.entropy == pytest.approx(entropy, rel=1e-3)


def test_a_batch_is_the_rank_of_its_covariance():
    """The n by n matrix has the eigenvalues of the covariance of W V over the batch."""
    weights, size = of_spectrum(np.linspace(2, 0.5, 12), rows=40), 16
    gram = ranks._gram(weights)
    drawn = np.asarray(ranks._drawn(gram, KEY, size, 2))[0][::-1]
    own = jax.random.fold_in(jax.random.fold_in(KEY, size), 0)
    vectors = np.asarray(jax.random.normal(own, (size, 12)), np.float64)
    covariance = np.cov(vectors @ weights.T.astype(np.float64), rowvar=False)
    wanted = np.linalg.eigvalsh(covariance)[::-1][:12]
    np.testing.assert_allclose(drawn[:12], wanted, rtol=1e-3, atol=1e-4)


def test_a_batch_sees_at_most_its_size_less_one():
    wide = ranks.covariance_rank(of_spectrum(np.full(24, 10.0)), KEY, tolerances=(0.1,))
    assert [batch.absolute[0] for batch in wide.drawn] == [15, 24, 24]
    assert [batch.absolute[0] for batch in wide.sem] == [0, 0, 0]
    assert wide.exact.absolute[0] == 24


def test_only_the_paper_s_rank_feels_the_scale(graded):
    scaled = ranks.covariance_rank(0.1 * of_spectrum(2 ** (0.5 - np.arange(24))), KEY)
    assert scaled.exact.absolute.sum() < graded.exact.absolute.sum()
    assert scaled.exact.relative.tolist() == graded.exact.relative.tolist()
    for own, other in zip(
        [scaled.exact, *scaled.drawn], [graded.exact, *graded.drawn], strict=True
    ):
        assert own.stable == pytest.approx(other.stable, rel=1e-3)
        assert own.entropy == pytest.approx(other.entropy, rel=1e-3)


def test_larger_batches_draw_nearer_to_the_exact_ranks():
    weights = of_spectrum(np.r_[np.full(4, 3.0), np.full(20, 0.3)])
    large = ranks.covariance_rank(weights, KEY)
    for field in ("stable", "entropy"):
        off = [abs(getattr(batch, field) - getattr(large.exact, field)) for batch in large.drawn]
        assert off[0] > off[1] > off[2]
        assert off[2] < 0.3 * getattr(large.exact, field)


@pytest.mark.parametrize("scale", [2.0**-90, 2.0**90])
def test_weights_whose_squares_leave_single_precision_have_the_same_shape(graded, scale):
    matrix = of_spectrum(2 ** (0.5 - np.arange(24)))
    scaled = ranks.covariance_rank(matrix * np.float32(scale), KEY)
    np.testing.assert_array_equal(scaled.spectrum, graded.spectrum * scale**2)
    np.testing.assert_array_equal(scaled.drawn[0].relative, graded.drawn[0].relative)
    assert scaled.exact.stable == graded.exact.stable


def test_zeros_span_nothing():
    nothing = ranks.covariance_rank(np.zeros((300, 24), np.float32), KEY)
    assert nothing.exact.stable == nothing.exact.entropy == 0
    assert not nothing.exact.relative.any()


def test_checkpoints_of_one_shape_compile_once():
    before = ranks._drawn._cache_size()
    for seed in range(3):
        ranks.covariance_rank(of_spectrum(np.ones(7), rows=30, seed=seed), KEY, batches=(16,))
    assert ranks._drawn._cache_size() == before + 1


@pytest.mark.parametrize("weights", [np.ones(3), np.ones((2, 0)), np.full((3, 2), np.nan)])
def test_what_is_no_finite_matrix_is_refused(weights):
    with pytest.raises(InputError):
        ranks.covariance_rank(weights.astype(np.float32), KEY)
