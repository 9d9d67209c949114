"""A suite on a local hub: its faults show in listings, and what is read is counted."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
import safetensors.numpy
from hub_server import serving

from dynamics import suite
from dynamics.checkpoints import audit, config_json, convert, hub
from dynamics.data import tokenizer
from dynamics.models import gpt_neox
from dynamics.suite import Cell, Source, Suite

STEPS = (0, 1, 2, 4, 8, 16)
CONFIG = gpt_neox.Config(
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    intermediate_size=64,
    vocab_size=263,
    max_positions=32,
)
SUITE = Suite(
    name="toy",
    models=("toy",),
    seeds=(0, 1),
    steps=STEPS,
    source=lambda _, seed, step: Source(f"me/toy-seed{seed}", f"step{step}"),
)


def run(seed: int) -> dict[str, dict[str, bytes]]:
    """A run's branches: weights that diffuse from their start."""
    return {
        step: dict(files) for step, files in _run(seed).items()
    }  # tests plant their faults in it


@functools.cache
def _run(seed: int) -> dict[str, dict[str, bytes]]:
    params = jax.tree.map(
        np.asarray, jax.jit(gpt_neox.init, static_argnums=1)(jax.random.key(seed), CONFIG)
    )
    rng, branches = np.random.default_rng(seed), {}
    words = tokenizer.train(["a few words to merge"] * 3, 260).to_str().encode()
    fixed = {
        "config.json": json.dumps(config_json.to_hub(CONFIG)).encode(),
        "tokenizer.json": words,
    }
    for previous, step in zip((0, *STEPS), STEPS, strict=False):
        scale = np.float32(2e-3 * (step - previous) ** 0.5)
        params = jax.tree.map(
            lambda x, s=scale: (x + s * rng.normal(size=x.shape)).astype(np.float32), params
        )
        weights = safetensors.numpy.save(convert.from_params(CONFIG, params))
        branches[f"step{step}"] = {**fixed, "model.safetensors": weights}
    return branches


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr("dynamics.checkpoints.audit.suite_audit._contents", {})
    with serving(
        {f"me/toy-seed{seed}": run(seed) for seed in (0, 1)}, monkeypatch, tmp_path
    ) as server:
        yield server


def convicted_kinds(read: str = "no") -> dict[tuple[int, int], str]:
    faults, _ = audit.examine(SUITE, SUITE.cells(), read=read)
    return {(f.cell.seed, f.cell.step): f.kind for f in faults if f.convicts}


def test_nothing_is_found_on_a_clean_suite(server):
    assert convicted_kinds() == {}
    assert convicted_kinds("sample") == {}


def test_metadata_suffices_for_what_is_not_in_the_weights(server):
    seed0 = server.repos["me/toy-seed0"]
    del seed0["step1"]
    del seed0["step2"]["model.safetensors"]
    seed0["step4"]["model.safetensors"] = seed0["step16"]["model.safetensors"]
    seed0["step4"]["README.md"] = b"a commit of its own, whose listing is asked for alone"
    seed0["step8"]["tokenizer.json"] = b"{1}"
    fields = json.loads(seed0["step0"]["config.json"])
    server.repos["me/toy-seed1"]["step8"]["config.json"] = json.dumps(
        {**fields, "rotary_pct": 0.5}
    ).encode()
    expected = {
        (0, 1): "missing",
        (0, 2): "partial",
        (0, 4): "duplicate",
        (0, 8): "tokenizer",
        (1, 8): "config",
    }
    assert convicted_kinds() == expected
    assert server.count(".safetensors") == 0
    listings = 2 * len(STEPS) - 1
    # Branches of either repository, a listing of each, and three distinct configurations.
    assert server.count() == 2 + listings + 3


def test_a_second_audit_costs_a_request_for_each_repository(server):
    convicted_kinds()
    before = server.count()
    hub.reset()  # as a process that comes later
    convicted_kinds()
    assert server.count("/refs") == 4
    assert server.count() - before <= 2 + 2  # branches, and the configuration of each


def test_a_sample_of_weights_is_read_by_range(server):
    shuffled = run(7)["step4"]["model.safetensors"]
    server.repos["me/toy-seed1"]["step4"]["model.safetensors"] = shuffled
    assert convicted_kinds() == {}
    assert convicted_kinds("sample") == {(1, 4): "detour"}


def test_right_checkpoints_among_wrong_ones_are_not_convicted(server):
    """Between two branches with the final weights, a right checkpoint lies off the path."""
    seed0 = server.repos["me/toy-seed0"]
    for step in (1, 4):
        seed0[f"step{step}"]["model.safetensors"] = seed0["step16"]["model.safetensors"]
    assert convicted_kinds("all") == {(0, 1): "duplicate", (0, 4): "duplicate"}


def test_what_is_here_and_what_is_not_yet_are_alike(server):
    """A suite that is fetched in part: folders and listings give one inventory."""
    for step in (0, 4, 16):
        hub.fetch("me/toy-seed0", f"step{step}")
    before = server.bytes_of(".safetensors")
    assert convicted_kinds() == {}
    seed1 = server.repos["me/toy-seed1"]
    seed1["step8"]["model.safetensors"] = server.repos["me/toy-seed0"]["step4"]["model.safetensors"]
    hub.reset()
    assert convicted_kinds() == {(0, 4): "duplicate", (1, 8): "duplicate"}
    assert server.bytes_of(".safetensors") == before


def test_a_commit_is_a_revision(server):
    commits = {(s, t): server.commit(f"me/toy-seed{s}", f"step{t}") for s in (0, 1) for t in STEPS}
    pinned = dataclasses.replace(
        SUITE, source=lambda _, s, t: Source(f"me/toy-seed{s}", commits[s, t])
    )
    faults, examined = audit.examine(pinned, pinned.cells())
    assert not [f for f in faults if f.convicts]
    assert examined == set(SUITE.cells())


def test_a_public_record_needs_no_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    faults, examined = audit.examine(suite.pythia(), [Cell("2.8b", 0, 0), Cell("2.8b", 0, 143_000)])
    assert [(f.cell.step, f.kind) for f in faults] == [(0, "on record")]
    assert examined == set()
