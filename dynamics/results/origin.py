"""What makes a result: code version, packages, interpreter and device."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import dynamics

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "matfree")


@functools.cache
def made_by() -> dict:
    """Code version, packages, interpreter and device, which every result records."""
    import jax

    return {
        "dynamics": dynamics.__version__,
        "revision": _revision(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"{jax.local_device_count()} x {jax.devices()[0].device_kind}",
        "backend": jax.default_backend(),
    }


def _revision() -> str:
    """The source tree's git revision, "+" if it has uncommitted changes, "" outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        run = functools.partial(
            subprocess.run, capture_output=True, text=True, timeout=10, check=True
        )
        head = run([*git, "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        changes = run([*git, "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
        return head + ("+" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return ""
