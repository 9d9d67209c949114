"""BERT's layout on the hub: names of every age, skipped names, tied tensors, round trips."""

import json
import re
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
import safetensors.numpy

from dynamics import checkpoints, models
from dynamics.checkpoints import config_json, convert
from dynamics.checkpoints.formats import TensorFolder
from dynamics.errors import InputError
from dynamics.models import bert, gpt_neox

GOLDEN = Path(__file__).parents[2] / "models" / "golden_bert"
CONFIG = bert.Config(
    hidden_size=14,
    num_layers=3,
    num_heads=2,
    intermediate_size=5,
    vocab_size=11,
    max_positions=13,
    num_segments=3,
)
WORDS, DECODER = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"


def random_params(config, seed: int = 0):
    shapes = jax.eval_shape(lambda key: models.init(key, config), jax.random.key(0))
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: draw.standard_normal(leaf.shape).astype(np.float32), shapes)


@pytest.fixture
def saved(tmp_path):
    """A folder with a random model, its params, and its tensors."""
    params = random_params(CONFIG)
    folder = checkpoints.save(tmp_path / "x", CONFIG, params)
    return folder, params, safetensors.numpy.load_file(folder / "model.safetensors")


def stored(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


def assert_same(params, expected):
    assert jax.tree.structure(params) == jax.tree.structure(expected)
    chex.assert_trees_all_equal(params, expected)


def test_what_is_saved_loads_bit_for_bit(saved):
    folder, params, _ = saved
    checkpoint = checkpoints.load(folder)
    assert checkpoint.config == CONFIG
    assert_same(checkpoint.params, params)


def test_layout_is_the_hubs(saved):
    folder, _, tensors = saved
    prefix = "bert.encoder.layer.2."
    assert {
        name.removeprefix(prefix): t.shape for name, t in tensors.items() if name.startswith(prefix)
    } == {
        **{f"attention.self.{name}.weight": (14, 14) for name in ("query", "key", "value")},
        **{f"attention.self.{name}.bias": (14,) for name in ("query", "key", "value")},
        "attention.output.dense.weight": (14, 14),
        "attention.output.dense.bias": (14,),
        "attention.output.LayerNorm.weight": (14,),
        "attention.output.LayerNorm.bias": (14,),
        "intermediate.dense.weight": (5, 14),
        "intermediate.dense.bias": (5,),
        "output.dense.weight": (14, 5),
        "output.dense.bias": (14,),
        "output.LayerNorm.weight": (14,),
        "output.LayerNorm.bias": (14,),
    }
    assert {name: t.shape for name, t in tensors.items() if ".layer." not in name} == {
        WORDS: (11, 14),
        "bert.embeddings.position_embeddings.weight": (13, 14),
        "bert.embeddings.token_type_embeddings.weight": (3, 14),
        "bert.embeddings.LayerNorm.weight": (14,),
        "bert.embeddings.LayerNorm.bias": (14,),
        "cls.predictions.transform.dense.weight": (14, 14),
        "cls.predictions.transform.dense.bias": (14,),
        "cls.predictions.transform.LayerNorm.weight": (14,),
        "cls.predictions.transform.LayerNorm.bias": (14,),
        "cls.predictions.bias": (11,),
    }
    assert json.loads((folder / "config.json").read_text())["model_type"] == "bert"


def test_heads_are_consecutive_rows(saved):
    _, params, tensors = saved
    kernel = params["layers"]["attention"]["value"]["kernel"]  # [L,D,H,K]
    hubs = tensors["bert.encoder.layer.1.attention.self.value.weight"]
    np.testing.assert_array_equal(hubs[1 * 7 + 3], kernel[1, :, 1, 3])
    kernel = params["layers"]["attention"]["out"]["kernel"]  # [L,H,K,D]
    np.testing.assert_array_equal(
        tensors["bert.encoder.layer.1.attention.output.dense.weight"][:, 1 * 7 + 3], kernel[1, 1, 3]
    )


def test_conversion_only_rearranges():
    params = random_params(CONFIG)
    ours = np.sort(np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params)]))
    hubs = np.sort(
        np.concatenate([t.ravel() for t in convert.from_params(CONFIG, params).values()])
    )
    np.testing.assert_array_equal(ours, hubs)


@pytest.mark.parametrize("golden", sorted(GOLDEN.iterdir()), ids=lambda path: path.name)
def test_files_of_every_age_keep_their_numbers_through_load_and_save(tmp_path, golden):
    checkpoint = checkpoints.load(golden)
    folder = checkpoints.save(tmp_path / "x", checkpoint.config, checkpoint.params)
    assert checkpoints.load(folder).config == checkpoint.config
    before = TensorFolder(golden)
    names = {
        name.replace(".gamma", ".weight").replace(".beta", ".bias"): name for name in before.names()
    }
    for name, tensor in safetensors.numpy.load_file(folder / "model.safetensors").items():
        np.testing.assert_array_equal(tensor, before.read(names[name]).astype(np.float32))


