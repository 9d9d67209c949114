"""Every kind of bad checkpoint gives one error that names the thing and the likely mend."""

import json
import re
import resource
import shutil
import time
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from dynamics import checkpoints, models
from dynamics.checkpoints.formats import TensorFolder
from dynamics.errors import InputError
from dynamics.models import gpt_neox

SMALL = gpt_neox.Config(
    hidden_size=10,
    num_layers=3,
    num_heads=5,
    intermediate_size=7,
    vocab_size=11,
    max_positions=13,
    rotary_fraction=1.0,
)
BIAS = "gpt_neox.layers.1.mlp.dense_h_to_4h.bias"
SHARDED = Path(__file__).parents[1] / "models" / "golden" / "sequential_half"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    params = jax.jit(models.init, static_argnums=1)(jax.random.key(0), SMALL)
    return checkpoints.save(tmp_path_factory.mktemp("good") / "x", SMALL, params)


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A good checkpoint, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "checkpoint"))


@pytest.fixture
def sharded(tmp_path) -> Path:
    return Path(shutil.copytree(SHARDED, tmp_path / "sharded"))


def refused(folder, *parts: str, **kwargs):
    """Loading raises InputError, one sentence or two, that holds every part."""
    with pytest.raises(InputError) as caught:
        checkpoints.load(folder, **kwargs)
    message = str(caught.value)
    assert message.startswith("got ")
    for part in parts:
        assert part in message, message


def edit_config(folder: Path, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def edit_tensors(folder: Path, edit):
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    edit(tensors)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


def test_the_good_folder_is_good(folder):
    assert checkpoints.load(folder).config == SMALL


def test_empty_folder(tmp_path):
    refused(tmp_path, f"{tmp_path} without config.json", "hub's layout")


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./nowhere", "nowhere", "a/b/c"])
def test_no_folder(source):
    refused(source, f"{source}, which is no folder", "hub id like owner/name")


def test_a_file_for_a_folder(folder):
    refused(folder / "model.safetensors", "model.safetensors, which is no folder")


@pytest.mark.parametrize("weights", [None, "somewhere"])
def test_hub_id_not_on_the_machine(weights):
    target = f"{weights or 'weights'}/nobody/no-such-model/step512"
    command = "hf download nobody/no-such-model --revision step512"
    refused("nobody/no-such-model", command, target, revision="step512", weights=weights)
    refused("nobody/no-such-model", "nobody/no-such-model at revision main", weights=weights)


def test_ill_formed_hub_id():
    refused("no body/-model-", "no body/-model-", "no hub id")


def test_config_missing(folder):
    (folder / "config.json").unlink()
    refused(folder, "without config.json")


@pytest.mark.parametrize("text", ["", "{", "not json", '{"model_type": "gpt_neox"'])
def test_config_not_json(folder, text):
    (folder / "config.json").write_text(text)
    refused(folder, "config.json that is not JSON")


def test_config_not_text(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    refused(folder, "config.json that is not JSON")


@pytest.mark.parametrize("text", ["[]", "3", '"gpt_neox"', "null"])
def test_config_not_an_object(folder, text):
    (folder / "config.json").write_text(text)
    refused(folder, "config.json that holds a JSON", "an object")


def test_config_of_another_model(folder):
    edit_config(folder, model_type="gpt2")
    refused(folder, "unknown model_type", "'gpt2'", "one of gpt_neox")


def test_config_without_a_field(folder):
    fields = json.loads((folder / "config.json").read_text())
    del fields["num_attention_heads"]
    (folder / "config.json").write_text(json.dumps(fields))
    refused(folder, "without 'num_attention_heads'")


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"hidden_act": "gelu_fast"}, ["hidden_act = 'gelu_fast'", "'gelu'"]),
        ({"tie_word_embeddings": True}, ["tie_word_embeddings = True"]),
        ({"attention_bias": False}, ["attention_bias = False"]),
        (
            {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0}},
            ["rope type", "'yarn'"],
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, ["rope type", "'linear'"]),
        ({"num_attention_heads": 3}, ["hidden_size 10 with num_heads 3"]),
        ({"num_attention_heads": 0}, ["num_attention_heads 0"]),
        ({"hidden_size": "10"}, ["hidden_size '10'"]),
        ({"hidden_size": True}, ["hidden_size True"]),
        ({"vocab_size": 10**30}, ["vocab_size 1000"]),
        ({"max_position_embeddings": 1 << 31}, ["max_position_embeddings 2147483648"]),
        ({"num_hidden_layers": None}, ["num_hidden_layers None"]),
        ({"rotary_pct": 0.5}, ["rotary_fraction 0.5", "even number"]),
        ({"rotary_pct": "all"}, ["rotary_pct 'all'"]),
        ({"layer_norm_eps": float("nan")}, ["layer_norm_eps nan"]),
        ({"rotary_emb_base": "big"}, ["rotary_emb_base 'big'"]),
        ({"rope_parameters": [1]}, ["rope_parameters", "[1]"]),
    ],
)
def test_config_that_cannot_be(folder, fields, parts):
    edit_config(folder, **fields)
    refused(folder, *parts)


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, "without weights", "model.safetensors")


