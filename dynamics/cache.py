"""The folder of what is costly to make or to download again: suites and checkpoints."""

import os
from pathlib import Path


def cache_root() -> Path:
    """$DYNAMICS_CACHE, else ~/.cache/dynamics."""
    return Path(
        os.environ.get("DYNAMICS_CACHE") or Path.home() / ".cache" / "dynamics"
    ).expanduser()
