"""Trains the in-context regression transformer: fresh contexts at every step, many seeds at once.

Axes: S seeds, B contexts of a batch, T tokens, I numbers of a token, M tasks, X numbers of a task.

Source: Hoogland et al. 2024, appendix F.2.3: Adam, 256 fresh contexts a step, 500,000 steps, a rate
that rises in a line to .003 at half way and falls back. Every batch is a function of (seed, step)
alone and all steps between two saves are one program, so a run that was killed goes on to the same
bits. Where paper and published code disagree, or say two things, there is an option:

- `Config.residual_scale`: 1 as in the text, 2 as the released models were computed.
- `last_checkpoint`: the text has 100 linearly spaced checkpoints, the last of them the final
  weights; the released 190 end at step 499,999 (10^log10(500,000), rounded down) and leave those
  out. False, the default, is the release.
- `shared_start`: appendix F.2.3 trains all models from one initialisation, appendix B.4 says that
  seeds differ in it. False, the default, is B.4.
- `num_tasks`: a finite set of tasks (appendix D.1.1). None draws a task for every context. (Its
  models also had a peak rate of .01 and lacked attention's output matrix; the latter is not here.)
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree

from dynamics import checkpoints, models
from dynamics.data import contexts
from dynamics.errors import InputError
from dynamics.files import write_atomically
from dynamics.inputs import Real, Whole
from dynamics.measures import finite, squared_error
from dynamics.models import icl_regression
from dynamics.training.pretrain import over_seeds
from dynamics.training.state_files import written

STEPS_PER_DISPATCH = 200  # at most; between two of them a signal is heard
_SAVE_EVERY = 1000  # steps; a kill loses at most these
_COUNT = Whole(1, 1 << 40)
_RATE = Real(0, 1e6, open=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, and how; the defaults are the paper's.

    Attributes:
        checkpoints: steps to save; None takes `log_checkpoints` from 1 and `linear_checkpoints`
            from 0, both to `num_steps`, rounded down.

    Raises:
        InputError: a number out of its range; a checkpoint beyond the run.

    Example:
        >>> recipe = Recipe(name="short", num_steps=10, checkpoints=(0, 3, 10))
        >>> recipe.checkpoint_steps(), len(Recipe(name="paper").checkpoint_steps())
        ((0, 3, 10), 190)
    """

    name: str
    config: icl_regression.Config = dataclasses.field(default_factory=icl_regression.Config)
    num_steps: int = 500_000
    num_seeds: int = 5
    batch_size: int = 256
    peak_rate: float = 3e-3
    num_tasks: int | None = None
    shared_start: bool = False
    log_checkpoints: int = 100
    linear_checkpoints: int = 100
    last_checkpoint: bool = False
    checkpoints: tuple[int, ...] | None = None

    def __post_init__(self):
        for field in ("num_steps", "num_seeds", "batch_size"):
            _COUNT.check(getattr(self, field), f"{field} ")
        _RATE.check(self.peak_rate, "peak_rate ")
        outside = [step for step in self.checkpoints or () if not 0 <= step <= self.num_steps]
        if outside:
            raise InputError(
                f"a checkpoint at step {outside[0]} of {self.name}",
                expected=f"steps from 0 to {self.num_steps}, the last of the run",
                mend="Train for longer, or leave it out.",
            )

    def checkpoint_steps(self) -> tuple[int, ...]:
        """The steps whose weights are saved, ascending."""
        if self.checkpoints is not None:
            return tuple(sorted(set(self.checkpoints)))
        last = self.num_steps
        log = np.logspace(0, np.log10(last), self.log_checkpoints).astype(int)
        linear = np.linspace(0, last, self.linear_checkpoints).astype(int)
        steps = {*log.tolist(), *linear.tolist()} - {last}
        return tuple(sorted(steps | ({last} if self.last_checkpoint else set())))

    def learning_rate(self, step: Int[ArrayLike, ""]) -> Float[Array, ""]:
        """The rate of a step: up in a line to the peak at half way, and down again.

        The first and the last are peak / (num_steps / 2), not 0.
        """
        half = self.num_steps / 2
        done = jnp.asarray(step)
        return self.peak_rate * jnp.minimum(done + 1.0, self.num_steps - done) / half

    def num_flops(self) -> float:
        """Of the matrix products of the whole run, three passes a step, all seeds."""
        c = self.config
        shapes = jax.eval_shape(lambda: models.init(jax.random.key(0), c))
        matrices = models.icl_regression.matrices(shapes)
        weights = sum(int(np.prod(leaf.shape)) for leaf in matrices.values())
        attention = 2 * c.num_layers * c.max_positions * c.hidden_size
        tokens = self.batch_size * c.max_positions
        return 3 * 2.0 * (weights + attention) * tokens * self.num_steps * self.num_seeds

    def fingerprint(self) -> str:
        """Runs of one fingerprint share their checkpoints."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Every field, as text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


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


def train(
    recipe: Recipe,
    folder: Path,
    progress: Callable[[int], None] = lambda step: None,
    until: int | None = None,
) -> tuple[int, ...]:
    """Trains every seed; checkpoints go to folder/NAME/seed{k}/step{n}. Returns the saved steps.

    It goes on from folder/state, where its own state is saved. Beside the checkpoints lies
    suite.toml, which names them.

    Args:
        recipe: what is trained, and how.
        folder: of this run.
        progress: called as progress(step), a few times a second at most.
        until: stop there, to be gone on with later; None is the end of the run.

    Raises:
        InputError: a folder whose run has another recipe; a step at which a seed's loss is not
            finite, before which everything that was saved stays; `until` beyond the run; a
            checkpoint or the state that cannot be written.
    """
    import orbax.checkpoint as ocp

    end = recipe.num_steps if until is None else until
    if not 0 <= end <= recipe.num_steps:
        raise InputError(
            f"training until step {end}", expected=f"a step from 0 to {recipe.num_steps}"
        )
    _check_recipe(recipe, folder)
    start, advance = functions(recipe)
    seeds, due = jnp.arange(recipe.num_seeds), set(recipe.checkpoint_steps())
    state = start(seeds)
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    with ocp.CheckpointManager((folder / "state").absolute(), options=options) as manager:
        if (latest := manager.latest_step()) is not None:
            state = manager.restore(latest, args=ocp.args.StandardRestore(state))
        for step in _stops(recipe, int(state.step), end):
            state = advance(state, seeds, step)
            _check_finite(recipe, state, folder)
            if step in due:
                _save_seeds(recipe, state, folder)
                _write_suite(recipe, folder, step)
            # After the weights of the same step, so that what is restored has none to write.
            late = step in due and step >= _SAVE_EVERY
            if (late or step % _SAVE_EVERY == 0 or step == end) and step != latest:
                with written(folder / "state", state):
                    manager.save(step, args=ocp.args.StandardSave(state))
            progress(step)
    return tuple(step for step in recipe.checkpoint_steps() if step <= int(state.step))


def _stops(recipe: Recipe, start: int, end: int) -> Iterator[int]:
    """Where a dispatch ends: at checkpoints, where the state is saved, and often enough."""
    due = {*recipe.checkpoint_steps(), *range(0, end, _SAVE_EVERY), end}
    step = start
    yield step
    for target in sorted(stop for stop in due if start < stop <= end):
        while step < target:
            step = min(step + STEPS_PER_DISPATCH, target)
            yield step


def _check_recipe(recipe: Recipe, folder: Path):
    """Writes the recipe into a new folder. Raises InputError where another lies there."""
    path = folder / "recipe.json"
    if not path.exists():
        write_atomically(path, recipe.to_json() + "\n")
    saved, now = json.loads(path.read_text()), json.loads(recipe.to_json())
    differing = [
        f"{name} {saved.get(name)!r} there and {now.get(name)!r} here"
        for name in sorted(saved.keys() | now.keys())
        if saved.get(name) != now.get(name)
    ]
    if differing:
        raise InputError(
            f"{path} with {', '.join(differing)}",
            expected="the configuration that the run was begun with",
            mend="Go on with that one, or train into another folder.",
        )


def _check_finite(recipe: Recipe, state: TrainState, folder: Path):
    """Raises InputError, which says the step, where a loss is not finite."""
    if not bool(state.finite):
        bad = [str(seed) for seed in np.flatnonzero(~np.isfinite(np.asarray(state.loss)))]
        raise InputError(
            f"a loss of {recipe.name} that is not finite at step {int(state.step)}, "
            f"seed {', '.join(bad)}",
            expected="finite losses",
            mend=f"Lower peak_rate; the checkpoints before that step are in {folder}.",
        )


def _save_seeds(recipe: Recipe, state: TrainState, folder: Path):
    params = jax.device_get(state.params)
    finite.check(
        f"params of {recipe.name} at step {int(state.step)}",
        params,
        expected="finite weights",
        mend=f"Lower peak_rate; the checkpoints before that step are in {folder}.",
    )
    for seed in range(recipe.num_seeds):
        target = folder / recipe.name / f"seed{seed}" / f"step{int(state.step)}"
        if not target.exists():
            own = jax.tree.map(lambda leaf, k=seed: leaf[k], params)
            checkpoints.save(target, recipe.config, own)


def _write_suite(recipe: Recipe, folder: Path, done: int):
    """Writes suite.toml for the checkpoints that are there, those to step `done`."""
    lines = [
        f'name = "{recipe.name}"',
        f'models = ["{recipe.name}"]',
        f"seeds = {list(range(recipe.num_seeds))}",
        f"steps = {[step for step in recipe.checkpoint_steps() if step <= done]}",
        'folder = "{model}/seed{seed}/step{step}"',
        f"shared_start = {str(recipe.shared_start).lower()}",
    ]
    write_atomically(folder / "suite.toml", "\n".join(lines) + "\n")
