"""What the device can do: a large matrix product in float32, and a copy through its memory."""

import functools
import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

REPEATS = 5


class Sizes(NamedTuple):
    """How large."""

    matrix: int  # rows and columns of both factors
    floats: int  # of the array that is copied


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """FLOP/s at both precisions, and bytes per second, read and written ones together."""
    left = jax.random.normal(jax.random.key(0), (sizes.matrix, sizes.matrix))
    right = jax.random.normal(jax.random.key(1), (sizes.matrix, sizes.matrix))
    flops = 2 * sizes.matrix**3

    def rate(precision: str) -> float:
        product = jax.jit(functools.partial(jnp.matmul, precision=precision))
        return flops / best_seconds(product, left, right)

    highest, default = rate("highest"), rate("default")
    vector = jnp.ones(sizes.floats)
    copy = 2 * vector.nbytes / best_seconds(jax.jit(lambda x: x + 1), vector)
    return {
        "flops_per_s_highest": highest,
        "flops_per_s_default": default,
        "bytes_per_s": copy,
        "remarks": [
            f"float32 products at {highest / 1e12:.3g} TFLOP/s in full and"
            f" {default / 1e12:.3g} at JAX's default precision",
            f"memory at {copy / 1e9:.4g} GB/s",
        ],
    }


def best_seconds(function, *arguments) -> float:
    """The least of a few runs after one that compiles: a ceiling wants the best."""
    jax.block_until_ready(function(*arguments))

    def seconds() -> float:
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        return time.perf_counter() - start

    return float(np.min([seconds() for _ in range(REPEATS)]))
