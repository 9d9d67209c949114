"""Which weights lie at a checkpoint's place now, by the digests of its files."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from dynamics.checkpoints import hub
from dynamics.checkpoints.formats import blob_name


def at_hand(
    source: str | Path,
    revision: str | None,
    names: Iterable[str],
    *,
    weights: str | Path | None = None,
) -> dict[str, str]:
    """Weight file -> its sha256, of those `names` that lie on this machine. Nothing is fetched.

    Every file is read, but for one that a store names by its digest; once in a process unless it
    changes. The other arguments are those of `load`. Raises OSError for a file that cannot be read.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "model.safetensors").write_bytes(b"weights")
        >>> at_hand(folder, None, ["model.safetensors", "absent.safetensors"])
        {'model.safetensors': '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c'}
    """
    local = revision is None
    folder = Path(source) if local else hub.find_local(str(source), revision, weights)
    if folder is None:
        return {}
    paths = {name: folder / Path(name).name for name in names}
    return {name: _digest(path) for name, path in paths.items() if path.is_file()}


def _digest(path: Path) -> str:
    status = path.stat()
    version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return blob_name(path) or _sha256(path, version)


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, version: tuple[int, ...]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
