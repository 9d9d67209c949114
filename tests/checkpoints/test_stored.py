"""Single tensors of a checkpoint: one name in all files, nothing else read, clear refusals."""

import json

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hub_server import serving

from dynamics import checkpoints, models
from dynamics.checkpoints import config_json, open_tensors
from dynamics.errors import InputError
from dynamics.models import bert, gpt_neox

SIZES = {"hidden_size": 15, "num_layers": 2, "num_heads": 3, "intermediate_size": 7}
NEOX = gpt_neox.Config(**SIZES, vocab_size=11, max_positions=13, rotary_fraction=0.8)
BERT = bert.Config(**SIZES, vocab_size=11, max_positions=13)
LAYERS = [
    f"layers.{layer}.{name}"
    for name in ("attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h")
    for layer in (0, 1)
]


def tensors_of(config) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda key: models.init(key, config), jax.random.key(0))
    params = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(np.float32), shapes)
    return checkpoints.from_params(config, params)


def stored(folder, config, tensors):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_json.to_hub(config)))
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return open_tensors(folder)


def renamed(tensors, *pairs: tuple[str, str]) -> dict[str, np.ndarray]:
    for old, new in pairs:
        tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
    return tensors


@pytest.fixture(scope="module")
def neox():
    return tensors_of(NEOX)


def test_a_tensor_has_one_name_in_all_files(tmp_path, neox):
    files = {
        "old": neox,
        "new": renamed(neox, ("embed_out", "lm_head")),
        "without a prefix": renamed(neox, ("gpt_neox.", "")),
    }
    for form, tensors in files.items():
        opened = stored(tmp_path / form, NEOX, tensors)
        assert opened.unembedding == "embed_out"
        assert list(opened.files_name)[:2] == ["embed_out", "embed_in"]
        np.testing.assert_array_equal(opened.read("embed_out"), neox["embed_out.weight"])
        assert opened.matching("^layers.*(key_value|dense|h_to_4h)$") == LAYERS


def test_encoders_alone_are_read_by_the_names_of_the_whole(tmp_path, neox):
    trunk = {n.removeprefix("gpt_neox."): x for n, x in neox.items() if "embed_out" not in n}
    alone, whole = stored(tmp_path / "a", NEOX, trunk), stored(tmp_path / "b", NEOX, neox)
    assert alone.unembedding is None
    assert list(alone.files_name) == [n for n in whole.files_name if n != "embed_out"]
    tensors = tensors_of(BERT)
    encoder = {n.removeprefix("bert."): x for n, x in tensors.items() if n.startswith("bert.")}
    alone, whole = stored(tmp_path / "c", BERT, encoder), stored(tmp_path / "d", BERT, tensors)
    assert alone.unembedding is None
    assert whole.unembedding == "embeddings.word_embeddings"
    assert whole.tied
    queries = [f"encoder.layer.{layer}.attention.self.query" for layer in (0, 1)]
    for opened in (alone, whole):
        assert opened.matching(r"query$") == queries
        assert opened.shape("embeddings.word_embeddings") == (11, 15)


def test_a_regular_expression_takes_names_of_either_kind_and_none_every_matrix(tmp_path, neox):
    buffers = {"gpt_neox.layers.0.attention.bias": np.ones((1, 1, 3, 3), bool)}
    opened = stored(tmp_path / "a", NEOX, renamed(neox | buffers, ("embed_out", "lm_head")))
    assert opened.matching("lm_head|embed_in") == ["embed_out", "embed_in"]
    matrices = opened.matching()
    assert matrices[:2] == ["embed_out", "embed_in"]
    assert len(matrices) == 2 + 4 * NEOX.num_layers
    # Buffers are no weights, whatever they match.
    assert all("attention.bias" not in name for name in opened.matching("attention"))


def test_what_matches_nothing_is_refused_with_near_names(tmp_path, neox):
    opened = stored(tmp_path / "a", NEOX, neox)
    with pytest.raises(InputError, match="Did you mean embed_out") as refused:
        opened.matching("embed_oot")
    assert "unknown tensor 'embed_oot'" in str(refused.value)
    with pytest.raises(InputError, match="regular expression"):
        opened.matching("embed_out(")


def test_integers_are_refused_and_other_types_read_as_stored(tmp_path, neox):
    name = "gpt_neox.layers.0.attention.dense.weight"
    changed = neox | {
        "embed_out.weight": neox["embed_out.weight"].astype(np.int8),
        name: neox[name].astype(ml_dtypes.bfloat16),
    }
    opened = stored(tmp_path / "a", NEOX, changed)
    with pytest.raises(
        InputError, match=r"embed_out\.weight of int8 numbers in .*; expected floating"
    ):
        opened.read("embed_out")
    assert opened.read("layers.0.attention.dense").dtype == ml_dtypes.bfloat16


def test_a_tensor_of_the_hub_costs_its_own_bytes(tmp_path, monkeypatch, neox):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    # Large enough that what is read besides, the head of the file, is small.
    big = neox | {"gpt_neox.embed_in.weight": np.zeros((400_000, 15), np.float32)}
    stored(tmp_path / "a", NEOX, big)
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    with serving({"me/toy": {"step8": files}}, monkeypatch, tmp_path) as server:
        opened = open_tensors("me/toy", "step8")
        np.testing.assert_array_equal(opened.read("embed_out"), neox["embed_out.weight"])
        assert opened.folder is None
        assert opened.origin["revision"] == "step8"
        assert sum(server.served.values()) < 1_000_000 < big["gpt_neox.embed_in.weight"].nbytes
    assert not list(tmp_path.rglob("snapshots/*/model.safetensors"))


def test_provenance_names_digests_of_files_or_of_the_tensors_read(tmp_path, neox):
    opened = stored(tmp_path / "a", NEOX, neox)
    assert opened.provenance()["sha256"].keys() == {"model.safetensors"}
    read = opened.provenance({"embed_out": "0" * 64})
    assert read["tensor_sha256"] == {"embed_out.weight": "0" * 64}
    assert "sha256" not in read
