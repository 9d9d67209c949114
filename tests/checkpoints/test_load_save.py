"""What is saved is in the hub's layout, loads bit for bit, and is there whole or not at all.

Axes: D width, H heads, K head dim, L layers, V vocabulary.
"""

import hashlib
import json
import resource
import shutil
import signal
from pathlib import Path

import chex
import huggingface_hub.constants
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from dynamics import checkpoints, models
from dynamics.checkpoints import config_json, convert
from dynamics.errors import InputError
from dynamics.models import gpt_neox

GOLDEN = Path(__file__).parents[1] / "models" / "golden"
SMALL = gpt_neox.Config(
    hidden_size=10,
    num_layers=3,
    num_heads=5,
    intermediate_size=7,
    vocab_size=11,
    max_positions=13,
    rotary_fraction=1.0,
)
OTHER = gpt_neox.Config(
    hidden_size=34,
    num_layers=2,
    num_heads=2,
    intermediate_size=5,
    vocab_size=23,
    max_positions=31,
    rotary_fraction=0.25,
    rotary_base=1009.0,
    parallel_residual=False,
    layer_norm_eps=1e-6,
    initializer="normal",
)


def random_params(config, seed: int = 0, dtype=np.float32):
    shapes = jax.eval_shape(lambda key: models.init(key, config), jax.random.key(0))
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: draw.standard_normal(leaf.shape).astype(dtype), shapes)


def assert_same(params, expected):
    chex.assert_trees_all_equal_shapes_and_dtypes(params, expected)
    chex.assert_trees_all_equal(params, expected)


def stored(folder: Path) -> dict[str, np.ndarray]:
    return {
        k: v
        for file in folder.glob("*.safetensors")
        for k, v in safetensors.numpy.load_file(file).items()
    }


def rewrite(folder: Path, tensors: dict[str, np.ndarray], shards: int = 1):
    """The weights of `folder` anew, sharded with an index if asked."""
    for file in folder.glob("model*"):
        file.unlink()
    if shards == 1:
        safetensors.numpy.save_file(tensors, folder / "model.safetensors")
        return
    where = {
        name: f"model-{k % shards + 1:05}-of-{shards:05}.safetensors"
        for k, name in enumerate(sorted(tensors))
    }
    for file in set(where.values()):
        part = {name: tensor for name, tensor in tensors.items() if where[name] == file}
        safetensors.numpy.save_file(part, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


@pytest.mark.parametrize("config", [SMALL, OTHER], ids=["small", "other"])
def test_what_is_saved_loads_bit_for_bit(tmp_path, config):
    params = random_params(config)
    checkpoint = checkpoints.load(checkpoints.save(tmp_path / "new" / "step1", config, params))
    assert checkpoint.config == config
    assert_same(checkpoint.params, params)


def test_device_arrays_save_like_host_arrays(tmp_path):
    params = random_params(SMALL)
    a = checkpoints.save(tmp_path / "a", SMALL, jax.tree.map(jnp.asarray, params))
    b = checkpoints.save(tmp_path / "b", SMALL, params)
    assert checkpoints.load(a).provenance["sha256"] == checkpoints.load(b).provenance["sha256"]


def test_special_numbers_survive(tmp_path):
    params = random_params(SMALL)
    params["final_norm"]["bias"][:4] = [
        np.float32(1e-45),
        -0.0,
        np.finfo(np.float32).max,
        np.finfo(np.float32).tiny,
    ]
    loaded = checkpoints.load(checkpoints.save(tmp_path / "x", SMALL, params)).params
    assert loaded["final_norm"]["bias"].tobytes() == params["final_norm"]["bias"].tobytes()


def test_layout_is_the_hubs(tmp_path):
    folder = checkpoints.save(tmp_path / "x", SMALL, random_params(SMALL))
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    tensors, prefix = stored(folder), "gpt_neox.layers.2."
    assert len(tensors) == 3 * 12 + 4
    assert {
        name.removeprefix(prefix): t.shape for name, t in tensors.items() if name.startswith(prefix)
    } == {
        "input_layernorm.weight": (10,),
        "input_layernorm.bias": (10,),
        "post_attention_layernorm.weight": (10,),
        "post_attention_layernorm.bias": (10,),
        "attention.query_key_value.weight": (30, 10),
        "attention.query_key_value.bias": (30,),
        "attention.dense.weight": (10, 10),
        "attention.dense.bias": (10,),
        "mlp.dense_h_to_4h.weight": (7, 10),
        "mlp.dense_h_to_4h.bias": (7,),
        "mlp.dense_4h_to_h.weight": (10, 7),
        "mlp.dense_4h_to_h.bias": (10,),
    }
    assert {name: t.shape for name, t in tensors.items() if ".layers." not in name} == {
        "gpt_neox.embed_in.weight": (11, 10),
        "gpt_neox.final_layer_norm.weight": (10,),
        "gpt_neox.final_layer_norm.bias": (10,),
        "embed_out.weight": (11, 10),
    }
    fields = json.loads((folder / "config.json").read_text())
    assert fields["model_type"] == "gpt_neox"
    assert fields["architectures"] == ["GPTNeoXForCausalLM"]


def test_fused_qkv_is_per_head():
    params = random_params(SMALL)
    kernel = params["layers"]["attention"]["qkv"]["kernel"]  # [L,D,H,3,K]
    fused = convert.from_params(SMALL, params)["gpt_neox.layers.1.attention.query_key_value.weight"]
    h, i, k = 3, 2, 1  # head 3's value, second dim: row h * 3K + i * K + k of the hub's matrix
    np.testing.assert_array_equal(fused[h * 6 + i * 2 + k], kernel[1, :, h, i, k])


def test_conversion_only_rearranges():
    params = random_params(SMALL)
    ours = np.sort(np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params)]))
    hubs = np.sort(np.concatenate([t.ravel() for t in convert.from_params(SMALL, params).values()]))
    np.testing.assert_array_equal(ours, hubs)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_half_precision_files_are_widened_exactly(tmp_path, name):
    half = random_params(SMALL, dtype=jnp.dtype(name))
    folder = checkpoints.save(tmp_path / "x", SMALL, half)
    assert {t.dtype for t in stored(folder).values()} == {jnp.dtype(name)}
    assert_same(
        checkpoints.load(folder).params, jax.tree.map(lambda leaf: leaf.astype(np.float32), half)
    )
    assert_same(checkpoints.load(folder, dtype=jnp.dtype(name)).params, half)


