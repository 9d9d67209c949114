"""Chains and curvature under JAX's own flags: other random keys, strict dtypes, traps for NaN."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import devices, slt, threefry
from dynamics.errors import InputError
from dynamics.measures import curvature, surprisal
from dynamics.models import gpt_neox

pytestmark = pytest.mark.long

DATA = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)
PLAN = {"step_size": 1e-3, "nbeta": 10.0, "localization": 1.0, "num_chains": 3, "num_draws": 4}
PLAN |= {"burn_in": 1}
CONFIG = gpt_neox.Config(
    hidden_size=16,
    num_layers=1,
    num_heads=2,
    intermediate_size=16,
    vocab_size=11,
    max_positions=8,
)
TOKENS = np.arange(10, dtype=np.int32).reshape(2, 5)
KINDS = ("threefry2x32", "rbg")


def loss(w, batch):
    return 0.5 * jnp.sum((w - batch.mean(0)) ** 2)


def traces(sampler, kind="threefry2x32", **settings) -> slt.Traces:
    """The records of short chains."""
    size = {} if sampler is slt.MALA else {"batch_size": 4}
    plan = sampler(**{**PLAN, **size, **settings})
    key = jax.random.key(0, impl=kind)
    *_, run = slt.segments(loss, plan, jnp.zeros(3), DATA, key)
    return run.traces


@pytest.mark.parametrize("sampler", [slt.SGLD, slt.RMSpropSGLD, slt.AdamSGLD, slt.SGNHT, slt.MALA])
def test_chains_hold_no_nan_of_their_own(sampler):
    with jax.debug_nans(True):
        trapped = traces(sampler)
    assert np.isfinite(trapped.loss).all()
    assert np.isnan(trapped.acceptance).all() == (sampler is not slt.MALA)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chain_batch", [None, 1, 2])
def test_numbers_of_chains_do_not_depend_on_how_they_are_batched(kind, chain_batch):
    def walk(key, scale):
        return scale * jnp.cumsum(jax.random.normal(key, (6,)))

    keys = jax.random.split(jax.random.key(7, impl=kind), 3)
    alone = [walk(devices.layout_free_key(key), 2.0) for key in keys]
    walks = devices.map_chains(walk, chain_batch=chain_batch)(keys, 2.0)
    np.testing.assert_array_equal(walks, np.stack(alone))


def test_chains_of_rbg_keys_do_not_depend_on_chain_batch():
    whole, parts = (traces(slt.SGLD, "rbg", chain_batch=size) for size in (None, 1))
    np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"num_chains": 10**9}, {"num_draws": 10**12}, {"num_chains": 10**12}]
)
def test_chains_that_no_memory_holds_are_refused_before_they_start(settings):
    with pytest.raises(InputError, match=r"which take .* GB or more; expected at most the .* GB"):
        traces(slt.SGLD, **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_probes_do_not_depend_on_how_many_are_drawn_at_once(kind):
    key, params = jax.random.key(3, impl=kind), {"w": jnp.zeros((3, 2))}

    def of_probe(index):
        return threefry.like(jax.random.fold_in(key, index), params, threefry.sign)["w"]

    singly, at_once = jax.lax.map(of_probe, jnp.arange(4)), jax.vmap(of_probe)(jnp.arange(4))
    np.testing.assert_array_equal(singly, at_once)


def test_keys_that_depend_on_the_layout_are_refused():
    keys = jax.random.split(jax.random.key(0, impl="unsafe_rbg"), 2)
    with pytest.raises(InputError, match="unsafe_rbg; expected threefry2x32"):
        devices.map_chains(lambda key, _: jax.random.normal(key))(keys, 0.0)


@pytest.mark.parametrize("name", ["hessian", "chains"])
def test_dtypes_are_promoted_nowhere_in_silence(name):
    of_tokens, key = surprisal.loss_fn(CONFIG), jax.random.key(0)
    with jax.numpy_dtype_promotion("strict"):
        if name == "hessian":  # a transformer's, through the loss that makes its own gradient
            params = jax.jit(gpt_neox.init, static_argnums=1)(key, CONFIG)
            numbers = jax.jit(functools.partial(curvature.hvp, of_tokens))(params, TOKENS, params)
        else:
            numbers = traces(slt.SGLD, accumulate=2).loss
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(numbers))
