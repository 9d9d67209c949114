"""The other side of the benchmark of completions gives the same, and takes longer."""

import numpy as np
import pytest
from random_params import random_params

from benchmarks import completions_vs_scratch as benchmark

CONFIG = benchmark.MODELS["nano-64"]


def test_both_sides_write_and_score_the_same():
    config = benchmark.MODELS["tiny"]
    params = random_params(config)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (2, 5)).astype(np.int32)
    tokens_apart, scores_apart = benchmark.largest_difference(
        benchmark.compare(config, params, tokens, 1)
    )
    assert tokens_apart == 0
    assert scores_apart < 1e-4


@pytest.mark.long
@pytest.mark.alone
def test_a_memory_is_at_least_five_times_as_fast_at_64_tokens():
    params = random_params(CONFIG)
    tokens = np.random.default_rng(0).integers(0, CONFIG.vocab_size, (4, 64)).astype(np.int32)
    runs = benchmark.compare(CONFIG, params, tokens, 3)
    assert np.median(runs.ratios()) >= 5
