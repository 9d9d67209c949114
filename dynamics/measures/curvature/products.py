"""Matrix-vector products with a loss's Hessian and its Gauss-Newton matrix, never formed.

Axes: B batch items, O outputs, P parameters.
"""

import dataclasses
import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from dynamics.errors import InputError

_CACHED_PRODUCTS = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Product:
    """A symmetric matrix over params, represented by its products with vectors.

    Compiled programs are cached by the identity of this object.

    Attributes:
        name: for people, such as "Hessian".
        apply: (params, batch, vector) -> the matrix at (params, batch) times `vector`, a pytree
            like params.
    """

    name: str
    apply: Callable[[PyTree, PyTree, PyTree], PyTree]


def hvp(loss_fn: Callable, params: PyTree, batch: PyTree, vector: PyTree) -> PyTree:
    """The Hessian of params -> loss_fn(params, batch) times `vector` (Pearlmutter 1994).

    Forward over reverse: the cost of about two gradients, and their memory. `vector` has the
    structure and dtypes of params, as the product has. AssertionError for one of other shapes.

    Example:
        >>> cubes = lambda params, batch: (params**3).sum() * batch
        >>> hvp(cubes, jnp.array([1.0, 2.0]), 1.0, jnp.array([1.0, 1.0])).tolist()  # diagonal 6 w
        [6.0, 12.0]
    """
    chex.assert_trees_all_equal_shapes(params, vector)
    with jax.default_matmul_precision("highest"):
        return jax.jvp(jax.grad(lambda p: loss_fn(p, batch)), (params,), (vector,))[1]


@functools.lru_cache(maxsize=_CACHED_PRODUCTS)
def hessian(loss_fn: Callable) -> Product:
    """The Hessian of `loss_fn`(params, batch); the same object for the same function."""
    return Product("Hessian", functools.partial(hvp, loss_fn))


@functools.lru_cache(maxsize=_CACHED_PRODUCTS)
def gauss_newton(outputs_fn: Callable, output_loss: Callable) -> Product:
    """The Gauss-Newton matrix J'HJ of output_loss(outputs_fn(params, batch), batch).

    J is the Jacobian of the outputs in params, H the Hessian of the loss, a scalar, in the outputs.
    J'HJ is positive semidefinite where the loss is convex in the outputs, as cross-entropy and
    squared error are. For the cross-entropy of a softmax it is also the Fisher information matrix
    (Martens 2020, section 9). The outputs are held whole; for language models, whose outputs are
    logits of a whole vocabulary, use `surprisal.gauss_newton`.

    Args:
        outputs_fn: (params, batch) -> outputs, an array or a pytree.
        output_loss: (outputs, batch) -> loss.

    Example:
        >>> square = lambda outputs, batch: (outputs**2).sum()
        >>> matrix = gauss_newton(lambda params, x: x @ params, square)  # 2 x'x
        >>> x = jnp.array([[1.0, 0.0], [0.0, 3.0]])
        >>> matrix.apply(jnp.ones(2), x, jnp.ones(2)).tolist()
        [2.0, 18.0]
    """

    def apply(params, batch, vector):
        with jax.default_matmul_precision("highest"):
            outputs, tangent = jax.jvp(lambda p: outputs_fn(p, batch), (params,), (vector,))
            curved = jax.jvp(jax.grad(lambda o: output_loss(o, batch)), (outputs,), (tangent,))[1]
            return jax.vjp(lambda p: outputs_fn(p, batch), params)[1](curved)[0]

    return Product("Gauss-Newton", apply)


@functools.lru_cache(maxsize=_CACHED_PRODUCTS)
def accumulated(product: Product, microbatches: int) -> Product:
    """The same matrix of a loss that is a mean over items, from one part of a batch after another.

    Memory is that of one part: a batch of twice the length in twice as many parts takes no more.
    Every leaf of the batch has the items along its first axis.

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
