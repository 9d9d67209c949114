"""Lanczos tridiagonalisation of a symmetric matrix, from its products with vectors.

Axes: P parameters, M steps, k combinations of basis vectors.

In floating point the basis loses its orthogonality once an eigenvalue has converged, and copies of
it, ghosts, appear. "full" orthogonalises every vector against all before it, for 4 P M bytes.
"recurrence" holds three vectors, whatever M, and leaves it to `genuine` to identify the ghosts.

Source: Golub & Van Loan 2013, "Matrix Computations", chapter 10.
"""

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Float64, Key, PyTree
from matfree import decomp

from dynamics import devices, threefry
from dynamics.errors import InputError
from dynamics.measures.curvature import probes
from dynamics.measures.curvature.products import Product

METHODS = ("full", "recurrence")
Method = Literal["full", "recurrence"]
_CACHED_PROGRAMS = 64
_BASIS_SHARE = 0.8  # of memory that a basis may take


class Tridiagonal(NamedTuple):
    """The matrix seen from one start vector; steps after a vanished residual are cut off."""

    diagonal: Float64[np.ndarray, " M"]
    # Norms after each step: the entries beside the diagonal, and the last step's residual.
    residual: Float64[np.ndarray, " M"]
    basis: Float[Array, "M P"] | None  # None for the recurrence


def check(method: str, steps: int, num_params: int) -> None:
    """Raises InputError for an unknown method, and for a basis that does not fit into memory."""
    if method not in METHODS:
        raise InputError.unknown("method", method, METHODS)
    memory, needed = devices.memory_bytes(), 4 * num_params * steps
    if method == "full" and needed > _BASIS_SHARE * memory:
        raise InputError(
            f"a Krylov basis of {steps} vectors with {num_params} parameters,"
            f" {needed / 1e9:.3g} GB",
            expected=f"at most {_BASIS_SHARE:.0%} of the {memory / 1e9:.3g} GB of memory",
            mend='Take fewer num_matvecs, or method="recurrence", which holds three vectors.',
        )


def run(
    product: Product,
    params: PyTree,
    batch: PyTree,
    key: Key[Array, ""],
    steps: int,
    method: Method,
    mask: PyTree | None = None,
    start: PyTree | None = None,
) -> Tridiagonal:
    """M steps from a random start, or from `start`, a pytree like params.

    Raises:
        InputError: a non-finite product, by leaf.
    """
    start = threefry.like(key, params, threefry.normal) if start is None else start
    program = _full_fn if method == "full" else _recurrence_fn
    *norms, basis = program(product, steps)(params, batch, start, mask)
    diagonal, residual = map(np.asarray, norms)
    if not np.isfinite(diagonal).all():
        probes.refuse_nonfinite(product, params, batch, key, mask)
    count = _invariant(diagonal, residual)
    return Tridiagonal(
        diagonal=diagonal[:count].astype(np.float64),
        residual=residual[:count].astype(np.float64),
        basis=None if basis is None else basis[:count],
    )


def matrix(tridiagonal: Tridiagonal) -> Float64[np.ndarray, "M M"]:
    """The tridiagonal matrix, dense."""
    off_diagonal = tridiagonal.residual[:-1]
    return np.diag(tridiagonal.diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)


def genuine(tridiagonal: Tridiagonal, dimension: int) -> Bool[np.ndarray, " M"]:
    """Which eigenvalues of the tridiagonal matrix, ascending, are neither ghosts nor spurious.

    Copies of an eigenvalue lie as near as sums over all P = `dimension` numbers are rounded; the
    first stands for all. A copy that is still on its way is spurious: it is simple, has not
    converged, and its vector has almost no component along the start. A genuine eigenvector's
    squared component is about 1/P, which sets the scale.

    Cullum & Willoughby (1985) ask instead whether the matrix without its first row and column has
    the eigenvalue too; at P above 1 / eps that also holds of genuine ones.
    """
    values, vectors = np.linalg.eigh(matrix(tridiagonal))
    scale = np.abs(values).max()
    near = np.finfo(np.float32).eps * scale * max(8, dimension**0.5)
    first = np.append(True, np.diff(values) > near)
    simple = first & np.append(np.diff(values) > near, True)
    absent_from_start = dimension * np.square(vectors[0]) < 1e-6
    unconverged = np.abs(tridiagonal.residual[-1] * vectors[-1]) > 1e-4 * scale
    return first & ~(simple & absent_from_start & unconverged)