@pytest.mark.parametrize("golden", sorted(GOLDEN.iterdir()), ids=lambda path: path.name)
def test_files_of_every_age_keep_their_numbers_through_load_and_save(tmp_path, golden):
    checkpoint = checkpoints.load(golden)
    again = stored(checkpoints.save(tmp_path / "x", checkpoint.config, checkpoint.params))
    before = {k.replace("lm_head", "embed_out"): v for k, v in stored(golden).items()}
    for name, tensor in again.items():
        np.testing.assert_array_equal(tensor, before[name].astype(np.float32))
    buffers = ("attention.bias", "attention.masked_bias", "attention.rotary_emb.inv_freq")
    assert all(name.endswith(buffers) for name in before.keys() - again.keys())
    assert checkpoints.load(tmp_path / "x").config == checkpoint.config


def test_golden_files_hold_each_variant():
    names = {path.name: set(stored(path)) for path in GOLDEN.iterdir()}
    assert "lm_head.weight" in names["sequential_half"]
    assert "embed_out.weight" in names["parallel_quarter"]
    assert "gpt_neox.layers.1.attention.rotary_emb.inv_freq" in names["parallel_quarter"]
    assert (GOLDEN / "sequential_half" / "model.safetensors.index.json").is_file()
    dtypes = {str(t.dtype) for path in GOLDEN.iterdir() for t in stored(path).values()}
    assert {"float16", "bfloat16", "float32"} <= dtypes


@pytest.mark.parametrize("shards", [1, 2, 5])
@pytest.mark.parametrize("unembed", ["embed_out.weight", "lm_head.weight"])
@pytest.mark.parametrize("buffers", [False, True], ids=["plain", "old_buffers"])
def test_every_layout_holds_the_same_model(tmp_path, shards, unembed, buffers):
    params = random_params(SMALL)
    folder = checkpoints.save(tmp_path / "x", SMALL, params)
    tensors = stored(folder)
    tensors[unembed] = tensors.pop("embed_out.weight")
    for layer in range(3) if buffers else ():
        prefix = f"gpt_neox.layers.{layer}.attention."
        tensors[prefix + "bias"] = np.tri(13, dtype=bool)[None, None]
        tensors[prefix + "masked_bias"] = np.float32(
            [-np.inf]
        )  # not a weight, so it may be infinite
        tensors[prefix + "rotary_emb.inv_freq"] = np.ones(1, np.float16)
    rewrite(folder, tensors, shards)
    checkpoint = checkpoints.load(folder)
    assert_same(checkpoint.params, params)
    assert len(checkpoint.provenance["sha256"]) == shards


OLD_FIELDS = {"rotary_pct": 0.5, "rotary_emb_base": 1009}
NEW_FIELDS = {
    "rope_parameters": {"rope_type": "default", "rope_theta": 1009.0, "partial_rotary_factor": 0.5}
}
BETWEEN_FIELDS = {
    "rotary_pct": 0.5,
    "rope_scaling": None,
    "rope_parameters": {"rope_theta": 1009.0},
}


@pytest.mark.parametrize(
    "fields", [OLD_FIELDS, NEW_FIELDS, BETWEEN_FIELDS, {**OLD_FIELDS, "rope_scaling": None}]
)
def test_config_keys_of_either_age_say_the_same(fields):
    sizes = {
        "model_type": "gpt_neox",
        "hidden_size": 20,
        "num_hidden_layers": 3,
        "num_attention_heads": 5,
        "intermediate_size": 7,
        "vocab_size": 11,
        "max_position_embeddings": 13,
    }
    config = config_json.from_hub({**sizes, **fields})
    assert (config.rotary_fraction, config.rotary_base, config.rotary_dims) == (0.5, 1009.0, 2)


