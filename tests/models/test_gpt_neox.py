"""GPT-NeoX: transformers' logits on file, published sizes, and what causal and rotary imply.

Axes: B batch, T (and S) tokens, D width, H heads, K head dim, F MLP width, L layers, V vocabulary.
"""

import dataclasses
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics import checkpoints, models
from dynamics.errors import InputError
from dynamics.models import gpt_neox

GOLDEN = sorted(path for path in (Path(__file__).parent / "golden").iterdir())
L, H, V = 3, 5, 101  # of every golden case
PUBLISHED = {
    "14m": 14_067_712,
    "31m": 30_494_720,
    "70m": 70_426_624,
    "160m": 162_322_944,
    "410m": 405_334_016,
    "1b": 1_011_781_632,
    "1.4b": 1_414_647_808,
    "2.8b": 2_775_208_960,
    "6.9b": 6_857_302_016,
    "12b": 11_846_072_320,
}


@pytest.fixture(autouse=True)
def _full_precision():
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(scope="module", params=GOLDEN, ids=lambda path: path.name)
def golden(request):
    """A random model that transformers has run: its checkpoint, tokens [B,T], logits [B,T,V]."""
    expected = np.load(request.param / "expected.npz")
    return checkpoints.load(request.param), expected["tokens"], expected["logits"]


@pytest.fixture(scope="module")
def states(golden):
    """The golden model's hidden states [B,T,D], and the values captured at every site."""
    checkpoint, tokens, _ = golden
    with jax.default_matmul_precision("highest"):
        sites = tuple(gpt_neox.SITES)
        return hidden(checkpoint.config, checkpoint.params, tokens, capture=sites)


def leaves(params) -> dict[str, np.ndarray]:
    paths, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}


def apply(config, params, tokens):
    return jax.jit(models.apply_fn(config))(params, tokens)


def hidden(config, params, tokens, capture=(), intervene=None):
    run = jax.jit(models.hidden_fn(config), static_argnames=("capture", "intervene"))
    return run(params, tokens, capture=capture, intervene=intervene)


def init(seed: int, config):
    return jax.jit(models.init, static_argnums=1)(jax.random.key(seed), config)


def test_golden_cases_are_all_there():
    assert [path.name for path in GOLDEN] == [
        "parallel_full",
        "parallel_quarter",
        "sequential_half",
    ]
    assert sum(file.stat().st_size for path in GOLDEN for file in path.iterdir()) < 300_000


def test_logits_equal_transformers(golden):
    checkpoint, tokens, expected = golden
    logits = apply(checkpoint.config, checkpoint.params, tokens)
    assert logits.dtype == jnp.float32
    assert expected.std() >= 1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_every_golden_leaf_is_random(golden):
    # A bias of zeros or a scale of ones would hide a leaf put in the wrong place.
    for path, leaf in leaves(golden[0].params).items():
        assert np.unique(leaf).size > leaf.size / 100, path
        assert leaf.std() > 0.05, path


@pytest.mark.parametrize(
    "change",
    [
        lambda c: {"parallel_residual": not c.parallel_residual},
        lambda c: (
            {"rotary_base": 2 * c.rotary_base} if c.rotary_dims > 2 else {"rotary_fraction": 0.0}
        ),
        lambda c: {"rotary_fraction": 0.5 if c.rotary_fraction != 0.5 else 0.25},
        lambda c: {"layer_norm_eps": 1e-2},
    ],
    ids=["residual", "rotary_base", "rotary_fraction", "layer_norm_eps"],
)
def test_golden_logits_tell_the_configs_apart(golden, change):
    checkpoint, tokens, expected = golden
    other = dataclasses.replace(checkpoint.config, **change(checkpoint.config))
    logits = apply(other, checkpoint.params, tokens)
    assert np.abs(logits - expected).max() > 1e-3


