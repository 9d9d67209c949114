"""Heads built by hand look where they were built to look; what is known of scores holds."""

import jax
import numpy as np
import pytest

from dynamics import models
from dynamics.data import contexts
from dynamics.measures import icl_development, squared_error
from dynamics.models import icl_regression

CONFIG = icl_regression.Config()
NUMBERS = {"task_size": 4, "num_pairs": 8, "noise_variance": 0.125}
TOKENS = np.asarray(contexts.draw(jax.random.key(0), 400, **NUMBERS).tokens)
OFFSETS = {"self": 0, "previous token": 1, "previous x": (2, 3), "uniform": None}


@pytest.fixture(scope="module")
def built() -> dict:
    """Positions alone reach the stream, each along an axis of its own; head h of the first layer
    looks at the h-th place of OFFSETS."""
    params = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32), models.init(jax.random.key(0), CONFIG)
    )
    length = CONFIG.max_positions
    params["embed"]["position"]["embedding"][:, :length] = np.eye(length)
    for name in ("attention_norm", "mlp_norm"):
        params["layers"][name]["scale"] += 1
    params["final_norm"]["scale"] += 1
    qkv = params["layers"]["attention"]["qkv"]["kernel"]  # [L,D,H,3,K], K = 16 = T
    for head, offset in enumerate(OFFSETS.values()):
        if offset is None:
            continue
        for target in range(length):
            before = offset if isinstance(offset, int) else offset[target % 2]
            qkv[0, target, head, 0, target] = 4.0
            if target >= before:
                qkv[0, target - before, head, 1, target] = 4.0
    return params


def test_heads_are_what_they_were_built_to_be(built):
    scores = icl_development.attention_fn(CONFIG)(built, TOKENS)
    first = [icl_development.KINDS[kind] for kind in icl_development.classify(scores)[0, 0]]
    assert first == ["self", "previous token", "previous x", "none"]
    # An x-target's previous token is a y, but the first has none; a y-target's is an x.
    assert scores.to_y[0, 0, 1] == pytest.approx(7 / 8, abs=1e-3)
    assert scores.to_x[1, 0, 1] > 0.99
    assert scores.entropy[1, 0, 0] < 0.01
    # A head that does not care is uniform, and so is every head of a layer without weights.
    np.testing.assert_allclose(scores.entropy[:, 0, 3], 1, atol=1e-4)
    np.testing.assert_allclose(scores.entropy[:, 1], 1, atol=1e-4)
    places = np.arange(0, 15, 2)
    np.testing.assert_allclose(scores.to_self[0, 1], (1 / (places + 1)).mean(), rtol=1e-4)
    # Positions alone decide, so that all contexts have one pattern.
    assert max(map(float, scores.variability.ravel())) < 1e-5


def test_variability_is_half_the_mean_distance(built):
    """Two heads that follow the sign of the first input, against a pattern computed by hand."""
    params = jax.tree.map(np.copy, built)
    params["embed"]["token"]["kernel"][1, 40] = 3.0  # the first number of x, on an axis of its own
    params["layers"]["attention"]["qkv"]["kernel"][0, 40, 3, :2, 0] = 2.0
    scores = icl_development.attention_fn(CONFIG)(params, TOKENS)
    _, captured = models.hidden_fn(CONFIG)(params, TOKENS, capture=("attention",))
    attention = np.asarray(captured["attention"])[0, :, 3]  # [B,T,S]
    spread = np.abs(attention - attention.mean(0)).sum(-1).mean(0) / 2
    assert scores.variability[0, 0, 3] == pytest.approx(spread[::2].mean(), rel=1e-4)
    assert 0.1 < scores.variability[0, 0, 3] <= 1


def test_collapse_is_what_vanishing_weights_say():
    params = jax.tree.map(np.array, models.init(jax.random.key(1), CONFIG))
    start = icl_development.structure(CONFIG, params)
    assert start.small_scales.max() == 0
    assert start.small_biases.min() == 1
    assert start.embed_shares.sum() == pytest.approx(1)
    # Random positions lie in the embedding's span by its share of the dimensions.
    assert start.position_in_embed == pytest.approx(5 / 64, rel=0.35)
    params["embed"]["token"]["kernel"][0] = params["embed"]["token"]["kernel"][1]
    params["embed"]["position"]["embedding"][:] = params["embed"]["token"]["kernel"][1]
    params["final_norm"]["scale"][:48] = 0.05
    collapsed = icl_development.structure(CONFIG, params)
    assert collapsed.embed_shares[-1] == pytest.approx(0, abs=1e-9)
    assert collapsed.position_shares[0] == pytest.approx(1)
    assert collapsed.position_in_embed == pytest.approx(1)
    assert collapsed.small_scales.tolist() == [0, 0, 0, 0, 0.75]
    assert collapsed.norms[-1] == "final_norm"


def test_scores_of_ridge_regression():
    """It locates the task in the first pairs and refines it in the later ones; a constant
    predictor does neither."""
    y = contexts.targets_of(TOKENS)
    ridge = np.asarray(squared_error.ridge(TOKENS, noise_variance=0.125))
    locate, refine = icl_development.icl_scores(np.square(ridge - y), task_size=4)
    assert locate.value < -5 * locate.sem
    assert refine.value < -3 * refine.sem
    for score in icl_development.icl_scores(np.square(y), task_size=4):
        assert abs(score.value) < 4 * score.sem
    zero, prior = icl_development.task_prior(ridge, TOKENS, np.array([1.0, 0, 0, 0]))
    assert zero.value == pytest.approx(np.square(ridge).mean(), rel=1e-5)
    assert prior.value > zero.value


def test_zero_predictions_out_of_distribution(built):
    """Errors are then the targets' own mean square, g X + noise, over g."""
    gains = (0.1, 1.0, 10.0)
    rows = icl_development.out_of_distribution(CONFIG, built, gains)
    for which in ("inputs", "tasks"):
        error, size = rows[which].T
        np.testing.assert_allclose(error, [4 + 0.125 / g for g in gains], rtol=0.15)
        assert (size == 0).all()
