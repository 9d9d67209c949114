"""Intervals between chains cover what chains estimate on average; too short chains are named."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import slt
from dynamics.slt import exact_values

pytestmark = pytest.mark.computes

H = jnp.asarray((1.0, 10.0))
SETTINGS = {"nbeta": 100.0, "localization": 1.0, "step_size": 1e-3}
SLOWEST = 1 - 1e-3 * 101 / 2  # rho of the direction h = 1
WANTED = round(50 * (1 + SLOWEST**2) / (1 - SLOWEST**2))
RUNS = 1000


def quadratic(w, batch):
    return 0.5 * jnp.sum(H * w**2)


def sampled(draws: int, chains: int, seed: int = 0):
    sampler = slt.SGLD(**SETTINGS, num_chains=chains, num_draws=draws, burn_in=20)
    return slt.estimate_llc(
        quadratic, jnp.zeros(2), np.zeros((2, 1), np.float32), jax.random.key(seed), sampler
    )


@pytest.mark.long
def test_intervals_cover():
    parts = [
        sampled(20 + WANTED, 20 * RUNS // 4, seed) for seed in range(4)
    ]  # one of all would fill the memory
    exact = exact_values.quadratic_chain(
        np.asarray(H), **SETTINGS, num_draws=20 + WANTED, burn_in=20
    ).mean
    runs = np.concatenate([part.per_chain for part in parts]).reshape(RUNS, 20)
    for chains in (4, 8, 20):
        covered = 0
        for run in runs[:, :chains]:
            mean, sem = run.mean(), run.std(ddof=1) / chains**0.5
            low, high = dataclasses.replace(parts[0], llc=mean, sem=sem, per_chain=run).interval()
            covered += low <= exact <= high
        assert 0.92 <= covered / RUNS <= 0.98, chains


@pytest.mark.long
def test_short_chains_are_said_to_be():
    """Most at an eighth of the length, all at a sixteenth: a chain counts only what it has seen."""
    warned = {
        draws: sum(
            "too few draws" in sampled(20 + draws, 4, seed).verdict.warnings for seed in range(40)
        )
        for draws in (WANTED // 16, WANTED // 8, 2 * WANTED)
    }
    assert warned[WANTED // 16] >= 39
    assert warned[WANTED // 8] >= 28
    assert warned[2 * WANTED] <= 2
