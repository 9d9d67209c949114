"""Ghosts, densities and sketches on matrices whose spectrum is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import devices
from dynamics.errors import InputError
from dynamics.measures import curvature
from dynamics.measures.curvature import lanczos

KEY = jax.random.key(0)


def quadratic(w, matrix):
    return 0.5 * w @ matrix @ w


MATRIX = curvature.hessian(quadratic)


def with_spectrum(values, seed: int = 0) -> np.ndarray:
    """A symmetric float32 matrix with these eigenvalues."""
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))[0]
    return ((basis * np.asarray(values)) @ basis.T).astype(np.float32)


def test_ghosts_are_not_taken_for_eigenvalues():
    """A far eigenvalue converges at once; without orthogonalisation it comes back as copies."""
    values = np.append(np.linspace(-1, 1, 99), 50.0)
    matrix, params = with_spectrum(values), jnp.ones(100)
    raw = lanczos.run(MATRIX, params, matrix, KEY, 60, "recurrence")
    copies = np.abs(np.linalg.eigvalsh(lanczos.matrix(raw)) - 50) < 0.01
    assert copies.sum() > 1  # there are ghosts, or nothing is tested
    recurrence = curvature.ends(
        MATRIX, params, matrix, KEY, k=3, num_matvecs=60, method="recurrence"
    )
    full = curvature.ends(MATRIX, params, matrix, KEY, k=3, num_matvecs=60)
    np.testing.assert_allclose(recurrence.largest[0], 50, rtol=1e-5)
    assert recurrence.largest[1] < 1.01
    np.testing.assert_allclose(recurrence.largest, full.largest, rtol=0.02)
    np.testing.assert_allclose(recurrence.smallest, full.smallest, rtol=0.02)


@pytest.mark.long
@pytest.mark.parametrize("steps", [8, 12, 16, 30])
def test_recurrence_keeps_true_eigenvalues_of_a_million_parameters(steps):
    """A true eigenvalue's part of the start is a millionth then: little, and still no ghost's."""
    values = np.append(np.linspace(-1, 1, 10**6 - 3), [20.0, 30.0, 50.0]).astype(np.float32)
    diagonal = curvature.Product("diagonal", lambda params, batch, vector: batch * vector)
    extremes = curvature.ends(
        diagonal, jnp.ones(10**6), values, KEY, k=4, num_matvecs=steps, method="recurrence"
    )
    np.testing.assert_allclose(extremes.largest[:3], [50, 30, 20], rtol=1e-4)
    assert extremes.largest[3] < 1.01


def test_density_is_a_semicircle():
    """Wigner (1958): entries of variance 1/P give the density sqrt(4 - x^2) / (2 pi)."""
    half = np.random.default_rng(1).normal(size=(600, 600))
    matrix = ((half + half.T) / 1200**0.5).astype(np.float32)
    for method in lanczos.METHODS:
        density = curvature.quadrature(
            MATRIX, jnp.ones(600), matrix, KEY, num_probes=20, num_matvecs=40, method=method
        )
        points = np.linspace(-1.8, 1.8, 25)
        expected = np.sqrt(4 - points**2) / (2 * np.pi)
        away = density.smoothed(points, 0.1) - expected
        assert (
            np.square(away).mean() ** 0.5 < 0.02
        )  # some 45 eigenvalues in a width, 20 probes: 0.014
        assert density.moment(2)[0] == pytest.approx(1, rel=0.05)
        assert density.moment(4)[0] == pytest.approx(2, rel=0.1)  # the Catalan numbers
        assert density.share_within(-3, 3)[0] == pytest.approx(1, abs=1e-5)


def test_density_of_few_eigenvalues_is_their_multiplicities():
    matrix = with_spectrum([5.0] * 10 + [0.0] * 70 + [-2.0] * 20)
    density = curvature.quadrature(
        MATRIX, jnp.ones(100), matrix, KEY, num_probes=200, num_matvecs=10
    )
    for low, high, share in ((4.9, 5.1, 0.1), (-0.1, 0.1, 0.7), (-2.1, -1.9, 0.2)):
        mean, sem = density.share_within(low, high)
        assert abs(mean - share) < 4 * sem
        assert sem < 0.02


def test_the_share_between_edges_knows_how_coarse_the_quadrature_is():
    """Few nodes stand for many eigenvalues: the share jumps by a node's weight at an edge."""
    half = np.random.default_rng(1).normal(size=(600, 600))
    matrix = ((half + half.T) / 1200**0.5).astype(np.float32)
    exact = np.linalg.eigvalsh(matrix.astype(np.float64))
    coarse, fine = (
        curvature.quadrature(MATRIX, jnp.ones(600), matrix, KEY, num_probes=20, num_matvecs=steps)
        for steps in (6, 40)
    )
    edges = np.linspace(-1.5, 1.5, 13)
    pairs = [(low, high) for low in edges for high in edges if high > low + 0.2]
    standard = {6: [], 40: []}
    for low, high in pairs:
        share = ((low <= exact) & (exact <= high)).mean()
        for steps, density in ((6, coarse), (40, fine)):
            mean, sem = density.share_within(low, high)
            standard[steps].append((mean - share) / sem)
    for away in standard.values():
        assert np.abs(away).max() < 4
    probes_alone = coarse.mean(lambda nodes: (np.abs(nodes) <= 0.6).astype(float))[1]
    assert coarse.share_within(-0.6, 0.6)[1] > 2 * probes_alone


