"""Minimal pairs from files in BLiMP's form, the real ones where they are at hand."""

import gzip
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from tokenizers import Tokenizer

from dynamics.data import minimal_pairs
from dynamics.data import tokenizer as tokenizers
from dynamics.errors import InputError
from dynamics.measures import minimal_pairs as measure
from dynamics.models import gpt_neox

SHARED = Path(__file__).parents[3] / "shared" / "data"
ROW = {
    "sentence_good": "Cats sleep.",
    "sentence_bad": "Cats sleeps.",
    "UID": "agreement",
    "field": "syntax",
}


def written(folder: Path, rows, name="pairs.jsonl") -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.jsonl.gz"])
def test_tasks_keep_the_order_in_which_they_came(tmp_path, name):
    rows = [ROW, {**ROW, "UID": "binding"}, ROW]
    pairs = minimal_pairs.read(written(tmp_path, rows, name))
    assert pairs.tasks == ("agreement", "binding")
    assert pairs.task.tolist() == [0, 1, 0]
    assert pairs.good == ("Cats sleep.",) * 3
    assert len(pairs.first(1)) == 2


def test_a_folder_is_its_files(tmp_path):
    whole = written(tmp_path, [ROW, {**ROW, "UID": "binding"}], "whole.jsonl")
    parts = tmp_path / "parts"
    parts.mkdir()
    written(parts, [ROW], "a.jsonl")
    written(parts, [{**ROW, "UID": "binding"}], "b.jsonl.gz")
    assert minimal_pairs.read(parts).fingerprint() == minimal_pairs.read(whole).fingerprint()


@pytest.mark.parametrize("field", ["sentence_good", "sentence_bad", "UID"])
def test_a_missing_field_is_named_with_its_line(tmp_path, field):
    path = written(tmp_path, [ROW, {name: value for name, value in ROW.items() if name != field}])
    with pytest.raises(InputError, match=f"line 2 of .*pairs.jsonl without the field '{field}'"):
        minimal_pairs.read(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "without minimal pairs"),
        ("[1]\n", "line 1"),
        ("{no json}\n", "not JSON"),
        (json.dumps({**ROW, "sentence_bad": ROW["sentence_good"]}), "the same sentence twice"),
        (json.dumps({**ROW, "sentence_bad": " "}), "sentence_bad"),
        (json.dumps({**ROW, "sentence_bad": "\ud800"}), "sentence_bad"),
    ],
)
def test_bad_lines_are_refused(tmp_path, content, words):
    path = tmp_path / "pairs.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        minimal_pairs.read(path)


def test_sentences_begin_with_the_separator_or_with_themselves():
    encoder = tokenizers.train(["cats sleep " * 50], 260)
    (headed,), (bare,) = (
        minimal_pairs.encode(encoder, ["cats sleep"], start) for start in (True, False)
    )
    assert headed[0] == encoder.token_to_id(tokenizers.SEPARATOR)
    assert headed[1:].tolist() == bare.tolist()
    with pytest.raises(InputError, match="1 token"):
        minimal_pairs.encode(encoder, ["c"], start=False)


@pytest.mark.skipif(
    not (SHARED / "blimp_first100.jsonl.gz").exists(), reason="the real pairs are not at hand"
)
def test_real_pairs_with_the_real_tokenizer():
    pairs = minimal_pairs.read(SHARED / "blimp_first100.jsonl.gz")
    assert (len(pairs), len(pairs.tasks), len(set(pairs.terms))) == (6700, 67, 13)
    few = pairs.first(2)
    encoder = Tokenizer.from_file(str(SHARED / "pythia_tokenizer.json"))
    ids = minimal_pairs.encode(encoder, (*few.good, *few.bad))
    for sentence, row in zip((*few.good, *few.bad), ids, strict=True):
        assert encoder.decode(row[1:].tolist()) == sentence
    config = gpt_neox.Config(
        hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16, max_positions=64
    )
    seeds = [
        jax.jit(gpt_neox.init, static_argnums=1)(jax.random.key(seed), config) for seed in range(2)
    ]
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
    x = measure.preferences(config, params, measure.batch_pairs(ids[: len(few)], ids[len(few) :]))
    assert x.shape == (2, 134)
    assert np.isfinite(x).all()
    assert (measure.pair_kl(x)[~np.eye(2, dtype=bool)] >= 0).all()
