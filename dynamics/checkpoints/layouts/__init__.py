"""The hub's layout of each architecture: names and shapes of tensors, fields of config.json.

A layout is a module with `NAME` for messages, `MODEL_TYPE` of config.json, `Config`,
`rules(config)` for every leaf, `SKIPPED` (names of other tensors that files hold), `PREFIX` (which
names lack where the trunk was saved alone), `HEAD` (the subtrees that it then lacks), `UNEMBEDDING`
(the path of the leaf that is stored as a row of weights for each token's logit),
`from_hub(fields, where)` and `to_hub(config)`. A new architecture is a new module here and a place
in `LAYOUTS`.
"""

from types import ModuleType

from dynamics import inputs, models
from dynamics.checkpoints.layouts import bert, gpt_neox, icl_regression
from dynamics.errors import InputError

__all__ = ["LAYOUTS", "of_config", "of_type"]

LAYOUTS: tuple[ModuleType, ...] = (gpt_neox, bert, icl_regression)


def of_config(config: models.Config) -> ModuleType:
    """The layout of a model's config. Raises InputError for a config of another type."""
    for layout in LAYOUTS:
        if type(config) is layout.Config:
            return layout
    raise InputError.unknown(
        "model config", type(config).__qualname__, (layout.NAME for layout in LAYOUTS)
    )


def of_type(model_type: object, where: str) -> ModuleType:
    """The layout that config.json names. Raises InputError for an unknown one."""
    for layout in LAYOUTS:
        if model_type == layout.MODEL_TYPE:
            return layout
    name = model_type[:80] if isinstance(model_type, str) else inputs.shown(model_type)
    model_types = [layout.MODEL_TYPE for layout in LAYOUTS]
    raise InputError.unknown(f"model_type in {where}", name, model_types)
