"""Where chains run: on the devices of this process, on simulated CPU devices, on a CPU beside an
accelerator."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from benchmarks.device import bowl, memory, worker

TOLERANCE = 1e-5  # relative, of losses over 20 steps
_ROOT = Path(__file__).parents[3]
_COUNT = "--xla_force_host_platform_device_count"


class Sizes(NamedTuple):
    """How many CPU devices are simulated, each count in a process of its own."""

    simulated: tuple[int, ...]


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Where chains ran in each layout, and how far their losses are from those of this process."""
    peaks = memory.Peaks()
    children = {count: start_simulated(count) for count in sizes.simulated}
    start = time.perf_counter()
    reference, used = bowl.trace()
    seconds = time.perf_counter() - start
    rows = [{"layout": "this process", "devices": used, "seconds": seconds, "difference": 0.0}]
    for count, child in children.items():
        rows.append(
            {"layout": f"simulated CPU devices, {count}", **finish_simulated(child, reference)}
        )
    rows.append({"layout": "the CPU as default device", **beside(reference)})
    differences = [row["difference"] for row in rows if "difference" in row]
    return {
        "layouts": rows,
        "peak_bytes": peaks.read(),
        "agrees": max(differences) <= TOLERANCE and not any("failure" in row for row in rows),
        "remarks": [_sentence(row) for row in rows],
    }


def beside(reference: np.ndarray) -> dict:
    """The same where an accelerator is there and the CPU is asked for as the default device."""
    if jax.default_backend() == "cpu":
        return {"devices": [], "note": "no accelerator is there"}
    try:
        with jax.default_device(jax.devices("cpu")[0]):
            losses, used = bowl.trace()
    except Exception as error:
        return {"devices": [], "failure": ": ".join(worker.classify(error))}
    return {"devices": used, "difference": difference(losses, reference)}


def start_simulated(count: int) -> subprocess.Popen:
    """A process with `count` CPU devices and no other."""
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if _COUNT not in flag]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.device.bowl"],
        cwd=_ROOT,
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": " ".join([*flags, f"{_COUNT}={count}"]),
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def finish_simulated(child: subprocess.Popen, reference: np.ndarray) -> dict:
    """What the process printed."""
    output, _ = child.communicate()
    if child.returncode:
        return {"devices": [], "failure": f"exit code {child.returncode}"}
    printed = json.loads(output.splitlines()[-1])
    losses = np.asarray(printed.pop("losses"))
    return {**printed, "difference": difference(losses, reference)}


def difference(losses: np.ndarray, reference: np.ndarray) -> float:
    """The largest, relative to the largest loss."""
    return float(np.abs(losses - reference).max() / np.abs(reference).max())


def _sentence(row: dict) -> str:
    if "failure" in row or "note" in row:
        return f"{row['layout']}: {row.get('failure') or row['note']}"
    where = ", ".join(row["devices"])
    return f"{row['layout']}: chains on {where}, losses {row['difference']:.1g} apart"
