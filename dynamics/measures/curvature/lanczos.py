"""Lanczos tridiagonalisation of a symmetric matrix known by its products (Golub & Van Loan 2013,
chapter 10).

Axes: P parameters, M steps.

In floating point the basis loses its orthogonality once an eigenvalue has converged, and copies of
it, ghosts, appear. "full": every vector is orthogonalised against all before it, for 4 P M bytes.
"recurrence": three vectors are held, whatever M, and ghosts are told from eigenvalues afterwards
(`genuine`).
"""

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from matfree import decomp

from dynamics import devices
from dynamics.errors import InputError
from dynamics.measures.curvature import probes
from dynamics.measures.curvature.products import Product

METHODS = ("full", "recurrence")
Method = Literal["full", "recurrence"]
_KEPT = 64  # compiled programs kept
_SHARE = 0.8  # of memory that a basis may take


class Tridiagonal(NamedTuple):
    """The matrix seen from one start vector, float64; steps after the residual vanished are cut
    off."""

    diagonal: np.ndarray  # [M]
    residual: (
        np.ndarray
    )  # [M], norms after each step: the entries beside the diagonal, and the one left over
    basis: Any  # [M,P], or None for the recurrence


def check(method: str, steps: int, dimension: int, num_params: int):
    """Raises InputError for an unknown method, and for a basis that does not fit into memory."""
    if method not in METHODS:
        raise InputError.unknown("method", method, METHODS)
    memory, needed = devices.memory_bytes(), 4 * num_params * steps
    if method == "full" and needed > _SHARE * memory:
        raise InputError(
            f"a Krylov basis of {steps} vectors with {num_params} parameters, {needed / 1e9:.3g} GB",
            expected=f"at most {_SHARE:.0%} of the {memory / 1e9:.3g} GB of memory",
            mend='Take fewer num_matvecs, or method="recurrence", which holds three vectors.',
        )


def run(
    product: Product, params, batch, key, steps: int, method: Method, mask=None, start=None
) -> Tridiagonal:
    """M steps from a random start, or from `start`, a pytree like params."""
    start = probes.draw(jax.random.normal, key, params) if start is None else start
    make = _full_fn if method == "full" else _recurrence_fn
    seen = make(product, steps)(params, batch, start, mask)
    diagonal, residual, basis = np.asarray(seen[0]), np.asarray(seen[1]), seen[2]
    if not np.isfinite(diagonal).all():
        probes.refuse_nonfinite(product, params, batch, key, mask)
    count = _invariant(diagonal, residual)
    kept = None if basis is None else basis[:count]
    return Tridiagonal(
        diagonal[:count].astype(np.float64), residual[:count].astype(np.float64), kept
    )


def matrix(found: Tridiagonal) -> np.ndarray:
    """[M,M]"""
    beside = found.residual[:-1]
    return np.diag(found.diagonal) + np.diag(beside, 1) + np.diag(beside, -1)


def genuine(found: Tridiagonal, dimension: int) -> np.ndarray:
    """bool [M]: which eigenvalues of the tridiagonal matrix, ascending, are neither ghosts nor
    spurious.

    Of several copies, which lie as near as sums over all P = `dimension` numbers are rounded, the
    first stands for all. A copy on its way there is simple, has not converged, and its vector has
    next to nothing of the start: spurious. A true one's has a square of 1/P, give or take, whence
    the scale. (Cullum & Willoughby, 1985, ask instead whether the matrix without its first row and
    column has the eigenvalue too; at P above 1 / eps that holds of true ones.)
    """
    values, vectors = np.linalg.eigh(matrix(found))
    scale = np.abs(values).max()
    near = np.finfo(np.float32).eps * scale * max(8, dimension**0.5)
    first = np.append(True, np.diff(values) > near)
    alone = first & np.append(np.diff(values) > near, True)
    light = dimension * np.square(vectors[0]) < 1e-6
    moving = np.abs(found.residual[-1] * vectors[-1]) > 1e-4 * scale
    return first & ~(alone & light & moving)


