"""The quadratic part of a landscape around w*: its spectrum and its slope, on the chains' own data.

Axes: N data items, m items of a probe's batch.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from dynamics.errors import InputError
from dynamics.measures import curvature
from dynamics.slt import batches, centers, stability
from dynamics.slt.batches import LossFn
from dynamics.slt.quadratic import Slope


class Landscape(NamedTuple):
    """The Hessian's spectrum and the gradient at w*, in the units that chains move in."""

    density: curvature.SpectralDensity  # its spread over probes has that over batches in it
    slope: Slope

    @property
    def ends(self) -> stability.SpectrumEnds:
        """The ends of the spectrum, on the cautious side of every probe's own.

        Example:
            >>> nodes, weights = np.array([[1.0, 5.0], [1.5, 4.0]]), np.full((2, 2), 0.5)
            >>> density = curvature.SpectralDensity(nodes=nodes, weights=weights, dimension=2)
            >>> ends = Landscape(density, Slope(np.zeros(1), np.zeros(1))).ends
            >>> ends.smallest, ends.largest
            (1.0, 5.0)
        """
        nodes, weights = self.density.nodes, self.density.weights
        errors = 0.0 if self.density.residuals is None else self.density.residuals
        return stability.SpectrumEnds(
            largest=float((nodes + errors).max()),
            smallest=float((nodes - errors).min()),
            nodes=tuple(nodes.ravel().tolist()),
            weights=tuple((weights / len(weights)).ravel().tolist()),
        )


def measure_landscape(
    loss_fn: LossFn,
    params: PyTree[Float[Array, "..."]],
    data: PyTree,
    key: Key[Array, ""],
    *,
    num_probes: int = 4,
    num_matvecs: int = 16,
    probe_items: int = 8,
    scale_by: Literal["none", "leaf", "weight"] = "none",
    mask: PyTree | None = None,
) -> Landscape:
    """Spectrum and slope of the loss of `data`, for `quadratic_llc`.

    Every probe of the spectrum has a batch of its own, so its error over probes is that of the data
    too. A batch's spectrum is a little wider than that of all the data: compare two sizes where
    that may matter. The gradient is that of all the data.

    Args:
        loss_fn, params, data, key, mask: as in `estimate_llc`.
        num_probes: random vectors, two or more for an error.
        num_matvecs: Lanczos steps of each, a product with the batch's Hessian each.
        probe_items: m; at most N are taken.
        scale_by: of the sampler, whose units the spectrum is then in.

    Raises:
        InputError: no probe, product or item; params or products that are not finite, by leaf; a
            mask that does not fit.

    Example:
        >>> from dynamics import slt
        >>> def loss(w, curvatures):
        ...     return jnp.sum(curvatures.mean(0) * w**2) / 2
        >>> data = np.array([[1.0, 4.0], [3.0, 4.0]], np.float32)
        >>> landscape = measure_landscape(loss, jnp.ones(2), data, jax.random.key(0))
        >>> trace, _ = landscape.density.moment(1)
        >>> round(2 * trace, 3), round(float(landscape.slope.squares.sum()), 3)  # 2 + 4, 2^2 + 4^2
        (6.0, 20.0)
    """
    count = batches.num_items(data)
    if min(num_probes, num_matvecs, probe_items) < 1:
        raise InputError(
            f"num_probes={num_probes}, num_matvecs={num_matvecs}, probe_items={probe_items}",
            expected="at least 1 of each",
        )
    center = centers.as_float32(params)
    units = centers.units(center, mask, scale_by)
    data, size = jax.tree.map(jnp.asarray, data), min(probe_items, count)
    origin = jax.tree.map(jnp.zeros_like, center)
    product = curvature.hessian(stability.loss_of_offset(loss_fn))
    order = np.asarray(jax.random.permutation(batches.fold_name(key, "probe batches"), count))

    def surroundings(number: int):
        index = np.take(order, range(number * size, (number + 1) * size), mode="wrap")
        return center, units, jax.tree.map(lambda x: x[index], data)

    rules = [
        curvature.quadrature(
            product,
            origin,
            surroundings(number),
            jax.random.fold_in(batches.fold_name(key, "probes"), number),
            num_probes=1,
            num_matvecs=num_matvecs,
            mask=units.free,
        )
        for number in range(num_probes)
    ]
    gradient = _gradient_fn(loss_fn, _divisor(count, size))(origin, center, units, data)
    along = _along(product, origin, surroundings(0), gradient, num_matvecs, units.free)
    density = curvature.SpectralDensity(
        nodes=np.concatenate([rule.nodes for rule in rules]),
        weights=np.concatenate([rule.weights for rule in rules]),
        dimension=rules[0].dimension,
        residuals=np.concatenate([rule.residuals for rule in rules if rule.residuals is not None]),
    )
    return Landscape(density, along)


def _along(product, origin, surroundings, gradient, num_matvecs: int, mask) -> Slope:
    """The gradient in the Hessian's eigenvectors; at a critical point a slope of length 0."""
    if not any(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(gradient)):
        return Slope(np.zeros(1), np.zeros(1))
    return Slope(
        *curvature.along(
            product, origin, surroundings, gradient, num_matvecs=num_matvecs, mask=mask
        )
    )


def _divisor(count: int, most: int) -> int:
    """The largest divisor of `count` that is at most `most`."""
    return next(size for size in range(most, 0, -1) if count % size == 0)


@functools.lru_cache(maxsize=64)
def _gradient_fn(loss_fn: LossFn, size: int):
    """Jitted (u, w*, units, data) -> the gradient in u of all data, in chunks of `size` items."""
    loss = stability.loss_of_offset(loss_fn)

    def gradient(offset, center, units, data):
        chunks = jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), data)

        def add(total, chunk):
            grad = jax.grad(loss)(offset, (center, units, chunk))
            return jax.tree.map(jnp.add, total, grad), None

        with jax.default_matmul_precision("highest"):
            total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, offset), chunks)
        number = batches.num_items(chunks)
        return jax.tree.map(lambda leaf: leaf / number, total)

    return jax.jit(gradient)
