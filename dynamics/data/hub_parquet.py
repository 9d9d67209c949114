"""Rows of a data set of the hub from its parquet, by stream: for machines without `datasets`.

The hub keeps a parquet of every data set that it can read, on the branch refs/convert/parquet, as
CONFIG/SPLIT/0000.parquet and so on; of a large one the folder is partial-SPLIT. Bytes come by range
through huggingface_hub's file system, one row group at a time.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dynamics.errors import InputError

_BRANCH = "refs/convert/parquet"
_COLUMNS = ("text", "domain")
_ROWS = 64  # that are unpacked at a time


def rows(name: str, repo: str, config: str | None, split: str) -> Iterator[Mapping]:
    """The rows of a split in order, with the columns "text" and "domain" where it has them.

    Raises:
        ImportError: no pyarrow.
        InputError: no such split, several configurations and none named, or a file of other form.
        OSError, and what huggingface_hub raises: a hub that cannot be reached, or refuses.
    """
    parquet: Any = importlib.import_module("pyarrow.parquet")
    hub: Any = importlib.import_module("huggingface_hub").HfFileSystem()
    for path in _files(hub, name, f"datasets/{repo}@{_BRANCH}", config, split):
        with hub.open(path, "rb") as file:
            table = parquet.ParquetFile(file)
            columns = [column for column in _COLUMNS if column in table.schema_arrow.names]
            for batch in table.iter_batches(batch_size=_ROWS, columns=columns or None):
                yield from batch.to_pylist()


def _files(hub: Any, name: str, root: str, config: str | None, split: str) -> Sequence[str]:
    """Paths of the split's parquet files, in order."""
    configs = [config] if config else _names(hub, root)
    if len(configs) > 1:
        raise InputError(
            f"the corpus {name}, which has the configurations {', '.join(configs)}",
            expected="one of them, as hub:OWNER/NAME/CONFIG:SPLIT",
        )
    splits = [at for of in configs for at in _names(hub, f"{root}/{of}")]
    for folder in (split, f"partial-{split}"):
        if folder in splits:
            paths = hub.ls(f"{root}/{configs[0]}/{folder}", detail=False)
            return sorted(path for path in paths if path.endswith(".parquet"))
    names = ", ".join(each.removeprefix("partial-") for each in splits)
    raise InputError(
        f"the corpus {name} without the split {split}", expected=f"one of {names or 'its splits'}"
    )


def _names(hub: Any, folder: str) -> list[str]:
    """Names of what lies in a folder."""
    return sorted(path.rpartition("/")[2] for path in hub.ls(folder, detail=False))
