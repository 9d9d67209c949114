"""Encoders that were saved alone, without prefix and head, are read; only their logits are refused.

The files are those of BertModel and GPTNeoXModel. Axes: B batch, T tokens, D width.
"""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy
from make_torch_zip import state_dict

from dynamics import checkpoints, models
from dynamics.checkpoints import config_json
from dynamics.errors import InputError
from dynamics.measures import divergence, masked, surprisal, weights
from dynamics.models import bert, gpt_neox

SIZES = {"hidden_size": 15, "num_layers": 2, "num_heads": 3, "intermediate_size": 7}
CONFIGS = {
    "bert": bert.Config(**SIZES, vocab_size=11, max_positions=13),
    "gpt_neox": gpt_neox.Config(**SIZES, vocab_size=11, max_positions=13, rotary_fraction=0.8),
}
HEADS = {"bert": ("transform", "unembed"), "gpt_neox": ("unembed",)}
TOKENS = np.random.default_rng(0).integers(0, 11, (3, 5)).astype(np.int32)
FIRST = np.zeros((3, 1), np.int32)  # the position that is masked
SINGLE, SHARD = "model.safetensors", "model-0000{}-of-00002.safetensors"


def whole(family: str):
    """Random params of a whole model and the tensors that it is saved as."""
    draw = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda key: models.init(key, CONFIGS[family]), jax.random.key(0))
    params = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(np.float32), shapes)
    return params, checkpoints.from_params(CONFIGS[family], params)


def alone(family: str) -> dict[str, np.ndarray]:
    """The tensors as the trunk alone is saved: of the whole model's those with its prefix."""
    _, tensors = whole(family)
    prefix = f"{family}."
    return {name[len(prefix) :]: x for name, x in tensors.items() if name.startswith(prefix)}


def stored(folder, family: str, tensors: dict[str, np.ndarray], form: str = SINGLE):
    (folder / "config.json").write_text(json.dumps(config_json.to_hub(CONFIGS[family])))
    if form == SINGLE:
        safetensors.numpy.save_file(tensors, folder / SINGLE)
    elif form == "pytorch_model.bin":
        (folder / form).write_bytes(state_dict(tensors))
    else:
        names = sorted(tensors)
        shard_of = {name: SHARD.format(1 + (name > names[3])) for name in names}
        for shard in set(shard_of.values()):
            part = {name: tensors[name] for name in names if shard_of[name] == shard}
            safetensors.numpy.save_file(part, folder / shard)
        (folder / f"{SINGLE}.index.json").write_text(json.dumps({"weight_map": shard_of}))
    return folder


