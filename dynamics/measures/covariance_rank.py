"""How many directions a matrix spans: ranks of the covariance that it gives to Gaussian vectors.

Axes: M rows and D columns of a matrix W (an unembedding: tokens by width), n vectors of a batch, R
batches drawn, T tolerances. Units: eigenvalues are squared weights.

Nicolini et al. (2024, section 4.3): V ~ N(0, I_D), n of them, are sent through W,
and the rank of the covariance of W V over the batch is counted up to a tolerance. That rank is at
most n - 1, and an absolute tolerance says as much of the scale of W as of its shape. So beside it
stand ranks that no scale changes: up to a tolerance relative to the largest eigenvalue, the stable
rank (sum over largest, Vershynin 2018, section 7.6.1) and the entropy rank exp(-sum p ln p), p the
shares of the eigenvalues (Roy & Vetterli 2007), and all of these for the exact covariance W W',
which is what the batch samples.

The nonzero eigenvalues of a batch's covariance are those of an n by n matrix made of W'W alone, so
that a checkpoint costs one product W'W whatever n is and however often it is drawn.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from dynamics.errors import InputError

BATCHES = (16, 32, 64)  # n, the paper's
TOLERANCES = tuple(round(0.1 * k, 1) for k in range(1, 11))  # the paper's domain [.1, 1]


class Ranks(NamedTuple):
    """Of one spectrum; or their mean over draws, beside another of their standard errors."""

    absolute: Float64[np.ndarray, " T"]  # eigenvalues above the tolerance: the paper's
    relative: Float64[np.ndarray, " T"]  # above the tolerance times the largest
    stable: float
    entropy: float


class CovarianceRank(NamedTuple):
    """Ranks of one matrix."""

    batches: tuple[int, ...]
    drawn: tuple[Ranks, ...]  # for each n the mean over draws
    sem: tuple[Ranks, ...]  # its standard error over draws
    exact: Ranks  # of W W'
    spectrum: Float64[np.ndarray, " D"]  # of W W' without its M - D zeros, descending


def covariance_rank(
    weights: Float[Array | np.ndarray, "M D"],
    key: jax.Array,
    *,
    batches: tuple[int, ...] = BATCHES,
    tolerances: tuple[float, ...] = TOLERANCES,
    draws: int = 16,
) -> CovarianceRank:
    """Ranks of the covariance of W V, V ~ N(0, I_D), and of the exact one.

    The same key draws the same vectors at every checkpoint, so that differences between checkpoints
    are of the matrices.

    Args:
        weights: W, rows are outputs, as files of linear layers hold it.
        key: of the draws.
        batches: sizes n, each at least 2.
        tolerances: of eigenvalues, absolute and relative.
        draws: R, at least 2.

    Raises:
        InputError: no matrix; a batch or a number of draws under 2; numbers that are not finite.

    Example:
        >>> ranks = covariance_rank(np.eye(40, 5, dtype=np.float32), jax.random.key(0))
        >>> ranks.exact.stable, ranks.exact.relative.tolist()[-2:], round(ranks.exact.entropy, 4)
        (5.0, [5.0, 0.0], 5.0)
    """
    if np.ndim(weights) != 2 or min(np.shape(weights)) < 1:
        raise InputError(f"weights of shape {np.shape(weights)}", expected="a matrix [M,D]")
    if draws < 2 or min(batches) < 2:
        raise InputError(f"{draws} draws of batches {batches}", expected="2 or more of each")
    largest = float(jnp.abs(weights).max())
    if not np.isfinite(largest):
        raise InputError("a matrix that is not finite", expected="finite weights")
    # Squares of 1e30 or of 1e-25 leave float32's range. To scale by a power of two is exact.
    unit = np.exp2(np.frexp(largest)[1] - 1.0)
    gram = _gram(jnp.asarray(weights) / np.float32(unit))
    spectrum = _eigenvalues(jnp.linalg.eigvalsh(gram), unit)
    means, errors = [], []
    for size in batches:
        drawn = _eigenvalues(_drawn(gram, key, size, draws), unit)
        each = [_ranks(eigenvalues, tolerances) for eigenvalues in drawn]
        columns = [np.array(column) for column in zip(*each, strict=True)]
        means.append(Ranks(*(column.mean(0) for column in columns)))
        errors.append(Ranks(*(column.std(0, ddof=1) / draws**0.5 for column in columns)))
    exact = _ranks(spectrum, tolerances)
    return CovarianceRank(tuple(batches), tuple(means), tuple(errors), exact, spectrum)


def _ranks(eigenvalues: np.ndarray, tolerances: tuple[float, ...]) -> Ranks:
    """Of one descending spectrum; zero for a matrix of zeros."""
    bounds, largest, total = np.array(tolerances), eigenvalues[0], eigenvalues.sum()
    if not largest > 0:
        return Ranks(np.zeros(len(bounds)), np.zeros(len(bounds)), 0.0, 0.0)
    shares = eigenvalues[eigenvalues > 0] / total
    return Ranks(
        absolute=(eigenvalues > bounds[:, None]).sum(1).astype(np.float64),
        relative=(eigenvalues > bounds[:, None] * largest).sum(1).astype(np.float64),
        stable=float(total / largest),
        entropy=float(np.exp(-(shares * np.log(shares)).sum())),
    )


def _eigenvalues(ascending: jax.Array, unit: float) -> np.ndarray:
    """Descending, of weights that were divided by `unit`; rounding leaves some below 0."""
    return np.asarray(ascending, np.float64)[..., ::-1].clip(0) * unit**2


@jax.jit
def _gram(weights):
    weights = weights.astype(jnp.float32)
    return jnp.einsum("md,me->de", weights, weights, precision="highest")


@functools.partial(jax.jit, static_argnames=("size", "draws"))
def _drawn(gram, key, size: int, draws: int):
    """Nonzero eigenvalues [R, n] of the covariances over batches, ascending; one is rounding."""

    def of_batch(number):
        # Folded by size and number: other sizes and more draws leave these as they are.
        own = jax.random.fold_in(jax.random.fold_in(key, size), number)
        vectors = jax.random.normal(own, (size, gram.shape[0]))
        centred = vectors - vectors.mean(0, keepdims=True)
        product = jnp.einsum("id,de,je->ij", centred, gram, centred, precision="highest")
        return jnp.linalg.eigvalsh(product / (size - 1))

    return jax.vmap(of_batch)(jnp.arange(draws))
