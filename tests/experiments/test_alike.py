"""Seeds of different architecture are not compared, and the error says what differs."""

import dataclasses

import pytest

from dynamics.checkpoints import Checkpoint
from dynamics.errors import InputError
from dynamics.models import gpt_neox
from dynamics.results import Unit
from experiments import alike

CONFIG = gpt_neox.PYTHIA["14m"]


def test_two_architectures_are_refused():
    unit = Unit(measure="convergence", model="toy", seeds=(3, 5), step=0)
    other = dataclasses.replace(CONFIG, num_heads=8, rotary_fraction=1.0)
    same = [Checkpoint(CONFIG, None, {}), Checkpoint(CONFIG, None, {})]
    alike.check(unit, same)
    with pytest.raises(
        InputError, match=r"seeds 3 and 5 of different architecture .*num_heads 4 and 8"
    ):
        alike.check(unit, [same[0], Checkpoint(other, None, {})])


def test_two_tokenizers_are_refused_and_bytes_are_named(tmp_path):
    loaded = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_text(name)
        loaded.append(Checkpoint(CONFIG, None, {"folder": str(tmp_path / name)}))
    unit = Unit(measure="convergence", model="toy", seeds=(3, 5), step=0)
    alike.check(unit, [loaded[0]] * 2)
    with pytest.raises(InputError, match=r"seeds 3 and 5 of different tokenizers.*--bytes"):
        alike.check(unit, loaded)
