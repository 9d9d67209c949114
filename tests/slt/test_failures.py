"""Planted failures are named, and healthy chains pass."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import slt
from dynamics.errors import ChainError

pytestmark = pytest.mark.computes

TRIVIAL = 2.0  # of the data below: Var y


def mean_square(w, batch):
    x, y = batch
    return jnp.mean((x @ w["seen"] - y) ** 2) + 0 * jnp.sum(w["unseen"])


@functools.cache
def problem():
    """A regression at its minimum, with forty weights that it does not use."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(256, 3))
    y = x @ np.ones(3) / 3**0.5 + rng.normal(size=256)
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    return {"seen": best.astype(np.float32), "unseen": np.ones(40, np.float32)}, (
        x.astype("f4"),
        y.astype("f4"),
    )


HEALTHY = slt.SGLD(
    step_size=4e-4,
    nbeta=100.0,
    localization=50.0,
    num_chains=4,
    num_draws=3000,
    burn_in=500,
    batch_size=64,
)


def estimate(seed=0, loss=mean_square, params=None, data=None, top_eigenvalue="measure", **changes):
    start, items = problem()
    return slt.estimate_llc(
        loss,
        params or start,
        data or items,
        jax.random.key(seed),
        dataclasses.replace(HEALTHY, **changes),
        trivial_loss=TRIVIAL,
        top_eigenvalue=top_eigenvalue,
    )


@pytest.mark.long
def test_healthy_chains_pass():
    verdicts = [estimate(seed).verdict for seed in range(100)]
    failed = [verdict for verdict in verdicts if verdict.state != "local" or verdict.warnings]
    assert len(failed) <= 5, [verdict.sentence for verdict in failed]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
class TestPlanted:
    def test_step_size_too_large(self, seed):
        with pytest.raises(ChainError, match="step_size"):
            estimate(seed, step_size=0.03)
        with pytest.raises(ChainError, match=r"too large here"):
            estimate(seed, step_size=0.03, top_eigenvalue=None)
        assert "biased" in estimate(seed, step_size=5e-3).verdict.warnings

    def test_no_localization(self, seed):
        assert "still spreading" in estimate(seed, localization=0.0, num_chains=8).verdict.warnings

    def test_wrong_sign(self, seed):
        verdict = estimate(seed, loss=climbing, num_draws=200, burn_in=100).verdict
        assert "wrong sign" in verdict.warnings
        with pytest.raises(ChainError, match="is its sign right"):
            estimate(seed, loss=climbing, step_size=2e-3)

    def test_corrupted_leaf(self, seed):
        start, _ = problem()
        with pytest.raises(ChainError, match="leaf seen"):
            estimate(seed, params={**start, "seen": np.array([1, np.nan, 1], np.float32)})
        overwritten = np.random.default_rng(seed).normal(size=3).astype(np.float32) * 2
        verdict = estimate(seed, params={**start, "seen": overwritten}).verdict
        assert verdict.state in ("no basin to leave", "off a minimum")

    def test_too_few_draws(self, seed):
        assert "too few draws" in estimate(seed, num_draws=540).verdict.warnings

    def test_left_the_basin(self, seed):
        verdict = estimate(seed, nbeta=1.0, localization=0.01, step_size=0.02).verdict
        assert verdict.state == "left the basin"


def climbing(w, batch):
    """The negated loss: a log-likelihood mistaken for one."""
    return -mean_square(w, batch)
