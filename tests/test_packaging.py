"""Wheel and source distribution build, hold every file, and run outside the checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.long
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, f"build_{sys.argv[1]}")(sys.argv[2]))
"""
RUN = """
import sys, xarray as xr, dynamics
from dynamics import results
from dynamics.questions import site
store = results.Store(sys.argv[1])
unit = results.Unit(measure="audit", model="toy", seeds=(0,))
data = xr.Dataset({"state": ("step", [1])}, {"step": [0]},
                  {"findings": "[]", "fate": "", "weights_read": "true"})
store.write(unit, data, {}, {"weights": [], "corpus": {}})
site.write(store, "toy", store.root / "report.html")
print(dynamics.__file__)
"""


def tracked() -> list[Path]:
    """The checkout's files, or all where it is no checkout."""
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        return [path.relative_to(ROOT) for path in ROOT.glob("dynamics/**/*") if path.is_file()]
    return [Path(line) for line in listing.stdout.splitlines()]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the tracked files, since a build writes beside them."""
    folder = tmp_path_factory.mktemp("source")
    for path in tracked():
        if path.parts[0] in {"dynamics", "experiments"} or len(path.parts) == 1:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    return folder


def build(source: Path, kind: str, target: Path) -> Path:
    command = [sys.executable, "-c", BUILD, kind, str(target)]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return target / run.stdout.strip().splitlines()[-1]


def test_a_wheel_of_the_source_distribution_runs_outside_the_checkout(source, tmp_path):
    sdist = build(source, "sdist", tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = build(unpacked, "wheel", tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    packages = {"dynamics", "experiments"}
    expected = {path for path in tracked() if path.parts[0] in packages}
    held = {
        path.relative_to(tmp_path / "installed")
        for path in (tmp_path / "installed").rglob("*")
        if path.is_file()
    }
    assert expected <= held, sorted(expected - held)
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path / "results")],
        cwd=outside,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).is_relative_to(tmp_path / "installed")
    assert (tmp_path / "results" / "report" / "audit.html").is_file()
