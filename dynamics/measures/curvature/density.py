"""The density of a symmetric matrix's eigenvalues by stochastic Lanczos quadrature.

Axes: P parameters, N probes, M Lanczos steps, X points. Units: eigenvalues in loss per squared parameter, the density
per that unit; it integrates to 1 over all P eigenvalues.
"""

import dataclasses

import jax
import numpy as np

from dynamics.errors import InputError
from dynamics.measures.curvature import lanczos, probes
from dynamics.measures.curvature.products import Product, hessian


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpectralDensity:
    """A quadrature of the eigenvalues' distribution from each probe: (1/P) tr f(A) is about the mean of sum w f(node).

    Attributes:
        nodes: [N,M] eigenvalues of each probe's tridiagonal matrix, ascending.
        weights: [N,M] squared first components of its eigenvectors; rows sum to 1, 0 beyond an early end.
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
        """((1/P) tr A^order, standard error over probes); exact for the probes up to order 2 M - 1."""
        return self.mean(lambda nodes: nodes**order)

    def share_within(self, low: float, high: float) -> tuple[float, float]:
        """(share of the eigenvalues from `low` to `high`, standard error over probes)."""
        return self.mean(lambda nodes: ((low <= nodes) & (nodes <= high)).astype(float))

    def smoothed(self, points, width: float) -> np.ndarray:
        """[X] the density at `points` [X], each node widened to a Gaussian of standard deviation `width`."""
        if not width > 0:
            raise InputError(f"width={width}", expected="a positive number, in units of the eigenvalues")
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
    mask=None,
) -> SpectralDensity:
    """Stochastic Lanczos quadrature (Ubaru et al. 2017): Lanczos from Rademacher vectors, Gauss's rule for each.

    Ghosts do no harm here, since copies of an eigenvalue share its weight (Greenbaum 1989): "recurrence" serves where a
    basis of M vectors does not fit into memory.

    Raises:
        InputError: no probe; more products than parameters; a basis beyond memory; a non-finite product, by leaf.
    """
    params = probes.as_float(params)
    size = probes.size(params, mask)
    steps = min(num_matvecs, size)
    if num_probes < 1 or num_matvecs < 1:
        raise InputError(f"num_probes={num_probes}, num_matvecs={num_matvecs}", expected="at least 1 of each")
    lanczos.check(method, steps, size, probes.size(params, None))
    nodes, weights = np.zeros((num_probes, steps)), np.zeros((num_probes, steps))
    for number in range(num_probes):
        own = jax.random.fold_in(key, number)
        start = probes.draw(jax.random.rademacher, own, params)
        found = lanczos.run(product, params, batch, own, steps, method, mask, start)
        values, vectors = np.linalg.eigh(lanczos.matrix(found))
        nodes[number, : len(values)], weights[number, : len(values)] = values, np.square(vectors[0])
        nodes[number, len(values) :] = values[-1]
    return SpectralDensity(nodes=nodes, weights=weights, dimension=size)