def test_error_between_batches_is_said_beside_that_at_one():
    """Items differ in curvature and probes are exact: all of the error is between batches."""

    def loss(params, curvatures):
        return (curvatures.mean(0) * params**2).sum() / 2

    scale = np.random.default_rng(0).gamma(2.0, size=(400, 1))
    data = (scale * np.arange(1, 4)).astype(np.float32)
    params = jnp.ones(3)

    def trace(batch, key):
        return curvature.hessian_trace(loss, params, batch, key, num_samples=2)

    def top(batch, key):
        ends = curvature.extreme_eigenvalues(loss, params, batch, key)
        return ends.largest[0], ends.largest_error[0]

    for measure, exact in ((trace, 6 * scale.mean()), (top, 3 * scale.mean())):
        spread = curvature.over_batches(measure, data, KEY, num_batches=40, batch_size=4)
        assert abs(spread.value - exact) < 4 * spread.sem
        assert spread.between == pytest.approx(exact * scale.std() / scale.mean() / 2, rel=0.35)
        assert spread.within < 1e-3 * spread.between
    with pytest.raises(InputError, match="share no item"):
        curvature.over_batches(trace, data, KEY, num_batches=101, batch_size=4)


def test_what_is_deflated_leaves_the_density_as_it_is():
    """Eigenvalues 10, 20 and -15 beside a semicircle: the same moments, and less scatter by far."""
    half = np.random.default_rng(2).normal(size=(200, 200))
    values = np.append(np.linalg.eigvalsh((half + half.T) / 400**0.5), [10.0, 20.0, -15.0])
    matrix, params = with_spectrum(values), jnp.ones(203)
    plain, deflated = (
        curvature.quadrature(MATRIX, params, matrix, KEY, num_probes=40, num_matvecs=12, deflate=d)
        for d in (0, 2)
    )
    for order in (1, 2, 4):
        exact = (values**order).mean()
        for density in (plain, deflated):
            mean, sem = density.moment(order)
            assert abs(mean - exact) < 4 * sem + 1e-4 * abs(exact)
    assert deflated.moment(2)[1] < 0.1 * plain.moment(2)[1]
    assert deflated.share_within(19.9, 20.1)[0] == pytest.approx(1 / 203, rel=1e-3)


def test_what_both_ends_find_is_deflated_once():
    """Of three distinct eigenvalues the two largest and the two smallest share one.

    So it is from a start whose three products span all that it can reach; from others rounding
    brings in a second vector of either end.
    """
    matrix, key = with_spectrum([5.0] * 10 + [0.0] * 70 + [-2.0] * 20), jax.random.key(1)
    density = curvature.quadrature(
        MATRIX, jnp.ones(100), matrix, key, num_probes=100, num_matvecs=4, deflate=2
    )
    np.testing.assert_allclose(density.nodes[0, :-4], [-2, 0, 5], atol=1e-5)
    np.testing.assert_allclose(density.weights[0, :-4], 0.01)
    np.testing.assert_allclose(density.weights.sum(1), 1, rtol=1e-5)


def test_recurrence_finds_the_same_vectors():
    matrix = with_spectrum(np.append(np.linspace(0, 1, 40), [3.0, 6.0]))
    for method in lanczos.METHODS:
        extremes = curvature.ends(
            MATRIX, jnp.ones(42), matrix, KEY, k=2, num_matvecs=30, method=method, vectors=True
        )
        for value, vector in zip(extremes.largest, extremes.largest_vectors, strict=True):
            np.testing.assert_allclose(matrix @ vector, value * vector, atol=2e-3)
            np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)


def test_a_sketch_that_holds_the_whole_range_is_exact():
    matrix = with_spectrum(np.append(np.zeros(46), [1.0, 2.0, 3.0, 4.0]))
    mean, sem = curvature.sketched_trace(MATRIX, jnp.ones(50), matrix, KEY, num_matvecs=24)
    assert mean == pytest.approx(10, rel=1e-4)
    assert sem < 1e-3


def test_a_sketch_of_a_block_does_not_reach_outside():
    """A block of rank 2 with a large coupling to the rest.

    Of the sketch's 8 directions 6 are arbitrary.
    """
    rng = np.random.default_rng(0)
    matrix, half = rng.normal(size=(30, 30)), rng.normal(size=(20, 2))
    matrix = matrix + matrix.T
    matrix[10:, 10:] = half @ half.T
    inside = np.arange(30) >= 10
    mean, sem = curvature.sketched_trace(
        MATRIX, jnp.ones(30), matrix.astype(np.float32), KEY, num_matvecs=24, mask=inside
    )
    assert mean == pytest.approx(np.trace(half @ half.T), rel=1e-5)
    assert sem < 1e-3


