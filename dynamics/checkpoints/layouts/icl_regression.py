"""The in-context regression transformer as a folder in the hub's layout.

No published file has it: names are those of the params, and config.json names the family. Axes as
in models/icl_regression.py.
"""

import dataclasses
import re
from collections.abc import Mapping

from dynamics.checkpoints.layouts.fields import check_fixed, make_config, read_fields
from dynamics.checkpoints.layouts.rule import Rule, dense, heads_out, norm
from dynamics.models.icl_regression import RANGES, Config

NAME, MODEL_TYPE = "in-context regression", "icl_regression"
SKIPPED = re.compile(r"(?!)")  # nothing
PREFIX, HEAD = "", ("unembed",)
UNEMBEDDING = ("unembed", "kernel")
_LAYER = "layers.{layer}."
_FIELDS = {field.name: field.name for field in dataclasses.fields(Config)}


def rules(config: Config) -> list[Rule]:
    """How every leaf maps to the stored tensors."""
    h, k, d = config.num_heads, config.head_dim, config.hidden_size
    return [
        dense(("embed", "token"), "embed.token")[0],
        Rule(("embed", "position", "embedding"), "embed.position.weight"),
        *norm(("layers", "attention_norm"), _LAYER + "attention_norm"),
        *norm(("layers", "mlp_norm"), _LAYER + "mlp_norm"),
        Rule(
            ("layers", "attention", "qkv", "kernel"),
            _LAYER + "attention.qkv.weight",
            to_flax=lambda w: w.T.reshape(d, h, 3, k),
            to_hub=lambda w: w.reshape(d, h * 3 * k).T,
        ),
        heads_out(("layers", "attention", "out"), _LAYER + "attention.out", d, h)[0],
        *dense(("layers", "mlp", "up"), _LAYER + "mlp.up"),
        *dense(("layers", "mlp", "down"), _LAYER + "mlp.down"),
        *norm(("final_norm",), "final_norm"),
        *dense(("unembed",), "unembed"),
    ]


def from_hub(fields: Mapping, where: str) -> Config:
    """The Config of config.json's fields. Raises InputError for one missing or out of range."""
    check_fixed(fields, {"model_type": MODEL_TYPE}, where, "as this layout has it")
    values = read_fields(fields, _FIELDS, RANGES, where)
    return make_config(Config, values, _FIELDS, NAME, where)


def to_hub(config: Config) -> dict:
    """Every field of the Config, by its own name."""
    return {"model_type": MODEL_TYPE, **dataclasses.asdict(config)}
