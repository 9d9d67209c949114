"""Traces by random probes, of a whole matrix and of its parts, and moments of its square.

Axes: P parameters, N probes, M products of a sketch. Units: loss (nats for a language model) per
squared parameter.

Sources: Hutchinson 1990 (trace by probes); Meyer et al. 2021, "Hutch++: Optimal Stochastic Trace
Estimation".
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, ArrayLike, Float, Key, PyTree

from dynamics import threefry
from dynamics.errors import InputError
from dynamics.measures.curvature import probes
from dynamics.measures.curvature.products import Product, hessian

_BLOCK = 16  # probes of one compiled call, between two looks at the standard error
_CACHED_PROGRAMS = 64


class Moments(NamedTuple):
    """Moments of a symmetric matrix A from one set of probes, with standard errors over them."""

    trace: float
    trace_sem: float
    frobenius: float  # |A|_F, the root of the sum of squared eigenvalues
    frobenius_sem: float
    effective_rank: float  # (tr A)^2 / tr A^2: r where r eigenvalues are equal and the others 0
    effective_rank_sem: float


class Forms(NamedTuple):
    """Quadratic forms of N probes v, whose means are traces."""

    trace: Float[ArrayLike, " N"]  # v'Av, of mean tr A
    square: Float[ArrayLike, " N"]  # |Av|^2, of mean tr A^2
    parts: Mapping[str, Float[ArrayLike, " N"]]  # by name, v'Av over the parameters of that part

    def moments(self) -> Moments:
        """Trace, Frobenius norm and effective rank, the last NaN for a matrix of zeros."""
        (mean, sem), (total, total_sem) = _mean(self.trace), _mean(self.square)
        if not total:
            return Moments(mean, sem, 0.0, 0.0, np.nan, np.nan)
        rank, norm = mean**2 / total, total**0.5
        # To first order d rank = rank (2 dt / t - ds / s), over probes whose v'Av and |Av|^2 go
        # together; where the trace is no more than its error, the second order of its square, of
        # variance 2 sem^4, is all there is.
        slopes = 2 * mean / total * (self.trace - mean) - rank / total * (self.square - total)
        rank_sem = float(np.hypot(_mean(slopes)[1], 2**0.5 * sem**2 / total))
        return Moments(mean, sem, norm, total_sem / (2 * norm), rank, rank_sem)

    def by_part(self) -> dict[str, tuple[float, float]]:
        """name -> (trace of that part's block, standard error)."""
        return {name: _mean(values) for name, values in self.parts.items()}


def hessian_trace(
    loss_fn: Callable,
    params: PyTree[Float[ArrayLike, "..."]],
    batch: PyTree,
    key: Key[Array, ""],
    *,
    num_samples: int | None = None,
    min_samples: int = 32,
    max_samples: int = 1024,
    relative_sem: float = 0.02,
    at_once: int = 1,
    mask: PyTree | None = None,
) -> tuple[float, float]:
    """`trace` of the Hessian of `loss_fn` at (params, batch): (mean, standard error).

    Args:
        loss_fn: (params, batch) -> mean loss, a scalar; compiled programs are cached by its
            identity.
        params, batch, key: as in `trace`.
        num_samples, min_samples, max_samples, relative_sem, at_once, mask: as in `trace`.

    Raises:
        InputError: as `trace`.

    Example:
        >>> quadratic = lambda params, curvatures: (curvatures * params**2).sum() / 2
        >>> curvatures = jnp.array([1.0, 2.0, 3.0])  # the Hessian is diagonal, so signs are exact
        >>> hessian_trace(quadratic, jnp.ones(3), curvatures, jax.random.key(0))
        (6.0, 0.0)
    """
    return trace(
        hessian(loss_fn),
        params,
        batch,
        key,
        num_samples=num_samples,
        min_samples=min_samples,
        max_samples=max_samples,
        relative_sem=relative_sem,
        at_once=at_once,
        mask=mask,
    )


def trace(
    product: Product,
    params: PyTree[Float[ArrayLike, "..."]],
    batch: PyTree,
    key: Key[Array, ""],
    *,
    num_samples: int | None = None,
    min_samples: int = 32,
    max_samples: int = 1024,
    relative_sem: float = 0.02,
    at_once: int = 1,
    mask: PyTree | None = None,
) -> tuple[float, float]:
    """The trace and its standard error over Rademacher probes; the batch is held fixed.

    The mean of v'Av over vectors v of random signs (Hutchinson 1990), whose variance is 2 sum_{i !=
    j} A_ij^2 each: exact for a diagonal matrix. Probe n is drawn from (key, n, leaf), so a longer
    run repeats the shorter one's probes.

    Args:
        product: the matrix, by its products.
        params: any pytree of weights.
        batch: a pytree of arrays.
        key: a typed PRNG key.
        num_samples: the number of probes. By default they go on in blocks of 16 until there are
            `min_samples` and the standard error is `relative_sem` of the mean, up to
            `max_samples`. A trace near zero by cancellation never reaches that accuracy, as its
            standard error shows.
        at_once: probes vmapped together; each holds a gradient's activations.
        mask: restricts the matrix to the parameters at 1.

    Returns:
        (mean, standard error), in units of the loss.

    Raises:
        InputError: fewer than two probes; a mask of nothing; a non-finite product, by leaf.
        AssertionError: a mask that does not fit params.
    """
    least, most = (min_samples, max_samples) if num_samples is None else (num_samples, num_samples)
    values = np.zeros(0)
    for block in _blocks(product, params, batch, key, most, least, at_once, mask, {}):
        values = np.append(values, block.trace)[:most]
        mean, sem = _mean(values)
        if len(values) >= least and sem <= relative_sem * abs(mean) and num_samples is None:
            break
    mean, sem = _mean(values)
    return float(mean), float(sem)


def probe(
    product: Product,
    params: PyTree[Float[ArrayLike, "..."]],
    batch: PyTree,
    key: Key[Array, ""],
    *,
    num_samples: int = 64,
    at_once: int = 1,
    mask: PyTree | None = None,
    parts: Mapping[str, PyTree] | None = None,
) -> Forms:
    """The quadratic forms of Rademacher probes, of the whole matrix and of each part.

    One product per probe serves all of them. With v over all parameters, v_m'(Av)_m has the mean
    tr A_mm, since signs of different parts do not correlate. So the traces of parts that partition
    the parameters sum exactly to the whole's, probe by probe. The price is that the coupling to
    other parts adds to the variance: A_ij^2 for each i in m and j outside of it, beside the
    2 A_ij^2 of each pair i != j within. For one part alone, `trace` with its mask has less.

    Args:
        product, params, batch, key, at_once, mask: as in `trace`.
        num_samples: N.
        parts: name -> mask, such as `restrict.groups(config, "layers")`.

    Raises:
        InputError: as `trace`.
        AssertionError: a mask that does not fit params.

    Example:
        >>> quadratic = lambda params, curvatures: (curvatures * params**2).sum() / 2
        >>> curvatures = jnp.array([1.0, 2.0, 3.0])
        >>> parts = {"first": np.array([1, 0, 0]), "rest": np.array([0, 1, 1])}
        >>> forms = probe(
        ...     hessian(quadratic), jnp.ones(3), curvatures, jax.random.key(0), parts=parts
        ... )
        >>> forms.by_part()
        {'first': (1.0, 0.0), 'rest': (5.0, 0.0)}
        >>> round(forms.moments().effective_rank, 3)  # 6^2 / (1 + 4 + 9)
        2.571
    """
    masks = dict(parts or {})
    blocks = list(
        _blocks(product, params, batch, key, num_samples, num_samples, at_once, mask, masks)
    )
    return jax.tree.map(lambda *forms: np.concatenate(forms)[:num_samples], *blocks)


def sketched_trace(
    product: Product,
    params: PyTree[Float[ArrayLike, "..."]],
    batch: PyTree,
    key: Key[Array, ""],
    *,
    num_matvecs: int = 48,
    at_once: int = 1,
    mask: PyTree | None = None,
) -> tuple[float, float]:
    """Hutch++ (Meyer et al. 2021, algorithm 1): exact on a random sketch's range, probes elsewhere.

    A third of the products each go into the sketch A S, into its range Q, and into probes of
    (1 - QQ')A(1 - QQ'). It pays where few large eigenvalues make up most of |A|_F, as in a trained
    network: the variance is then that of the rest alone. It holds M/3 vectors like params.

    Args:
        product, params, batch, key, at_once, mask: as in `trace`.
        num_matvecs: M, the products in all.

    Returns:
        (mean, standard error over the probes, with the sketch held fixed), in units of the loss.

    Raises:
        InputError: fewer products than 6, or a third of them over the parameters; a non-finite
            product, by leaf.
        AssertionError: a mask that does not fit params.

    Example:
        >>> quadratic = lambda params, curvatures: (curvatures * params**2).sum() / 2
        >>> curvatures = jnp.array([0.0, 0.0, 5.0, 10.0])  # of rank 2, and so is the sketch
        >>> mean, sem = sketched_trace(
        ...     hessian(quadratic), jnp.ones(4), curvatures, jax.random.key(1), num_matvecs=6
        ... )
        >>> round(mean, 3), round(sem, 3)
        (15.0, 0.0)
    """
    params = probes.as_float(params)
    count, dimension = num_matvecs // 3, probes.size(params, mask)
    if count < 2 or count > dimension:
        raise InputError(
            f"num_matvecs={num_matvecs} with {dimension} parameters",
            expected="at least 6, and a third of them no more than the parameters",
        )
    draw, images = _signs_fn(), functools.partial(_images, product, params, batch, mask, at_once)
    rows = draw(params, key, mask, np.arange(2 * count, dtype=np.uint32))  # [2M/3,P]
    with jax.default_matmul_precision("highest"):
        basis = jnp.linalg.qr(images(rows[:count]).T)[0].T  # [M/3,P]
        exact = (basis * images(basis)).sum()
        outside = rows[count:] - (rows[count:] @ basis.T) @ basis
        rest = (outside * images(outside)).sum(1)
    if not np.isfinite(exact):
        probes.refuse_nonfinite(product, params, batch, key, mask)
    mean, sem = _mean(np.asarray(rest, np.float64))
    return float(exact) + mean, sem


def _blocks(product: Product, params, batch, key, most: int, least: int, at_once: int, mask, masks):
    """Forms of blocks of probes, float64 [_BLOCK] each, until `most` are drawn."""
    if not 2 <= least <= most or at_once < 1:
        raise InputError(
            f"{least} to {most} probes, {at_once} at once",
            expected="at least 2, or there is no standard error",
        )
    params = probes.as_float(params)
    for block in (mask, *masks.values()):
        probes.size(params, block)  # refuses a mask of nothing
    forms = _forms_fn(product, min(at_once, _BLOCK))
    for start in range(0, most, _BLOCK):
        block = forms(params, batch, key, mask, masks, start + np.arange(_BLOCK, dtype=np.uint32))
        block = jax.tree.map(lambda x: np.asarray(x, np.float64), block)
        if not np.isfinite(block.trace).all():
            probes.refuse_nonfinite(product, params, batch, key, mask)
        yield block


@functools.lru_cache(maxsize=_CACHED_PROGRAMS)
def _forms_fn(product: Product, at_once: int):
    """Forms of the probes numbered `indices` [N]."""

    @jax.jit
    def forms(params, batch, key, mask, masks, indices):
        def of_probe(index):
            vector = threefry.like(jax.random.fold_in(key, index), params, threefry.sign)
            vector = probes.restrict(vector, mask)
            image = probes.restrict(product.apply(params, batch, vector), mask)
            parts = {name: probes.dot(vector, image, part) for name, part in masks.items()}
            return Forms(probes.dot(vector, image), probes.dot(image, image), parts)

        return jax.lax.map(of_probe, indices, batch_size=at_once)

    return forms


@functools.cache
def _signs_fn():
    """Rademacher vectors of these numbers [N], flattened -> [N,P]."""

    @jax.jit
    def signs(params, key, mask, numbers):
        def of_number(number):
            vector = threefry.like(jax.random.fold_in(key, number), params, threefry.sign)
            return ravel_pytree(probes.restrict(vector, mask))[0]

        return jax.lax.map(of_number, numbers)

    return signs


def _images(product: Product, params, batch, mask, at_once: int, rows):
    """A times each row [N,P] -> [N,P], in blocks of one shape."""
    times = _times_fn(product, min(at_once, _BLOCK))
    padded = jnp.pad(rows, ((0, -len(rows) % _BLOCK), (0, 0)))
    blocks = [
        times(params, batch, mask, padded[n : n + _BLOCK]) for n in range(0, len(padded), _BLOCK)
    ]
    return jnp.concatenate(blocks)[: len(rows)]


@functools.lru_cache(maxsize=_CACHED_PROGRAMS)
def _times_fn(product: Product, at_once: int):
    """Jitted (params, batch, mask, rows [N,P]) -> A times each row [N,P]."""

    @jax.jit
    def times(params, batch, mask, rows):
        unravel = ravel_pytree(params)[1]

        def of_row(row):
            # A basis of more vectors than the sketch's rank reaches outside of the mask.
            inside = probes.restrict(unravel(row), mask)
            return ravel_pytree(probes.restrict(product.apply(params, batch, inside), mask))[0]

        return jax.lax.map(of_row, rows, batch_size=at_once)

    return times


def _mean(values) -> tuple[float, float]:
    """(mean, standard error; NaN for a single value)."""
    sem = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return float(values.mean()), float(sem)
