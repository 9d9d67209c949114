"""Deep linear networks: Aoyagi's formula, older formulas, direct integrals, and chains.

Axes: C chains, k singular values.
"""

import itertools
import runpy
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate
from scipy.stats import spearmanr

from dynamics.errors import InputError
from dynamics.slt import deep_linear, exact_values

pytestmark = pytest.mark.computes

example = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[2] / "docs" / "deep_linear.py"))
)


def reduced_rank_regression(inputs: int, hidden: int, outputs: int, r: int) -> tuple[float, int]:
    """lambda and m of two layers, Aoyagi & Watanabe (2005), main theorem, case by case."""
    m, h, n = inputs, hidden, outputs
    if m + h < n + r:
        return (h * m - h * r + n * r) / 2, 1
    if n + h < m + r:
        return (h * n - h * r + m * r) / 2, 1
    if m + n < h + r:
        return m * n / 2, 1
    odd = (m + h + n + r) % 2
    return (-((h + r) ** 2) - m**2 - n**2 + 2 * (h + r) * (m + n) + 2 * m * n + odd) / 8, 1 + odd


@pytest.mark.parametrize(
    ("widths", "rank", "llc"),
    [((2, 2, 2), 0, 1.5), ((2, 2, 2), 1, 2), ((3, 2, 3), 1, 3.5), ((3, 3, 3, 3), 1, 4)],
)
def test_values_on_record(widths, rank, llc):
    assert deep_linear.learning_coefficient(widths, rank).llc == llc


def test_two_layers_are_reduced_rank_regression():
    for widths in itertools.product(range(1, 8), repeat=3):
        for rank in range(min(widths) + 1):
            assert deep_linear.learning_coefficient(widths, rank) == reduced_rank_regression(
                *widths, rank
            )


def test_one_layer_is_regular():
    for rank in range(4):
        assert deep_linear.learning_coefficient((5, 3), rank) == (7.5, 1)


@pytest.mark.parametrize("ends", [(1, 1), (1, 3), (2, 1), (2, 4)])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_waists_of_width_one_are_monomials(ends, depth):
    """On l = |v|^2 w_1^2 ... |u|^2 the factor of the smallest dimension decides.

    lambda of each factor is half its dimension, and m counts the smallest.
    """
    dimensions = [ends[0], *[1] * (depth - 2), ends[1]]
    smallest = min(dimensions)
    expected = (smallest / 2, dimensions.count(smallest))
    assert deep_linear.learning_coefficient((ends[0], *[1] * (depth - 1), ends[1]), 0) == expected


def test_full_rank_is_regular_and_order_does_not_matter():
    """At full rank the minima are a manifold; at rank 0 the order of layers drops out."""
    for widths in [(3, 3, 3), (4, 2, 2, 5), (2, 6, 3), (5, 3, 3, 4)]:
        waist = min(widths)
        rank_manifold = waist * (widths[0] + widths[-1] - waist)
        assert deep_linear.learning_coefficient(widths, waist) == (rank_manifold / 2, 1)
        coefficients = {
            deep_linear.learning_coefficient(order, 0) for order in itertools.permutations(widths)
        }
        assert len(coefficients) == 1


def test_wider_or_shallower_is_less_degenerate():
    rng = np.random.default_rng(0)
    for _ in range(300):
        widths = rng.integers(1, 9, rng.integers(3, 6))
        rank = int(rng.integers(0, min(widths) + 1))
        llc = deep_linear.learning_coefficient(widths.tolist(), rank).llc
        wider = widths + np.eye(len(widths), dtype=int)[rng.integers(len(widths))]
        assert llc <= deep_linear.learning_coefficient(wider.tolist(), rank).llc
        assert llc <= deep_linear.learning_coefficient(np.delete(widths, 1).tolist(), rank).llc
        assert llc <= widths[0] * widths[-1] / 2


def test_the_point_has_the_target_as_its_product():
    widths, rank = (3, 5, 4, 6), 2
    product = np.linalg.multi_dot(deep_linear.degenerate_point(widths, rank)[::-1])
    np.testing.assert_array_equal(product, deep_linear.target(widths, rank))
    assert np.linalg.matrix_rank(product) == rank


@pytest.mark.parametrize(
    ("widths", "nbeta", "exact"),
    [
        ((2, 2, 2), 144.76, 1.3756),
        ((2, 2, 2), 1e3, 1.4418),
        ((3, 2, 3), 144.76, 2.3247),
        ((3, 2, 3), 1e3, 2.4178),
    ],
)
def test_two_layer_posterior_on_record(widths, nbeta, exact):
    assert deep_linear.two_layer_posterior(widths, nbeta=nbeta, localization=1) == pytest.approx(
        exact, abs=5e-5
    )


