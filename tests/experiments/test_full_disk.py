"""On a real small disk, at ten sizes: one sentence, no litter, and the same command goes on.

The disk is a tmpfs where one can be mounted, else a limit on the size of files.
"""

import contextlib
import dataclasses
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import job
import numpy as np
import pytest
import xarray as xr

from dynamics.errors import InputError
from dynamics.results import Store, Unit
from dynamics.training import nano, pretrain

PAGE = 4096  # bytes that a tmpfs gives out at once


@dataclasses.dataclass(frozen=True)
class Disk:
    """A folder with little room, and how it gets more."""

    folder: Path
    is_mounted: bool
    enlarge: Callable[[], object]


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Disk]:
    """A disk of `size` bytes at `folder`."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if mounted:
        larger = ["mount", "-o", "remount,size=64m", str(folder)]
        try:
            yield Disk(folder, True, lambda: subprocess.run(larger, check=True))
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield Disk(folder, False, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


UNITS = [Unit(measure="weights", model="m", seeds=(0,), step=2**k) for k in range(12)]


def data_of(unit: Unit) -> xr.Dataset:
    """Numbers of 8 kB and more, more at later steps."""
    return xr.Dataset({"kl": ("token", np.arange(1000.0 + 100 * (unit.step or 0).bit_length()))})


def write_missing(store: Store):
    for unit in UNITS:
        if not store.has(unit, {}):
            store.write(unit, data_of(unit), {}, {})


@pytest.mark.parametrize("pages", [1, 2, 3, 4, 6, 9, 13, 20, 30, 40])
def test_results_on_a_full_disk(tmp_path, pages):
    with small_disk(tmp_path / "disk", pages * PAGE) as disk:
        if not disk.is_mounted and pages > 4:
            pytest.skip("every single file fits")
        store = Store(disk.folder / "out")
        with pytest.raises(InputError) as error:
            write_missing(store)
        whole = [unit for unit in UNITS if store.has(unit, {})]
        assert str(error.value).count("\n") == 0
        assert "cannot be written" in str(error.value)
        assert "what was committed stays" in str(error.value)
        assert files(store.root) == sorted(unit.path.as_posix() for unit in whole)
        for unit in whole:
            xr.testing.assert_equal(store.read(unit), data_of(unit))
        disk.enlarge()
        write_missing(store)
        assert [unit for unit, _ in store.committed("weights")] == UNITS


@pytest.mark.long
@pytest.mark.parametrize("pages", [1, 3, 5, 7, 9, 12, 15, 19, 23, 27])
def test_a_script_on_a_full_disk(cache, tmp_path, pages):
    flags = ["--suite=smoke", "--models=smoke-16", "--seeds=0", "--nopictures"]
    with small_disk(tmp_path / "disk", pages * PAGE) as disk:
        if not disk.is_mounted and pages > 3:
            pytest.skip("every single file fits")
        out = disk.folder / "out"
        code, _, stderr = job.run("weights", *flags, cache=cache, out=out)
        assert code == 1, stderr
        *_, line = stderr.strip().splitlines()
        assert line.startswith("error: got ")
        assert "cannot be written" in line
        assert "Traceback" not in stderr
        names = files(disk.folder)
        assert all(name.endswith(".nc") for name in names)
        before = job.numbers(out) if names else {}
        disk.enlarge()
        code, _, stderr = job.run("weights", *flags, cache=cache, out=out)
        assert code == 0, stderr
        after = job.numbers(out)
        assert len(after) == 7
        assert all(job.same(before[name], after[name]) for name in before)


@pytest.mark.long
@pytest.mark.parametrize("size", [4, 100, 200, 300, 400, 600, 700, 800, 1000, 1200])
def test_training_on_a_full_disk(tmp_path, capfd, size):
    """`size` in kB: within the first checkpoint, a later one, the state, and the one after it."""
    recipe = dataclasses.replace(nano.RECIPES["smoke"][0], num_steps=66, num_seeds=1)
    stream = np.random.default_rng(0).integers(0, 512, 5000).astype(np.int32)
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text("{}")
    with small_disk(tmp_path / "disk", size * 1024) as disk:
        if not disk.is_mounted and size > 100:
            pytest.skip("no file of a checkpoint is as large")

        def train():
            pretrain.pretrain(recipe, stream, disk.folder, tokenizer, lambda step: None)

        with pytest.raises(InputError, match="cannot be written") as error:
            train()
        assert str(error.value).count("\n") == 0
        assert "Traceback" not in capfd.readouterr().err
        assert not [name for name in files(disk.folder) if "partial" in name or "tmp" in name]
        disk.enlarge()
        train()
    assert "Traceback" not in capfd.readouterr().err
