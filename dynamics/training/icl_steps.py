"""Steps of training the in-context regression transformer, of many seeds in one program.

Axes: S seeds, B contexts of a batch, T tokens, I numbers of a token.

Every batch is a function of (seed, step) alone, so a state holds all that the next step depends on.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from dynamics import models
from dynamics.data import contexts
from dynamics.measures import squared_error
from dynamics.training.icl_recipe import Recipe
from dynamics.training.pretrain import over_seeds


class TrainState(NamedTuple):
    """Everything that the next step depends on."""

    step: Int[Array, ""]  # steps done
    params: PyTree[Float[Array, "S ..."]]
    optimizer: PyTree[Array]  # leaves [S, ...]
    loss: Float[Array, " S"]  # training loss of the last step; 0 before the first
    finite: Bool[Array, ""]  # has every loss so far been finite?


def batch_at(
    recipe: Recipe, seed: Int[Array, ""] | int, step: Int[Array, ""] | int
) -> Float[Array, "B T I"]:
    """The contexts that `seed` sees at `step`."""
    c, tasks = recipe.config, None
    if recipe.num_tasks is not None:
        tasks = contexts.task_set(0, recipe.num_tasks, c.task_size)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(4), seed), step)
    return contexts.draw(
        key,
        recipe.batch_size,
        task_size=c.task_size,
        num_pairs=c.num_pairs,
        noise_variance=c.noise_variance,
        tasks=tasks,
    ).tokens


@functools.cache
def functions(recipe: Recipe, together: bool | None = None) -> tuple[Callable, Callable]:
    """The jitted functions start(seeds [S]) and advance(state, seeds [S], until).

    Both return a TrainState. `advance` takes every step before `until` in one dispatch and compiles
    once for any number of them; it ends at a step whose loss is not finite, without having changed
    the weights, and donates the memory of the state that it is called with. `together` vmaps over
    seeds; by default a CPU takes them in turn.
    """
    loss_fn = squared_error.loss_fn(recipe.config)
    update = optax.adam(recipe.learning_rate)

    def start(seed):
        key = jax.random.key(5)
        key = key if recipe.shared_start else jax.random.fold_in(key, seed)
        params = models.init(key, recipe.config)
        return params, update.init(params)

    def one_step(own, step):
        params, moments, seed = own
        loss, gradient = jax.value_and_grad(loss_fn)(params, batch_at(recipe, seed, step))
        change, stepped = update.update(gradient, moments, params)
        fine = jnp.isfinite(loss)
        return *jax.tree.map(
            lambda new, old: jnp.where(fine, new, old),
            (optax.apply_updates(params, change), stepped),
            (params, moments),
        ), loss

    @jax.jit
    def start_all(seeds):
        params, moments = jax.vmap(start)(seeds)
        return TrainState(jnp.int32(0), params, moments, jnp.zeros(seeds.shape), jnp.bool_(True))

    @functools.partial(jax.jit, donate_argnums=0)
    def advance(state: TrainState, seeds, until):
        def body(state: TrainState) -> TrainState:
            own = (state.params, state.optimizer, seeds)
            step = functools.partial(one_step, step=state.step)
            params, moments, loss = over_seeds(step, own, together)
            done = jnp.isfinite(loss).all()
            return TrainState(state.step + done, params, moments, loss, done)

        return jax.lax.while_loop(lambda s: (s.step < until) & s.finite, body, state)

    return start_all, advance
