"""Where a revision's files lie on this machine."""

from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from dynamics.errors import InputError


def locate(repo: str, revision: str | None = None, weights: str | Path | None = None) -> Path:
    """The folder of `repo` at `revision`: under `weights`/REPO/REVISION if given, else in the Hugging Face cache.

    Raises InputError that says how to bring the files where they are in neither place.
    """
    name = revision or "main"
    if weights is not None and (Path(weights) / repo / name).is_dir():
        return Path(weights) / repo / name
    try:
        return Path(huggingface_hub.snapshot_download(repo, revision=name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        target = Path(weights or "weights") / repo / name
        raise InputError(
            f"{repo} at revision {name}, whose weights are not on this machine",
            expected="its files in the Hugging Face cache" + (f" or in {target}" if weights else ""),
            mend=f"Where there is a network: `hf download {repo} --revision {name}` (into the cache), or the same with "
            f"`--local-dir {target}` and then --weights={weights or 'weights'} here.",
        ) from error
