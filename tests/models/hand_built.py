"""A two-layer GPT-NeoX whose heads are built by hand, and which they are.

Axes: D width, H heads, K head dim, L layers, V vocabulary, R rotated dims.

The stream has two halves: a token's own one-hot, and that of the token before it. Layer 0, head 0
attends to the token before (its queries and keys are the same vectors for all tokens, turned by one
place, so that only the rotary distance counts) and copies its one-hot to the second half. Layer 0,
head 1 matches one-hot with one-hot: it attends to instances of the token itself. Layer 1, head 0
matches the token with what stands before each source: an induction head. Layer 1, head 1 and the
MLPs do nothing.
"""

import jax.numpy as jnp
import numpy as np

from dynamics.models import gpt_neox

V, K, R = 16, 32, 16
CONFIG = gpt_neox.Config(
    hidden_size=2 * K,
    num_layers=2,
    num_heads=2,
    intermediate_size=3,
    vocab_size=V,
    max_positions=64,
    rotary_fraction=R / K,
)
PREVIOUS_HEAD, DUPLICATE_HEAD, INDUCTION_HEAD = (0, 0), (0, 1), (1, 0)  # (layer, head)
_SHARP = 12.0


def params() -> dict:
    """Weights of the model; its unembedding reads the token's own half."""
    width, query, key, value = 2 * K, 0, 1, 2
    kernel, bias = np.zeros((2, width, 2, 3, K)), np.zeros((2, 2, 3, K))
    out = np.zeros((2, 2, K, width))
    turned = np.asarray(gpt_neox.rotary(jnp.ones((2, R)), CONFIG.rotary_base, R))
    bias[0, 0, query, :R] = _SHARP * turned[0]
    bias[0, 0, key, :R] = _SHARP * turned[1]
    for token in range(V):
        kernel[0, token, 0, value, token] = 1
        out[0, 0, token, K + token] = 4
        for (layer, head), half in ((DUPLICATE_HEAD, 0), (INDUCTION_HEAD, K)):
            kernel[layer, token, head, query, R + token] = _SHARP
            kernel[layer, half + token, head, key, R + token] = _SHARP
    norm = {"scale": np.ones((2, width)), "bias": np.zeros((2, width))}
    tree = {
        "embed": {"embedding": 4 * np.eye(V, width)},
        "layers": {
            "attention_norm": norm,
            "attention": {
                "qkv": {"kernel": kernel, "bias": bias},
                "out": {"kernel": out, "bias": np.zeros((2, width))},
            },
            "mlp_norm": norm,
            "mlp": {
                "up": {"kernel": np.zeros((2, width, 3)), "bias": np.zeros((2, 3))},
                "down": {"kernel": np.zeros((2, 3, width)), "bias": np.zeros((2, width))},
            },
        },
        "final_norm": {"scale": np.ones(width), "bias": np.zeros(width)},
        "unembed": {"kernel": np.eye(width, V)},
    }
    return _float32(tree)


def _float32(tree):
    if isinstance(tree, dict):
        return {name: _float32(subtree) for name, subtree in tree.items()}
    return tree.astype(np.float32)
