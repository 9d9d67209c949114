"""Training: three seeds of a nano model, side by side."""

import dataclasses
import time
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.device import memory, peers
from dynamics.training import nano, pretrain

SEEDS = 3
BLOCKS = 5  # of steps, each timed


class Sizes(NamedTuple):
    """Which model, and how many steps of it."""

    suite: str
    model: int  # its number in the suite
    steps: int


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Seconds of a step of all seeds, and whether their losses fall below those of the start.

    The text is ids of Zipf's frequencies, which a model learns within a few steps.
    """
    peaks = memory.Peaks()
    recipe = dataclasses.replace(
        nano.RECIPES[sizes.suite][sizes.model], num_seeds=SEEDS, num_steps=sizes.steps
    )
    start, advance = pretrain.functions(recipe)
    seeds, stream = jnp.arange(SEEDS), jnp.asarray(zipf_ids(recipe.config.vocab_size))
    begin = time.perf_counter()
    state = jax.block_until_ready(advance(start(seeds), seeds, stream))
    first, start_loss = time.perf_counter() - begin, np.asarray(state.loss)
    seconds = []
    for _ in range(BLOCKS):
        begin = time.perf_counter()
        for _ in range(sizes.steps // BLOCKS):
            state = advance(state, seeds, stream)
        jax.block_until_ready(state)
        seconds.append((time.perf_counter() - begin) / (sizes.steps // BLOCKS))
    spread, end_loss = peers.spread(seconds), np.asarray(state.loss)
    assert spread is not None
    tokens = SEEDS * recipe.batch_size * recipe.context / spread["median"]
    return {
        "ours_s": spread,
        "start_s": {"ours": first - spread["median"], "peer": None},
        "peak_bytes": peaks.read(),
        "tokens_per_s": tokens,
        "loss": {"start": start_loss.tolist(), "end": end_loss.tolist()},
        "agrees": bool((end_loss < start_loss).all()),
        "remarks": [
            f"{recipe.name}, {SEEDS} seeds, {tokens:,.0f} tokens a second",
            f"losses from {start_loss.mean():.2f} to {end_loss.mean():.2f} nats"
            f" in {sizes.steps} steps",
        ],
    }


def zipf_ids(vocabulary: int, count: int = 2**16) -> np.ndarray:
    """[count] int32."""
    weights = 1 / np.arange(1, vocabulary + 1)
    rng = np.random.default_rng(0)
    return rng.choice(vocabulary, count, p=weights / weights.sum()).astype(np.int32)
