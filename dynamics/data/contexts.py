"""Contexts of in-context linear regression: pairs (x, y) that share a task t, as tokens.

Axes: N contexts, P pairs of one, T = 2P tokens, X numbers of an x and of a task, I = X + 1 numbers
of a token, M tasks.

Source: Hoogland et al. 2024, section 3 and appendices D.1 and F.2.2. y = t'x + noise. The x-token
of a pair is (0, x), its y-token (y, 0), so that one array of tokens holds all that there is to
predict.
"""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from dynamics.data import windows
from dynamics.errors import InputError
from dynamics.inputs import Whole

__all__ = ["Contexts", "Drawn", "draw", "fixed", "inputs_of", "targets_of", "task_set"]

_MOST_TASKS = Whole(1, 1 << 24)


class Drawn(NamedTuple):
    """Contexts with the tasks that they were drawn from."""

    tokens: Float[Array, "N T I"]
    tasks: Float[Array, "N X"]


def draw(
    key: Key[Array, ""],
    num_contexts: int,
    *,
    task_size: int,
    num_pairs: int,
    noise_variance: float,
    tasks: Float[Array, "M X"] | None = None,
    input_gain: float = 1.0,
    task_gain: float = 1.0,
) -> Drawn:
    """Contexts of tasks ~ N(0, task_gain I) and inputs ~ N(0, input_gain I).

    Args:
        key: decides everything.
        num_contexts: N.
        task_size, num_pairs: X and P.
        noise_variance: of y about t'x.
        tasks: a fixed set to draw tasks from, all alike probable (Raventos et al. 2023); None draws
            a new task for every context.
        input_gain, task_gain: variances g of the paper's out-of-distribution contexts (eq. 18, 19);
            what is drawn is scaled by sqrt(g).

    Raises:
        InputError: a task set of other numbers than `task_size`.

    Example:
        >>> import jax
        >>> drawn = draw(jax.random.key(0), 3, task_size=4, num_pairs=8, noise_variance=0.0)
        >>> drawn.tokens.shape  # [N,T,I]
        (3, 16, 5)
        >>> x, y = inputs_of(drawn.tokens), targets_of(drawn.tokens)
        >>> bool(jnp.allclose(y, (x * drawn.tasks[:, None]).sum(-1), atol=1e-5))
        True
    """
    if tasks is not None and jnp.shape(tasks)[1:] != (task_size,):
        raise InputError(
            f"tasks of shape {jnp.shape(tasks)}", expected=f"[M,X] with X = {task_size}"
        )
    # One draw for all: each more would cost the compiler a second.
    sizes = np.cumsum([task_size, num_pairs * task_size, num_pairs])
    normals = jax.random.normal(key, (num_contexts, int(sizes[-1])))
    own, x, noise = jnp.split(normals, sizes[:-1], axis=1)
    if tasks is not None:
        which = jax.random.randint(jax.random.fold_in(key, 1), (num_contexts,), 0, len(tasks))
        own = jnp.asarray(tasks)[which]
    own = own * task_gain**0.5
    x = x.reshape(num_contexts, num_pairs, task_size) * input_gain**0.5
    noise = noise * noise_variance**0.5
    # A product of float32 sums: no matrix unit may round the targets.
    y = (x * own[:, None]).sum(-1) + noise
    return Drawn(_tokens(x, y), own)


def _tokens(x: Float[Array, "N P X"], y: Float[Array, "N P"]) -> Float[Array, "N T I"]:
    x_tokens = jnp.pad(x, ((0, 0), (0, 0), (1, 0)))
    y_tokens = jnp.pad(y[..., None], ((0, 0), (0, 0), (0, x.shape[-1])))
    pairs = jnp.stack([x_tokens, y_tokens], axis=2)  # [N,P,2,I]
    return pairs.reshape(len(x), -1, pairs.shape[-1])


def inputs_of(tokens: Float[Array | np.ndarray, "N T I"]) -> Float[Array | np.ndarray, "N P X"]:
    """The x of every pair."""
    chex.assert_rank(tokens, 3)
    return tokens[:, ::2, 1:]


def targets_of(tokens: Float[Array | np.ndarray, "N T I"]) -> Float[Array | np.ndarray, "N P"]:
    """The y of every pair."""
    chex.assert_rank(tokens, 3)
    return tokens[:, 1::2, 0]


class Contexts(windows.Windows):
    """Contexts [N,T,I] in the place of windows [N,T]; each is a document of its own."""

    def take(self, count: int) -> "Contexts":
        """At most the first `count`. Raises InputError for a number below 0."""
        if count < 0:
            raise InputError(f"{count} contexts", expected="0 or more")
        return Contexts(self.tokens[:count], self.document[:count])


@functools.cache
def fixed(
    purpose: str,
    *,
    task_size: int,
    num_pairs: int,
    noise_variance: float,
    num_tasks: int | None = None,
) -> Contexts:
    """The contexts that every model of a problem is measured on: 2^16.

    `purpose` is "training", which chains and Hessians draw their batches from, or "held out". Tasks
    are fresh, or those of the finite set that runs with `num_tasks` are trained on.

    Example:
        >>> held_out = fixed("held out", task_size=1, num_pairs=2, noise_variance=0.125)
        >>> len(held_out), held_out.take(3).tokens.shape
        (65536, (3, 4, 2))
    """
    key = jax.random.key(6 + ("training", "held out").index(purpose), impl="threefry2x32")
    drawn = draw(
        key,
        1 << 16,
        task_size=task_size,
        num_pairs=num_pairs,
        noise_variance=noise_variance,
        tasks=None if num_tasks is None else task_set(0, num_tasks, task_size),
    )
    return Contexts(np.asarray(drawn.tokens), np.arange(1 << 16, dtype=np.int32))


def task_set(seed: int, num_tasks: int, task_size: int) -> Float[Array, "M X"]:
    """The finite set of tasks that all models of a run are trained on (appendix D.1.1).

    Raises InputError for no task, or more than 2^24.

    Example:
        >>> task_set(0, num_tasks=3, task_size=4).shape
        (3, 4)
    """
    _MOST_TASKS.check(num_tasks, "num_tasks ")
    return jax.random.normal(
        jax.random.fold_in(jax.random.key(3, impl="threefry2x32"), seed), (num_tasks, task_size)
    )
