"""Units that are never active: made dead by their bias, and counted in blocks.

Axes: N windows, T tokens, L layers, F units.
"""

import jax
import numpy as np
import pytest
from random_params import random_params

from dynamics.errors import InputError
from dynamics.measures import dead_units
from dynamics.models import gpt_neox

L, F = 3, 12
CONFIG = gpt_neox.Config(
    hidden_size=16, num_layers=L, num_heads=2, intermediate_size=F, vocab_size=29, max_positions=19
)
TOKENS = np.random.default_rng(0).integers(0, 29, (7, 11)).astype(np.int32)


@pytest.fixture(scope="module")
def params():
    """The last layer has units 0 to 3 dead, and 4 always active."""
    params = random_params(CONFIG)
    up = params["layers"]["mlp"]["up"]
    bias = np.array(up["bias"])
    bias[-1, :4], bias[-1, 4] = -50, 50
    mlp = {**params["layers"]["mlp"], "up": {**up, "bias": bias}}
    return {**params, "layers": {**params["layers"], "mlp": mlp}}


@pytest.fixture(scope="module")
def active(params):
    return dead_units.active_tokens(CONFIG, params, TOKENS)


def test_units_without_a_positive_input_are_dead(active):
    assert (active == 0).sum(1).tolist() == [0, 0, 4]
    assert (active[-1, :4] == 0).all()
    assert active[-1, 4] == TOKENS.size


def test_other_units_are_active_about_half_of_the_time(active):
    """Inputs of random weights are symmetric about zero."""
    share = np.delete(active, slice(0, 5), axis=1) / TOKENS.size
    assert abs(share.mean() - 0.5) < 0.1


def test_a_gelu_is_above_zero_where_its_input_is():
    x = np.float32([-30, -5, -1e-6, 0, 1e-30, 1e-6, 5])
    np.testing.assert_array_equal(np.asarray(jax.nn.gelu(x, approximate=False)) > 0, x > 0)


def test_blocks_change_nothing(params, active, monkeypatch):
    monkeypatch.setitem(dead_units._BLOCK_FLOATS, "cpu", 3 * L * F * 11)  # 3 of 7 windows
    np.testing.assert_array_equal(dead_units.active_tokens(CONFIG, params, TOKENS), active)


def test_bad_input_is_refused(params):
    with pytest.raises(InputError, match="token ids"):
        dead_units.active_tokens(CONFIG, params, TOKENS + 29)
