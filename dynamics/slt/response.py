"""How losses move together along a chain: covariances of per-item losses, and susceptibilities.

Axes: C chains, T draws after the burn-in, I and J items (or tokens) of two probe sets.
"""

from typing import NamedTuple

import chex
import numpy as np
from jaxtyping import Float64

from dynamics.errors import InputError
from dynamics.slt.estimate import LLCEstimate


class Response(NamedTuple):
    """Values with standard errors between chains (nan for one chain)."""

    value: Float64[np.ndarray, "*items"]
    sem: Float64[np.ndarray, "*items"]


def loss_covariance(estimate: LLCEstimate, first: str, second: str | None = None) -> Response:
    """Covariance [I,J] along the chain of the losses of two probe sets.

    It is taken within chains and averaged over them. Items whose losses rise and fall together are
    served by the same weights: up to a factor -n beta this is the Bayesian influence function
    (Kreer et al. 2025). Unit: loss squared.

    Args:
        estimate: made with these probe sets.
        first, second: names of probe sets; `second` is by default `first`.

    Raises:
        InputError: an unknown probe set; fewer than two draws.

    Example:
        Two items that pull a weight in opposite directions:

        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def per_item(w, x):
        ...     return (w - x) ** 2 / 2
        >>> def loss(w, x):
        ...     return per_item(w, x).mean()
        >>> sampler = slt.SGLD(
        ...     step_size=1e-3, nbeta=100.0, localization=1.0,
        ...     num_chains=4, num_draws=500, burn_in=100
        ... )
        >>> estimate = slt.estimate_llc(
        ...     loss, jnp.zeros(1), np.array([-1.0, 1.0]), jax.random.key(0), sampler,
        ...     per_item_fn=per_item,
        ... )
        >>> np.sign(slt.loss_covariance(estimate, "data").value)
        array([[ 1., -1.],
               [-1.,  1.]])
    """
    a, b = (_item_losses(estimate, name) for name in (first, second or first))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    return _over_chains(np.einsum("cti,ctj->cij", a, b) / (a.shape[1] - 1))


def susceptibility(
    estimate: LLCEstimate, probe: str, reference: str, full: LLCEstimate | None = None
) -> Response:
    """chi_i = -Cov(L, l_i - L) along the chain, for the items i of `probe`.

    Baker et al. (2025), section 3. L is the mean loss of the probe set `reference`, which stands
    for the distribution that the model is sampled on. n beta times chi_i is the rate at which the
    posterior's mean loss answers to a little of item i mixed into the data. With a mask it says how
    that part of the model responds. Unit: loss squared; the shape is that of the probe's items.

    Args:
        estimate: made with both probe sets, often with a mask.
        probe, reference: names of probe sets.
        full: an estimate of the whole model with the same probes, around whose mean l_i - L is
            centred, as appendix C.4 of Baker et al. does; by default around that of `estimate`.

    Raises:
        InputError: an unknown probe set; fewer than two draws.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def per_item(w, x):
        ...     return (w - x) ** 2 / 2
        >>> def loss(w, x):
        ...     return per_item(w, x).mean()
        >>> sampler = slt.SGLD(
        ...     step_size=1e-3, nbeta=100.0, localization=1.0,
        ...     num_chains=4, num_draws=500, burn_in=100
        ... )
        >>> estimate = slt.estimate_llc(
        ...     loss, jnp.zeros(1), np.array([-1.0, 0.0, 1.0]), jax.random.key(0), sampler,
        ...     per_item_fn=per_item,
        ... )
        >>> response = slt.susceptibility(estimate, probe="data", reference="data")
        >>> response.value.shape, bool(abs(response.value.sum()) < 1e-6)  # the items are the whole
        ((3,), True)
    """
    items = _item_losses(estimate, probe)
    level = _item_losses(estimate, reference).mean(axis=2)  # [C,T]
    rise = level - level.mean(axis=1, keepdims=True)
    gap = items - level[:, :, None]
    chi = -np.einsum("ct,cti->ci", rise, gap) / (rise.shape[1] - 1)
    if full is not None:
        full_items = _item_losses(full, probe)
        chex.assert_equal(full_items.shape[2:], items.shape[2:])  # one item would broadcast
        center = full_items.mean((0, 1)) - _item_losses(full, reference).mean()
        excess = level.mean(axis=1) - _loss_at_start(estimate, reference)
        chi = chi + excess[:, None] * (center - gap.mean(axis=1))
    value, sem = _over_chains(chi)
    shape = estimate.probes[probe].shape[2:]
    return Response(value.reshape(shape), sem.reshape(shape))


def _item_losses(estimate: LLCEstimate, name: str) -> np.ndarray:
    """[C,T,items] after the burn-in, float64."""
    if name not in estimate.probes:
        raise InputError.unknown("probe set", name, estimate.probes)
    losses = np.asarray(estimate.probes[name], np.float64)[:, estimate.burn_in :]
    if losses.shape[1] < 2:
        raise InputError(
            f"{losses.shape[1]} draw after the burn-in", expected="at least 2 for a covariance"
        )
    return losses.reshape(*losses.shape[:2], -1)


def _loss_at_start(estimate: LLCEstimate, name: str) -> float:
    """Mean loss of a probe set at w*, which draw 0 is."""
    return float(np.mean(estimate.probes[name][0, 0], dtype=np.float64))


def _over_chains(values) -> Response:
    """Mean and standard error over the leading axis."""
    count = len(values)
    sem = (
        values.std(axis=0, ddof=1) / count**0.5 if count > 1 else np.full(values.shape[1:], np.nan)
    )
    return Response(values.mean(axis=0), sem)
