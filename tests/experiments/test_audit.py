"""A suite of folders with one of each fault: all are found, none on a clean one, and the page shows
them."""

import json
import shutil
from pathlib import Path

import jax
import job
import numpy as np
import pytest

from dynamics import checkpoints, results
from dynamics.models import gpt_neox
from dynamics.questions.audit import record

pytestmark = pytest.mark.long

STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128)
SUITE = """
name = "toy"
models = ["toy"]
seeds = [0, 1, 2, 3]
steps = {steps}
folder = "runs/seed{{seed}}/step{{step}}"
"""
SHARDS = [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]
SIZES = {
    "hidden_size": 16,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 101,
}


def place(root: Path, seed: int, step: int) -> Path:
    return root / "runs" / f"seed{seed}" / f"step{step}"


def fill(root: Path) -> Path:
    """Runs whose weights diffuse, steps 0 and 1 alike; the last run's in shards. Returns the suite
    file."""
    config = gpt_neox.Config(**SIZES, max_positions=32)
    for seed in range(4):
        params = jax.tree.map(
            np.asarray, jax.jit(gpt_neox.init, static_argnums=1)(jax.random.key(seed), config)
        )
        for previous, step in zip((0, *STEPS), STEPS, strict=False):
            taken = 0 if step == 1 else step - previous
            params = _diffused(params, 2e-3 * taken**0.5, np.random.default_rng([seed, step]))
            checkpoints.save(place(root, seed, step), config, params)
            (place(root, seed, step) / "tokenizer.json").write_text("{}")
            if seed == 3:
                _split(place(root, seed, step))
    suite = root / "toy.toml"
    suite.write_text(SUITE.format(steps=list(STEPS)))
    return suite


def _diffused(params, scale: float, rng):
    return jax.tree.map(lambda x: (x + scale * rng.normal(size=x.shape)).astype(np.float32), params)


def plant(root: Path) -> dict[tuple[int, int], str]:
    """One of each fault that folders can have, each in a checkpoint of its own."""
    shutil.rmtree(place(root, 0, 2))
    (place(root, 0, 4) / "model.safetensors").unlink()
    shutil.copy(place(root, 0, 128) / "model.safetensors", place(root, 0, 8) / "model.safetensors")
    (place(root, 0, 16) / "tokenizer.json").write_text('{"other": 1}')
    _edit_json(place(root, 0, 32) / "config.json", rotary_pct=0.5)
    weights = place(root, 0, 64) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    stranger = np.random.default_rng(9)
    _edit_weights(place(root, 1, 16), lambda x: stranger.normal(0, 0.1, x.shape))
    _edit_weights(
        place(root, 1, 64), lambda x: np.where(np.arange(x.size).reshape(x.shape) == 3, np.nan, x)
    )
    shutil.copy(place(root, 2, 4) / "model.safetensors", place(root, 2, 128) / "model.safetensors")
    _edit_weights(
        place(root, 2, 128), lambda x: x * 1.0001
    )  # back at step 4, and not its very file
    _edit_weights(place(root, 2, 0), lambda x: stranger.normal(0, 0.1, x.shape))
    shutil.copy(place(root, 3, 128) / SHARDS[0], place(root, 3, 32) / SHARDS[0])
    (place(root, 3, 8) / SHARDS[1]).unlink()
    (place(root, 3, 16) / f"{SHARDS[0][:5]}.safetensors.index.json").unlink()
    return {
        (0, 2): "missing",
        (0, 4): "partial",
        (0, 8): "duplicate",
        (0, 16): "tokenizer",
        (0, 32): "config",
        (0, 64): "unreadable",
        (1, 16): "detour",
        (1, 64): "non-finite",
        (2, 0): "foreign start",
        (3, 8): "partial",
        (3, 16): "partial",
        (3, 32): "borrowed shard",
    }


def _split(folder: Path):
    """The one weight file as two shards and their index."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    where = {name: SHARDS["layers" in name] for name in tensors}
    for shard in SHARDS:
        save_file({name: tensors[name] for name in tensors if where[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    (folder / "model.safetensors").unlink()


def _edit_json(path: Path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def _edit_weights(folder: Path, change):
    from safetensors.numpy import load_file, save_file

    path = folder / "model.safetensors"
    save_file({name: change(x).astype(np.float32) for name, x in load_file(path).items()}, path)


def faults(out: Path, convicts: bool = True) -> dict[tuple[int, int], str]:
    """(seed, step) -> kind, of what convicts, or of the remarks."""
    units = results.Store(out).committed(record.MEASURE)
    audited = {unit.seeds[0]: record.from_dataset(data) for unit, data in units}
    return {
        (seed, fault.step): fault.kind
        for seed in range(4)
        for fault in audited[seed].faults
        if fault.convicts == convicts
    }


def test_nothing_is_found_on_a_clean_suite(tmp_path):
    suite, out = fill(tmp_path), tmp_path / "out"
    code, stdout, stderr = job.run(
        "audit", f"--suite={suite}", "--read=all", cache=tmp_path, out=out
    )
    assert code == 0, stderr
    assert "same start at step 1" in stdout
    assert faults(out) == {}
    assert faults(out, convicts=False) == {(seed, 1): "same start" for seed in range(4)}


def test_every_planted_fault_is_found_and_shown(tmp_path):
    suite, out = fill(tmp_path), tmp_path / "out"
    planted = plant(tmp_path)
    code, stdout, stderr = job.run(
        "audit", f"--suite={suite}", "--read=all", cache=tmp_path, out=out
    )
    assert code == 0, stderr
    assert faults(out) == planted
    # Steps 0 and 1 that are still there and alike, and the run that ends where it was.
    assert faults(out, convicts=False) == {
        **{(seed, 1): "same start" for seed in (0, 1, 3)},
        (2, 128): "jump back",
    }
    page = Path(stdout.strip().splitlines()[-1]).read_text()
    assert "12 of 36 checkpoints are convicted" in page


def test_metadata_reads_no_weight(tmp_path):
    suite, out = fill(tmp_path), tmp_path / "out"
    planted = plant(tmp_path)
    code, _, stderr = job.run("audit", f"--suite={suite}", cache=tmp_path, out=out)
    assert code == 0, stderr
    seen = ("missing", "partial", "duplicate", "borrowed shard", "tokenizer", "config")
    assert faults(out) == {cell: kind for cell, kind in planted.items() if kind in seen}
