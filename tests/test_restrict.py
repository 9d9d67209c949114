"""Masks of named parts: they add up, reach what they name, and nothing else.

Axes: B batch, T tokens, D width, H heads, K head dim, F MLP width, L layers, V vocabulary.
"""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models, restrict
from dynamics.errors import InputError
from dynamics.measures import curvature
from dynamics.models import gpt_neox

L, D, H, K, F, V = 4, 15, 3, 5, 7, 11
CONFIG = gpt_neox.Config(
    hidden_size=D,
    num_layers=L,
    num_heads=H,
    intermediate_size=F,
    vocab_size=V,
    max_positions=8,
    rotary_fraction=0.8,
)


@pytest.fixture(scope="module")
def params():
    """Every weight random, so that a change anywhere shows."""
    shapes = jax.eval_shape(lambda key: models.init(key, CONFIG), jax.random.key(0))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda p: jnp.asarray(0.5 * rng.normal(size=p.shape), jnp.float32), shapes)


def size(*names: str) -> int:
    return restrict.size(CONFIG, restrict.select(CONFIG, *names))


def covered(masks, params):
    """How many of the masks select each weight, all weights in one vector."""
    counts = jax.tree.map(
        lambda p, *ms: sum(np.broadcast_to(m, p.shape).astype(int) for m in ms), params, *masks
    )
    return np.concatenate([count.ravel() for count in jax.tree.leaves(counts)])


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("embed", V * D),
        ("unembed", D * V),
        ("final_norm", 2 * D),
        ("layers.1.attention_norm", 2 * D),
        ("layers.1.mlp", D * F + F + F * D + D),
        ("layers.1.attention", D * 3 * D + 3 * D + D * D + D),
        ("layers.1.attention.heads.2", D * 3 * K + 3 * K + K * D),
        ("layers.1.attention.out_bias", D),
    ],
)
def test_sizes_by_hand(name, count):
    assert size(name) == count


def test_all_is_every_weight(params):
    assert size("all") == models.num_params(params)


@pytest.mark.parametrize("by", ["layers", "modules"])
def test_groups_partition_the_weights(params, by):
    masks = restrict.groups(CONFIG, by)
    assert {"layers": L + 3, "modules": 4 * L + 3}[by] == len(masks)
    assert (covered(masks.values(), params) == 1).all()


def test_heads_and_output_bias_partition_attention(params):
    masks = restrict.groups(CONFIG, "heads")
    assert len(masks) == L * H
    assert covered(masks.values(), params).max() == 1
    parts = [mask for name, mask in masks.items() if name.startswith("layers.2.")]
    both = covered([*parts, restrict.select(CONFIG, "layers.2.attention.out_bias")], params)
    np.testing.assert_array_equal(
        both, covered([restrict.select(CONFIG, "layers.2.attention")], params)
    )


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (["layers"], [f"layers.{layer}" for layer in range(L)]),
        (["layers.0-2"], ["layers.0", "layers.1", "layers.2"]),
        (["layers.3,0-1"], ["layers.0", "layers.1", "layers.3"]),
        (
            ["layers.*.attention.heads.0"],
            [f"layers.{layer}.attention.heads.0" for layer in range(L)],
        ),
        (["layers.3.attention.heads"], [f"layers.3.attention.heads.{head}" for head in range(H)]),
        (["layers.1", "layers.1.mlp"], ["layers.1"]),
        (["all"], ["embed", "layers", "final_norm", "unembed"]),
    ],
)
def test_short_forms(short, long):
    chex.assert_trees_all_equal(restrict.select(CONFIG, *short), restrict.select(CONFIG, *long))


def test_every_name_selects_something_and_reads_back():
    names = restrict.names(CONFIG)
    assert len(names) == len(set(names)) == 4 + L * (6 + H)
    assert all(size(name) > 0 for name in names)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("layers.4", "layers.0-3"),
        ("layers.3.attention.heads.3", "heads.0-2"),
        ("layers.2-5.mlp", "layers.0-3.mlp"),
        ("layers.2-1", "layers.0-3"),
        ("layers.-1", "layers.0-3"),
        ("layers.1.attention.head.2", "layers.0-3.attention.heads.0-2"),
        ("embedding", "embed"),
        ("", "expected one of all"),
    ],
)
def test_names_of_nothing_are_refused(name, near):
    with pytest.raises(InputError, match="unknown part") as raised:
        restrict.select(CONFIG, "all", name)
    assert near in str(raised.value).rpartition("Did you mean")[2]