def test_golden_logits_tell_the_qkv_layout_apart(golden):
    checkpoint, tokens, expected = golden
    kernel = checkpoint.params["layers"]["attention"]["qkv"]["kernel"]
    wrong = kernel.reshape(L, -1, 3, H, checkpoint.config.head_dim).swapaxes(2, 3)
    params = jax.tree.map(lambda leaf: wrong if leaf is kernel else leaf, checkpoint.params)
    assert np.abs(apply(checkpoint.config, params, tokens) - expected).max() > 0.1


def test_gelu_is_exact(golden):
    checkpoint, tokens, _ = golden
    config, params = checkpoint.config, checkpoint.params
    up = params["layers"]["mlp"]["up"]
    # With the norm's output zeroed the activations are GELU of the bias alone.
    norm = jax.tree.map(np.zeros_like, params["layers"]["mlp_norm"])
    layers = {**params["layers"], "mlp_norm": norm}
    _, captured = hidden(config, {**params, "layers": layers}, tokens, capture=("mlp",))
    x = up["bias"].astype(np.float64)
    erf = np.vectorize(math.erf)(x / math.sqrt(2))
    np.testing.assert_allclose(captured["mlp"][:, 0, 0], x * (1 + erf) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", PUBLISHED)
def test_parameter_counts_are_the_published_ones(size):
    c = gpt_neox.PYTHIA[size]
    tree = jax.eval_shape(lambda key: models.init(key, c), jax.random.key(0))
    d, f = c.hidden_size, c.intermediate_size
    norms, attention, mlp = 4 * d, 3 * d * (d + 1) + d * (d + 1), f * (d + 1) + d * (f + 1)
    by_formula = 2 * c.vocab_size * d + 2 * d + c.num_layers * (norms + attention + mlp)
    assert (
        sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
        == by_formula
        == PUBLISHED[size]
    )
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(tree))


def test_all_ten_pythias_are_built_in():
    assert list(gpt_neox.PYTHIA) == list(PUBLISHED)
    assert gpt_neox.PYTHIA["14m"] == gpt_neox.Config()
    assert gpt_neox.PYTHIA["14m"].num_heads == 4
    assert {c.rotary_fraction for c in gpt_neox.PYTHIA.values()} == {0.25}
    assert {size for size, c in gpt_neox.PYTHIA.items() if c.initializer == "normal"} == {
        "6.9b",
        "12b",
    }


@pytest.mark.parametrize("width", [64, 128])
def test_untrained_logits_have_variance_two_fifths(width):
    config = gpt_neox.Config(
        hidden_size=width, num_layers=2, num_heads=4, intermediate_size=67, vocab_size=10_007
    )
    params = init(width, config)
    logits = apply(config, params, jnp.arange(0, 44, 4)[None])
    assert float(logits.var()) == pytest.approx(0.4, rel=0.02)
    assert float(jnp.abs(logits.mean())) < 0.02


def test_untrained_logits_of_the_two_largest_grow_with_width():
    width = 128
    config = gpt_neox.Config(
        hidden_size=width,
        num_layers=2,
        num_heads=4,
        intermediate_size=67,
        vocab_size=10_007,
        initializer="normal",
    )
    logits = apply(config, init(1, config), jnp.arange(0, 44, 4)[None])
    assert float(logits.var()) == pytest.approx(
        0.0004 * width, rel=0.04
    )  # eps is a part of so small a stream


def test_init_draws_every_layer_apart_and_repeats():
    config = gpt_neox.Config(
        hidden_size=40, num_layers=L, num_heads=H, intermediate_size=67, vocab_size=V
    )
    params, again, other = (init(seed, config) for seed in (7, 7, 8))
    jax.tree.map(np.testing.assert_array_equal, params, again)
    kernel = params["layers"]["mlp"]["up"]["kernel"]
    assert not np.array_equal(kernel[0], kernel[1])
    assert not np.array_equal(kernel, other["layers"]["mlp"]["up"]["kernel"])
    assert models.num_params(params) == 2 * V * 40 + 80 + L * (
        160 + 4 * 40 * 41 + 67 * 41 + 40 * 68
    )