def test_one_hidden_and_outer_weight_is_the_crossing():
    half = exact_values.crossing_posterior(
        nbeta=50, localization=1
    )  # (w_1 w_2)^2 at n beta is its half at 2 n beta
    assert deep_linear.two_layer_posterior((1, 1, 1), nbeta=100, localization=1) == pytest.approx(
        half, rel=1e-9
    )


def test_two_singular_values_by_nested_quadrature():
    nbeta, shape = 30.0, (2, 3, 2)

    def weight(x):
        return (
            np.exp(-x / 2)
            * (1 + nbeta * x) ** (-shape[2] / 2)
            * x ** ((shape[1] - shape[0] - 1) / 2)
        )

    def inner(y, value):
        return integrate.quad(lambda x: weight(x) * (y - x) * value(x, y), 0, y)[0]

    def loss(x, y):
        return shape[2] / 2 * sum(nbeta * s / (1 + nbeta * s) for s in (x, y))

    def outer(value):
        return integrate.quad(lambda y: weight(y) * inner(y, value), 0, 60, limit=200)[0]

    exact = outer(loss) / outer(lambda x, y: 1)
    assert deep_linear.two_layer_posterior(shape, nbeta=nbeta, localization=1) == pytest.approx(
        exact, rel=1e-6
    )


@pytest.mark.parametrize("widths", [(2, 3, 5), (4, 3, 1), (6, 3, 5), (8, 7, 6)])
def test_either_layer_can_be_integrated_out(widths):
    first_out, second_out = (
        deep_linear._without_last(*order, 200.0, 1.0) for order in (widths, widths[::-1])
    )
    assert first_out == pytest.approx(second_out, rel=1e-7)


def test_two_layer_posterior_is_an_average_over_the_prior():
    """By its definition: both matrices drawn from the prior, weighted by e^(-n beta l)."""
    widths, nbeta = (3, 2, 4), 2.0
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(400_000, a, b)) for a, b in ((2, 3), (4, 2)))
    height = nbeta / 2 * np.square(second @ first).sum(axis=(1, 2))
    weight = np.exp(-height)
    mean = np.sum(weight * height) / weight.sum()
    sem = np.sqrt(np.sum((weight * (height - mean)) ** 2)) / weight.sum()
    assert sem < 0.01 * mean
    assert (
        abs(deep_linear.two_layer_posterior(widths, nbeta=nbeta, localization=1) - mean) < 4 * sem
    )


def test_two_layer_posterior_tends_to_the_coefficient():
    for widths in ((2, 2, 2), (3, 2, 3), (5, 4, 5), (8, 8, 8)):
        llc, multiplicity = deep_linear.learning_coefficient(widths, 0)
        assert multiplicity == 1
        gaps = [
            llc - deep_linear.two_layer_posterior(widths, nbeta=nbeta, localization=1)
            for nbeta in (1e4, 1e6, 1e10)
        ]
        assert gaps[0] > 5 * gaps[1] > 5 * gaps[2] > 0


@pytest.mark.parametrize(
    ("widths", "rank"), [((3,), 0), ((3, 2, 3), 3), ((3, 0, 3), 0), ((3, 2), -1)]
)
def test_bad_shapes_are_refused(widths, rank):
    with pytest.raises(InputError, match="widths"):
        deep_linear.learning_coefficient(widths, rank)
    with pytest.raises(InputError, match="three widths"):
        deep_linear.two_layer_posterior(widths[:2], nbeta=1, localization=1)


def test_padded_networks_are_the_networks():
    shape = example.Shape((3, 5, 4, 6), 2)
    center, described = example.network(shape)
    assert example.loss(jnp.asarray(center), described) == 0
    rng = np.random.default_rng(0)
    moved = center + rng.normal(size=center.shape).astype(np.float32)
    layers = [
        m[:after, :before]
        for m, before, after in zip(moved, shape.widths, shape.widths[1:], strict=False)
    ]
    error = np.linalg.multi_dot(layers[::-1]) - deep_linear.target(*shape)
    assert example.loss(jnp.asarray(moved), described) == pytest.approx(
        np.sum(error**2) / 2, rel=1e-5
    )


@pytest.mark.long
def test_deep_linear_networks():
    shapes = example.random_shapes()
    assert len({shape.widths for shape in shapes}) == 10
    exact = np.array([shape.exact.llc for shape in shapes])
    estimates = example.estimates(shapes)
    llc = np.array([estimate.llc for estimate in estimates])
    sem = np.array([estimate.sem for estimate in estimates])
    assert (np.abs(llc - exact) <= np.maximum(0.15 * exact, 4 * sem)).all()
    assert spearmanr(llc, exact).statistic >= 0.95
    assert (sem < 0.08 * exact).all()