def test_a_sketch_beats_as_many_probes_on_a_decaying_spectrum():
    """Hutch++ has the error of the tail, as its own standard error says over many keys."""
    matrix, params = with_spectrum(100.0 / np.arange(1, 81) ** 1.5), jnp.ones(80)
    exact, keys = np.trace(matrix), jax.random.split(KEY, 200)
    sketched = np.array(
        [curvature.sketched_trace(MATRIX, params, matrix, key, num_matvecs=48) for key in keys]
    )
    plain = np.array(
        [curvature.trace(MATRIX, params, matrix, key, num_samples=48, at_once=16) for key in keys]
    )
    error = ((sketched[:, 0] - exact) ** 2).mean() ** 0.5
    assert error < 0.3 * ((plain[:, 0] - exact) ** 2).mean() ** 0.5
    assert error == pytest.approx((sketched[:, 1] ** 2).mean() ** 0.5, rel=0.2)


def test_effective_rank_counts_equal_eigenvalues():
    """And its standard error covers: of 12 equal eigenvalues among 40."""
    matrix, inside = with_spectrum([3.0] * 12 + [0.0] * 28), 0
    for key in jax.random.split(KEY, 300):
        moments = curvature.probe(
            MATRIX, jnp.ones(40), matrix, key, num_samples=64, at_once=16
        ).moments()
        inside += abs(moments.effective_rank - 12) < 2 * moments.effective_rank_sem
    assert moments.frobenius == pytest.approx(3 * 12**0.5, rel=0.2)
    assert inside / 300 > 0.9


def test_error_of_the_effective_rank_covers_where_the_trace_is_lost_in_its_own():
    """At a trace of 1.5 standard errors, most of the error is of second order in the trace."""
    matrix, inside = symmetric_of_trace(1.5), 0
    exact = np.trace(matrix) ** 2 / (matrix**2).sum()
    for key in jax.random.split(KEY, 300):
        moments = curvature.probe(
            MATRIX, jnp.ones(40), matrix, key, num_samples=16, at_once=16
        ).moments()
        inside += abs(moments.effective_rank - exact) < 2 * moments.effective_rank_sem
    assert inside / 300 > 0.93


def symmetric_of_trace(sems: float) -> np.ndarray:
    """A random symmetric matrix, its trace that many standard errors of 16 probes."""
    half = np.random.default_rng(0).normal(size=(40, 40))
    matrix = half + half.T
    np.fill_diagonal(matrix, 0)
    return (matrix + sems * (2 * (matrix**2).sum() / 16) ** 0.5 / 40 * np.eye(40)).astype(
        np.float32
    )


def test_a_basis_beyond_memory_is_refused(monkeypatch):
    monkeypatch.setattr(devices, "memory_bytes", lambda: 4000)
    with pytest.raises(InputError, match='recurrence"'):
        curvature.ends(MATRIX, jnp.ones(100), with_spectrum(np.ones(100)), KEY, num_matvecs=20)
    extremes = curvature.ends(
        MATRIX,
        jnp.ones(100),
        with_spectrum(np.arange(100.0)),
        KEY,
        num_matvecs=20,
        method="recurrence",
    )
    assert extremes.largest[0] == pytest.approx(99, rel=0.05)


def test_gauss_newton_of_squares_is_twice_the_gram_matrix():
    """Mean of (x w - y)^2: J'HJ = 2 x'x / B, which is the Hessian of this linear model too."""
    x = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    product = curvature.gauss_newton(lambda w, x: x @ w, lambda out, x: ((out - 1) ** 2).mean())
    vector = jnp.arange(6.0)
    np.testing.assert_allclose(
        product.apply(jnp.ones(6), x, vector), 2 * x.T @ (x @ vector) / 20, rtol=1e-4
    )


def test_microbatches_are_the_whole_batch():
    """Mean of squares of 24 items: in parts of 24, 8 and 1 the same matrix."""
    x = np.random.default_rng(3).normal(size=(24, 5)).astype(np.float32)
    product = curvature.hessian(lambda w, x: (jnp.tanh(x @ w) ** 2).mean())
    vector, w = jnp.arange(5.0), jnp.ones(5) / 3
    whole = product.apply(w, x, vector)
    for parts in (1, 3, 24):
        np.testing.assert_allclose(
            curvature.accumulated(product, parts).apply(w, x, vector), whole, rtol=1e-4, atol=1e-5
        )
    with pytest.raises(InputError, match="24 items in 5 parts"):
        curvature.accumulated(product, 5).apply(w, x, vector)


@pytest.mark.parametrize("choice", [{"method": "half"}, {"num_probes": 0}, {"num_matvecs": 0}])
def test_bad_choices_are_refused(choice):
    with pytest.raises(InputError):
        curvature.quadrature(MATRIX, jnp.ones(4), with_spectrum(np.ones(4)), KEY, **choice)
