"""Where chains run: on the devices of this process, on simulated CPU devices, on a CPU beside an
accelerator.

Axes: C chains.

    python -m benchmarks.device.parts.layouts

prints the traces of the same chains on the devices of its own process, as JSON.
"""

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.device import memory, worker
from dynamics import devices, slt

TOLERANCE = 1e-5  # relative, of losses over 20 steps
CHAINS = 4
_ROOT = Path(__file__).parents[3]


class Sizes(NamedTuple):
    """How many CPU devices are simulated, each count in a process of its own."""

    simulated: tuple[int, ...]


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Where chains ran in each layout, and how far their losses are from those of this process."""
    peaks = memory.Peaks()
    children = {count: start_simulated(count) for count in sizes.simulated}
    start = time.perf_counter()
    reference, used = traced()
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


def traced() -> tuple[np.ndarray, list[str]]:
    """([C,draws] losses along the chains, the devices that pmap gave them)."""
    sampler = slt.SGLD(
        step_size=1e-2, nbeta=10.0, localization=100.0, num_chains=CHAINS, num_draws=20
    )
    data = np.zeros((2, 1), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimate = slt.estimate_llc(bowl, jnp.zeros(3), data, jax.random.key(0), sampler)
    return estimate.loss_trace, places()


def bowl(w, batch):
    """A loss of three curvatures."""
    return 0.5 * jnp.sum(jnp.asarray((0.1, 1.0, 10.0)) * w**2)


def places() -> list[str]:
    """The devices that `devices.map_chains` gives as many chains."""
    numbers = devices.map_chains(_square)(jnp.arange(float(CHAINS)))
    return sorted(str(device) for device in numbers.devices())


def _square(x):
    return x * x


def beside(reference: np.ndarray) -> dict:
    """The same where an accelerator is there and the CPU is asked for as the default device."""
    if jax.default_backend() == "cpu":
        return {"devices": [], "note": "no accelerator is there"}
    try:
        with jax.default_device(jax.devices("cpu")[0]):
            losses, used = traced()
    except Exception as error:
        return {"devices": [], "failure": ": ".join(worker.classify(error))}
    return {"devices": used, "difference": difference(losses, reference)}


def start_simulated(count: int) -> subprocess.Popen:
    """A process with `count` CPU devices and no other."""
    flags = f"--xla_force_host_platform_device_count={count}"
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.device.parts.layouts"],
        cwd=_ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
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


if __name__ == "__main__":
    start = time.perf_counter()
    losses, used = traced()
    seconds = time.perf_counter() - start
    print(json.dumps({"devices": used, "seconds": seconds, "losses": losses.tolist()}))
