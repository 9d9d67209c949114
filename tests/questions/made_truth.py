"""Planted records of seeds that approach a known truth. Axes: K steps, S seeds, G windows."""

import numpy as np

from dynamics.questions.truth import record

STEPS = (0, 16, 64, 256, 640)
TO_TRUTH = (1.5, 1.0, 0.5, 0.2, 0.1)  # falls all the way
BETWEEN = (0.4, 0.2, 0.1, 0.2, 0.05)  # seeds draw apart at step 256
FROM_UNIGRAM = (0.9, 0.2, 0.3, 0.5, 0.6)
OWN = 0.25  # share of the divergence from the truth that each seed has alone
WINDOWS = 40
NOISE = 1 + 0.05 * np.random.default_rng(0).standard_normal(WINDOWS)  # the same at every step


def square(values: np.ndarray, seeds: int) -> np.ndarray:
    """[G] -> [S,S,G]: nearly the same for every pair, and 0 for a seed and itself."""
    apart = 1 + 0.01 * np.abs(np.subtract.outer(np.arange(seeds), np.arange(seeds)))
    return (~np.eye(seeds, dtype=bool) * apart)[..., None] * values


def planted(k: int, seeds: int = 3, between_noise: np.ndarray | None = None) -> record.Record:
    rng = np.random.default_rng(k)
    drawn = rng.normal(0, 0.2, WINDOWS)
    if between_noise is None:  # a little of it is of the step, as an error needs
        between_noise = NOISE * rng.normal(1, 0.02, WINDOWS)
    own = rng.normal(OWN, 0.05, WINDOWS)
    each = 1 + 0.02 * np.arange(seeds)[:, None]
    to_truth = each * TO_TRUTH[k] * NOISE
    unseen = np.full((seeds, WINDOWS), np.nan)
    return record.Record(
        seeds=tuple(range(seeds)),
        tokens=np.full(WINDOWS, 63.0),
        kl=square(BETWEEN[k] * between_noise, seeds),
        truth_model=to_truth,
        model_truth=unseen,
        unigram_model=each * FROM_UNIGRAM[k] * NOISE,
        model_unigram=unseen,
        surprisal=2.5 + to_truth + drawn,
        entropy=unseen,
        common=(1 - own) * to_truth.mean(0),
        variance=own * to_truth.mean(0),
        truth_unigram=np.full(WINDOWS, 0.6),
        true_surprisal=np.full(WINDOWS, 2.5),
        true_entropy=np.full(WINDOWS, 2.5),
        parameters=1000,
    )
