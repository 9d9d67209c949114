"""The density of a symmetric matrix's eigenvalues by stochastic Lanczos quadrature.

Axes: P parameters, N probes, M Lanczos steps, X points. Units: eigenvalues in loss per squared
parameter, the density per that unit; it integrates to 1 over all P eigenvalues.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import InputError
from dynamics.measures.curvature import eigenvalues, lanczos, probes
from dynamics.measures.curvature.products import Product, hessian


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpectralDensity:
    """A quadrature of the eigenvalues' distribution from each probe: (1/P) tr f(A) is about the
    mean of sum w f(node).

    Attributes:
        nodes: [N,M] eigenvalues of each probe's tridiagonal matrix, ascending; before them those
            that were deflated.
        weights: [N,M] squared first components of its eigenvectors; rows sum to 1, 0 beyond an
            early end.
        dimension: P, the parameters that the matrix is over.
    """

    nodes: np.ndarray
    weights: np.ndarray
    dimension: int

    def mean(self, function) -> tuple[float, float]:
        """((1/P) tr f(A), standard error over probes; NaN for one probe)."""
        values = (self.weights * function(self.nodes)).sum(1)
        sem = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
        return float(values.mean()), float(sem)

    def moment(self, order: int) -> tuple[float, float]:
        """((1/P) tr A^order, standard error over probes); exact for the probes up to order 2 M -
        1."""
        return self.mean(lambda nodes: nodes**order)

    def share_within(self, low: float, high: float) -> tuple[float, float]:
        """(share of the eigenvalues from `low` to `high`, standard error over probes)."""
        return self.mean(lambda nodes: ((low <= nodes) & (nodes <= high)).astype(float))

    def smoothed(self, points, width: float) -> np.ndarray:
        """[X] the density at `points` [X], each node widened to a Gaussian of standard deviation
        `width`."""
        if not width > 0:
            raise InputError(
                f"width={width}", expected="a positive number, in units of the eigenvalues"
            )
        away = (np.asarray(points, np.float64)[:, None, None] - self.nodes) / width
        bells = np.exp(-0.5 * np.square(away)) / (width * np.sqrt(2 * np.pi))
        return (self.weights * bells).sum(2).mean(1)


def spectral_density(loss_fn, params, batch, key, **options) -> SpectralDensity:
    """`quadrature` of the Hessian of `loss_fn` at (params, batch)."""
    return quadrature(hessian(loss_fn), params, batch, key, **options)


def quadrature(
    product: Product,
    params,
    batch,
    key,
    *,
    num_probes: int = 8,
    num_matvecs: int = 32,
    method: lanczos.Method = "full",
    deflate: int = 0,
    mask=None,
) -> SpectralDensity:
    """Stochastic Lanczos quadrature (Ubaru et al. 2017): Lanczos from Rademacher vectors, Gauss's
    rule for each.

    Ghosts do no harm here, since copies of an eigenvalue share its weight (Greenbaum 1989):
    "recurrence" serves where a basis of M vectors does not fit into memory.

    Args:
        deflate: eigenpairs of either end to find first (some 80 products, and their vectors held),
            so that probes see only the rest. A few far eigenvalues carry most of the second moment
            and make probes scatter by about its whole; without them the same probes tell it to a
            few per cent.

    Raises:
        InputError: no probe; more products than parameters; a basis beyond memory; a non-finite
            product, by leaf.
    """
    params = probes.as_float(params)
    size = probes.size(params, mask)
    steps = min(num_matvecs, size)
    if num_probes < 1 or num_matvecs < 1:
        raise InputError(
            f"num_probes={num_probes}, num_matvecs={num_matvecs}", expected="at least 1 of each"
        )
    lanczos.check(method, steps, size, probes.size(params, None))
    known, apart = _deflated(product, params, batch, key, deflate, size, method, mask)
    nodes, weights = np.zeros((num_probes, steps)), np.zeros((num_probes, steps))
    for number in range(num_probes):
        own = jax.random.fold_in(key, number)
        start = apart(probes.restrict(probes.draw(_sampler(len(known)), own, params), mask))
        found = lanczos.run(product, params, batch, own, steps, method, mask, start)
        values, vectors = np.linalg.eigh(lanczos.matrix(found))
        nodes[number, : len(values)], weights[number, : len(values)] = values, np.square(vectors[0])
        nodes[number, len(values) :] = values[-1]
    exact = np.broadcast_to(known, (num_probes, len(known)))
    nodes = np.concatenate([exact, nodes], axis=1)
    weights = np.concatenate(
        [np.full(exact.shape, 1 / size), weights * (1 - len(known) / size)], axis=1
    )
    return SpectralDensity(nodes=nodes, weights=weights, dimension=size)


def _sampler(deflated: int):
    """Signs, whose length is fixed; where directions are taken out, normals, whose direction does
    not know of it."""
    return jax.random.normal if deflated else jax.random.rademacher


def _deflated(product: Product, params, batch, key, count: int, size: int, method, mask):
    """(eigenvalues [n] of either end, found to 0.1 %, vector -> the vector outside of their
    eigenvectors)."""
    if not count:
        return np.zeros(0), lambda vector: vector
    if 4 * count > size:
        raise InputError(
            f"deflate={count} with {size} parameters",
            expected="at most a quarter of the parameters",
        )
    steps = min(size, 4 * count + 40)
    found = eigenvalues.ends(
        product, params, batch, key, count, steps, method=method, vectors=True, mask=mask
    )
    values = np.append(found.largest, found.smallest)
    errors = np.append(found.largest_error, found.smallest_error)
    once = np.unique(values, return_index=True)[
        1
    ]  # where few are distinct, both ends have the same ones
    kept = once[errors[once] <= 1e-3 * np.abs(values).max()]
    vectors = jax.tree.map(
        lambda a, b: jnp.concatenate([a, b])[kept], found.largest_vectors, found.smallest_vectors
    )

    def apart(vector):
        along = sum(
            jax.tree.leaves(jax.tree.map(lambda u, v: jnp.tensordot(u, v, v.ndim), vectors, vector))
        )
        return jax.tree.map(lambda v, u: v - jnp.tensordot(along, u, 1), vector, vectors)

    return values[kept], apart
