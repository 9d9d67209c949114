"""BERT: transformers' logits on file, the published size, and what seeing both sides implies.

Axes: B batch, T (and S) tokens, D width, H heads, K head dim, F MLP width, L layers, V vocabulary.
"""

import dataclasses
import math
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import checkpoints, models, restrict
from dynamics.errors import InputError
from dynamics.models import bert

GOLDEN = sorted((Path(__file__).parent / "golden_bert").iterdir())
L, H, F, V = 3, 5, 67, 101  # of every golden case


@pytest.fixture(autouse=True)
def _full_precision():
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name)
def golden(request):
    """A random model that transformers has run: its checkpoint, tokens [B,T], logits [B,T,V]."""
    expected = np.load(request.param / "expected.npz")
    return checkpoints.load(request.param), expected["tokens"], expected["logits"]


@pytest.fixture
def case():
    """One of them."""
    expected = np.load(GOLDEN[0] / "expected.npz")
    return checkpoints.load(GOLDEN[0]), expected["tokens"]


def apply(config, params, tokens):
    return jax.jit(models.apply_fn(config))(params, tokens)


def hidden(config, params, tokens, capture=(), intervene=None, seen=None):
    run = jax.jit(models.hidden_fn(config), static_argnames=("capture", "intervene"))
    return run(params, tokens, capture=capture, intervene=intervene, seen=seen)


def test_golden_cases_are_all_there():
    assert [path.name for path in GOLDEN] == ["multibert", "old_names"]
    assert {path.parent.name for path in (GOLDEN[0].parent).glob("*/pytorch_model.bin")} == {
        "multibert"
    }
    assert sum(file.stat().st_size for path in GOLDEN for file in path.iterdir()) < 250_000


def test_logits_equal_transformers(golden):
    checkpoint, tokens, expected = golden
    logits = apply(checkpoint.config, checkpoint.params, tokens)
    assert logits.dtype == jnp.float32
    assert expected.std() >= 1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_every_golden_leaf_is_random(golden):
    # A bias of zeros or a scale of ones would hide a leaf put in the wrong place.
    for path, leaf in jax.tree_util.tree_leaves_with_path(golden[0].params):
        assert np.unique(leaf).size > leaf.size / 100, path
        assert leaf.std() > 0.05, path


def swapped(params, path: tuple[str, ...], change):
    """The params with one leaf changed."""
    head, *rest = path
    return {
        **params,
        head: swapped(params[head], tuple(rest), change) if rest else change(params[head]),
    }


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (("layers",), lambda tree: jax.tree.map(lambda leaf: leaf[::-1], tree)),
        (("embed", "segment", "embedding"), lambda leaf: leaf[::-1]),
        (("embed", "position", "embedding"), lambda leaf: np.roll(leaf, 1, 0)),
        (("unembed", "bias"), np.zeros_like),
        (("layers", "attention", "key", "kernel"), lambda leaf: leaf[:, :, ::-1]),
        (("layers", "mlp_norm", "bias"), np.zeros_like),
    ],
    ids=["layers reversed", "segment", "position", "output bias", "heads of the key", "norm bias"],
)
def test_golden_logits_tell_wrong_params_apart(golden, path, change):
    checkpoint, tokens, expected = golden
    logits = apply(checkpoint.config, swapped(checkpoint.params, path, change), tokens)
    assert np.abs(logits - expected).max() > 0.1


def test_key_biases_do_not_matter(golden):
    # They shift all scores of a query alike, which no softmax sees.
    checkpoint, tokens, expected = golden
    params = swapped(checkpoint.params, ("layers", "attention", "key", "bias"), np.zeros_like)
    np.testing.assert_allclose(
        apply(checkpoint.config, params, tokens), expected, rtol=0, atol=1e-4
    )


def test_parameter_count_is_the_published_one():
    c = bert.Config()
    tree = jax.eval_shape(lambda key: models.init(key, c), jax.random.key(0))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
    encoder, pooler = (
        109_482_240,
        768 * 769,
    )  # BertModel's count, and the part of it that no masked LM uses
    head = 768 * 769 + 2 * 768 + 30522
    assert count == encoder - pooler + head
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(tree))


def test_init_is_a_cut_normal_and_repeats():
    config = bert.Config(
        hidden_size=64, num_layers=L, num_heads=4, intermediate_size=128, vocab_size=1009
    )
    params, again = (
        jax.jit(models.init, static_argnums=1)(jax.random.key(3), config) for _ in range(2)
    )
    chex.assert_trees_all_equal(params, again)
    kernel = params["layers"]["mlp"]["up"]["kernel"]
    assert float(jnp.abs(kernel).max()) <= 0.04
    # A normal cut at two standard deviations has 0.8796 of its spread.
    assert float(kernel.std()) == pytest.approx(0.02 * 0.8796, rel=0.02)
    assert not np.array_equal(kernel[0], kernel[1])


def test_the_unembedding_is_all_that_makes_logits_of_hidden_states(golden):
    checkpoint, tokens, expected = golden
    h, _ = hidden(checkpoint.config, checkpoint.params, tokens)
    assert h.shape == (*tokens.shape, checkpoint.config.hidden_size + 1)
    np.testing.assert_array_equal(h[..., -1], 1)
    logits = h @ models.unembedding(checkpoint.config, checkpoint.params)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


