"""Rules of compression: their values, their errors, and what they leave alone. Axes: n weights."""

import jax
import numpy as np
import pytest
from random_params import random_params

from dynamics.errors import InputError
from dynamics.measures import compression, surprisal
from dynamics.measures.compression import Rule
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=16, num_layers=3, num_heads=2, intermediate_size=12, vocab_size=29, max_positions=19
)
NORMAL = np.random.default_rng(0).normal(size=(400, 500)).astype(np.float32)


@pytest.fixture(scope="module")
def params():
    return random_params(CONFIG)


def test_ternary_weights_of_a_normal_have_the_papers_scale_and_share():
    """d = 0.7 E|w| = 0.5585 sd, so P(|w| > d) = 0.5765 and E[|w| | |w| > d] = 1.1842 sd."""
    values, counts = np.unique(compression.ternary(NORMAL), return_counts=True)
    np.testing.assert_allclose(values, [-1.1842, 0, 1.1842], atol=0.01)
    assert counts[1] / NORMAL.size == pytest.approx(1 - 0.5765, abs=0.005)


def test_ternary_weights_are_the_best_of_their_signs():
    """No other scale is nearer to the weights, given which are zero."""
    small = np.asarray(compression.ternary(NORMAL))
    errors = [np.square(NORMAL - scale * small).sum() for scale in (0.98, 1.0, 1.02)]
    assert errors[1] < min(errors[0], errors[2])


def test_weights_that_are_ternary_already_stay():
    matrix = np.float32([[-0.3, 0, 0.3], [0.3, -0.3, 0]])
    np.testing.assert_allclose(compression.ternary(matrix), matrix)
    np.testing.assert_allclose(compression.rounded(matrix, 2), matrix)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_rounding_has_equal_steps_and_an_error_of_half_a_step(bits):
    small = np.asarray(compression.rounded(NORMAL, bits), np.float64)
    step = np.abs(NORMAL).max() / (2 ** (bits - 1) - 1)
    values = np.unique(np.round(small / step))
    assert len(values) <= 2**bits - 1
    assert np.abs(values).max() == 2 ** (bits - 1) - 1
    np.testing.assert_allclose(small, np.round(small / step) * step, atol=1e-5)
    assert np.abs(small - NORMAL).max() <= step / 2 * 1.001


def test_rounding_errors_of_many_steps_are_uniform():
    """Variance step^2 / 12, where steps are small against the spread."""
    step = np.abs(NORMAL).max() / 127
    error = np.asarray(compression.rounded(NORMAL, 8)) - NORMAL
    assert error.var() == pytest.approx(step**2 / 12, rel=0.02)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_pruning_takes_the_smallest(share):
    small = np.asarray(compression.pruned(NORMAL, share))
    gone = small == 0
    assert gone.sum() == round(share * NORMAL.size)
    if 0 < share < 1:
        assert np.abs(NORMAL[gone]).max() < np.abs(NORMAL[~gone]).min()
    np.testing.assert_array_equal(small[~gone], NORMAL[~gone])


@pytest.mark.parametrize("kind", ["ternary", "bits", "pruned"])
def test_zeros_stay_zeros(kind):
    zeros = compression._of_one(kind)(np.zeros((3, 4), np.float32), 2 if kind == "bits" else 0.5)
    np.testing.assert_array_equal(zeros, 0)


def test_every_layer_has_its_own_scale_and_norms_stay(params):
    wide = {**params, "layers": jax.tree.map(np.array, params["layers"])}
    wide["layers"]["mlp"]["up"]["kernel"][1] *= 10
    small = compression.compressed(wide, Rule(kind="ternary"))
    scales = np.abs(np.asarray(small["layers"]["mlp"]["up"]["kernel"])).max((1, 2))
    assert scales[1] / scales[0] == pytest.approx(10, rel=0.1)
    for norm in ("attention_norm", "mlp_norm"):
        np.testing.assert_array_equal(small["layers"][norm]["scale"], wide["layers"][norm]["scale"])


def test_parts_alone_are_changed(params):
    small = compression.compressed(params, Rule(kind="bits", level=2), ["unembed"])
    assert len(np.unique(small["unembed"]["kernel"])) == 3
    np.testing.assert_array_equal(small["embed"]["embedding"], params["embed"]["embedding"])
    with pytest.raises(InputError, match="unembedd"):
        compression.compressed(params, Rule(kind="ternary"), ["unembedd"])


def test_many_bits_cost_nothing(params):
    loss = jax.jit(surprisal.loss_fn(CONFIG))
    tokens = np.random.default_rng(0).integers(0, 29, (4, 11)).astype(np.int32)
    full, many = (loss(p, tokens) for p in (params, compression.compressed(params, _bits(16))))
    assert abs(float(full - many)) < 1e-3


def _bits(bits: int) -> Rule:
    return Rule(kind="bits", level=bits)


@pytest.mark.parametrize(
    ("kind", "level"), [("bits", 1), ("bits", 2.5), ("pruned", 1.5), ("pruned", -0.1), ("half", 1)]
)
def test_unknown_rules_are_refused(kind, level):
    with pytest.raises(InputError):
        Rule(kind=kind, level=level)
