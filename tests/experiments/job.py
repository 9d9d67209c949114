"""Runs the main job as a user would: in a process of its own, with a cache and an output folder of
its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forked
import numpy as np
import xarray as xr

ROOT = Path(__file__).parents[2]

# Few units, every kind of them: what a test of starting, stopping and resuming needs.
SMALL = ("--suite=smoke", "--steps=0,8,32", "--windows=24", "--context=64")
DEMO = (
    *SMALL,
    "--draws=20",
    "--burn_in=5",
    "--llc_windows=32",
    "--lanczos_steps=8",
    "--hessian_probes=4",
    "--llc_every=1",
    "--llc_from=0",
    "--reference_probes=2",
    "--reference_matvecs=4",
)
DEMO = (*DEMO, "--hessian_windows=4")

# A background shell hands its children an ignored SIGINT; a user at a terminal has the default.
_AS_AT_A_TERMINAL = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


# Tests look at what a job does, not how fast: without slow passes the compiler takes half as long.
QUICKLY_COMPILED = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
AS_USERS_DO = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}


def start(
    script: str,
    *flags: str,
    cache: Path | str,
    out: Path | str | None = None,
    as_users_do: bool = False,
) -> subprocess.Popen | forked.Process:
    """A running script: a new process `as_users_do`, else one forked from a process that has made
    the imports."""
    as_here = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]
    environment = {
        **os.environ,
        "DYNAMICS_CACHE": str(cache),
        "XLA_FLAGS": "" if as_users_do else " ".join(as_here),
        "JAX_PLATFORMS": "cpu",
        **(AS_USERS_DO if as_users_do else QUICKLY_COMPILED),
    }
    module, flags = f"experiments.{script}", [*flags, *([f"--out={out}"] if out else [])]
    if not as_users_do:
        return forked.start(module, flags, environment, ROOT)
    command = [sys.executable, "-c", _AS_AT_A_TERMINAL, sys.executable, "-m", module, *flags]
    return subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


def run(
    script: str,
    *flags: str,
    cache: Path | str,
    out: Path | str | None = None,
    timeout: float = 600,
    as_users_do: bool = False,
) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    process = start(script, *flags, cache=cache, out=out, as_users_do=as_users_do)
    stdout, stderr = process.communicate(timeout=timeout)
    return process.returncode, stdout, stderr


def stop_when(
    seen: Callable[[], bool],
    how: signal.Signals,
    script: str,
    *flags: str,
    cache: Path | str,
    out: Path,
):
    """Starts the job, sends it `how` once `seen()`; returns (exit code, standard error)."""
    process = start(script, *flags, cache=cache, out=out)
    while process.poll() is None and not seen():
        time.sleep(0.01)
    process.send_signal(how)
    _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr


def numbers(out: Path) -> dict[str, xr.Dataset]:
    """Every committed data set by its place in the folder."""
    data_sets = {}
    for path in sorted(out.rglob("*.nc")):
        with xr.open_dataset(path, engine="h5netcdf") as stored:
            data_sets[path.relative_to(out).as_posix()] = stored.load()
    return data_sets


def same(data: xr.Dataset, other: xr.Dataset) -> bool:
    """Bit-equal variables and coordinates; provenance may name other folders."""
    if set(data.variables) != set(other.variables):
        return False
    pairs = [(data[name].values, other[name].values) for name in data.variables]
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)