def combine(
    product: Product, params, batch, key, found: Tridiagonal, weights: np.ndarray, mask=None
):
    """Rows of `weights` [k,M] times the basis: pytrees like params with a leading k. The recurrence
    runs once more."""
    flat, unravel = ravel_pytree(params)
    given = jnp.asarray(weights, flat.dtype)
    if found.basis is not None:
        rows = jnp.matmul(given, jnp.asarray(found.basis), precision="highest")
    else:
        start = probes.draw(jax.random.normal, key, params)
        rows = _again_fn(product)(params, batch, start, mask, given)
    rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    return jax.vmap(unravel)(rows)


def _invariant(diagonal, residual) -> int:
    """Steps before the residual vanished, if it did: they span an invariant subspace, and what
    follows is rounding."""
    finite = np.isfinite(diagonal)
    scale = max(np.abs(diagonal[finite]).max(), np.abs(residual[np.isfinite(residual)]).max())
    vanished = ~(residual > np.finfo(residual.dtype).eps * scale)
    return int(np.argmax(vanished)) + 1 if vanished.any() else len(diagonal)


def _flat(product: Product, params, batch, mask):
    """v [P] -> A v [P]."""
    unravel = ravel_pytree(params)[1]

    def times(vector):
        return ravel_pytree(probes.restrict(product.apply(params, batch, unravel(vector)), mask))[0]

    return times


@functools.lru_cache(maxsize=_KEPT)
def _full_fn(product: Product, steps: int):
    # What matfree's tridiag_sym runs too; but that one averages the matrix with its transpose, and
    # where a residual vanishes the entry above the diagonal is an inner product of nearly parallel
    # vectors: 2 I then reads 3 and 1.
    arnoldi = decomp.hessenberg(steps, reortho="full", custom_vjp=False)

    @jax.jit
    def lanczos(params, batch, start, mask):
        start = ravel_pytree(probes.restrict(start, mask))[0]
        with jax.default_matmul_precision("highest"):
            result = arnoldi(_flat(product, params, batch, mask), start)
            last, small = jnp.linalg.norm(result.residual), jnp.asarray(result.J_small)
        return (
            jnp.diagonal(small),
            jnp.append(jnp.diagonal(small, -1), last),
            jnp.asarray(result.Q_tall),
        )

    return lanczos


def _step(times, before, vector, beta):
    """One step of the recurrence: (A v's part along v, the next vector, its length before it was
    made one)."""
    image = times(vector) - beta * before
    alpha = image @ vector
    image = image - alpha * vector
    length = jnp.linalg.norm(image)
    return alpha, jnp.where(length > 0, image / jnp.where(length > 0, length, 1), 0), length


@functools.lru_cache(maxsize=_KEPT)
def _recurrence_fn(product: Product, steps: int):
    @jax.jit
    def lanczos(params, batch, start, mask):
        vector = ravel_pytree(probes.restrict(start, mask))[0]
        times = _flat(product, params, batch, mask)

        def body(carry, _):
            before, vector, beta = carry
            alpha, after, length = _step(times, before, vector, beta)
            return (vector, after, length), (alpha, length)

        with jax.default_matmul_precision("highest"):
            begin = (
                jnp.zeros_like(vector),
                vector / jnp.linalg.norm(vector),
                jnp.zeros((), vector.dtype),
            )
            diagonal, residual = jax.lax.scan(body, begin, length=steps)[1]
        return diagonal, residual, None

    return lanczos


@functools.lru_cache(maxsize=_KEPT)
def _again_fn(product: Product):
    @jax.jit
    def again(params, batch, start, mask, weights):
        vector = ravel_pytree(probes.restrict(start, mask))[0]
        times = _flat(product, params, batch, mask)

        def body(carry, weight):
            before, vector, beta, rows = carry
            rows = rows + weight[:, None] * vector[None]
            _, after, length = _step(times, before, vector, beta)
            return (vector, after, length, rows), None

        with jax.default_matmul_precision("highest"):
            zero = jnp.zeros((), vector.dtype)
            rows = jnp.zeros((len(weights), vector.size), vector.dtype)
            begin = (jnp.zeros_like(vector), vector / jnp.linalg.norm(vector), zero, rows)
            return jax.lax.scan(body, begin, weights.T)[0][3]

    return again
