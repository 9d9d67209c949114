"""Measures: pure functions of params and tokens; numbers per token, pair or matrix, in nats.

Each module is one measure. `cross_entropy` is the loss that several of them share.
"""

from dynamics.measures import (
    attention,
    byte_lookup,
    completions,
    compression,
    covariance_rank,
    cross_entropy,
    curvature,
    dead_units,
    displacement,
    divergence,
    in_context,
    masked,
    minimal_pairs,
    next_byte,
    ngram,
    perplexity,
    prefix,
    surprisal,
    top_tokens,
    truth,
    weights,
)

__all__ = [
    "attention",
    "byte_lookup",
    "completions",
    "compression",
    "covariance_rank",
    "cross_entropy",
    "curvature",
    "dead_units",
    "displacement",
    "divergence",
    "in_context",
    "masked",
    "minimal_pairs",
    "next_byte",
    "ngram",
    "perplexity",
    "prefix",
    "surprisal",
    "top_tokens",
    "truth",
    "weights",
]
