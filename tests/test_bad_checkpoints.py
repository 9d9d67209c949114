"""One bad checkpoint of a suite: the error says which and where, and all other units stay."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
import xarray as xr

from dynamics import checkpoints, models
from dynamics.data.corpus import Corpus, Document
from dynamics.data.tokenizer import train
from dynamics.errors import InputError, located
from dynamics.models import gpt_neox
from dynamics.results import Store, Unit
from dynamics.study import Study
from dynamics.suite import folder_tree
from experiments import common

VOCABULARY = 270
CONFIG = gpt_neox.Config(
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    intermediate_size=32,
    vocab_size=VOCABULARY,
    max_positions=32,
)
MODEL, SEEDS, STEPS = "toy-16", (0, 1), (0, 8)
BAD = "toy-16 seed 1 step 8"
TEXT = "".join(f"The word {k} stands here, and then another one.\n" for k in range(300))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A suite of two seeds at two steps, with a tokenizer in each folder."""
    root = tmp_path_factory.mktemp("suite")
    tokenizer = root / "tokenizer.json"
    tokenizer.write_text(train([TEXT], VOCABULARY).to_str())
    for seed in SEEDS:
        for step in STEPS:
            params = models.init(jax.random.key(seed + step), CONFIG)
            folder = root / MODEL / f"seed{seed}" / f"step{step}"
            checkpoints.save(folder, CONFIG, params, tokenizer)
    return root


@pytest.fixture
def study(saved, tmp_path) -> Study:
    """The suite in a place of its own."""
    import shutil

    shutil.copytree(saved, tmp_path / "suite")
    suite = folder_tree("toy", tmp_path / "suite", [MODEL], SEEDS, STEPS)
    documents = tuple(Document(name=f"text {k}", text=TEXT, domain="prose") for k in range(30))
    corpus = Corpus(name="toy", documents=documents)
    return Study(
        suite=suite,
        store=Store(tmp_path / "out"),
        read_corpus=lambda: corpus,
        window_length=16,
    )


def folder_of(study: Study) -> Path:
    return Path(study.suite.source(MODEL, 1, 8).location)


def weights(change: Callable[[dict], object]) -> Callable[[Path], object]:
    """Has `change` at work on the tensors of a checkpoint."""

    def apply(folder: Path):
        path = folder / "model.safetensors"
        tensors = {k: v.copy() for k, v in safetensors.numpy.load_file(path).items()}
        change(tensors)
        safetensors.numpy.save_file(tensors, path)

    return apply


def config(**fields) -> Callable[[Path], object]:
    """Has fields of config.json replaced."""

    def apply(folder: Path):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return apply


NAME = "gpt_neox.layers.0.mlp.dense_h_to_4h.weight"


def poisoned(value: float) -> Callable[[dict], object]:
    return lambda tensors: tensors[NAME].__setitem__((0, 0), value)


def long_header(folder: Path):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}")


FAULTS = {
    "NaN": weights(poisoned(np.nan)),
    "infinity": weights(poisoned(np.inf)),
    "a tensor is missing": weights(lambda tensors: tensors.pop(NAME)),
    "a tensor too many": weights(lambda tensors: tensors.update(other=np.zeros(2, np.float32))),
    "a tensor of another shape": weights(
        lambda tensors: tensors.update({NAME: tensors[NAME].T.copy()})
    ),
    "a string for a number": config(hidden_size="16"),
    "another width": config(hidden_size=24),
    "a vocabulary too small": config(vocab_size=260),
    "no such architecture": config(model_type="mystery"),
    "truncated weights": lambda folder: (folder / "model.safetensors").write_bytes(b"\x10" * 100),
    "a header of a terabyte": long_header,
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "a config that is a list": lambda folder: (folder / "config.json").write_text("[]"),
    "a config that is no JSON": lambda folder: (folder / "config.json").write_text("{"),
}


def mean_weight(study: Study, unit: Unit):
    """A measure of each seed of a unit."""
    loaded = [study.load(*cell) for cell in unit.cells()]
    means = [float(np.mean(c.params["embed"]["embedding"])) for c in loaded]
    return xr.Dataset({"mean": ("seed", means)}), [c.provenance for c in loaded]


def experiment(study: Study, units: list[Unit] | None = None) -> common.Experiment:
    return common.Experiment(
        "weights", {"suite": "toy"}, units or study.single_units("weights"), mean_weight
    )


@pytest.mark.parametrize("damage", FAULTS.values(), ids=FAULTS.keys())
def test_an_error_says_which_checkpoint_and_where(study, damage):
    folder = folder_of(study)
    damage(folder)
    with pytest.raises(InputError) as error:
        common.run(study, experiment(study))
    assert BAD in str(error.value)
    assert str(folder) in str(error.value)
    committed = [unit for unit, _ in study.store.committed("weights")]
    assert [str(unit) for unit in committed] == [
        "weights toy-16 seed 0 step 0",
        "weights toy-16 seed 0 step 8",
        "weights toy-16 seed 1 step 0",
    ]