def test_captures_have_their_shapes(golden, states):
    checkpoint, tokens, _ = golden
    c, (b, t) = checkpoint.config, tokens.shape
    h, captured = states
    assert h.shape == (b, t, c.hidden_size)
    assert {site: value.shape for site, value in captured.items()} == {
        "residual": (L, b, t, c.hidden_size),
        "attention": (L, b, H, t, t),
        "heads": (L, b, t, H, c.head_dim),
        "mlp": (L, b, t, 67),
    }


def test_attention_rows_sum_to_one_and_see_no_future(golden, states):
    _, tokens, _ = golden
    attention = states[1]["attention"]
    np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-6)
    assert (np.triu(attention, 1) == 0).all()
    assert (np.tril(attention).sum(-1) > 0).all()
    entropy = -np.sum(attention * np.log(np.maximum(attention, 1e-30)), axis=-1)[..., -1]
    assert entropy.mean() < 0.9 * math.log(
        tokens.shape[1]
    )  # far from uniform, so that parity tests the scores


def test_heads_and_mlp_reproduce_the_stream(golden, states):
    layers, captured = golden[0].params["layers"], states[1]
    output, down = layers["attention"]["out"], layers["mlp"]["down"]
    attended = np.einsum("lbthk,lhkd->lbtd", captured["heads"], output["kernel"])
    attended += output["bias"][:, None, None]
    processed = np.einsum("lbtf,lfd->lbtd", captured["mlp"], down["kernel"])
    processed += down["bias"][:, None, None]
    stream = captured["residual"]
    # Both residual forms add the same two terms; they differ in what the MLP reads.
    np.testing.assert_allclose(stream[1:], (stream + attended + processed)[:-1], atol=2e-5)


def test_residual_starts_at_the_embedding(golden, states):
    checkpoint, tokens, _ = golden
    np.testing.assert_array_equal(
        states[1]["residual"][0], checkpoint.params["embed"]["embedding"][tokens]
    )


def test_identity_intervention_changes_nothing(golden):
    checkpoint, tokens, _ = golden
    config = checkpoint.config
    plain, unchanged = hidden(config, checkpoint.params, tokens, ("heads",))
    touched, captured = hidden(
        config, checkpoint.params, tokens, ("heads",), lambda site, value, layer: value
    )
    np.testing.assert_array_equal(plain, touched)
    np.testing.assert_array_equal(captured["heads"], unchanged["heads"])


def test_zeroed_heads_are_a_zero_out_kernel(golden):
    checkpoint, tokens, _ = golden
    config = checkpoint.config

    def zero_heads(site, value, layer):
        return jnp.zeros_like(value) if site == "heads" else value

    ablated, captured = hidden(config, checkpoint.params, tokens, ("heads",), zero_heads)
    kernel = checkpoint.params["layers"]["attention"]["out"]["kernel"]
    without = jax.tree.map(
        lambda leaf: np.zeros_like(leaf) if leaf is kernel else leaf, checkpoint.params
    )
    np.testing.assert_allclose(ablated, hidden(config, without, tokens)[0], atol=1e-6)
    assert not captured["heads"].any()  # what is captured is what took its place
    assert np.abs(ablated - hidden(config, checkpoint.params, tokens)[0]).max() > 0.1


def test_intervention_reaches_its_layer_alone(golden):
    (checkpoint, tokens, _), target = golden, 1
    config, params = checkpoint.config, checkpoint.params

    def zero_one_head(site, value, layer):
        return (
            value.at[:, :, 2].multiply(jnp.where(layer == target, 0.0, 1.0))
            if site == "heads"
            else value
        )

    kernel = params["layers"]["attention"]["out"]["kernel"]
    cut = kernel.copy()
    cut[target, 2] = 0
    without = jax.tree.map(lambda leaf: cut if leaf is kernel else leaf, params)
    ablated, _ = hidden(config, params, tokens, (), zero_one_head)
    np.testing.assert_allclose(ablated, hidden(config, without, tokens)[0], atol=1e-6)


