"""GPT-NeoX on the hub. Axes as in models/gpt_neox.py.

Query, key and value are fused per head, [H,3,K], not [3,H,K]: read the other way, the model runs
and is wrong.
"""

import re
from collections.abc import Mapping

import numpy as np

from dynamics import inputs
from dynamics.checkpoints.layouts.fields import check_fixed, make_config, read_fields
from dynamics.checkpoints.layouts.rule import Rule, dense, heads_out, norm
from dynamics.errors import InputError
from dynamics.models.gpt_neox import RANGES, Config

NAME, MODEL_TYPE = "GPT-NeoX", "gpt_neox"
# Buffers in files of 2023.
SKIPPED = re.compile(
    r"(gpt_neox\.)?layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)"
)
PREFIX, HEAD = "gpt_neox.", ("unembed",)
UNEMBEDDING = ("unembed", "kernel")
_LAYER = "gpt_neox.layers.{layer}."
_SIZES = {
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "intermediate_size",
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_positions",
}
# Fields that a file may leave out: the Config's defaults are then transformers' own.
_OTHERS = {
    "rotary_pct": "rotary_fraction",
    "rotary_emb_base": "rotary_base",
    "use_parallel_residual": "parallel_residual",
    "layer_norm_eps": "layer_norm_eps",
    "initializer": "initializer",
}
# The same, in the object rope_parameters of newer files.
_ROPE = {"partial_rotary_factor": "rotary_fraction", "rope_theta": "rotary_base"}
_FIXED = {
    "hidden_act": "gelu",
    "tie_word_embeddings": False,
    "attention_bias": True,
}


def rules(config: Config) -> list[Rule]:
    """How every leaf maps to the hub's tensors."""
    h, k, d = config.num_heads, config.head_dim, config.hidden_size
    qkv = ("layers", "attention", "qkv")
    return [
        Rule(("embed", "embedding"), "gpt_neox.embed_in.weight"),
        *norm(("layers", "attention_norm"), _LAYER + "input_layernorm"),
        *norm(("layers", "mlp_norm"), _LAYER + "post_attention_layernorm"),
        Rule(
            (*qkv, "kernel"),
            _LAYER + "attention.query_key_value.weight",
            to_flax=lambda w: w.T.reshape(d, h, 3, k),
            to_hub=lambda w: w.reshape(d, h * 3 * k).T,
        ),
        Rule(
            (*qkv, "bias"),
            _LAYER + "attention.query_key_value.bias",
            to_flax=lambda b: b.reshape(h, 3, k),
            to_hub=lambda b: b.reshape(-1),
        ),
        *heads_out(("layers", "attention", "out"), _LAYER + "attention.dense", d, h),
        *dense(("layers", "mlp", "up"), _LAYER + "mlp.dense_h_to_4h"),
        *dense(("layers", "mlp", "down"), _LAYER + "mlp.dense_4h_to_h"),
        *norm(("final_norm",), "gpt_neox.final_layer_norm"),
        # The second name is what transformers 5 writes.
        Rule(
            ("unembed", "kernel"),
            "embed_out.weight",
            np.transpose,
            np.transpose,
            others=("lm_head.weight",),
        ),
    ]


def from_hub(fields: Mapping, where: str) -> Config:
    """The Config of a GPT-NeoX's fields. Raises InputError for what is not supported.

    Older files have rotary_pct and rotary_emb_base, newer ones rope_parameters.
    """
    check_fixed(fields, _FIXED, where, "as in every Pythia")
    values = read_fields(fields, _SIZES | _OTHERS, RANGES, where)
    for name in ("rope_scaling", "rope_parameters"):
        rope = {} if fields.get(name) is None else fields[name]
        if not isinstance(rope, dict):
            raise InputError(f"{where} with {name} = {inputs.shown(rope)}", expected="an object")
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default":
            raise InputError(
                f"{where} with the rope type {inputs.shown(kind)}", expected="'default'"
            )
        values |= read_fields(rope, _ROPE, RANGES, f"{name} of {where}")
    return make_config(Config, values, _SIZES, NAME, where)


def to_hub(config: Config) -> dict:
    """Fields that old and new transformers read; `initializer` is ours, and ignored by them."""
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": MODEL_TYPE,
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
