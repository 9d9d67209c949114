"""The same model in transformers: logits equal, and each reads what the other wrote.

Axes: B batch, T tokens, V vocabulary. Needs torch and transformers, which nothing else here does.
"""

import json

import jax
import numpy as np
import pytest

from dynamics import checkpoints, models
from dynamics.models import gpt_neox

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOKENS = np.random.default_rng(0).integers(0, 101, (3, 11)).astype(np.int32)
# Head dims whose rotated part is even: int(17 / 4) = 4, int(13 / 2) = 6, 14.
HEAD_DIM = {0.25: 17, 0.5: 13, 1.0: 14}


@pytest.fixture(autouse=True)
def _full_precision():
    with jax.default_matmul_precision("highest"):
        yield


def config_of(fraction: float, parallel: bool) -> gpt_neox.Config:
    return gpt_neox.Config(
        hidden_size=5 * HEAD_DIM[fraction],
        num_layers=3,
        num_heads=5,
        intermediate_size=67,
        vocab_size=101,
        max_positions=23,
        rotary_fraction=fraction,
        rotary_base=1009.0,
        parallel_residual=parallel,
    )


def random_params(config):
    """Every leaf random; matrices have gain 1.5, so that the SD of the logits is above 1."""
    shapes = jax.eval_shape(lambda key: models.init(key, config), jax.random.key(0))
    draw = np.random.default_rng(1)

    def leaf(path, shape):
        names = [entry.key for entry in path]
        if names[-1] in ("bias", "scale"):
            return ((names[-1] == "scale") + 0.3 * draw.standard_normal(shape.shape)).astype(
                np.float32
            )
        fan_in = (
            shape.shape[-1]
            if names[0] == "embed"
            else int(np.prod(shape.shape[names[0] == "layers" : -1]))
        )
        fan_in = config.hidden_size if "qkv" in names else fan_in
        return (1.5 / fan_in**0.5 * draw.standard_normal(shape.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def theirs(folder, dtype=None):
    """The logits that transformers gives, and the keys it missed or did not know."""
    model, mismatches = transformers.GPTNeoXForCausalLM.from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager", dtype=dtype or torch.float32
    )
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(TOKENS).long()).logits
    return logits.float().numpy(), {
        kind: sorted(mismatches[kind]) for kind in ("missing_keys", "unexpected_keys")
    }


def ours(checkpoint):
    return np.asarray(jax.jit(models.apply_fn(checkpoint.config))(checkpoint.params, TOKENS))


def randomise(model, dtype):
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, p in model.named_parameters():
            draw = torch.randn(p.shape, generator=generator) * (
                1.5 / p.shape[-1] ** 0.5 if p.ndim == 2 else 0.3
            )
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            p.copy_((centre + draw).to(dtype))


@pytest.mark.parametrize("parallel", [True, False], ids=["parallel", "sequential"])
@pytest.mark.parametrize("fraction", HEAD_DIM)
def test_transformers_loads_what_is_saved_and_agrees(tmp_path, fraction, parallel):
    config = config_of(fraction, parallel)
    checkpoint = checkpoints.load(checkpoints.save(tmp_path / "x", config, random_params(config)))
    expected, mismatches = theirs(tmp_path / "x")
    assert mismatches == {"missing_keys": [], "unexpected_keys": []}
    assert expected.std() >= 1
    np.testing.assert_allclose(ours(checkpoint), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("parallel", [True, False], ids=["parallel", "sequential"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shard_size", ["1GB", "100KB"])
def test_what_transformers_saves_loads_and_agrees(tmp_path, parallel, dtype, shard_size):
    config = config_of(0.25, parallel)
    fields = {
        "hidden_size": config.hidden_size,
        "num_hidden_layers": 3,
        "num_attention_heads": 5,
        "intermediate_size": 67,
        "vocab_size": 101,
        "max_position_embeddings": 23,
        "use_parallel_residual": parallel,
        "rotary_pct": 0.25,
        "rotary_emb_base": 1009,
    }
    model = transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**fields))
    randomise(model, getattr(torch, dtype))
    model.to(getattr(torch, dtype)).save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (tmp_path / "model.safetensors.index.json").is_file() == (shard_size == "100KB")
    checkpoint = checkpoints.load(tmp_path)
    assert checkpoint.config == config
    assert {leaf.dtype for leaf in jax.tree.leaves(checkpoint.params)} == {np.dtype(np.float32)}
    expected, _ = theirs(tmp_path)
    assert expected.std() >= 1
    np.testing.assert_allclose(ours(checkpoint), expected, rtol=0, atol=1e-4)


def test_old_and_new_config_keys_give_the_same_logits(tmp_path):
    config = config_of(0.5, True)
    folder = checkpoints.save(tmp_path / "x", config, random_params(config))
    before = ours(checkpoints.load(folder))
    fields = json.loads((folder / "config.json").read_text())
    theta, fraction = fields.pop("rotary_emb_base"), fields.pop("rotary_pct")
    fields["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": theta,
        "partial_rotary_factor": fraction,
    }
    (folder / "config.json").write_text(json.dumps(fields))
    np.testing.assert_array_equal(ours(checkpoints.load(folder)), before)
    np.testing.assert_allclose(theirs(folder)[0], before, rtol=0, atol=1e-4)


def test_half_precision_saves_are_half_precision_to_transformers(tmp_path):
    config = config_of(1.0, True)
    half = jax.tree.map(lambda leaf: leaf.astype(jax.numpy.bfloat16), random_params(config))
    checkpoint = checkpoints.load(checkpoints.save(tmp_path / "x", config, half))
    expected, mismatches = theirs(tmp_path / "x")
    assert mismatches == {"missing_keys": [], "unexpected_keys": []}
    np.testing.assert_allclose(ours(checkpoint), expected, rtol=0, atol=1e-4)