def test_a_later_token_changes_no_earlier_logit(golden):
    checkpoint, tokens, _ = golden
    config = checkpoint.config
    before = apply(config, checkpoint.params, tokens)
    for position in range(tokens.shape[1]):
        changed = tokens.copy()
        changed[:, position] = (changed[:, position] + 1) % V
        after = apply(config, checkpoint.params, changed)
        np.testing.assert_array_equal(before[:, :position], after[:, :position])
        assert (np.abs(before - after)[:, position:].max(-1) > 1e-4).all()


def test_batch_rows_do_not_mix(golden):
    checkpoint, tokens, expected = golden
    alone = apply(checkpoint.config, checkpoint.params, tokens[1:])
    np.testing.assert_allclose(alone, expected[1:], atol=1e-4)


@settings(deadline=None, max_examples=20)
@given(
    offset=st.integers(0, 40),
    gap=st.integers(0, 7),
    base=st.sampled_from([101.0, 10_000.0]),
    dims=st.sampled_from([2, 6, 14]),
)
def test_rotary_scores_depend_on_relative_position_alone(offset, gap, base, dims):
    query, key = jax.random.normal(jax.random.key(dims), (2, 14))

    def score(at_query, at_key):
        rotated = [gpt_neox.rotary(jnp.broadcast_to(v, (48, 14)), base, dims) for v in (query, key)]
        return float(rotated[0][at_query] @ rotated[1][at_key])

    assert score(offset + gap, offset) == pytest.approx(score(gap, 0), abs=1e-4)


def test_rotary_turns_pairs_by_position():
    x = jax.random.normal(jax.random.key(0), (2, 5, 11, 17))
    turned = gpt_neox.rotary(x, 10_000.0, 4)
    np.testing.assert_array_equal(turned[:, :, 0], x[:, :, 0])  # position 0 is the identity
    np.testing.assert_array_equal(turned[..., 4:], x[..., 4:])  # the rest of the head is left alone
    np.testing.assert_allclose(
        jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5
    )
    # Dim r pairs with r + R/2, as one complex number turned by t * base^(-2r/R).
    angles = np.arange(11)[:, None] * np.array([1.0, 10_000.0**-0.5])
    before, after = (np.asarray(z[..., :2]) + 1j * np.asarray(z[..., 2:4]) for z in (x, turned))
    np.testing.assert_allclose(after, before * np.exp(1j * angles)[None, None], atol=1e-5)


def test_half_precision_params_give_float32_logits_nearby(golden):
    checkpoint, tokens, expected = golden
    half = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), checkpoint.params)
    logits = apply(checkpoint.config, half, tokens)
    assert logits.dtype == jnp.float32
    assert (
        np.std(logits - expected) < 0.05 * expected.std()
    )  # a few of bfloat16's spacings of 1/128


def test_sequences_longer_than_the_positions_are_refused(golden):
    checkpoint, _, _ = golden
    with pytest.raises(InputError, match=r"sequences of 24 tokens; expected at most 23"):
        apply(checkpoint.config, checkpoint.params, np.zeros((1, 24), np.int32))


def test_unknown_capture_site_lists_the_known_ones(golden):
    checkpoint, tokens, _ = golden
    with pytest.raises(
        InputError,
        match=r"unknown site 'head'.*residual, attention, heads, mlp.*Did you mean heads",
    ):
        hidden(checkpoint.config, checkpoint.params, tokens, capture=("head",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 67}, "hidden_size 67 with num_heads 4"),
        ({"rotary_fraction": 0.1}, "rotary_fraction 0.1 of a head of 32, 3 dims"),
        ({"rotary_fraction": 1.5}, "rotary_fraction 1.5"),
        ({"initializer": "smal"}, "unknown initializer 'smal'.*Did you mean small"),
        ({"num_heads": 0}, "num_heads 0"),
        ({"vocab_size": "101"}, "vocab_size '101'"),
    ],
)
def test_impossible_configs_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        gpt_neox.Config(**fields)


def test_other_configs_are_refused():
    with pytest.raises(InputError, match=r"unknown model config 'int'.*gpt_neox"):
        models.apply_fn(3)
