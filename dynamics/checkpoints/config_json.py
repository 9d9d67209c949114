"""A checkpoint's config.json to a model's Config and back, by its architecture's layout."""

from pathlib import Path

from dynamics import inputs, models
from dynamics.checkpoints import layouts
from dynamics.checkpoints.formats import SINGLE
from dynamics.errors import InputError

_MOST_BYTES = 1 << 24  # of the file: some list the labels of a classifier


def read(folder: Path) -> models.Config:
    """The Config of a checkpoint folder. Raises InputError if it has none that is supported."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise InputError(
            f"{folder} without config.json",
            expected="a checkpoint folder in the hub's layout",
            mend="Check the path.",
        )
    return parse(inputs.read_bytes(path, _MOST_BYTES, "a model configuration"), str(path))


def parse(content: bytes, where: str) -> models.Config:
    """The Config that the bytes of a config.json describe. Raises InputError.

    `where` is what messages call the file.
    """
    fields = inputs.parse_json(content, where, "a model configuration")
    if not isinstance(fields, dict):
        raise InputError(
            f"{where} that holds a JSON {type(fields).__name__}",
            expected="a model configuration, an object",
        )
    return from_hub(fields, where)


def from_hub(fields: dict, where: str = "config.json") -> models.Config:
    """The Config that a config.json's fields describe.

    Raises InputError for an unknown type, and for weights that are elsewhere than in the files that
    are read here.
    """
    weights = fields.get("transformers_weights")
    if weights is not None:  # transformers would then read that file, whatever others there are
        raise InputError(
            f"{where} with transformers_weights = {weights!r}",
            expected="weights in the files that checkpoints have by default",
            mend=f"Rename that file to {SINGLE}, and delete the field.",
        )
    return layouts.of_type(fields.get("model_type"), where).from_hub(fields, where)


def to_hub(config: models.Config) -> dict:
    """The fields of config.json, as transformers reads them."""
    return layouts.of_config(config).to_hub(config)
