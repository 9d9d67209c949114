"""The device, its driver, and the versions of what runs on it."""

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax

from benchmarks import setting

PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "xarray", "arviz"),
    *("torch", "transformers", "devinterp", "pyhessian"),
)


class Sizes(NamedTuple):
    """Nothing to choose."""


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Reads them; "platform" is JAX's own: gpu, tpu or cpu."""
    device = jax.devices()[0]
    versions = setting.versions(PACKAGES)
    missing = [name for name, version in versions.items() if version == "missing"]
    remarks = [
        f"{jax.device_count()} {device.platform} device(s), {device.device_kind}",
        f"driver {driver()}, commit {setting.commit()}",
        ", ".join(f"{name} {version}" for name, version in versions.items() if name not in missing),
        *([f"not installed: {', '.join(missing)}"] if missing else []),
    ]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "memory_bytes": (device.memory_stats() or {}).get("bytes_limit"),
        "driver": driver(),
        "processor": setting.processor(),
        "python": platform.python_version(),
        "versions": versions,
        "commit": setting.commit(),
        "remarks": remarks,
    }


def driver() -> str:
    """NVIDIA's driver, by its own tool or the kernel's file; "none" without either."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        return answer.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        pass
    try:
        first_line = Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    except (OSError, IndexError):
        return "none"
    return next((word for word in first_line.split() if word.count(".") >= 2), first_line)
