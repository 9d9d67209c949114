"""BERT with its masked-LM head on the hub.

The files are those of BertForPreTraining, as MultiBERTs are stored, or of BertForMaskedLM; or of
BertModel, the encoder alone. Axes as in models/bert.py.
"""

import re
from collections.abc import Mapping

from dynamics.checkpoints.layouts.fields import check_fixed, make_config, read_fields
from dynamics.checkpoints.layouts.rule import Rule, dense, heads_in, heads_out, norm
from dynamics.models.bert import RANGES, Config

NAME, MODEL_TYPE = "BERT", "bert"
# The head of next-sentence prediction, the pooler that feeds only it, and a buffer of positions.
SKIPPED = re.compile(
    r"(bert\.)?embeddings\.position_ids|(bert\.)?pooler\.dense\.(weight|bias)"
    r"|cls\.seq_relationship\.(weight|bias)"
)
PREFIX, HEAD = "bert.", ("transform", "unembed")
UNEMBEDDING = ("embed", "token", "embedding")  # tied
_EMBED, _LAYER, _HEAD = "bert.embeddings.", "bert.encoder.layer.{layer}.", "cls.predictions."
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
    "type_vocab_size": "num_segments",
    "layer_norm_eps": "layer_norm_eps",
    "initializer_range": "initializer_range",
}
_FIXED = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "tie_word_embeddings": True,
    "is_decoder": False,
    "add_cross_attention": False,
}


def rules(config: Config) -> list[Rule]:
    """How every leaf maps to the hub's tensors."""
    d, h = config.hidden_size, config.num_heads
    attention = ("layers", "attention")
    return [
        Rule(
            ("embed", "token", "embedding"),
            _EMBED + "word_embeddings.weight",
            tied=(_HEAD + "decoder.weight",),
        ),
        Rule(("embed", "position", "embedding"), _EMBED + "position_embeddings.weight"),
        Rule(("embed", "segment", "embedding"), _EMBED + "token_type_embeddings.weight"),
        *norm(("embed", "norm"), _EMBED + "LayerNorm", greek=True),
        *(
            rule
            for name in ("query", "key", "value")
            for rule in heads_in((*attention, name), f"{_LAYER}attention.self.{name}", d, h)
        ),
        *heads_out((*attention, "out"), _LAYER + "attention.output.dense", d, h),
        *norm(("layers", "attention_norm"), _LAYER + "attention.output.LayerNorm", greek=True),
        *dense(("layers", "mlp", "up"), _LAYER + "intermediate.dense"),
        *dense(("layers", "mlp", "down"), _LAYER + "output.dense"),
        *norm(("layers", "mlp_norm"), _LAYER + "output.LayerNorm", greek=True),
        *dense(("transform", "dense"), _HEAD + "transform.dense"),
        *norm(("transform", "norm"), _HEAD + "transform.LayerNorm", greek=True),
        Rule(("unembed", "bias"), _HEAD + "bias", tied=(_HEAD + "decoder.bias",)),
    ]


def from_hub(fields: Mapping, where: str) -> Config:
    """The Config of a BERT's fields. Raises InputError for what is not supported.

    Fields that only dropout and classifiers need are ignored.
    """
    check_fixed(fields, _FIXED, where, "as in every MultiBERT")
    values = read_fields(fields, _SIZES | _OTHERS, RANGES, where)
    return make_config(Config, values, _SIZES, NAME, where)


def to_hub(config: Config) -> dict:
    """Fields that transformers reads."""
    return {
        "architectures": ["BertForMaskedLM"],
        "model_type": MODEL_TYPE,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "type_vocab_size": config.num_segments,
        "layer_norm_eps": config.layer_norm_eps,
        "initializer_range": config.initializer_range,
        "torch_dtype": "float32",
        **_FIXED,
    }