def test_an_error_of_many_seeds_says_which(study):
    weights(poisoned(np.nan))(folder_of(study))
    units = study.seed_set_units("weights", fewest=2)
    with pytest.raises(InputError, match=f"{BAD}"):
        common.run(study, experiment(study, units))
    assert [unit.step for unit, _ in study.store.committed("weights")] == [0]


def test_an_error_of_a_measure_says_of_which_unit(study):
    def diverging(study: Study, unit: Unit):
        raise InputError("a chain that is not finite", mend="Lower --step_size.")

    units = study.single_units("llc")
    with pytest.raises(InputError) as error:
        common.run(study, common.Experiment("llc", {}, units, diverging))
    assert str(error.value) == (
        "got a chain that is not finite, at llc toy-16 seed 0 step 0. Lower --step_size."
    )


def test_the_innermost_place_is_said_once():
    with pytest.raises(InputError) as error, located("outer"), located("inner", "/there"):
        raise InputError("a fault in /there/file")
    assert str(error.value) == "got a fault in /there/file, at inner"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("sets", [False, True], ids=["one seed", "seeds together"])
def test_a_checkpoint_replaced_in_place_is_not_mixed_with_older_results(study, step, sets):
    units = study.seed_set_units("weights") if sets else study.single_units("weights")
    common.run(study, experiment(study, units))
    common.run(study, experiment(study, units))  # all the same: nothing to do
    folder = Path(study.suite.source(MODEL, 1, step).location)
    weights(poisoned(0.5))(folder)
    with pytest.raises(InputError) as error:
        common.run(study, experiment(study, units))
    assert f"model.safetensors of toy-16 seed 1 step {step} had sha256" in str(error.value)
    (stale,) = [unit for unit in units if (MODEL, 1, step) in unit.cells()]
    (study.store.root / stale.path).unlink()
    common.run(study, experiment(study, units))
    assert study.store.has(stale, {"suite": "toy", "checkpoints": ""})


def test_committed_results_outlive_their_checkpoints(study):
    """A checkpoint that was deleted to save space is not asked for."""
    import shutil

    common.run(study, experiment(study))
    shutil.rmtree(folder_of(study))
    common.run(study, experiment(study))


FINITE = {"kl": ("document", [1.0, 2.0]), "count": ("document", [1, 2])}
GAPS = {
    "one NaN": ({"kl": ("document", [np.nan, 1.0])}, "1 of 2 of kl"),
    "all NaN": ({"kl": ("document", [np.nan, np.nan])}, "2 of 2 of kl"),
    "infinity": ({"kl": ("document", [np.inf, 1.0])}, "1 of 2 of kl"),
    "less than all": ({"kl": ("document", [-np.inf, 1.0])}, "1 of 2 of kl"),
    "a scalar": ({"llc": np.nan}, "1 of 1 of llc"),
    "single precision": ({"kl": ("document", np.array([np.nan, 1], np.float32))}, "1 of 2 of kl"),
    "half precision": ({"kl": ("document", np.array([np.nan, 1], np.float16))}, "1 of 2 of kl"),
    "two variables": (
        {"kl": ("document", [np.nan, 1.0]), "js": ("document", [np.inf, np.nan])},
        "1 of 2 of kl, 2 of 2 of js",
    ),
    "a coordinate": ({"center": ("center", [np.nan, 1.0])}, "1 of 2 of center"),
    "a square": ({"kl": (("seed", "other"), np.full((2, 2), np.nan))}, "4 of 4 of kl"),
}


@pytest.mark.parametrize(("variables", "said"), GAPS.values(), ids=GAPS.keys())
def test_numbers_that_are_not_finite_are_said_with_their_checkpoint(study, caplog, variables, said):
    def measure(study: Study, unit: Unit):
        checkpoint = study.load(*unit.cells()[0])
        return xr.Dataset(FINITE | variables), [checkpoint.provenance]

    units = study.single_units("weights")[3:]
    common.run(study, common.Experiment("weights", {}, units, measure))
    ((_, data),) = study.store.committed("weights")
    assert data.attrs["not_finite"] == said
    lines = [r.getMessage() for r in caplog.records if "not finite" in r.getMessage()]
    assert lines == [
        f"weights {BAD}: numbers that are not finite: {said}; from {folder_of(study)}; the page "
        "shows gaps"
    ]


def test_nothing_is_said_of_finite_numbers_or_of_what_was_not_measured(study, caplog):
    def measure(study: Study, unit: Unit):
        return xr.Dataset(FINITE | {"kl_byte": ("byte", [np.nan, 1.0])}), []

    units = study.single_units("next_byte")
    common.run(study, common.Experiment("next_byte", {}, units, measure, may_be_nan=["kl_byte"]))
    assert not caplog.records
    assert all("not_finite" not in data.attrs for _, data in study.store.committed("next_byte"))
