"""A truth for stages: deep linear networks learn one singular value after the other.

From small weights they pass from saddle to saddle, so that the steps of their loss are known, and
so is the learning coefficient at every plateau.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from dynamics import slt
from dynamics.analysis import stages
from dynamics.slt import deep_linear

VALUES = (2.0, 1.3, 0.8)  # of the target


def train(depth: int, start: float, rate: float, steps, seed: int) -> list[list[np.ndarray]]:
    """Gradient descent on |W_L ... W_1 - diag(VALUES)|^2 / 2 from weights of size `start`; the
    layers at every step of `steps`."""
    generator, target = np.random.default_rng(seed), np.diag(VALUES)
    layers = [start * (np.eye(3) + 0.1 * generator.normal(size=(3, 3))) for _ in range(depth)]
    wanted, saved = set(steps), []
    for step in range(max(steps) + 1):
        if step in wanted:
            saved.append([layer.copy() for layer in layers])
        below = list(itertools.accumulate(layers, lambda product, layer: layer @ product))
        above = below[-1] - target  # gradient at the output of layer L, then of each before it
        for k in reversed(range(depth)):
            gradient = above @ (below[k - 1].T if k else np.eye(3))
            above = layers[k].T @ above
            layers[k] = layers[k] - rate * gradient
    return saved


def product(layers) -> np.ndarray:
    return np.linalg.multi_dot(layers[::-1])


@pytest.mark.parametrize("seed", [1, 2])
def test_every_rank_step_is_found_and_none_is_invented(seed):
    """Three layers leave a saddle so fast that a step lies between two checkpoints."""
    steps = np.unique(np.exp(np.arange(np.log(100), np.log(6000), 0.06)).round().astype(int))
    run = train(3, 1e-2, 0.04, steps, seed)
    maps = np.stack([product(layers) for layers in run])
    loss = np.square(maps - np.diag(VALUES)).sum((1, 2)) / 2
    learned = np.linalg.svd(maps, compute_uv=False) > np.array(VALUES) / 2  # [K,3]
    last_without = learned.argmax(0) - 1
    boundaries = stages.find_stages(steps, loss).boundaries
    falls = [boundary for boundary in boundaries if boundary.kind == "fall"]
    assert len(falls) == len(VALUES)
    for fall, before in zip(falls, last_without, strict=True):
        assert steps[before - 1] <= fall.step <= steps[before + 2]
    # All else that may be said is that the run pauses between two steps.
    ends = [0, *steps[last_without], steps[-1]]
    for boundary in boundaries:
        if boundary.kind != "fall":
            assert boundary.kind == "shoulder"
            between = np.searchsorted(ends, [boundary.low, boundary.high])
            assert between[0] == between[1] in (2, 3)


def test_the_value_of_a_plateau_against_a_direct_integral():
    """One weight in each of two layers, l = (a b - s)^2 / 2 about a = b = sqrt s."""
    nbeta, gamma, s = 400.0, 4.0, 1.5
    root = s**0.5

    def density(a, b):
        loss = (a * b - s) ** 2 / 2
        return np.exp(-nbeta * loss - gamma / 2 * ((a - root) ** 2 + (b - root) ** 2)), loss

    box = (root - 2.5, root + 2.5, root - 2.5, root + 2.5)
    mass = integrate.dblquad(lambda a, b: density(a, b)[0], *box, epsrel=1e-6)[0]
    loss = integrate.dblquad(lambda a, b: np.prod(density(a, b)), *box, epsrel=1e-6)[0]
    value = deep_linear.plateau_posterior((1, 1, 1), [s], nbeta=nbeta, localization=gamma)
    assert value == pytest.approx(nbeta * loss / mass, rel=0.01)


@pytest.mark.parametrize(("rank", "llc"), [(0, 3.75), (1, 4.0), (2, 4.5), (3, 4.5)])
def test_plateaus_tend_to_their_learning_coefficients(rank, llc):
    limit = deep_linear.learning_coefficient((3, 3, 3), rank).llc
    assert limit == pytest.approx(llc, abs=0.5)
    near, far = (
        deep_linear.plateau_posterior((3, 3, 3), VALUES[:rank], nbeta=nbeta, localization=1.0)
        for nbeta in (1e3, 1e7)
    )
    assert near <= far <= limit
    assert far == pytest.approx(limit, rel=0.08)


def own_map_loss(layers, maps):
    """The loss with the plateau's own map as teacher, which comes as data."""
    first, second = layers
    return jnp.square(second @ first - maps.mean(0)).sum() / 2


@pytest.mark.long
def test_the_llc_of_every_plateau_is_the_exact_one():
    """With the full target as teacher a plateau is a saddle; with its own map it is a minimum."""
    nbeta, gamma = 1000.0, 20.0
    steps = np.arange(0, 2400, 20)
    run = train(2, 1e-6, 0.04, steps, seed=0)
    shares = np.linalg.svd(np.stack([product(w) for w in run]), compute_uv=False) / VALUES
    sampler = slt.MALA(
        step_size=2e-4, nbeta=nbeta, localization=gamma, num_chains=8, num_draws=20_000,
        burn_in=2000, batch_size=None,
    )  # fmt: skip
    for rank in range(4):
        expected = np.arange(3) < rank
        at = int(np.abs(shares - expected).max(1).argmin())  # the middle of the plateau
        assert np.abs(shares[at] - expected).max() < 0.01
        layers = [jnp.asarray(layer, jnp.float32) for layer in run[at]]
        maps = jnp.asarray(product(run[at]), jnp.float32)[None]
        estimate = slt.estimate_llc(
            own_map_loss, layers, maps, jax.random.key(rank), sampler, top_eigenvalue=None
        )
        exact = deep_linear.plateau_posterior(
            (3, 3, 3), VALUES[:rank], nbeta=nbeta, localization=gamma
        )
        assert abs(estimate.llc - exact) < max(0.05 * exact, 3 * estimate.error)
        assert estimate.error < 0.05 * exact
