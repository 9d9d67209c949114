"""What `models.Architecture` promises of every family, held to by each.

Axes: B batch, T tokens, D width, E width of a hidden state, V vocabulary.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models, restrict
from dynamics.measures import weights
from dynamics.models import bert, gpt_neox, icl_regression

SIZES = {
    "hidden_size": 40,
    "num_layers": 3,
    "num_heads": 5,
    "intermediate_size": 67,
    "vocab_size": 101,
    "max_positions": 23,
}
CONFIGS = {
    "gpt_neox": gpt_neox.Config(**SIZES),
    "gpt_neox, normal": gpt_neox.Config(**SIZES, initializer="normal"),
    "bert": bert.Config(**SIZES),
    "icl_regression": icl_regression.Config(
        **{name: SIZES[name] for name in list(SIZES)[:4]}, task_size=66, num_pairs=13
    ),
}
TOKENS = np.random.default_rng(0).integers(0, 101, (2, 11)).astype(np.int32)
VECTORS = np.random.default_rng(1).standard_normal((2, 11, 67)).astype(np.float32)


def inputs(config):
    return TOKENS if models.architecture(config).VOCABULARY else VECTORS


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture
def params(config):
    return jax.jit(models.init, static_argnums=1)(jax.random.key(0), config)


def test_every_family_has_a_config_here():
    assert {type(config) for config in CONFIGS.values()} == set(models.ARCHITECTURES)


def test_modules_have_every_member(config):
    promised = {**models.Architecture.__annotations__, **vars(models.Architecture)}
    members = {name for name in promised if not name.startswith("_")}
    assert {"CAUSAL", "TIED", "matrices", "hidden_fn"} <= members
    assert all(hasattr(models.architecture(config), name) for name in members)


def test_equal_configs_share_their_functions(config):
    again = type(config)(**vars(config))
    assert again is not config
    assert models.hidden_fn(again) is models.hidden_fn(config)
    assert models.unembed_fn(again) is models.unembed_fn(config)


def test_logits_are_one_product(config, params):
    h, _ = models.hidden_fn(config)(params, inputs(config))
    with jax.default_matmul_precision("highest"):
        logits = models.unembed_fn(config)(params, h)
        product = h @ models.unembedding(config, params)
    np.testing.assert_allclose(logits, product, atol=1e-5)


def test_causal_families_alone_ignore_later_tokens(config, params):
    tokens = inputs(config)
    changed = tokens.copy()
    changed[:, -1] = (changed[:, -1] + 1) % SIZES["vocab_size"]
    h, _ = models.hidden_fn(config)(params, tokens)
    after, _ = models.hidden_fn(config)(params, changed)
    unmoved = not jnp.abs(h - after)[:, :-1].max()
    assert unmoved == models.architecture(config).CAUSAL


def test_sites_are_what_can_be_captured(config, params):
    sites = tuple(models.architecture(config).SITES)
    _, captured = models.hidden_fn(config)(params, inputs(config), capture=sites)
    assert set(captured) == set(sites)
    assert {len(values) for values in captured.values()} == {config.num_layers}


def test_every_part_is_of_the_params(config):
    """A path that no leaf lies under would select nothing, in silence."""
    for name in models.architecture(config).PARTS:
        kind = name.format(**dict.fromkeys(vars(config), "*"))
        assert restrict.size(config, restrict.select(config, kind)) > 0, kind


def test_parts_by_layer_and_by_module_partition_the_weights(config, params):
    for kind in ("layers", "modules"):
        sizes = [restrict.size(config, mask) for mask in restrict.groups(config, kind).values()]
        assert sum(sizes) == models.num_params(params)


def test_every_matrix_is_stored_once(config, params):
    """No two hold the same numbers; their own are those of leaves of the params."""
    matrices = models.architecture(config).matrices(params)
    own = np.concatenate([np.ravel(matrix) for matrix in matrices.values()])
    stored = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])
    assert len(np.unique(own)) > 0.99 * own.size
    assert np.isin(own, stored).all()


def test_the_unembedding_is_a_matrix_or_tied_to_one(config, params):
    module = models.architecture(config)
    assert ("unembed" in module.matrices(params)) != ("unembed" in module.TIED)
    unembedding = models.unembedding(config, params)[: config.hidden_size]  # without the bias
    np.testing.assert_array_equal(weights.matrices(config, params)["unembed"], unembedding)


def test_the_widest_draw_has_the_stated_spread(config, params):
    spreads = [matrix.std() for matrix in models.architecture(config).matrices(params).values()]
    stated = models.architecture(config).max_init_std(config)
    # A normal truncated at two standard deviations has 0.8796 of its spread.
    share = 0.8796 if isinstance(config, bert.Config) else 1
    assert max(map(float, spreads)) == pytest.approx(share * stated, rel=0.03)


@pytest.mark.parametrize("tokens", [TOKENS[0], TOKENS[None], TOKENS.astype(np.float32)])
def test_tokens_of_another_form_are_refused(config, params, tokens):
    """One sequence without a batch axis would broadcast against the positions."""
    if not models.architecture(config).VOCABULARY:
        tokens = np.zeros((*tokens.shape, 67), np.int32 if tokens.dtype == np.float32 else float)
    with pytest.raises(AssertionError, match=r"rank|type"):
        models.apply_fn(config)(params, tokens)
