"""What is known of a suite before the first unit: that its models can read the text, and that
something is left."""

import dataclasses
import json

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics import checkpoints, results
from dynamics.errors import InputError
from dynamics.models import gpt_neox
from dynamics.suite import Cell, folder_tree
from experiments import common

CONFIG = gpt_neox.Config(
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    intermediate_size=32,
    vocab_size=101,
    max_positions=48,
)


@pytest.fixture
def context(tmp_path, monkeypatch):
    """A suite of one small model; the text is set by hand."""
    suite = folder_tree("toy", tmp_path, ["toy"], [0], [0, 8])
    monkeypatch.setattr(
        checkpoints, "load", lambda *source, **_: checkpoints.Checkpoint(CONFIG, None, {})
    )
    monkeypatch.setattr(checkpoints, "config", lambda *source, **_: CONFIG)
    with flagsaver.flagsaver():
        flags.FLAGS(["test"])
        yield common.Context(suite, results.Store(tmp_path), "0/1", None)


def text(context, *, train: int, held_out: int):
    """Two documents whose greatest token ids these are."""
    ids = np.arange(200, dtype=np.int32) % 50
    context.__dict__["train_documents"] = [ids, np.append(ids, train).astype(np.int32)]
    with flagsaver.flagsaver(context=20):
        tokens = np.append(ids, held_out).astype(np.int32)
        context.__dict__["held_out"] = context._cut([np.roll(tokens, 5)])


@pytest.mark.parametrize(("train", "held_out"), [(101, 3), (3, 101)])
def test_a_token_beyond_the_vocabulary_is_refused_wherever_it_stands(context, train, held_out):
    text(context, train=train, held_out=held_out)
    with pytest.raises(InputError, match="token ids from 0 to 101; expected 0 to 100"):
        context.load("toy", 0, 0)
    assert context.load("toy", 0, 0, reads_text=False).config == CONFIG


def test_the_last_word_of_the_vocabulary_is_in_it(context):
    text(context, train=100, held_out=100)
    assert context.load("toy", 0, 0).config == CONFIG


@pytest.mark.parametrize(("length", "fits"), [(48, True), (49, False)])
def test_a_context_is_no_longer_than_the_model_can_read(context, length, fits):
    with flagsaver.flagsaver(context=length):
        if fits:
            assert context._cut([np.arange(100, dtype=np.int32)]).tokens.shape == (2, 48)
            return
        with pytest.raises(
            InputError, match="--context=49; expected at most 48, the positions of toy"
        ):
            context._cut([np.arange(100, dtype=np.int32)])


def test_the_tokenizer_is_that_of_a_checkpoint_that_may_be_measured(context, tmp_path):
    """Not that of the first, which the audit may have convicted for this very file."""
    left = dataclasses.replace(context, suite=context.suite.without([Cell("toy", 0, 0)]))
    place = tmp_path / "toy" / "seed0" / "step8"
    place.mkdir(parents=True)
    words = {
        "version": "1.0",
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
    }
    (place / "tokenizer.json").write_text(json.dumps(words))
    assert left.tokenizer.get_vocab() == {"a": 0}
