"""The hub's layout of each architecture: names and forms of its tensors, fields of its config.json.

A layout is a module with `NAME` for messages, `MODEL_TYPE` of config.json, `Config`,
`rules(config)` for every leaf, `SKIPPED` (what files hold beside them), `from_hub(fields, where)`
and `to_hub(config)`.
"""

from types import ModuleType

from dynamics.checkpoints.layouts import bert, gpt_neox
from dynamics.errors import InputError

LAYOUTS: tuple[ModuleType, ...] = (gpt_neox, bert)


def of_config(config) -> ModuleType:
    """The layout of a model's config. Raises InputError for a config of another type."""
    for layout in LAYOUTS:
        if type(config) is layout.Config:
            return layout
    raise InputError.unknown(
        "model config", type(config).__qualname__, (layout.NAME for layout in LAYOUTS)
    )


def of_type(model_type, where: str) -> ModuleType:
    """The layout that config.json names. Raises InputError for an unknown one."""
    for layout in LAYOUTS:
        if model_type == layout.MODEL_TYPE:
            return layout
    raise InputError.unknown(
        f"model_type in {where}", model_type, [layout.MODEL_TYPE for layout in LAYOUTS]
    )