@pytest.mark.parametrize("names", [["pytorch_model.bin"], ["pytorch_model-00001-of-00002.bin"]])
def test_torch_weights_only(folder, names):
    (folder / "model.safetensors").unlink()
    for name in names:
        (folder / name).write_bytes(b"PK")
    refused(folder, "torch .bin files only", "save_pretrained")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_truncated_weights(folder, share):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(folder, f"{path} ({int(share * len(whole))} bytes), unreadable", "fetch it again")


def test_garbage_weights(folder):
    (folder / "model.safetensors").write_bytes(np.random.default_rng(0).bytes(5000))
    refused(folder, "model.safetensors (5000 bytes), unreadable")


def test_weights_that_are_a_pointer_file(folder):
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )
    refused(folder, "model.safetensors", "unreadable")


def test_missing_shard(sharded):
    (sharded / "model-00002-of-00002.safetensors").unlink()
    refused(
        sharded,
        "1 of 2 shards missing (model-00002-of-00002.safetensors)",
        "Fetch the revision again",
    )


def test_truncated_shard(sharded):
    path = sharded / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    refused(sharded, "model-00002-of-00002.safetensors", "unreadable")


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', '{"weight_map": {}}'),
        *(
            json.dumps({"weight_map": {"a": f"{shard}.safetensors"}})
            for shard in (
                "../x",
                "/x",
                "",
                "\x1b[31m",
                "\ud800",
                "a\0",
                "é" * 200,
                "\u202e",
                "a\\b",
            )
        ),
    ],
)
def test_damaged_index(sharded, text):
    (sharded / "model.safetensors.index.json").write_text(text)
    refused(sharded, "model.safetensors.index.json", "weight_map")


def test_missing_tensor(folder):
    edit_tensors(folder, lambda tensors: tensors.pop(BIAS))
    refused(folder, f"1 missing ({BIAS})", "40 of a 3-layer GPT-NeoX")


def test_missing_unembedding(folder):
    edit_tensors(folder, lambda tensors: tensors.pop("embed_out.weight"))
    refused(folder, "1 missing (embed_out.weight)")


@pytest.mark.parametrize(
    "name",
    ["gpt_neox.layers.1.attention.rotary_emb", "extra", "lm_head.weight", "attention.bias.x"],
)
def test_unknown_tensor(folder, name):
    edit_tensors(folder, lambda tensors: tensors.update({name: np.ones(3, np.float32)}))
    refused(folder, f"1 unknown ({name})")


def test_weights_of_a_deeper_model(folder):
    edit_config(folder, num_hidden_layers=2)
    refused(
        folder, "12 unknown (gpt_neox.layers.2.", "Do config.json and the weights belong together?"
    )


def test_weights_of_a_shallower_model(folder):
    edit_config(folder, num_hidden_layers=4)
    refused(folder, "12 missing (gpt_neox.layers.3.")