def greek(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    ends = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, tensor in tensors.items():
        end = next((end for end in ends if name.endswith(end)), None)
        renamed[name.removesuffix(end) + ends[end] if end else name] = tensor
    return renamed


MATRIX, VECTOR = np.ones((15, 15), np.float32), np.ones(15, np.float32)
BUFFERS = {
    "pooler": ("bert", {"pooler.dense.weight": MATRIX, "pooler.dense.bias": VECTOR}),
    "positions": ("bert", {"embeddings.position_ids": np.arange(13)[None]}),
    "causal mask": ("gpt_neox", {"layers.1.attention.bias": np.ones((1, 1, 5, 5), bool)}),
    "rotary": ("gpt_neox", {"layers.0.attention.rotary_emb.inv_freq": VECTOR}),
}
READ = [
    *((family, {}, form) for family in CONFIGS for form in (SINGLE, "pytorch_model.bin", "shards")),
    *((family, beside, SINGLE) for family, beside in BUFFERS.values()),
    ("bert", "greek", SINGLE),
]


@pytest.mark.parametrize(("family", "beside", "form"), READ)
def test_an_encoder_alone_is_read_as_the_whole_models_trunk(tmp_path, family, beside, form):
    params, _ = whole(family)
    tensors = greek(alone(family)) if beside == "greek" else {**alone(family), **beside}
    checkpoint = checkpoints.load(stored(tmp_path, family, tensors, form))
    trunk = {name: leaf for name, leaf in params.items() if name not in HEADS[family]}
    assert jax.tree.structure(checkpoint.params) == jax.tree.structure(trunk)
    jax.tree.map(np.testing.assert_array_equal, checkpoint.params, trunk)
    assert not models.has_head(checkpoint.params)
    assert checkpoint.provenance["head"].startswith("none")


@pytest.mark.parametrize("family", CONFIGS)
def test_what_needs_no_head_works(tmp_path, family):
    config, (params, _) = CONFIGS[family], whole(family)
    trunk = checkpoints.load(stored(tmp_path, family, alone(family))).params
    h, captured = models.hidden_fn(config)(trunk, TOKENS, ("residual",))
    assert h.shape == (*TOKENS.shape, config.hidden_size)
    full, captured_full = models.hidden_fn(config)(params, TOKENS, ("residual",))
    np.testing.assert_array_equal(captured["residual"], captured_full["residual"])
    if family == "gpt_neox":
        np.testing.assert_array_equal(h, full)
    of_whole = weights.matrices(config, params)
    of_trunk = weights.matrices(config, trunk)
    assert {*of_whole} - {*of_trunk} == {"unembed", "unembed_centred"}
    for name, matrix in of_trunk.items():
        np.testing.assert_array_equal(matrix, of_whole[name])


def stack(params):
    return jax.tree.map(lambda leaf: np.stack([leaf, leaf]), params)


MEASURES = {
    "logits": lambda c, p: models.apply_fn(c)(p, TOKENS),
    "logits under jit": lambda c, p: jax.jit(models.apply_fn(c))(p, TOKENS),
    "unembedding": lambda c, p: models.unembedding(c, p),
    "loss": lambda c, p: surprisal.loss_fn(c)(p, TOKENS),
    "gradient": lambda c, p: jax.grad(surprisal.loss_fn(c))(p, TOKENS),
    "divergence": lambda c, p: divergence.seed_divergence(c, stack(p), TOKENS),
}
OF_BERT = {
    **{name: MEASURES[name] for name in ("logits", "logits under jit", "unembedding")},
    "masked": lambda c, p: masked.seed_divergence(c, stack(p), TOKENS, FIRST, 4),
}


@pytest.mark.parametrize(
    ("family", "measure"),
    [*(("gpt_neox", name) for name in MEASURES), *(("bert", name) for name in OF_BERT)],
)
def test_what_needs_a_head_refuses_in_one_sentence(tmp_path, family, measure):
    checkpoint = checkpoints.load(stored(tmp_path, family, alone(family)))
    with pytest.raises(InputError, match="weights without an output head") as raised:
        {**MEASURES, **OF_BERT}[measure](checkpoint.config, checkpoint.params)
    assert len(str(raised.value)) < 300


def without(tensors, *names):
    return {name: tensor for name, tensor in tensors.items() if name not in names}


FAULTS = [
    ("bert", lambda t: without(t, "embeddings.LayerNorm.bias"), "1 missing .embeddings.LayerNorm"),
    ("gpt_neox", lambda t: without(t, "embed_in.weight"), "1 missing .embed_in.weight."),
    ("bert", lambda t: {**t, "classifier.weight": MATRIX}, "1 unknown .classifier.weight."),
    ("gpt_neox", lambda t: {**t, "score.weight": MATRIX}, "1 unknown .score.weight."),
    ("bert", lambda t: {**t, "qa_outputs.bias": VECTOR}, "2-layer BERT without its head"),
    ("bert", lambda t: {**t, "cls.predictions.bias": VECTOR[:11]}, "4 missing .cls.predictions"),
    ("bert", lambda t: {f"bert.{name}": x for name, x in t.items()}, "missing .cls.predictions"),
    ("gpt_neox", lambda t: {f"gpt_neox.{n}": x for n, x in t.items()}, "1 missing .embed_out"),
    ("bert", lambda t: {f"model.{name}": x for name, x in t.items()}, "missing .bert.embeddings"),
    ("gpt_neox", lambda t: {"x": MATRIX, "y": MATRIX, "z": MATRIX}, "missing .embed_out"),
]


@pytest.mark.parametrize(("family", "edit", "message"), FAULTS)
def test_what_is_no_whole_encoder_is_refused_by_name(tmp_path, family, edit, message):
    folder = stored(tmp_path, family, edit(alone(family)))
    with pytest.raises(InputError, match=message):
        checkpoints.load(folder)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_whole_model_without_its_prefix_is_whole(tmp_path, family):
    params, tensors = whole(family)
    bare = {name.removeprefix(f"{family}."): tensor for name, tensor in tensors.items()}
    checkpoint = checkpoints.load(stored(tmp_path, family, bare))
    jax.tree.map(np.testing.assert_array_equal, checkpoint.params, params)


@pytest.mark.parametrize("kind", ["BertModel", "GPTNeoXModel"])
def test_hidden_states_are_transformers_own(tmp_path, kind):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    family = {"BertModel": "bert", "GPTNeoXModel": "gpt_neox"}[kind]
    folder = stored(tmp_path, family, alone(family))
    model = getattr(transformers, kind).from_pretrained(folder, attn_implementation="eager")
    with torch.no_grad():
        theirs = model.eval()(torch.from_numpy(TOKENS).long()).last_hidden_state.numpy()
    checkpoint = checkpoints.load(folder)
    with jax.default_matmul_precision("highest"):
        ours, _ = models.hidden_fn(checkpoint.config)(checkpoint.params, TOKENS)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * np.abs(theirs).max())
