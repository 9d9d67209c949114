"""What is known of a suite before its first unit: that its models can read the text, that seeds can
be compared, and that something is left."""

import dataclasses
import json

import numpy as np
import pytest

from dynamics import checkpoints, results
from dynamics.checkpoints import Checkpoint
from dynamics.errors import InputError
from dynamics.models import gpt_neox
from dynamics.results import Unit
from dynamics.study import Study, check_alike
from dynamics.suite import Causes, Cell, folder_tree

CONFIG = gpt_neox.Config(
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    intermediate_size=32,
    vocab_size=101,
    max_positions=48,
)
PAIR = Unit(measure="convergence", model="toy", seeds=(3, 5), step=0)


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    """A suite of one small model, without flags; the text is set by hand."""
    suite = folder_tree("toy", tmp_path, ["toy"], [0], [0, 8])
    params = {"embed": np.zeros((101, 16), np.float32), "unembed": np.zeros(0, np.float32)}
    checkpoint = Checkpoint(CONFIG, params, {"source": "toy"})
    monkeypatch.setattr(checkpoints, "load", lambda *source, **_: checkpoint)
    monkeypatch.setattr(checkpoints, "config", lambda *source, **_: CONFIG)
    return Study(suite=suite, store=results.Store(tmp_path), window_length=20)


def set_text(study: Study, *, train: int, held_out: int):
    """Two documents whose greatest token ids these are."""
    ids = np.arange(200, dtype=np.int32) % 50
    study.__dict__["train_documents"] = [ids, np.append(ids, train).astype(np.int32)]
    tokens = np.append(ids, held_out).astype(np.int32)
    study.__dict__["evaluation_documents"] = [np.roll(tokens, 5)]


@pytest.mark.parametrize(("train", "held_out"), [(101, 3), (3, 101)])
def test_a_token_beyond_the_vocabulary_is_refused_wherever_it_stands(study, train, held_out):
    set_text(study, train=train, held_out=held_out)
    with pytest.raises(InputError, match=r"token ids from 0 to 101, at .*; expected 0 to 100"):
        study.load("toy", 0, 0)
    assert study.load("toy", 0, 0, reads_text=False).config == CONFIG


def test_the_last_word_of_the_vocabulary_is_in_it(study):
    set_text(study, train=100, held_out=100)
    assert study.load("toy", 0, 0).config == CONFIG


def test_seeds_that_share_causes_unevenly_have_no_common_mean(study):
    crossed = dataclasses.replace(
        study.suite, seeds=(0, 1, 2, 3), causes=lambda seed: Causes(seed // 2, seed % 2)
    )
    uneven = dataclasses.replace(study, suite=crossed)
    with pytest.raises(InputError, match="of one kind"):
        uneven.seed_set_units("convergence")
    assert len(uneven.seed_set_units("causes", crossed=True)) == 2
    even = dataclasses.replace(study, suite=crossed.select(seeds=[0, 3]))
    assert len(even.seed_set_units("convergence")) == 2


@pytest.mark.parametrize(("length", "fits"), [(48, True), (49, False)])
def test_windows_are_no_longer_than_the_model_can_read(study, length, fits):
    longer = dataclasses.replace(study, window_length=length)
    if fits:
        assert longer._cut([np.arange(100, dtype=np.int32)]).tokens.shape == (2, 48)
        return
    with pytest.raises(InputError, match="--context=49; expected at most 48, the positions of toy"):
        longer._cut([np.arange(100, dtype=np.int32)])


def test_the_tokenizer_is_that_of_a_checkpoint_that_may_be_measured(study, tmp_path):
    """Not that of the first, which the audit may have convicted for this very file."""
    left = dataclasses.replace(study, suite=study.suite.without([Cell("toy", 0, 0)]))
    folder = tmp_path / "toy" / "seed0" / "step8"
    folder.mkdir(parents=True)
    words = {
        "version": "1.0",
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(words))
    assert left.tokenizer.get_vocab() == {"a": 0}


def test_seeds_of_a_unit_are_stacked(study):
    seeds = study.load_seeds(PAIR, reads_text=False)
    assert seeds.params["embed"].shape == (2, 101, 16)
    assert seeds.num_parameters == 101 * 16
    assert seeds.provenance == ({"source": "toy"},) * 2


def test_a_convicted_seed_takes_its_step_out_of_the_comparison(study):
    grid = folder_tree("toy", study.store.root, ["toy"], [0, 1], [0, 8])
    wider = dataclasses.replace(study, suite=grid.without([Cell("toy", 1, 8)]))
    assert [unit.step for unit in wider.seed_set_units("convergence", fewest=2)] == [0]
    single = [(unit.seeds, unit.step) for unit in wider.single_units("weights")]
    assert single == [((0,), 0), ((0,), 8), ((1,), 0)]


def test_one_seed_has_no_pair(study):
    with pytest.raises(InputError, match="1 seed; expected two or more"):
        study.seed_set_units("convergence", fewest=2)


def test_two_architectures_are_refused():
    other = dataclasses.replace(CONFIG, num_heads=8, rotary_fraction=1.0)
    same = [Checkpoint(CONFIG, None, {}), Checkpoint(CONFIG, None, {})]
    check_alike(PAIR, same)
    with pytest.raises(
        InputError, match=r"seeds 3 and 5 of different architecture .*num_heads 2 and 8"
    ):
        check_alike(PAIR, [same[0], Checkpoint(other, None, {})])


def test_two_tokenizers_are_refused_and_bytes_are_named(tmp_path):
    seeds = []
    for name in ("small", "large"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_text(name)
        seeds.append(Checkpoint(CONFIG, None, {"folder": str(tmp_path / name)}))
    check_alike(PAIR, [seeds[0]] * 2)
    with pytest.raises(InputError, match=r"seeds 3 and 5 of different tokenizers.*next_byte"):
        check_alike(PAIR, seeds)
