"""config.json of the hub's layout to a model Config and back."""

import json
from pathlib import Path

from dynamics.errors import InputError
from dynamics.models import gpt_neox

_SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"),
    "max_position_embeddings",
)
# What the forward pass here computes; a config that asks for anything else must not load in silence.
_FIXED = {
    "hidden_act": "gelu",
    "tie_word_embeddings": False,
    "attention_bias": True,
}


def read(folder: Path) -> gpt_neox.Config:
    """The Config of a checkpoint folder. Raises InputError where there is none, or one that is not supported."""
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise InputError(
            f"{folder} without config.json", expected="a checkpoint folder in the hub's layout", mend="Check the path."
        )
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, where: str) -> gpt_neox.Config:
    """The Config that the bytes of a config.json describe; `where` it lies is for messages. Raises InputError."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} that is not JSON ({error})", expected="a model configuration") from error
    if not isinstance(fields, dict):
        raise InputError(
            f"{where} that holds a JSON {type(fields).__name__}", expected="a model configuration, an object"
        )
    return from_hub(fields, where)


def from_hub(fields: dict, where: str = "config.json") -> gpt_neox.Config:
    """GPT-NeoX fields, of older files (rotary_pct, rotary_emb_base) and of newer ones (rope_parameters)."""
    if fields.get("model_type") != "gpt_neox":
        raise InputError.unknown(f"model_type in {where}", fields.get("model_type"), ["gpt_neox"])
    for name, value in _FIXED.items():
        if fields.get(name, value) != value:
            raise InputError(f"{where} with {name} = {fields[name]!r}", expected=f"{value!r}, as in every Pythia")
    rope = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise InputError(f"{where} with rope_parameters = {rope!r}", expected="an object")
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise InputError.unknown(f"rope type in {where}", kind, ["default"])
    for name in _SIZES:
        size = fields.get(name)
        if size is True or (isinstance(size, int) and size >= 1 << 31):
            raise InputError(f"{where} with {name} {size!r:.60}", expected="a whole number below 2^31")
    try:
        return gpt_neox.Config(
            hidden_size=fields["hidden_size"],
            num_layers=fields["num_hidden_layers"],
            num_heads=fields["num_attention_heads"],
            intermediate_size=fields["intermediate_size"],
            vocab_size=fields["vocab_size"],
            max_positions=fields["max_position_embeddings"],
            rotary_fraction=rope.get("partial_rotary_factor", fields.get("rotary_pct", 0.25)),
            rotary_base=rope.get("rope_theta", fields.get("rotary_emb_base", 10_000.0)),
            parallel_residual=fields.get("use_parallel_residual", True),
            layer_norm_eps=fields.get("layer_norm_eps", 1e-5),
            initializer=fields.get("initializer", "small"),
        )
    except KeyError as error:
        raise InputError(f"{where} without {error}", expected="a complete GPT-NeoX configuration") from error


def to_hub(config: gpt_neox.Config) -> dict:
    """Fields that transformers of either age reads; `initializer` is ours and ignored by it."""
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "rotary_pct": config.rotary_fraction,
        "rotary_emb_base": config.rotary_base,
        "use_parallel_residual": config.parallel_residual,
        "layer_norm_eps": config.layer_norm_eps,
        "initializer": config.initializer,
        "initializer_range": 0.02,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "torch_dtype": "float32",
        **_FIXED,
    }
