"""Measures: pure functions of params and tokens; numbers per token, pair or matrix, in nats.

Each file is one measure, and is imported by its name: `from dynamics.measures import divergence`.
"""

__all__ = [
    "byte_lookup",
    "cross_entropy",
    "curvature",
    "divergence",
    "in_context",
    "masked",
    "minimal_pairs",
    "next_byte",
    "ngram",
    "prefix",
    "surprisal",
    "top_tokens",
    "truth",
    "weights",
]