def test_a_model_of_one_layer_has_layer_0():
    with pytest.raises(InputError, match=r"Did you mean layers\.0\.mlp "):
        restrict.select(dataclasses.replace(CONFIG, num_layers=1), "layers.0.mpl")


def test_other_bad_calls_are_refused():
    with pytest.raises(InputError, match="no name"):
        restrict.select(CONFIG)
    with pytest.raises(InputError, match="modules"):
        restrict.groups(CONFIG, "module")


def test_masks_that_only_happen_to_broadcast_are_refused(params):
    """A bias's mask of the wrong rank would select along another axis."""
    mask = restrict.select(CONFIG, "layers.1.mlp")
    flat = jax.tree.map(np.ravel, mask)
    with pytest.raises(AssertionError, match="rank"):
        restrict.size(CONFIG, flat)
    long = jax.tree.map(lambda m: np.repeat(m, 2, axis=0), mask)
    with pytest.raises(AssertionError, match="broadcast"):
        restrict.size(CONFIG, long)
    with pytest.raises(AssertionError):
        restrict.size(CONFIG, mask["layers"])


def test_a_heads_weights_move_that_head_alone(params):
    """Noise on layer 1, head 2 changes that head alone, and nothing that enters the layer."""
    mask = restrict.select(CONFIG, "layers.1.attention.heads.2")
    moved = jax.tree.map(lambda p, m: p + 0.3 * m, params, mask)
    tokens = np.random.default_rng(1).integers(0, V, (2, 6))
    run = jax.jit(models.hidden_fn(CONFIG), static_argnames="capture")
    before, after = (run(p, tokens, capture=("heads", "residual"))[1] for p in (params, moved))
    change = jnp.abs(after["heads"] - before["heads"]).max(axis=(1, 2, 4))  # [L,H]
    assert (change[1] > 1e-3).tolist() == [False, False, True]
    assert (change[0] == 0).all()
    np.testing.assert_array_equal(change[1, :2], 0)
    np.testing.assert_array_equal(before["residual"][:2], after["residual"][:2])
    assert (jnp.abs(after["residual"] - before["residual"]).max(axis=(1, 2, 3))[2:] > 1e-3).all()


def test_selected_weights_are_all_that_a_head_has(params):
    """With its weights at zero a head adds nothing through the output matrix."""
    mask = restrict.select(CONFIG, "layers.0.attention.heads.1")
    gone = jax.tree.map(lambda p, m: p * ~m, params, mask)
    tokens = np.random.default_rng(1).integers(0, V, (2, 6))
    hidden = models.hidden_fn(CONFIG)

    def silence(site, value, layer):
        at = (layer == 0) & (jnp.arange(H) == 1)
        return jnp.where(at[None, None, :, None], 0.0, value) if site == "heads" else value

    np.testing.assert_allclose(
        hidden(gone, tokens)[0], hidden(params, tokens, intervene=silence)[0], atol=1e-5
    )


@pytest.mark.long  # compiling the draws of its 17 leaves
def test_masked_curvature_compiles_once(params):
    """The Hessian of sum w^2/2 is 1, so a trace is a size; one program serves all parts."""
    traced = []

    def loss(p, batch):
        traced.append(1)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p)) / 2

    compiled = []
    for name in ("layers.0.attention.heads.1", "layers.3.attention.heads.2", "embed"):
        mask, key = restrict.select(CONFIG, name), jax.random.key(0)
        trace, _ = curvature.hessian_trace(
            loss, params, jnp.zeros(1), key, num_samples=2, mask=mask
        )
        assert trace == pytest.approx(size(name), rel=1e-6)
        compiled.append(len(traced))
    assert 0 < compiled[0] == compiled[-1]