def combine(
    product: Product,
    params: PyTree,
    batch: PyTree,
    key: Key[Array, ""],
    tridiagonal: Tridiagonal,
    weights: Float[np.ndarray, "k M"],
    mask: PyTree | None = None,
) -> PyTree:
    """Rows of `weights` times the basis, of length 1: a pytree like params with a leading k.

    Without a basis in memory the recurrence runs once more. Other arguments are those of `run`.
    """
    flat, unravel = ravel_pytree(params)
    coefficients = jnp.asarray(weights, flat.dtype)
    if tridiagonal.basis is not None:
        rows = jnp.matmul(coefficients, jnp.asarray(tridiagonal.basis), precision="highest")
    else:
        start = threefry.like(key, params, threefry.normal)
        rows = _combined_fn(product)(params, batch, start, mask, coefficients)
    rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    return jax.vmap(unravel)(rows)


def _invariant(diagonal, residual) -> int:
    """Steps before the residual vanished, if it did.

    They span an invariant subspace; what follows is rounding.
    """
    finite = np.isfinite(diagonal)
    scale = max(np.abs(diagonal[finite]).max(), np.abs(residual[np.isfinite(residual)]).max())
    vanished = ~(residual > np.finfo(residual.dtype).eps * scale)
    return int(np.argmax(vanished)) + 1 if vanished.any() else len(diagonal)


def _flat(product: Product, params, batch, mask):
    """The matrix as a function of flat vectors, v [P] -> A v [P]."""
    unravel = ravel_pytree(params)[1]

    def times(vector):
        return ravel_pytree(probes.restrict(product.apply(params, batch, unravel(vector)), mask))[0]

    return times


@functools.lru_cache(maxsize=_CACHED_PROGRAMS)
def _full_fn(product: Product, steps: int):
    """Jitted (params, batch, start, mask) -> (diagonal [M], residual [M], basis [M,P])."""
    # What matfree's tridiag_sym runs too; but that one averages the matrix with its transpose, and
    # where a residual vanishes the entry above the diagonal is an inner product of nearly parallel
    # vectors: 2 I then reads 3 and 1.
    arnoldi = decomp.hessenberg(steps, reortho="full", custom_vjp=False)

    @jax.jit
    def lanczos(params, batch, start, mask):
        start = ravel_pytree(probes.restrict(start, mask))[0]
        with jax.default_matmul_precision("highest"):
            hessenberg = arnoldi(_flat(product, params, batch, mask), start)
            last, small = jnp.linalg.norm(hessenberg.residual), jnp.asarray(hessenberg.J_small)
        return (
            jnp.diagonal(small),
            jnp.append(jnp.diagonal(small, -1), last),
            jnp.asarray(hessenberg.Q_tall),
        )

    return lanczos


class _Recurrence(NamedTuple):
    """What one step of the recurrence hands to the next."""

    before: Any  # [P]
    vector: Any  # [P], of length 1
    beta: Any  # the length of `vector` before it was normalised


def _recurrence_start(start, mask) -> _Recurrence:
    vector = ravel_pytree(probes.restrict(start, mask))[0]
    zero = jnp.zeros((), vector.dtype)
    return _Recurrence(jnp.zeros_like(vector), vector / jnp.linalg.norm(vector), zero)


def _recurrence_step(times, state: _Recurrence) -> tuple[_Recurrence, Any]:
    """(the next state, alpha = v'Av), after one product."""
    image = times(state.vector) - state.beta * state.before
    alpha = image @ state.vector
    image = image - alpha * state.vector
    length = jnp.linalg.norm(image)
    following = jnp.where(length > 0, image / jnp.where(length > 0, length, 1), 0)
    return _Recurrence(state.vector, following, length), alpha


@functools.lru_cache(maxsize=_CACHED_PROGRAMS)
def _recurrence_fn(product: Product, steps: int):
    """Jitted (params, batch, start, mask) -> (diagonal [M], residual [M], None)."""

    @jax.jit
    def lanczos(params, batch, start, mask):
        times = _flat(product, params, batch, mask)

        def body(state, _):
            state, alpha = _recurrence_step(times, state)
            return state, (alpha, state.beta)

        with jax.default_matmul_precision("highest"):
            begin = _recurrence_start(start, mask)
            diagonal, residual = jax.lax.scan(body, begin, length=steps)[1]
        return diagonal, residual, None

    return lanczos


@functools.lru_cache(maxsize=_CACHED_PROGRAMS)
def _combined_fn(product: Product):
    """Jitted (params, batch, start, mask, weights [k,M]) -> rows [k,P], by the recurrence anew."""

    @jax.jit
    def combined(params, batch, start, mask, weights):
        times = _flat(product, params, batch, mask)

        def body(carry, weight):
            state, rows = carry
            rows = rows + weight[:, None] * state.vector[None]
            return (_recurrence_step(times, state)[0], rows), None

        with jax.default_matmul_precision("highest"):
            begin = _recurrence_start(start, mask)
            rows = jnp.zeros((len(weights), begin.vector.size), begin.vector.dtype)
            return jax.lax.scan(body, (begin, rows), weights.T)[0][1]

    return combined