@pytest.mark.parametrize(
    ("field", "size", "words"),
    [
        ("num_hidden_layers", 10_000, "tensors; expected those of the 10000 layers"),
        ("vocab_size", 1 << 24, "embed_in.weight of shape (11, 10); expected 167772160 numbers"),
        ("intermediate_size", 1 << 22, "weight of shape (7, 10); expected 41943040 numbers"),
        ("num_hidden_layers", 2 * 10**9, "expected a whole number from 1 to 10000"),
        ("vocab_size", 2 * 10**9, "expected a whole number from 1 to"),
        ("intermediate_size", 2 * 10**9, "expected a whole number from 1 to"),
    ],
)
def test_a_config_far_larger_than_its_weights_costs_neither_time_nor_memory(
    folder, field, size, words
):
    edit_config(folder, **{field: size})
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(folder, words)
    assert time.process_time() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(
    "content", [b"[" * 10**5, b'{"a":' * 10**5, b'{"vocab_size": ' + b"9" * 5000 + b"}"]
)
def test_a_config_that_no_parser_takes(folder, content):
    (folder / "config.json").write_bytes(content)
    refused(folder, "config.json", "not JSON")


def test_wrong_shape(folder):
    edit_tensors(folder, lambda tensors: tensors.update({BIAS: np.ones(8, np.float32)}))
    refused(folder, f"{BIAS} of shape (8,)", "(7,) from config.json")


def test_transposed_kernel(folder):
    name = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"
    edit_tensors(
        folder, lambda tensors: tensors.update({name: np.ascontiguousarray(tensors[name].T)})
    )
    refused(folder, f"{name} of shape (7, 10)", "(10, 7)")


def test_wrong_vocabulary(folder):
    edit_config(folder, vocab_size=13)
    refused(folder, "gpt_neox.embed_in.weight of shape (11, 10)", "(13, 10)")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_tensor(folder, value):
    def damage(tensors):
        tensors[BIAS][2:4] = value

    edit_tensors(folder, damage)
    refused(folder, f"{BIAS} with 2 non-finite of 7 numbers", "finite weights")


KERNEL = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight"
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", [BIAS, KERNEL, "embed_out.weight"])
def test_integers_are_no_weights(folder, dtype, name):
    edit_tensors(folder, lambda tensors: tensors.update({name: tensors[name].astype(dtype)}))
    refused(folder, f"{name} of {dtype} numbers", "floating-point weights")


@pytest.mark.parametrize("dtype", ["float64", "float16", ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
def test_floats_of_every_width_are_weights(folder, dtype):
    expected = checkpoints.load(folder).params["layers"]["mlp"]["up"]["bias"][1]
    edit_tensors(folder, lambda tensors: tensors.update({BIAS: tensors[BIAS].astype(dtype)}))
    loaded = checkpoints.load(folder).params["layers"]["mlp"]["up"]["bias"][1]
    np.testing.assert_array_equal(loaded, expected.astype(dtype).astype(np.float32))


def test_numbers_too_large_for_the_dtype_asked_for(folder):
    def enlarge(tensors):
        tensors[BIAS][1] = 1e6

    edit_tensors(folder, enlarge)
    assert checkpoints.load(folder).params["layers"]["mlp"]["up"]["bias"][1, 1] == 1e6
    refused(folder, f"{BIAS} with 1 non-finite", "float16 is too narrow", dtype=np.float16)


def test_unknown_name_asked_of_the_file(folder):
    tensors = TensorFolder(folder)
    assert tensors.shape(BIAS) == (7,)
    with pytest.raises(InputError, match="without the tensor 'nothing'"):
        tensors.read("nothing")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda p: p.pop("unembed"), r"unembed/kernel is missing; expected \(10, 11\)"),
        (lambda p: p.update(extra=np.ones(3)), r"extra is \(3,\); expected no such leaf"),
        (
            lambda p: p["final_norm"].update(scale=np.ones(11)),
            r"final_norm/scale is \(11,\); expected \(10,\)",
        ),
        (
            lambda p: p["layers"]["mlp"]["up"].update(bias=np.ones((2, 7))),
            r"layers/mlp/up/bias is \(2, 7\)",
        ),
    ],
)
def test_save_of_params_that_are_not_the_configs(saved, tmp_path, edit, message):
    params = checkpoints.load(saved).params
    edit(params)
    with pytest.raises(InputError, match=message):
        checkpoints.save(tmp_path / "x", SMALL, params)
    assert list(tmp_path.iterdir()) == []


def test_save_over_a_file(saved, tmp_path):
    (tmp_path / "x").write_text("precious")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'x'}, which is a file")):
        checkpoints.save(tmp_path / "x", SMALL, checkpoints.load(saved).params)
    assert (tmp_path / "x").read_text() == "precious"
