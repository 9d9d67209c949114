"""The device checks as people start them: without a GPU, without a peer, at toy size; their
wheels."""

import doctest
import importlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks import setting
from benchmarks.device import floor, lines, parts, table, wheels
from benchmarks.device.parts import llc, llc_variance
from dynamics import models
from dynamics.errors import InputError

ROOT = Path(__file__).parents[2]
# Its times say nothing at toy size, so the compiler's slow passes would be for nothing.
QUICKLY_COMPILED = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


def started(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """`launch/device_checks.sh` with this Python, run to its end."""
    return subprocess.run(
        ["bash", str(ROOT / "launch/device_checks.sh"), *arguments],
        env={**os.environ, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def processor_seconds(run: Callable[[], subprocess.CompletedProcess]):
    """What a process returned, and the CPU seconds of it and its children."""
    before = os.times()
    returned = run()
    after = os.times()
    spent = after.children_user + after.children_system
    return returned, spent - before.children_user - before.children_system


@pytest.mark.long
def test_the_dry_run_is_green(tmp_path):
    """Every part, at toy size, in under two minutes of idle cores where the imports of one process
    take three seconds; time of other work on the cores is not this one's."""
    path = tmp_path / "checks.json"
    importing = [sys.executable, "-c", "import experiments.demo"]
    _, imports = processor_seconds(lambda: subprocess.run(importing, cwd=ROOT, check=True))
    start = time.perf_counter()
    run, spent = processor_seconds(lambda: started("--dry", f"--out={path}", **QUICKLY_COMPILED))
    seconds = time.perf_counter() - start
    assert run.returncode == 0, run.stdout + run.stderr
    results = lines.read(path)
    assert [line.part for line in results] == [part.name for part in parts.PARTS]
    assert {line.state for line in results} <= set(lines.GREEN)
    assert min(seconds, spent) < 120 * max(1, imports / 3)
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks.device.table", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.startswith("Toy sizes on a CPU")
    assert all(f"| {part.name} |" in shown for part in parts.PARTS if part.name != "versions")
    (layouts,) = (line for line in results if line.part == "layouts")
    assert [len(row["devices"]) for row in layouts.numbers["layouts"]] == [2, 1, 3, 0]


@pytest.mark.long
def test_a_peer_that_is_missing_has_its_line_and_is_no_fault(tmp_path):
    (tmp_path / "pyhessian.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'pyhessian'\", name='pyhessian')\n"
    )
    run = started(
        "--dry", "--only=hvp_14m,density", f"--out={tmp_path}/checks.json", PYTHONPATH=str(tmp_path)
    )
    assert run.returncode == 0, run.stdout + run.stderr
    results = {line.part: line for line in lines.read(tmp_path / "checks.json")}
    assert list(results) == ["versions", "hvp_14m", "density"]
    assert results["hvp_14m"].numbers["peer_absent"] == "missing: pyhessian"
    assert results["hvp_14m"].numbers["ours_s"]["median"] > 0
    assert "PyHessian missing: pyhessian" in run.stdout


@pytest.mark.long
def test_without_a_gpu_it_says_so(tmp_path):
    path = tmp_path / "checks.json"
    run = started(f"--out={path}", JAX_PLATFORMS="cpu")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("error: no GPU")
    assert "--dry" in run.stderr
    assert [line.part for line in lines.read(path)] == ["versions"]


@pytest.mark.long
def test_bad_flags_are_one_line():
    for arguments, sentence in (
        (["--dry", "--only=hvp"], "error: got unknown part 'hvp'"),
        (["--dry", "--out=/proc/checks.json"], "error: got --out=/proc/checks.json, which"),
        (["--dry", "--wheels=/nonexistent"], "error: got /nonexistent, which holds no wheels"),
    ):
        run = started(*arguments)
        assert run.returncode == 1
        assert len(run.stderr.splitlines()) == 1, run.stderr
        assert run.stderr.startswith(sentence)


def test_a_copy_without_git_has_its_commit_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setattr(setting, "__file__", str(tmp_path / "setting.py"))
    monkeypatch.delenv("DYNAMICS_COMMIT", raising=False)
    assert setting.commit() == "unknown"
    monkeypatch.setenv("DYNAMICS_COMMIT", "abc1234")
    assert setting.commit() == "abc1234"


def test_no_limit_is_long_and_names_are_unique():
    assert all(0 < part.limit_s <= 120 for part in parts.PARTS)
    names = [part.name for part in parts.PARTS]
    assert len(set(names)) == len(names)


def test_only_wheels_that_the_machine_lacks_are_used(tmp_path):
    for name in ("numpy-0.1-py3-none-any.whl", "no_such_peer-1.0-py3-none-any.whl"):
        (tmp_path / name).touch()
    assert [path.name for path in wheels.lacking(tmp_path)] == ["no_such_peer-1.0-py3-none-any.whl"]


def test_the_wheels_list_pins_every_package_and_what_peers_pin():
    names = dict(
        line.split("==")
        for line in (ROOT / "launch/device_wheels.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    pinned = dict(
        re.findall(r"^(\w+)==(.*)$", (ROOT / "requirements-peers.txt").read_text(), re.MULTILINE)
    )
    assert names["devinterp"] == pinned["devinterp"] == "2.0.1"
    assert {"arviz", "h5netcdf", "matfree", "PyHessian"} <= set(names)


def versions(platform: str) -> lines.Line:
    numbers = {
        "platform": platform,
        "device": "Toy A1",
        "devices": 1,
        "memory_bytes": 8 * 10**9,
        "driver": "580.1",
        "processor": "Toy",
        "python": "3.12.3",
        "versions": {"jax": "0.11.0", "torch": "missing"},
        "commit": "abc1234",
    }
    return lines.Line("versions", lines.DONE, 1.0, "", numbers)


def results_of(platform: str) -> list[lines.Line]:
    numbers = {
        "ours_s": {"median": 0.5, "least": 0.25, "most": 1.0},
        "peer_s": None,
        "ratio": None,
        "start_s": {"ours": 3.0, "peer": None},
        "peak_bytes": {"ours": 2 * 10**9, "peer": None},
        "peer": "devinterp",
        "peer_absent": "missing: zarr",
        "remarks": ["a | b"],
    }
    return [
        versions(platform),
        lines.Line("llc_small", lines.DONE, 12.0, "", numbers),
        lines.Line("kl_160m", lines.OUT_OF_MEMORY, 3.0, "RESOURCE_EXHAUSTED"),
    ]


def test_tables_have_the_machine_the_times_and_every_state():
    shown = table.markdown(results_of("gpu"))
    assert shown.startswith(
        "1 x Toy A1 (8 GB for JAX), driver 580.1; Toy; Python 3.12.3;\njax 0.11"
    )
    assert "torch missing" not in shown
    assert "commit abc1234" in shown
    assert (
        "| llc_small | 0.5 [0.25, 1] | devinterp: missing: zarr | – | 3 s, – | 2 GB, – |" in shown
    )
    assert "| llc_small | done | 12 | a / b |" in shown
    assert "| kl_160m | out of memory | 3 | RESOURCE_EXHAUSTED |" in shown
    with pytest.raises(InputError, match="do not say on what"):
        table.markdown(results_of("gpu")[1:])


def test_tables_go_between_the_marks_of_the_page():
    page = (ROOT / "docs/performance.md").read_text()
    once = table.into(page, "| first |")
    assert table.into(once, "| second |") == table.into(page, "| second |")
    assert "| second |" in table.into(page, "| second |")
    with pytest.raises(InputError, match="without the marks"):
        table.into("no marks", "")


def test_the_page_takes_no_toy_sizes(tmp_path):
    path, page = tmp_path / "checks.json", tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\n{table.END}\nafter\n")
    command = [sys.executable, "-m", "benchmarks.device.table", str(path), f"--into={page}"]
    for platform, code in (("cpu", 1), ("gpu", 0)):
        path.write_text("")
        for line in results_of(platform):
            lines.append(path, line)
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == code, run.stderr
        assert ("of toy sizes" in run.stderr) == (platform == "cpu")
        assert ("Toy A1" in page.read_text()) == (platform == "gpu")


@pytest.mark.parametrize("name", ["50k", "tiny", "70m"])
def test_the_floor_counts_the_weights_that_the_model_has(name):
    """A product of N rows with every matrix but the embedding, forward and twice backward, and what
    attention has without weights."""
    config, windows, length, chains = setting.MODELS[name], 3, 11, 2
    shapes = jax.eval_shape(lambda: models.init(jax.random.key(0), config))
    matrices = sum(
        int(np.prod(leaf.shape))
        for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)
        if "kernel" in jax.tree_util.keystr(path)
    )
    parameters = llc.num_parameters(config)
    work = floor.sgld_step(config, parameters, windows, length, chains)
    tokens = windows * (length - 1)
    attention = 12 * (length - 1) * config.num_layers * config.hidden_size
    assert work.flops == chains * tokens * (6 * matrices + attention)
    assert work.bytes == 4 * parameters * (4 * chains + 1)
    assert work.seconds(1e9, np.inf) == work.flops / 1e9
    assert work.seconds(np.inf, 1e9) == work.bytes / 1e9


def test_the_interval_of_a_ratio_of_variances_covers():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(2000, 2, 6)) * np.array([1.0, 3.0])[:, None]
    ratios = samples[:, 1].var(-1, ddof=1) / samples[:, 0].var(-1, ddof=1)
    low, high = np.transpose([llc_variance.interval(float(ratio), 6) for ratio in ratios])
    assert np.mean((low < 9) & (high > 9)) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    tally = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tally.attempted > 0
    assert tally.failed == 0