def test_golden_files_hold_each_variant():
    names = {path.name: TensorFolder(path).names() for path in GOLDEN.iterdir()}
    assert {DECODER, "cls.predictions.decoder.bias"} <= names["multibert"]
    assert "bert.encoder.layer.2.output.LayerNorm.gamma" in names["old_names"]
    for stored in names.values():
        assert {
            "bert.pooler.dense.weight",
            "cls.seq_relationship.bias",
            "bert.embeddings.position_ids",
        } <= stored


@pytest.mark.parametrize("names", [(WORDS, DECODER), (WORDS,), (DECODER,)])
def test_a_tied_matrix_may_stand_under_either_name(saved, names):
    folder, params, tensors = saved
    words = tensors.pop(WORDS)
    tensors |= {name: words.copy() for name in names}
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].copy()
    assert_same(checkpoints.load(stored(folder, tensors)).params, params)


@pytest.mark.parametrize("name", [DECODER, "cls.predictions.decoder.bias"])
def test_a_tied_matrix_that_differs_is_refused(saved, name):
    folder, _, tensors = saved
    twin = {DECODER: WORDS, "cls.predictions.decoder.bias": "cls.predictions.bias"}[name]
    tensors[name] = tensors[twin].copy()
    tensors[name].flat[3] += 1e-3
    with pytest.raises(
        InputError, match=rf"{re.escape(name)} that differs from {re.escape(twin)}.*tied"
    ):
        checkpoints.load(stored(folder, tensors))


@pytest.mark.parametrize(
    "name",
    [
        "bert.embeddings.position_ids.x",
        "bert.pooler.dense.scale",
        "cls.seq_relationship.gamma",
        "bert.encoder.layer.3.output.dense.bias",
        "position_ids",
        "bert.encoder.layer.1.output.LayerNorm.gamma",  # beside the one under its new name
    ],
)
def test_unknown_tensors_are_refused(saved, name):
    folder, _, tensors = saved
    with pytest.raises(InputError, match=rf"1 unknown \({re.escape(name)}\).* of a 3-layer BERT"):
        checkpoints.load(stored(folder, {**tensors, name: np.ones(3, np.float32)}))


def test_a_model_without_its_head_is_refused(saved):
    folder, _, tensors = saved
    trunk = {name: tensor for name, tensor in tensors.items() if not name.startswith("cls.")}
    with pytest.raises(InputError, match=r"5 missing \(cls\.predictions\.bias"):
        checkpoints.load(stored(folder, trunk))


def test_greek_names_are_berts_alone(tmp_path):
    config = gpt_neox.Config(
        hidden_size=16, num_layers=1, num_heads=2, intermediate_size=5, vocab_size=11
    )
    folder = checkpoints.save(tmp_path / "x", config, random_params(config))
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    tensors["gpt_neox.final_layer_norm.gamma"] = tensors.pop("gpt_neox.final_layer_norm.weight")
    with pytest.raises(InputError, match=r"1 missing .*1 unknown"):
        checkpoints.load(stored(folder, tensors))


MULTIBERT = {
    "_name_or_path": "tmp-model",
    "architectures": ["BertForPreTraining"],
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": 30522,
}


def test_a_multiberts_configuration_is_the_default():
    assert config_json.from_hub(MULTIBERT) == bert.Config()


@pytest.mark.parametrize("config", [CONFIG, bert.Config()])
def test_configs_round_trip(config):
    assert config_json.from_hub(json.loads(json.dumps(config_json.to_hub(config)))) == config


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"hidden_act": "gelu_new"},
            r"hidden_act = 'gelu_new'; expected 'gelu', as in every MultiBERT",
        ),
        ({"position_embedding_type": "relative_key"}, r"position_embedding_type = 'relative_key'"),
        ({"tie_word_embeddings": False}, r"tie_word_embeddings = False"),
        ({"is_decoder": True}, r"is_decoder = True"),
        ({"num_attention_heads": 7}, r"hidden_size 768 with num_heads 7"),
        ({"vocab_size": 1 << 40}, r"vocab_size 1099511627776"),
        ({"model_type": "roberta"}, r"unknown model_type in config.json 'roberta'.*gpt_neox, bert"),
    ],
)
def test_configurations_that_ask_for_another_forward_pass_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        config_json.from_hub({**MULTIBERT, **fields})


def test_a_configuration_with_a_hole_is_refused():
    with pytest.raises(InputError, match=r"without 'intermediate_size'; expected a complete BERT"):
        config_json.from_hub({k: v for k, v in MULTIBERT.items() if k != "intermediate_size"})