@pytest.mark.long
def test_gradients_reach_the_tied_embedding_from_both_ends(case):
    checkpoint, tokens = case
    config = checkpoint.config

    def total(embedding, output):
        params = swapped(checkpoint.params, ("embed", "token", "embedding"), lambda _: embedding)
        h, _ = models.hidden_fn(config)(params, tokens)
        return jnp.sum(
            jnp.sin(
                h
                @ models.unembedding(
                    config, swapped(params, ("embed", "token", "embedding"), output)
                )
            )
        )

    embedding = jnp.asarray(checkpoint.params["embed"]["token"]["embedding"])
    whole = jax.jit(jax.grad(lambda e: total(e, lambda _: e)))(embedding)
    inward = jax.jit(jax.grad(lambda e: total(e, lambda _: embedding)))(embedding)
    outward = jax.jit(jax.grad(lambda e: total(embedding, lambda _: e)))(embedding)
    np.testing.assert_allclose(whole, inward + outward, rtol=1e-4, atol=1e-4)
    assert min(float(jnp.abs(g).max()) for g in (inward, outward)) > 0.1


def test_captures_have_their_shapes(golden):
    checkpoint, tokens, _ = golden
    c, (b, t) = checkpoint.config, tokens.shape
    _, captured = hidden(c, checkpoint.params, tokens, capture=tuple(bert.SITES))
    assert {site: value.shape for site, value in captured.items()} == {
        "residual": (L, b, t, c.hidden_size),
        "attention": (L, b, H, t, t),
        "heads": (L, b, t, H, c.head_dim),
        "mlp": (L, b, t, F),
    }
    np.testing.assert_allclose(captured["attention"].sum(-1), 1, atol=1e-6)
    assert captured["attention"].min() > 0  # both sides are seen


def test_every_prediction_depends_on_every_token(case):
    checkpoint, tokens = case
    before = apply(checkpoint.config, checkpoint.params, tokens)
    for position in (0, 5, tokens.shape[1] - 1):
        changed = tokens.copy()
        changed[:, position] = (changed[:, position] + 1) % V
        after = apply(checkpoint.config, checkpoint.params, changed)
        assert (np.abs(before - after).max(-1) > 1e-4).all()


def test_an_unseen_token_changes_no_other_prediction(case):
    checkpoint, tokens = case
    seen = np.ones(tokens.shape, bool)
    seen[:, -3:] = False
    other = tokens.copy()
    other[:, -3:] = (other[:, -3:] + 1) % V
    h, h_other = (
        hidden(checkpoint.config, checkpoint.params, text, seen=seen)[0] for text in (tokens, other)
    )
    np.testing.assert_array_equal(h[:, :-3], h_other[:, :-3])
    short, _ = hidden(checkpoint.config, checkpoint.params, tokens[:, :-3])
    np.testing.assert_allclose(h[:, :-3], short, atol=1e-5)


def test_a_mask_of_another_shape_is_refused(case):
    """One row would broadcast over the batch."""
    checkpoint, tokens = case
    with pytest.raises(AssertionError, match="shape"):
        hidden(checkpoint.config, checkpoint.params, tokens, seen=np.ones_like(tokens[:1], bool))


def test_zeroed_heads_are_a_zero_out_kernel(case):
    checkpoint, tokens = case
    config = checkpoint.config

    def zero_heads(site, value, layer):
        return jnp.where(layer == 1, 0, value) if site == "heads" else value

    ablated, captured = hidden(config, checkpoint.params, tokens, ("heads",), zero_heads)
    without = swapped(
        checkpoint.params, ("layers", "attention", "out", "kernel"), lambda leaf: cut(leaf, 1)
    )
    np.testing.assert_allclose(ablated, hidden(config, without, tokens)[0], atol=1e-5)
    assert not captured["heads"][1].any()
    assert np.abs(ablated - hidden(config, checkpoint.params, tokens)[0]).max() > 0.1


def cut(leaf, layer: int):
    leaf = leaf.copy()
    leaf[layer] = 0
    return leaf


def test_parts_cover_every_weight_once():
    config = bert.Config(
        hidden_size=35,
        num_layers=L,
        num_heads=H,
        intermediate_size=F,
        vocab_size=V,
        max_positions=23,
    )
    whole = restrict.size(config, restrict.select(config, "all"))
    for by in ("layers", "modules"):
        assert (
            sum(restrict.size(config, mask) for mask in restrict.groups(config, by).values())
            == whole
        )
    head = restrict.size(config, restrict.select(config, "layers.1.attention.heads.2"))
    assert head == 3 * (35 * 7 + 7) + 7 * 35


def test_sequences_longer_than_the_positions_are_refused(case):
    checkpoint, _ = case
    with pytest.raises(InputError, match=r"sequences of 24 tokens; expected at most 23"):
        apply(checkpoint.config, checkpoint.params, np.zeros((1, 24), np.int32))


def test_unknown_capture_site_lists_the_known_ones(case):
    checkpoint, tokens = case
    with pytest.raises(InputError, match=r"unknown site 'head'.*Did you mean heads"):
        hidden(checkpoint.config, checkpoint.params, tokens, capture=("head",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 67}, "hidden_size 67 with num_heads 12"),
        ({"num_segments": 0}, "num_segments 0"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps nan"),
        ({"vocab_size": "101"}, "vocab_size '101'"),
    ],
)
def test_impossible_configs_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        bert.Config(**fields)


def test_a_bert_is_asked_for_no_next_token(golden):
    models.check_causal(models.gpt_neox.Config())
    with pytest.raises(InputError, match=r"a bert asked for its next token.*experiments\.masked"):
        models.check_causal(golden[0].config)


def test_other_layer_norm_eps_gives_other_logits(golden):
    checkpoint, tokens, expected = golden
    other = dataclasses.replace(checkpoint.config, layer_norm_eps=1e-2)
    assert np.abs(apply(other, checkpoint.params, tokens) - expected).max() > 1e-3
