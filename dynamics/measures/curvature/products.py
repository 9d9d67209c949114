"""Matrix-vector products with a loss's Hessian and its Gauss-Newton matrix, never formed.

Axes: B batch items, O outputs.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from dynamics.errors import InputError

_KEPT = 64  # products kept


@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """A symmetric matrix over params, known by its products; compiled programs are kept by the
    identity of this object.

    Attributes:
        name: for people, such as "Hessian".
        apply: (params, batch, vector) -> the matrix at (params, batch) times `vector`, a pytree
            like params.
    """

    name: str
    apply: Callable


def hvp(loss_fn, params, batch, vector):
    """The Hessian of params -> loss_fn(params, batch) times `vector`; a pytree like params
    (Pearlmutter 1994).

    Forward over reverse: the cost of about two gradients, and of their memory. `vector` has the
    dtypes of params.
    """
    with jax.default_matmul_precision("highest"):
        return jax.jvp(jax.grad(lambda p: loss_fn(p, batch)), (params,), (vector,))[1]


@functools.lru_cache(maxsize=_KEPT)
def hessian(loss_fn) -> Product:
    """The Hessian of `loss_fn`, the same object for the same function."""
    return Product("Hessian", functools.partial(hvp, loss_fn))


@functools.lru_cache(maxsize=_KEPT)
def gauss_newton(outputs_fn, output_loss) -> Product:
    """J'HJ with J the Jacobian of outputs_fn(params, batch) and H the Hessian of
    output_loss(outputs, batch), a scalar.

    Positive semidefinite where the loss is convex in the outputs, as cross-entropy and squared
    error are. For the cross-entropy of a softmax it is the Fisher information matrix, too (Martens
    2020, section 9). Outputs are held
    whole: for language models, whose outputs are logits of a whole vocabulary, there is
        `surprisal.gauss_newton`.
    """

    def apply(params, batch, vector):
        with jax.default_matmul_precision("highest"):
            outputs, moved = jax.jvp(lambda p: outputs_fn(p, batch), (params,), (vector,))
            curved = jax.jvp(jax.grad(lambda o: output_loss(o, batch)), (outputs,), (moved,))[1]
            return jax.vjp(lambda p: outputs_fn(p, batch), params)[1](curved)[0]

    return Product("Gauss-Newton", apply)


@functools.lru_cache(maxsize=_KEPT)
def accumulated(product: Product, microbatches: int) -> Product:
    """The same matrix, of a loss that is a mean over equal items, with a batch taken in parts one
    after another.

    Memory is that of one part: a batch twice as long in twice as many parts takes no more. Every
    leaf of the batch has the items along its first axis.

    Raises:
        InputError: when applied to a batch that does not split evenly.
    """

    def apply(params, batch, vector):
        count = jax.tree.leaves(batch)[0].shape[0]
        if microbatches < 1 or count % microbatches:
            raise InputError(
                f"a batch of {count} items in {microbatches} parts",
                expected="a divisor of the batch",
            )
        parts = jax.tree.map(lambda x: x.reshape(microbatches, -1, *x.shape[1:]), batch)

        def add(total, part):
            return jax.tree.map(jnp.add, total, product.apply(params, part, vector)), None

        total = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, vector), parts)[0]
        return jax.tree.map(lambda x: x / microbatches, total)

    return Product(product.name, apply)
