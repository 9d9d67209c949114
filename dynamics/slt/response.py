"""How losses move together along a chain: covariances of per-item losses, and susceptibilities.

Axes: C chains, T draws after the burn-in, I and J items (or tokens) of two probe sets.
"""

from typing import NamedTuple

import numpy as np

from dynamics.errors import InputError
from dynamics.slt.llc import LLCEstimate


class Response(NamedTuple):
    """Values with standard errors between chains (nan for one chain)."""

    value: np.ndarray
    sem: np.ndarray


def loss_covariance(estimate: LLCEstimate, one: str, other: str | None = None) -> Response:
    """Covariance [I,J] along the chain of the losses of probe sets `one` and `other` (by default
    itself).

    Within chains, averaged over them: items whose losses rise and fall together are served by the
    same weights, the Bayesian influence function up to a factor -n beta (Kreer et al. 2025). Unit:
    loss squared.

    Raises:
        InputError: an unknown probe set; fewer than two draws.
    """
    a, b = (_losses(estimate, name) for name in (one, other or one))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    return _over_chains(np.einsum("cti,ctj->cij", a, b) / (a.shape[1] - 1))


def susceptibility(
    estimate: LLCEstimate, probe: str, reference: str, full: LLCEstimate | None = None
) -> Response:
    """chi_i = -Cov(L, l_i - L) along the chain, for the items i of `probe` (Baker et al. 2025,
    section 3).

    L is the mean loss of the probe set `reference`, which stands for the distribution sampled from.
    Times n beta it is the rate at which the restricted posterior's mean loss answers to a little of
    item i mixed into the data: with a mask, how that part of the model responds. `full`, an
    estimate of the whole model with the same probes, centres l_i - L there, as the paper's appendix
    C.4 does. Unit: loss squared; shape that of the probe's items.

    Raises:
        InputError: an unknown probe set; fewer than two draws.
    """
    items = _losses(estimate, probe)
    level = _losses(estimate, reference).mean(axis=2)  # [C,T]
    rise = level - level.mean(axis=1, keepdims=True)
    gap = items - level[:, :, None]
    chi = -np.einsum("ct,cti->ci", rise, gap) / (rise.shape[1] - 1)
    if full is not None:
        elsewhere = _losses(full, probe).mean((0, 1)) - _losses(full, reference).mean()
        excess = level.mean(axis=1) - _initial(estimate, reference)
        chi = chi + excess[:, None] * (elsewhere - gap.mean(axis=1))
    found = _over_chains(chi)
    shape = estimate.probes[probe].shape[2:]
    return Response(*(x.reshape(shape) for x in found))


def _losses(estimate: LLCEstimate, name: str) -> np.ndarray:
    """[C,T,items] after the burn-in, float64."""
    if name not in estimate.probes:
        raise InputError.unknown("probe set", name, estimate.probes)
    losses = np.asarray(estimate.probes[name], np.float64)[:, estimate.burn_in :]
    if losses.shape[1] < 2:
        raise InputError(
            f"{losses.shape[1]} draw after the burn-in", expected="at least 2 for a covariance"
        )
    return losses.reshape(*losses.shape[:2], -1)


def _initial(estimate: LLCEstimate, name: str) -> float:
    """Mean loss of a probe set at w*, which draw 0 is."""
    return float(np.mean(estimate.probes[name][0, 0], dtype=np.float64))


def _over_chains(values) -> Response:
    """Mean and standard error over the leading axis."""
    count = len(values)
    sem = (
        values.std(axis=0, ddof=1) / count**0.5 if count > 1 else np.full(values.shape[1:], np.nan)
    )
    return Response(values.mean(axis=0), sem)
