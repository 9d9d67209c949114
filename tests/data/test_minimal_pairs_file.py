"""Minimal pairs from files in BLiMP's form, the real ones where they are at hand."""

import functools
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


CONFIG = gpt_neox.Config(
    hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16, max_positions=64
)


@functools.cache
def tiny_seeds():
    seeds = [gpt_neox.init(jax.random.key(seed), CONFIG) for seed in range(2)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)


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


def official(number: int, **others) -> dict:
    """A row with the fields of BLiMP's files, as published."""
    return {
        "sentence_good": f"Cats sleep {number} times.",
        "sentence_bad": f"Cats sleeps {number} times.",
        "field": "morphology",
        "linguistics_term": "subject_verb_agreement",
        "UID": "regular_plural_subject_verb_agreement_1",
        "simple_LM_method": True,
        "one_prefix_method": False,
        "two_prefix_method": True,
        "lexically_identical": False,
        "pairID": str(number),
        **others,
    }


DOUBLED = {"sentence_bad": "Cats sleep.", "sentence_good": "Cats sleep."}


@pytest.mark.parametrize(
    "doubled",
    [(0,), (1,), (9,), (0, 9), (4, 5), (0, 1, 2), tuple(range(9)), tuple(range(1, 10)), (), (3, 7)],
)
@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.jsonl.gz", "folder", "marked.ndjson"])
def test_official_rows_that_hold_one_sentence_twice_are_left_out_and_counted(
    tmp_path, doubled, name
):
    extra = {"two_prefix_prefix_good": "Cats", "two_prefix_word": "sleep", "crucial_item": "s"}
    rows = [official(k, **(DOUBLED if k in doubled else {}), **extra) for k in range(10)]
    if name == "folder":
        path = tmp_path / "data"
        path.mkdir()
        for part, file in ((rows[:5], "first.jsonl"), (rows[5:], "second.JSONL")):
            written(path, part, file)
        written(path, [{"no": "pairs"}], "._second.jsonl")  # as archives of a Mac leave it
    else:
        path = written(tmp_path, rows, name)
    pairs = minimal_pairs.read(path)
    assert pairs.good == tuple(
        row["sentence_good"] for k, row in enumerate(rows) if k not in doubled
    )
    assert pairs.num_same == len(doubled)
    left_out = f"{len(doubled)} row" if doubled else path.name
    assert left_out in pairs.source
    assert pairs.first(1).num_same == len(doubled)


def test_a_file_of_doubled_rows_alone_holds_no_pairs(tmp_path):
    path = written(tmp_path, [official(0, **DOUBLED)] * 3)
    with pytest.raises(InputError, match=r"without minimal pairs \(3 rows hold the same"):
        minimal_pairs.read(path)


def test_the_repository_around_the_pairs_is_named(tmp_path):
    written(tmp_path, [official(0)], "agreement.jsonl")
    written(tmp_path, [{"model": "gpt2", "total_mean": 0.8}], "models_summary.jsonl")
    with pytest.raises(InputError, match=r"models_summary.jsonl without .*in BLiMP's repository"):
        minimal_pairs.read(tmp_path)


@pytest.mark.long
@pytest.mark.skipif(
    not (SHARED / "blimp_official.jsonl.gz").exists(), reason="the real pairs are not at hand"
)
def test_blimp_as_published_runs():
    pairs = minimal_pairs.read(SHARED / "blimp_official.jsonl.gz")
    assert (len(pairs), len(pairs.tasks), len(set(pairs.terms))) == (66_993, 67, 13)
    assert pairs.num_same == 7
    few = pairs.first(1)  # a case of each of the 67 tasks
    assert few.task.tolist() == list(range(67))
    encoder = Tokenizer.from_file(str(SHARED / "pythia_tokenizer.json"))
    ids = minimal_pairs.encode(encoder, (*few.good, *few.bad))
    x = measure.preferences(CONFIG, tiny_seeds(), measure.batch_pairs(ids[:67], ids[67:]))
    assert x.shape == (2, 67)
    assert np.isfinite(x).all()


@pytest.mark.long
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
