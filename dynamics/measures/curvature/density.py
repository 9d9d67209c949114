"""The density of a symmetric matrix's eigenvalues by stochastic Lanczos quadrature.

Axes: P parameters, N probes, M Lanczos steps, n deflated eigenvalues, K = n + M nodes, X points.
Units: eigenvalues in loss per squared parameter, the density per that unit; it integrates to 1 over
all P eigenvalues.

Source: Ubaru, Chen & Saad 2017, "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature".
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Float64, Key, PyTree

from dynamics import threefry
from dynamics.errors import InputError
from dynamics.measures.curvature import eigenvalues, lanczos, probes
from dynamics.measures.curvature.products import Product, hessian

_DEFLATED_ERROR = 1e-3  # of the largest |eigenvalue|: the accuracy that deflation asks for


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpectralDensity:
    """A quadrature of the eigenvalues' distribution from each probe.

    (1/P) tr f(A) is estimated by the mean over probes of sum w f(node).

    Attributes:
        nodes: [N,K] eigenvalues of each probe's tridiagonal matrix, ascending; before them the
            deflated eigenvalues.
        weights: [N,K] squared first components of its eigenvectors; rows sum to 1, and entries
            beyond an early end are 0.
        dimension: P, the parameters that the matrix is over.
        residuals: [N,K] distance within which some eigenvalue lies of each node; None where it was
            not recorded.
    """

    nodes: Float64[np.ndarray, "N K"]
    weights: Float64[np.ndarray, "N K"]
    dimension: int
    residuals: Float64[np.ndarray, "N K"] | None = None

    def mean(self, function: Callable) -> tuple[float, float]:
        """((1/P) tr f(A), standard error over probes; NaN for one probe)."""
        values = (self.weights * function(self.nodes)).sum(1)
        sem = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
        return float(values.mean()), float(sem)

    def moment(self, order: int) -> tuple[float, float]:
        """((1/P) tr A^order, standard error over probes).

        Up to order 2 M - 1 the quadrature is exact, and probes are the only source of error.
        """
        return self.mean(lambda nodes: nodes**order)

    def share_within(self, low: float, high: float) -> tuple[float, float]:
        """(share of the eigenvalues from `low` to `high`, standard error).

        The error has two parts. Probes scatter; and a quadrature of M nodes does not say on which
        side of an edge the eigenvalues lie that the nodes beside it stand for, unless these have
        converged. Of their weights any part may belong to either side (Chebyshev, Markov and
        Stieltjes; Szego 1939, section 3.41), which is taken as uniform. It is the same error in
        every probe and does not fall with their number. The error over probes is NaN for one.
        """
        share, sem = self.mean(lambda nodes: ((low <= nodes) & (nodes <= high)).astype(float))
        edges = math.hypot(self._straddling(low), self._straddling(high))
        return share, math.hypot(sem, edges / 12**0.5)

    def _straddling(self, edge: float) -> float:
        """The weight of the nodes on either side of `edge` that may stand for the other side.

        The mean over probes. A node whose residual is less than its distance from the edge stands
        for its own side. An edge beyond all nodes of a probe has none to doubt.
        """
        below, above = self.nodes <= edge, self.nodes > edge
        inside = np.logical_and(below.any(1, keepdims=True), above.any(1, keepdims=True))
        distance = np.abs(self.nodes - edge)
        unsure = (self.weights > 0) & inside
        if self.residuals is not None:
            unsure &= self.residuals >= distance
        total = 0.0
        for side in (below, above):
            nearest = np.where(side, distance, np.inf).min(axis=1, keepdims=True)
            total += np.where(side & unsure & (distance == nearest), self.weights, 0.0).sum()
        return float(total / len(self.nodes))

    def smoothed(self, points: Float[ArrayLike, " X"], width: float) -> Float64[np.ndarray, " X"]:
        """The density at `points`, each node widened to a Gaussian.

        Args:
            points: [X], in units of the eigenvalues.
            width: the Gaussian's standard deviation, in the same units.

        Raises:
            InputError: a width that is not positive.
            AssertionError: points that are not [X].
        """
        if not width > 0:
            raise InputError(
                f"width={width}", expected="a positive number, in units of the eigenvalues"
            )
        points = np.asarray(points, np.float64)
        chex.assert_rank(points, 1)
        away = (points[:, None, None] - self.nodes) / width
        bells = np.exp(-0.5 * np.square(away)) / (width * np.sqrt(2 * np.pi))
        return (self.weights * bells).sum(2).mean(1)


def spectral_density(
    loss_fn: Callable,
    params: PyTree[Float[ArrayLike, "..."]],
    batch: PyTree,
    key: Key[Array, ""],
    *,
    num_probes: int = 8,
    num_matvecs: int = 32,
    method: lanczos.Method = "full",
    deflate: int = 0,
    mask: PyTree | None = None,
) -> SpectralDensity:
    """`quadrature` of the Hessian of `loss_fn` at (params, batch).

    Args:
        loss_fn: (params, batch) -> mean loss, a scalar; compiled programs are cached by its
            identity.
        params, batch, key: as in `quadrature`.
        num_probes, num_matvecs, method, deflate, mask: as in `quadrature`.

    Raises:
        InputError: as `quadrature`.

    Example:
        >>> quadratic = lambda params, curvatures: (curvatures * params**2).sum() / 2
        >>> curvatures = jnp.array([0.0, 0.0, 1.0, 3.0])  # the eigenvalues
        >>> density = spectral_density(quadratic, jnp.ones(4), curvatures, jax.random.key(0))
        >>> trace, sem = (density.dimension * number for number in density.moment(1))
        >>> round(trace, 4), round(sem, 4)  # signs see a diagonal matrix's trace exactly
        (4.0, 0.0)
        >>> share, _ = density.share_within(-0.1, 0.1)
        >>> round(share, 4)
        0.5
    """
    return quadrature(
        hessian(loss_fn),
        params,
        batch,
        key,
        num_probes=num_probes,
        num_matvecs=num_matvecs,
        method=method,
        deflate=deflate,
        mask=mask,
    )


def quadrature(
    product: Product,
    params: PyTree[Float[ArrayLike, "..."]],
    batch: PyTree,
    key: Key[Array, ""],
    *,
    num_probes: int = 8,
    num_matvecs: int = 32,
    method: lanczos.Method = "full",
    deflate: int = 0,
    mask: PyTree | None = None,
) -> SpectralDensity:
    """Stochastic Lanczos quadrature: Lanczos from random vectors, Gauss's rule for each.

    Ghosts do no harm here, since copies of an eigenvalue share its weight (Greenbaum 1989). So
    "recurrence" serves where a basis of M vectors does not fit into memory.

    Args:
        product: the matrix, by its products.
        params: any pytree of weights.
        batch: a pytree of arrays.
        key: a typed PRNG key, of the probes.
        num_probes: N.
        num_matvecs: Lanczos steps M of each probe, a product each; at most P are taken.
        method: as in `ends`.
        deflate: eigenpairs of either end to compute first, so that probes see only the rest. It
            costs 4 deflate + 40 products and holds their vectors. A few far eigenvalues carry most
            of the second moment and make its estimates scatter by about its own size; without them
            the same probes give it to a few per cent.
        mask: restricts the matrix to the parameters at 1.

    Raises:
        InputError: no probe; no product; more deflated eigenvalues than a quarter of the
            parameters; a basis beyond memory; a non-finite product, by leaf.
        AssertionError: a mask that does not fit params.
    """
    params = probes.as_float(params)
    size = probes.size(params, mask)
    steps = min(num_matvecs, size)
    if num_probes < 1 or num_matvecs < 1:
        raise InputError(
            f"num_probes={num_probes}, num_matvecs={num_matvecs}", expected="at least 1 of each"
        )
    lanczos.check(method, steps, probes.size(params, None))
    deflated, project_out = _deflation(product, params, batch, key, deflate, size, method, mask)
    nodes, weights, residuals = np.zeros((3, num_probes, steps))
    # Signs have a fixed length, but deflation would change it; a normal vector's direction stays
    # uniform in the subspace that is left.
    of_word = threefry.normal if len(deflated) else threefry.sign
    for number in range(num_probes):
        probe_key = jax.random.fold_in(key, number)
        vector = probes.restrict(threefry.like(probe_key, params, of_word), mask)
        tridiagonal = lanczos.run(
            product, params, batch, probe_key, steps, method, mask, project_out(vector)
        )
        values, vectors = np.linalg.eigh(lanczos.matrix(tridiagonal))
        nodes[number, : len(values)], weights[number, : len(values)] = values, np.square(vectors[0])
        nodes[number, len(values) :] = values[-1]
        if len(values) < min(steps, size):  # the vectors span an invariant subspace
            continue
        residuals[number, : len(values)] = np.abs(tridiagonal.residual[-1] * vectors[-1])
    exact = np.broadcast_to(deflated, (num_probes, len(deflated)))
    nodes = np.concatenate([exact, nodes], axis=1)
    weights = np.concatenate(
        [np.full(exact.shape, 1 / size), weights * (1 - len(deflated) / size)], axis=1
    )
    residuals = np.concatenate([np.zeros(exact.shape), residuals], axis=1)
    return SpectralDensity(nodes=nodes, weights=weights, dimension=size, residuals=residuals)


class Rule(NamedTuple):
    """Gauss's rule of a matrix seen from one vector v: v' f(A) v is about sum w f(node)."""

    nodes: Float64[np.ndarray, " M"]  # ascending
    weights: Float64[np.ndarray, " M"]  # their sum is |v|^2


def along(
    product: Product,
    params: PyTree[Float[ArrayLike, "..."]],
    batch: PyTree,
    vector: PyTree[Float[ArrayLike, "..."]],
    *,
    num_matvecs: int = 32,
    method: lanczos.Method = "full",
    mask: PyTree | None = None,
) -> Rule:
    """What a matrix does along one vector, such as the Hessian along the gradient.

    Lanczos starts at the vector, so nothing is random; the rule is exact for polynomials of degree
    2 M - 1 (Golub & Meurant 2010, "Matrices, Moments and Quadrature", chapter 7).

    Args:
        product, params, batch, num_matvecs, method, mask: as in `quadrature`.
        vector: v, a pytree like params.

    Raises:
        InputError: no product; a vector of length 0 inside of the mask; a basis beyond memory.

    Example:
        >>> quadratic = lambda params, curvatures: (curvatures * params**2).sum() / 2
        >>> curvatures = jnp.array([1.0, 2.0, 5.0])  # the eigenvalues
        >>> vector = jnp.array([1.0, 0.0, 2.0])
        >>> rule = along(hessian(quadratic), jnp.ones(3), curvatures, vector)
        >>> rule.nodes.round(4).tolist(), rule.weights.round(4).tolist()
        ([1.0, 5.0], [1.0, 4.0])
    """
    params, size = probes.as_float(params), probes.size(params, mask)
    vector = probes.restrict(vector, mask)
    square = float(probes.dot(vector, vector))
    if num_matvecs < 1 or not 0 < square < np.inf:
        raise InputError(
            f"num_matvecs={num_matvecs} along a vector of length {square**0.5:g}",
            expected="at least one product, along a vector that is finite and not 0",
        )
    steps = min(num_matvecs, size)
    lanczos.check(method, steps, probes.size(params, None))
    key = jax.random.key(0)  # of the search for non-finite leaves alone
    tridiagonal = lanczos.run(product, params, batch, key, steps, method, mask, vector)
    nodes, vectors = np.linalg.eigh(lanczos.matrix(tridiagonal))
    return Rule(nodes, square * np.square(vectors[0]))


def _deflation(product: Product, params, batch, key, count: int, size: int, method, mask):
    """(eigenvalues [n] of either end, vector -> its part orthogonal to their eigenvectors).

    Eigenvalues that are not accurate enough to deflate are left to the probes.
    """
    if not count:
        return np.zeros(0), lambda vector: vector
    if 4 * count > size:
        raise InputError(
            f"deflate={count} with {size} parameters",
            expected="at most a quarter of the parameters",
        )
    steps = min(size, 4 * count + 40)
    extremes = eigenvalues.ends(
        product, params, batch, key, count, steps, method=method, vectors=True, mask=mask
    )
    values = np.append(extremes.largest, extremes.smallest)
    errors = np.append(extremes.largest_error, extremes.smallest_error)
    # Of a matrix with few distinct eigenvalues both ends have the same ones.
    distinct = np.unique(values, return_index=True)[1]
    accurate = distinct[errors[distinct] <= _DEFLATED_ERROR * np.abs(values).max()]
    vectors = jax.tree.map(
        lambda top, bottom: jnp.concatenate([top, bottom])[accurate],
        extremes.largest_vectors,
        extremes.smallest_vectors,
    )

    def project_out(vector):
        along = sum(
            jax.tree.leaves(jax.tree.map(lambda u, v: jnp.tensordot(u, v, v.ndim), vectors, vector))
        )
        return jax.tree.map(lambda v, u: v - jnp.tensordot(along, u, 1), vector, vectors)

    return values[accurate], project_out
