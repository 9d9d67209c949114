"""Hessian statistics of a loss: matrix-vector products, the trace, the extreme eigenvalues.

Axes: P parameters (all leaves flattened), M Lanczos steps, N probes, k eigenvalues of either end.
Units: loss (nats for a language model) per squared parameter.

Everything is a statement about the loss of one batch. The Hessian of a batch is that of the whole data plus sampling
noise, which biases the extreme eigenvalues outward: take the same batch at every checkpoint, and as large a one as a
few products allow. loss_fn(params, batch) is a mean, a scalar; build it once and pass the same object at every
checkpoint, because compiled programs are kept by its identity: a fresh lambda at each call compiles at each call.

`mask`, where given, is a pytree like params of 0 and 1, each leaf of its parameter's rank and broadcastable to it; the
statistics are then those of the block of the Hessian over the parameters at 1.
"""

import functools
import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from matfree import decomp

from dynamics.errors import InputError

_BLOCK = 16  # probes of one compiled call, between two looks at the standard error
_KEPT = 64  # compiled programs kept


class ExtremeEigenvalues(NamedTuple):
    """Both ends of the spectrum, signed, float64, each with the bound on its distance to an eigenvalue."""

    largest: np.ndarray  # [k] descending
    smallest: np.ndarray  # [k] ascending
    largest_error: np.ndarray  # [k]
    smallest_error: np.ndarray  # [k]


def hvp(loss_fn, params, batch, vector):
    """The Hessian of params -> loss_fn(params, batch) times `vector`; a pytree like params (Pearlmutter 1994).

    Forward over reverse: the cost of about two gradients, and of their memory. `vector` has the dtypes of params.
    """
    with jax.default_matmul_precision("highest"):
        return jax.jvp(jax.grad(lambda p: loss_fn(p, batch)), (params,), (vector,))[1]


def hessian_trace(
    loss_fn,
    params,
    batch,
    key,
    *,
    num_samples=None,
    min_samples=32,
    max_samples=1024,
    relative_sem=0.02,
    at_once=1,
    mask=None,
) -> tuple[float, float]:
    """The trace and its standard error, over the Rademacher probes alone (Hutchinson 1990): the batch is held fixed.

    The mean of v'Hv over vectors v of random signs, variance 2 sum_{i != j} H_ij^2 each: exact for a diagonal Hessian.
    Probe n is drawn from (key, n, leaf), so a longer run repeats the shorter one's probes.

    Args:
        loss_fn: see the module's head; so `batch`, a pytree of arrays, and `mask`.
        key: a typed PRNG key.
        num_samples: take just so many probes. Otherwise they go on in blocks of 16 until there are `min_samples` and
            the standard error is `relative_sem` of the mean, and no further than `max_samples`: a trace near zero by
            cancellation never gets there, and its standard error says so.
        at_once: probes vmapped together; each holds a gradient's activations.

    Returns:
        (mean, standard error), in units of the loss.

    Raises:
        InputError: fewer than two probes; a non-finite product, by leaf.
    """
    least, most = (min_samples, max_samples) if num_samples is None else (num_samples, num_samples)
    _check_probes(least, most, at_once)
    params, values = _as_float(params), np.zeros(0)
    quadratic_forms = _quadratic_forms_fn(loss_fn, min(at_once, _BLOCK))
    while True:
        block = quadratic_forms(params, batch, key, mask, len(values) + np.arange(_BLOCK, dtype=np.uint32))
        values = np.append(values, np.asarray(block, np.float64))[:most]
        if not np.isfinite(values).all():
            _refuse_nonfinite(loss_fn, params, batch, key, mask)
        mean, sem = values.mean(), values.std(ddof=1) / len(values) ** 0.5
        if len(values) >= most or (len(values) >= least and sem <= relative_sem * abs(mean)):
            return float(mean), float(sem)


def extreme_eigenvalues(
    loss_fn, params, batch, key, k: int = 1, num_matvecs: int | None = None, *, mask=None
) -> ExtremeEigenvalues:
    """The k largest and k smallest eigenvalues, signed: Lanczos from one random start (Golub & Van Loan 2013, ch. 10).

    The basis is reorthogonalised in full, or converged eigenvalues come back as ghosts; it takes 4 P M bytes, 5.6 GB
    for 20 steps at 70m parameters. The error is the residual bound beta_M |s_M|: some eigenvalue lies as near as that,
    but for float32 rounding of about 1e-6 of the largest |eigenvalue|. It does not say that none was missed:
    eigenvalues that repeat exactly are seen once, more often only by the grace of rounding.

    Args:
        loss_fn: see the module's head; so `batch`, a pytree of arrays, and `mask`.
        key: a typed PRNG key, of the start vector.
        k: eigenvalues at either end.
        num_matvecs: Lanczos steps M, a Hessian product each; by default 64, or P where that is less.

    Raises:
        InputError: k over num_matvecs, or num_matvecs over the number of parameters (that the mask leaves); fewer than
            k distinct eigenvalues; a non-finite product, by leaf.
    """
    params = _as_float(params)
    size = _size(params, mask)
    steps = min(64, size) if num_matvecs is None else num_matvecs
    if not 1 <= k <= steps <= size:
        raise InputError(
            f"k = {k} eigenvalues from num_matvecs = {steps} products with {size} parameters",
            expected="1 <= k <= num_matvecs <= parameters",
        )
    alphas, betas = map(np.asarray, _lanczos_fn(loss_fn, steps)(params, batch, key, mask))
    if not np.isfinite(alphas).all():
        _refuse_nonfinite(loss_fn, params, batch, key, mask)
    found = _invariant(alphas, betas)
    if found < k:
        raise InputError(f"k = {k} of a Hessian with {found} distinct eigenvalues", expected=f"k of at most {found}")
    return _ritz(alphas[:found].astype(np.float64), betas[:found].astype(np.float64), k)


