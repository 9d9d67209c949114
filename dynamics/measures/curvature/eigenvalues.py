"""The two ends of a symmetric matrix's spectrum by Lanczos, with residual bounds.

Axes: P parameters, M Lanczos steps, k eigenvalues of either end. Units: loss per squared parameter.

Source: Golub & Van Loan 2013, "Matrix Computations", chapter 10.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, ArrayLike, Float, Float64, Key, PyTree

from dynamics.errors import InputError
from dynamics.measures.curvature import lanczos, probes
from dynamics.measures.curvature.products import Product, hessian


class ExtremeEigenvalues(NamedTuple):
    """Both ends of the spectrum, signed, with bounds on their distances to an eigenvalue."""

    largest: Float64[np.ndarray, " k"]  # descending
    smallest: Float64[np.ndarray, " k"]  # ascending
    largest_error: Float64[np.ndarray, " k"]
    smallest_error: Float64[np.ndarray, " k"]
    # Eigenvectors of length 1: pytrees like params with a leading k; None unless asked for.
    largest_vectors: PyTree | None = None
    smallest_vectors: PyTree | None = None


def extreme_eigenvalues(
    loss_fn: Callable,
    params: PyTree[Float[ArrayLike, "..."]],
    batch: PyTree,
    key: Key[Array, ""],
    k: int = 1,
    num_matvecs: int | None = None,
    *,
    method: lanczos.Method = "full",
    vectors: bool = False,
    mask: PyTree | None = None,
) -> ExtremeEigenvalues:
    """`ends` of the Hessian of `loss_fn` at (params, batch).

    Args:
        loss_fn: (params, batch) -> mean loss, a scalar; compiled programs are cached by its
            identity.
        params, batch, key, k, num_matvecs, method, vectors, mask: as in `ends`.

    Raises:
        InputError: as `ends`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> quadratic = lambda params, curvatures: (curvatures * params**2).sum() / 2
        >>> curvatures = jnp.array([-1.0, 0.5, 2.0, 5.0])  # the eigenvalues
        >>> extremes = extreme_eigenvalues(quadratic, jnp.ones(4), curvatures, jax.random.key(0))
        >>> extremes.largest.round(3).tolist(), extremes.smallest.round(3).tolist()
        ([5.0], [-1.0])
    """
    return ends(
        hessian(loss_fn),
        params,
        batch,
        key,
        k,
        num_matvecs,
        method=method,
        vectors=vectors,
        mask=mask,
    )


def ends(
    product: Product,
    params: PyTree[Float[ArrayLike, "..."]],
    batch: PyTree,
    key: Key[Array, ""],
    k: int = 1,
    num_matvecs: int | None = None,
    *,
    method: lanczos.Method = "full",
    vectors: bool = False,
    mask: PyTree | None = None,
) -> ExtremeEigenvalues:
    """The k largest and k smallest eigenvalues, signed: Lanczos from one random start.

    The error is the residual bound beta_M |s_M|: some eigenvalue lies within it, up to float32
    rounding of about 1e-6 of the largest |eigenvalue|, or 5e-5 at 5 million parameters. The bound
    does not exclude that an eigenvalue was missed. Eigenvalues that repeat exactly count once: from
    a single start, only rounding can bring out the copies.

    Args:
        product: the matrix, by its products.
        params: any pytree of weights.
        batch: a pytree of arrays.
        key: a typed PRNG key, of the start vector.
        k: eigenvalues at either end.
        num_matvecs: Lanczos steps M, a product each; by default 64, or P where that is less.
        method: "full" reorthogonalises and takes 4 P M bytes, 5.6 GB for 20 steps at 70m
            parameters; "recurrence" holds three vectors, and identifies ghosts afterwards.
        vectors: also the eigenvectors; the recurrence then runs once more.
        mask: restricts the matrix to the parameters at 1.

    Raises:
        InputError: k over num_matvecs, or num_matvecs over the number of parameters (that the mask
            leaves); a basis beyond memory; fewer than k distinct eigenvalues; a non-finite product,
            by leaf.
        AssertionError: a mask that does not fit params.
    """
    params = probes.as_float(params)
    size = probes.size(params, mask)
    steps = min(64, size) if num_matvecs is None else num_matvecs
    if not 1 <= k <= steps <= size:
        raise InputError(
            f"k = {k} eigenvalues from num_matvecs = {steps} products with {size} parameters",
            expected="1 <= k <= num_matvecs <= parameters",
        )
    lanczos.check(method, steps, probes.size(params, None))
    tridiagonal = lanczos.run(product, params, batch, key, steps, method, mask)
    values, weights = np.linalg.eigh(lanczos.matrix(tridiagonal))  # ascending
    genuine = np.arange(len(values))
    if method == "recurrence":
        genuine = np.flatnonzero(lanczos.genuine(tridiagonal, size))
    if len(genuine) < k:
        raise InputError(
            f"k = {k} of a {product.name} with {len(genuine)} distinct eigenvalues",
            expected=f"k of at most {len(genuine)}",
        )
    errors = np.abs(tridiagonal.residual[-1] * weights[-1])
    top, bottom = genuine[::-1][:k], genuine[:k]
    top_vectors, bottom_vectors = (
        lanczos.combine(product, params, batch, key, tridiagonal, weights[:, end].T, mask)
        if vectors
        else None
        for end in (top, bottom)
    )
    return ExtremeEigenvalues(
        largest=values[top],
        smallest=values[bottom],
        largest_error=errors[top],
        smallest_error=errors[bottom],
        largest_vectors=top_vectors,
        smallest_vectors=bottom_vectors,
    )
