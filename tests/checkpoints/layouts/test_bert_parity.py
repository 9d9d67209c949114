"""The same BERT in transformers: logits equal, and each reads what the other wrote.

Axes: B batch, T tokens, V vocabulary. Needs torch and transformers, which nothing else here does.
"""

import jax
import numpy as np
import pytest

from dynamics import checkpoints, models
from dynamics.models import bert

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOKENS = np.random.default_rng(0).integers(0, 101, (3, 11)).astype(np.int32)
SEEN = np.arange(11) < np.array([[11], [7], [3]])
CONFIGS = {
    "base": bert.Config(
        hidden_size=35,
        num_layers=3,
        num_heads=5,
        intermediate_size=67,
        vocab_size=101,
        max_positions=23,
    ),
    "other": bert.Config(
        hidden_size=39,
        num_layers=2,
        num_heads=3,
        intermediate_size=17,
        vocab_size=103,
        max_positions=11,
        num_segments=3,
        layer_norm_eps=1e-3,
    ),
}


@pytest.fixture(autouse=True)
def _full_precision():
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


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
        fan_in = config.intermediate_size if "down" in names else config.hidden_size
        return (1.5 / fan_in**0.5 * draw.standard_normal(shape.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes)


def theirs(folder, kind="BertForMaskedLM"):
    """The logits of transformers at visible tokens, and the keys it missed or did not know."""
    model, mismatches = getattr(transformers, kind).from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32
    )
    with torch.no_grad():
        inputs = {
            "input_ids": torch.from_numpy(TOKENS).long(),
            "attention_mask": torch.from_numpy(SEEN).long(),
        }
        logits = model.eval()(**inputs)[0]
    return logits.numpy()[SEEN], {
        key: sorted(mismatches[key]) for key in ("missing_keys", "unexpected_keys")
    }


def ours(checkpoint):
    hidden, unembed = models.hidden_fn(checkpoint.config), models.unembed_fn(checkpoint.config)
    h, _ = jax.jit(lambda p: hidden(p, TOKENS, seen=SEEN))(checkpoint.params)
    return np.asarray(unembed(checkpoint.params, h))[SEEN]


def randomised(config, kind: str, dtype):
    """A model of theirs, every parameter drawn."""
    fields = {
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": config.num_segments,
        "layer_norm_eps": config.layer_norm_eps,
    }
    model = getattr(transformers, kind)(transformers.BertConfig(**fields))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, p in model.named_parameters():
            draw = torch.randn(p.shape, generator=generator) * (
                1.5 / p.shape[-1] ** 0.5 if p.ndim == 2 else 0.3
            )
            p.copy_(((1.0 if "LayerNorm.weight" in name else 0.0) + draw).to(dtype))
    return model.to(dtype)


@pytest.mark.long
def test_transformers_loads_what_is_saved_and_agrees(tmp_path, config):
    checkpoint = checkpoints.load(checkpoints.save(tmp_path / "x", config, random_params(config)))
    expected, mismatches = theirs(tmp_path / "x")
    assert mismatches == {"missing_keys": [], "unexpected_keys": []}
    assert expected.std() >= 1
    np.testing.assert_allclose(ours(checkpoint), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForPreTraining"])
@pytest.mark.parametrize(("dtype", "shard_size"), [("float32", "1GB"), ("bfloat16", "30KB")])
def test_what_transformers_saves_loads_and_agrees(tmp_path, config, kind, dtype, shard_size):
    model = randomised(config, kind, getattr(torch, dtype))
    model.save_pretrained(tmp_path, max_shard_size=shard_size)
    checkpoint = checkpoints.load(tmp_path)
    assert checkpoint.config == config
    expected, _ = theirs(tmp_path, kind)
    assert expected.std() >= 1
    np.testing.assert_allclose(ours(checkpoint), expected, rtol=0, atol=1e-4)


def test_a_state_dict_of_torch_loads_and_agrees(tmp_path):
    config = CONFIGS["base"]
    model = randomised(config, "BertForPreTraining", torch.float32)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    expected, _ = theirs(tmp_path, "BertForPreTraining")
    np.testing.assert_allclose(ours(checkpoints.load(tmp_path)), expected, rtol=0, atol=1e-4)
