"""The training loop: all seeds in one program, resumable at any kill, bit-equal when resumed.

Axes: S seeds, B batch, T tokens, N tokens of the training stream.

Every batch is a function of (data order, step) alone, so a resumed run sees the batches of an
undisturbed one. A recipe says which seeds share an initialisation or an order.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree

from dynamics import checkpoints, models
from dynamics.measures import finite
from dynamics.training import objective
from dynamics.training.recipe import Recipe
from dynamics.training.state_files import written

_SAVE_EVERY = 64  # steps; a kill loses at most these


class TrainState(NamedTuple):
    """Everything that the next step depends on."""

    step: Int[Array, ""]  # steps done
    params: PyTree[Float[Array, "S ..."]]
    optimizer: PyTree[Array]  # leaves [S, ...]
    loss: Float[Array, " S"]  # training loss of the last step, nats


def optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """AdamW after global-norm clipping.

    The first rate is 0, as in Pythia, so the checkpoints of steps 0 and 1 are equal.
    """
    rate = optax.warmup_cosine_decay_schedule(
        0.0,
        recipe.peak_rate,
        recipe.warmup,
        recipe.num_steps,
        recipe.peak_rate * recipe.final_rate_share,
    )
    return optax.chain(
        optax.clip_by_global_norm(recipe.clip_norm),
        optax.adamw(rate, b1=recipe.beta1, b2=recipe.beta2, weight_decay=recipe.weight_decay),
    )


def batch_at(
    recipe: Recipe, stream: Int[Array, " N"], seed: Int[Array, ""] | int, step: Int[Array, ""] | int
) -> Int[Array, "B T"]:
    """The tokens that `seed` sees at `step`: windows at uniform offsets of the stream.

    Seeds of one data order see the same.
    """
    chex.assert_rank(stream, 1)
    key = _key(0, recipe.causes(seed).order, step)
    offsets = jax.random.randint(
        key, (recipe.batch_size, 1), 0, stream.shape[0] - recipe.context + 1
    )
    return stream[offsets + jnp.arange(recipe.context)[None]]


def _key(purpose: int, order, step):
    return jax.random.fold_in(
        jax.random.fold_in(jax.random.key(purpose, impl="threefry2x32"), order), step
    )


@functools.cache
def functions(recipe: Recipe) -> tuple[Callable, Callable]:
    """The jitted functions start(seeds [S]) and advance(state, seeds [S], stream [N]).

    Both return a TrainState; `advance` donates the memory of the state that it is called with.
    """
    loss_fn, update = objective.loss_fn(recipe), optimizer(recipe)

    def start(seed):
        init = recipe.causes(seed).init
        params = models.init(jax.random.fold_in(jax.random.key(1), init), recipe.config)
        return params, update.init(params)

    def advance(params, moments, seed, step, stream):
        tokens = batch_at(recipe, stream, seed, step)
        key = _key(2, recipe.causes(seed).order, step)
        loss, gradient = jax.value_and_grad(loss_fn)(params, tokens, key)
        change, moments = update.update(gradient, moments, params)
        return optax.apply_updates(params, change), moments, loss

    @jax.jit
    def start_all(seeds):
        params, moments = jax.vmap(start)(seeds)
        return TrainState(
            jnp.int32(0), params, moments, jnp.full(seeds.shape, jnp.nan, jnp.float32)
        )

    @functools.partial(jax.jit, donate_argnums=0)
    def advance_all(state: TrainState, seeds, stream):
        def of_seed(own):
            params, moments, seed = own
            return advance(params, moments, seed, state.step, stream)

        params, moments, loss = over_seeds(of_seed, (state.params, state.optimizer, seeds))
        return TrainState(state.step + 1, params, moments, loss)

    return start_all, advance_all


def over_seeds(fn: Callable, own: PyTree[Array], together: bool | None = None) -> PyTree[Array]:
    """fn of every seed's part of `own`, at once or in turn; by default as suits the device."""
    # On a CPU in turn: products that are batched over seeds take twice as long there.
    together = jax.default_backend() != "cpu" if together is None else together
    return jax.vmap(fn)(own) if together else jax.lax.map(fn, own)


def pretrain(
    recipe: Recipe,
    stream: Int[np.ndarray, " N"],
    folder: Path,
    tokenizer: Path,
    progress: Callable[[int], None],
):
    """Trains every seed of `recipe`; checkpoints go to folder/seed{k}/step{n}.

    It resumes from folder/state, where its own state is saved.

    Args:
        recipe: what is trained, and how.
        stream: the training text's token ids.
        folder: of this model of the suite.
        tokenizer: the file that is copied into every checkpoint.
        progress: called as progress(step) after every step.

    Raises:
        InputError: weights that are not finite where a checkpoint is due; it is not saved. A
            checkpoint or the state that cannot be written; what was saved before stays.
    """
    import orbax.checkpoint as ocp

    start, advance = functions(recipe)
    seeds, stream_on_device = jnp.arange(recipe.num_seeds), jnp.asarray(stream)
    state, checkpoint_steps = start(seeds), set(recipe.checkpoint_steps())
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    with ocp.CheckpointManager((folder / "state").absolute(), options=options) as manager:
        if (latest := manager.latest_step()) is not None:
            state = manager.restore(latest, args=ocp.args.StandardRestore(state))
        for step in range(int(state.step), recipe.num_steps + 1):
            if step in checkpoint_steps:
                _save_seeds(recipe, state, folder, tokenizer)
            # The state is saved after the hub checkpoint of the same step, so that a run that
            # restores it has no older checkpoint left to write.
            late_checkpoint = step in checkpoint_steps and step >= _SAVE_EVERY
            if late_checkpoint or step % _SAVE_EVERY == _SAVE_EVERY - 1:
                with written(folder / "state", state):
                    manager.save(step, args=ocp.args.StandardSave(state))
            progress(step)
            if step < recipe.num_steps:
                state = advance(state, seeds, stream_on_device)


def _save_seeds(recipe: Recipe, state: TrainState, folder: Path, tokenizer: Path):
    params = jax.device_get(state.params)
    finite.check(
        f"params of {recipe.name} at step {int(state.step)}",
        params,
        expected="finite weights",
        mend="Training has diverged: lower the recipe's peak_rate or lengthen its warm-up.",
    )
    for seed in range(recipe.num_seeds):
        target = folder / f"seed{seed}" / f"step{int(state.step)}"
        if not target.exists():
            own = jax.tree.map(lambda leaf, k=seed: leaf[k], params)
            checkpoints.save(target, recipe.config, own, tokenizer)