@pytest.mark.parametrize("config", [SMALL, OTHER, *gpt_neox.PYTHIA.values()])
def test_configs_round_trip(config):
    assert config_json.from_hub(json.loads(json.dumps(config_json.to_hub(config)))) == config


def test_provenance_names_every_weight_file_by_its_sha256():
    provenance = checkpoints.load(GOLDEN / "sequential_half").provenance
    files = sorted((GOLDEN / "sequential_half").glob("*.safetensors"))
    assert provenance["sha256"] == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }
    assert Path(provenance["folder"]) == GOLDEN / "sequential_half"


def test_weights_are_readable_to_whoever_can_read_the_config(tmp_path):
    folder = checkpoints.save(tmp_path / "x", SMALL, random_params(SMALL))
    modes = {(folder / name).stat().st_mode for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1


def test_tokenizer_is_copied_beside_the_weights(tmp_path):
    source = tmp_path / "some.json"
    source.write_text('{"any": "tokenizer"}')
    folder = checkpoints.save(tmp_path / "x", SMALL, random_params(SMALL), tokenizer=source)
    assert (folder / "tokenizer.json").read_text() == source.read_text()


def test_saving_into_a_folder_replaces_it_whole(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    for name in (
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
    ):
        (folder / name).write_text("of an older checkpoint")
    new = random_params(SMALL, seed=2)
    checkpoints.save(folder, SMALL, random_params(SMALL, seed=1))
    checkpoints.save(folder, SMALL, new)
    assert_same(checkpoints.load(folder).params, new)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.fixture
def killed_rename(monkeypatch):
    """The rename of a finished save never happens."""
    rename = Path.rename

    def killed(self, target):
        if self.name.endswith(".partial"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)


@pytest.mark.usefixtures("killed_rename")
def test_a_killed_save_leaves_no_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(tmp_path / "x", SMALL, random_params(SMALL))
    assert list(tmp_path.iterdir()) == []


def test_a_killed_save_leaves_the_old_folder_as_it_was(tmp_path, request):
    old = random_params(SMALL, seed=1)
    folder = checkpoints.save(tmp_path / "x", SMALL, old)
    request.getfixturevalue("killed_rename")
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(folder, SMALL, random_params(SMALL, seed=2))
    assert_same(checkpoints.load(folder).params, old)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_save_killed_while_writing_leaves_the_old_folder_as_it_was(tmp_path, monkeypatch):
    old = random_params(SMALL, seed=1)
    folder = checkpoints.save(tmp_path / "x", SMALL, old)

    def half_written(tensors, path, **kwargs):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", half_written)
    with pytest.raises(InputError, match="No space left"):
        checkpoints.save(folder, SMALL, random_params(SMALL, seed=2))
    assert_same(checkpoints.load(folder).params, old)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_full_disk_is_one_error_and_leaves_the_old_folder_as_it_was(tmp_path):
    old = random_params(SMALL, seed=1)
    folder = checkpoints.save(tmp_path / "x", SMALL, old)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"x, .*cannot be written .*File too large"):
            checkpoints.save(folder, SMALL, random_params(SMALL, seed=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert_same(checkpoints.load(folder).params, old)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_refused_params_leave_the_old_folder_as_it_was(tmp_path):
    old = random_params(SMALL)
    folder = checkpoints.save(tmp_path / "x", SMALL, old)
    with pytest.raises(InputError, match="embed/embedding"):
        checkpoints.save(folder, OTHER, random_params(SMALL))
    assert_same(checkpoints.load(folder).params, old)


def test_hub_ids_are_found_under_weights(tmp_path):
    params = random_params(SMALL)
    for revision in ("main", "step512"):
        checkpoints.save(tmp_path / "nobody" / "small" / revision, SMALL, params)
    assert (
        checkpoints.find("nobody/small", weights=tmp_path) == tmp_path / "nobody" / "small" / "main"
    )
    checkpoint = checkpoints.load("nobody/small", "step512", weights=tmp_path)
    assert_same(checkpoint.params, params)
    assert (checkpoint.provenance["source"], checkpoint.provenance["revision"]) == (
        "nobody/small",
        "step512",
    )


def test_hub_ids_are_found_in_the_hugging_face_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    commit, repo = "a" * 40, tmp_path / "models--nobody--small"
    checkpoints.save(repo / "snapshots" / commit, SMALL, random_params(SMALL))
    (repo / "refs").mkdir()
    (repo / "refs" / "step512").write_text(commit)
    assert_same(checkpoints.load("nobody/small", "step512").params, random_params(SMALL))
    with pytest.raises(
        InputError,
        match=r"nobody/small at revision step1, .*hf download nobody/small --revision step1",
    ):
        checkpoints.load("nobody/small", "step1")


def test_a_copied_folder_is_the_same_checkpoint(tmp_path):
    shutil.copytree(GOLDEN / "parallel_full", tmp_path / "copy")
    a, b = checkpoints.load(GOLDEN / "parallel_full"), checkpoints.load(tmp_path / "copy")
    assert a.provenance["sha256"] == b.provenance["sha256"]
    assert_same(a.params, b.params)
