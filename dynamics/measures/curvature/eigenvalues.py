"""The two ends of a symmetric matrix's spectrum by Lanczos, with residual bounds and, on request,
eigenvectors.

Axes: P parameters, M Lanczos steps, k eigenvalues of either end. Units: loss per squared parameter.
"""

from typing import Any, NamedTuple

import numpy as np

from dynamics.errors import InputError
from dynamics.measures.curvature import lanczos, probes
from dynamics.measures.curvature.products import Product, hessian


class ExtremeEigenvalues(NamedTuple):
    """Both ends of the spectrum, signed, float64, each with the bound on its distance to an
    eigenvalue."""

    largest: np.ndarray  # [k] descending
    smallest: np.ndarray  # [k] ascending
    largest_error: np.ndarray  # [k]
    smallest_error: np.ndarray  # [k]
    largest_vectors: Any = (
        None  # pytree like params with a leading k, of length 1 each; None unless asked for
    )
    smallest_vectors: Any = None


def extreme_eigenvalues(
    loss_fn, params, batch, key, k: int = 1, num_matvecs: int | None = None, **options
) -> ExtremeEigenvalues:
    """`ends` of the Hessian of `loss_fn` at (params, batch)."""
    return ends(hessian(loss_fn), params, batch, key, k, num_matvecs, **options)


def ends(
    product: Product,
    params,
    batch,
    key,
    k: int = 1,
    num_matvecs: int | None = None,
    *,
    method: lanczos.Method = "full",
    vectors: bool = False,
    mask=None,
) -> ExtremeEigenvalues:
    """The k largest and k smallest eigenvalues, signed: Lanczos from one random start (Golub & Van
    Loan 2013, ch. 10).

    The error is the residual bound beta_M |s_M|: some eigenvalue lies as near as that, but for
    float32 rounding of about 1e-6 of the largest |eigenvalue|, and 5e-5 at 5 million parameters. It
    does not say that none was missed: eigenvalues that repeat exactly are seen once, more often
    only by the grace of rounding.

    Args:
        batch: a pytree of arrays.
        key: a typed PRNG key, of the start vector.
        k: eigenvalues at either end.
        num_matvecs: Lanczos steps M, a product each; by default 64, or P where that is less.
        method: "full" reorthogonalises and takes 4 P M bytes, 5.6 GB for 20 steps at 70m
            parameters; "recurrence" holds three vectors, and takes ghosts for what they are.
        vectors: also the eigenvectors; the recurrence is run once more for them.

    Raises:
        InputError: k over num_matvecs, or num_matvecs over the number of parameters (that the mask
            leaves); a basis beyond memory; fewer than k distinct eigenvalues; a non-finite product,
            by leaf.
    """
    params = probes.as_float(params)
    size = probes.size(params, mask)
    steps = min(64, size) if num_matvecs is None else num_matvecs
    if not 1 <= k <= steps <= size:
        raise InputError(
            f"k = {k} eigenvalues from num_matvecs = {steps} products with {size} parameters",
            expected="1 <= k <= num_matvecs <= parameters",
        )
    lanczos.check(method, steps, size, probes.size(params, None))
    found = lanczos.run(product, params, batch, key, steps, method, mask)
    values, weights = np.linalg.eigh(lanczos.matrix(found))  # ascending
    kept = (
        np.flatnonzero(lanczos.genuine(found, size))
        if method == "recurrence"
        else np.arange(len(values))
    )
    if len(kept) < k:
        raise InputError(
            f"k = {k} of a {product.name} with {len(kept)} distinct eigenvalues",
            expected=f"k of at most {len(kept)}",
        )
    errors = np.abs(found.residual[-1] * weights[-1])
    top, bottom = kept[::-1][:k], kept[:k]
    eigenvectors = [
        lanczos.combine(product, params, batch, key, found, weights[:, chosen].T, mask)
        if vectors
        else None
        for chosen in (top, bottom)
    ]
    return ExtremeEigenvalues(
        values[top], values[bottom], errors[top], errors[bottom], *eigenvectors
    )