def _invariant(alphas, betas) -> int:
    """Steps before the residual vanished, if it did: they span an invariant subspace, and what follows is rounding."""
    finite = np.isfinite(alphas)
    scale = max(np.abs(alphas[finite]).max(), np.abs(betas[np.isfinite(betas)]).max())
    vanished = ~(betas > np.finfo(betas.dtype).eps * scale)
    return int(np.argmax(vanished)) + 1 if vanished.any() else len(alphas)


def _ritz(alphas, betas, k: int) -> ExtremeEigenvalues:
    """Both ends of the tridiagonal matrix of diagonal alphas [M] and residual norms betas [M], the last left over."""
    tridiagonal = np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1)
    values, vectors = np.linalg.eigh(tridiagonal)  # ascending
    errors = np.abs(betas[-1] * vectors[-1])
    return ExtremeEigenvalues(values[::-1][:k], values[:k], errors[::-1][:k], errors[:k])


@functools.lru_cache(maxsize=_KEPT)
def _quadratic_forms_fn(loss_fn, at_once: int):
    """v'Hv of the probes numbered `indices` [N] -> [N]."""

    @jax.jit
    def quadratic_forms(params, batch, key, mask, indices):
        def of_probe(index):
            probe = _restrict(_draw(jax.random.rademacher, jax.random.fold_in(key, index), params), mask)
            products = jax.tree.map(lambda v, hv: (v * hv).sum(), probe, hvp(loss_fn, params, batch, probe))
            return sum(jax.tree.leaves(products))

        return jax.lax.map(of_probe, indices, batch_size=at_once)

    return quadratic_forms


@functools.lru_cache(maxsize=_KEPT)
def _lanczos_fn(loss_fn, num_matvecs: int):
    """Lanczos coefficients of M steps: the diagonal [M], and the norm of the residual after each [M]."""
    # What matfree's tridiag_sym runs too; but that one averages the matrix with its transpose, and where a residual
    # vanishes the entry above the diagonal is an inner product of nearly parallel vectors: 2 I then reads 3 and 1.
    arnoldi = decomp.hessenberg(num_matvecs, reortho="full", custom_vjp=False)

    @jax.jit
    def lanczos(params, batch, key, mask):
        start, unravel = ravel_pytree(_restrict(_draw(jax.random.normal, key, params), mask))

        def product(vector):
            return ravel_pytree(_restrict(hvp(loss_fn, params, batch, unravel(vector)), mask))[0]

        with jax.default_matmul_precision("highest"):
            result = arnoldi(product, start)
            last, small = jnp.linalg.norm(result.residual), jnp.asarray(result.J_small)
        return jnp.diagonal(small), jnp.append(jnp.diagonal(small, -1), last)

    return lanczos


def _draw(sampler, key, params):
    """A random vector like params, each leaf from a key folded from its path."""

    def of_leaf(path, leaf):
        name = zlib.crc32(jax.tree_util.keystr(path).encode())
        return sampler(jax.random.fold_in(key, name), leaf.shape, leaf.dtype)

    return jax.tree_util.tree_map_with_path(of_leaf, params)


def _restrict(vector, mask):
    return vector if mask is None else jax.tree.map(lambda v, m: v * jnp.asarray(m, v.dtype), vector, mask)


def _as_float(params):
    """Params on the device, half precision widened: second derivatives of rounded numbers are noise.

    Refuses non-finite ones here, where the leaf at fault is known: one of them taints the products of all the others,
    or of none.
    """
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.promote_types(jnp.result_type(p), jnp.float32)), params)
    _check_finite("params", params)
    return params


def _size(params, mask) -> int:
    if mask is None:
        return sum(leaf.size for leaf in jax.tree.leaves(params))
    counts = jax.tree.map(lambda p, m: p.size // np.size(m) * np.count_nonzero(m), params, mask)
    return sum(map(int, jax.tree.leaves(counts)))


def _check_probes(least: int, most: int, at_once: int):
    if not 2 <= least <= most or at_once < 1:
        raise InputError(
            f"{least} to {most} probes, {at_once} at once", expected="at least 2, or there is no standard error"
        )


def _refuse_nonfinite(loss_fn, params, batch, key, mask):
    """Raises InputError if the Hessian's product with a random vector is not finite."""
    product = hvp(loss_fn, params, batch, _restrict(_draw(jax.random.normal, key, params), mask))
    _check_finite("Hessian products", product, f", the loss being {float(loss_fn(params, batch)):.4g}")


def _check_finite(kind: str, tree, context: str = ""):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    names = [jax.tree_util.keystr(p, simple=True, separator="/") for p, x in leaves if not jnp.isfinite(x).all()]
    if names:
        listing = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise InputError(
            f"non-finite {kind} in {len(names)} of {len(leaves)} leaves ({listing}){context}",
            expected="finite curvature",
            mend="Look at the checkpoint and at the batch: the run may have diverged by this step.",
        )
