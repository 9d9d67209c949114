"""How much of an estimate the pull to w* decides: d ln llc / d ln gamma.

Axes: C chains, T draws after the burn-in.

On a quadratic the exponent is the mean of -gamma / (n beta h + gamma) over directions, weighted by
what each adds to the LLC: -1 where the pull rules, 0 where the landscape does. Two runs with common
noise measure it; the traces of one run bound it.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.slt.diagnostics import SURE
from dynamics.slt.quadratic import pull_exponent
from dynamics.slt.samplers.base import Constants, Sampler

HELD_FROM = 0.5  # |exponent| from which an estimate is held by the pull

PerChain = Float[np.ndarray, " C"]


class PullExponent(NamedTuple):
    """What twice the pull does to an estimate."""

    value: float = math.nan  # log2 of the ratio; nan unless both are surely above 0
    sem: float = math.nan  # between chains, paired
    change: float = math.nan  # the plain change of the LLC; nan where it was not measured
    change_sem: float = math.nan
    bound: float = math.nan  # |exponent| is at least this on a quadratic, by the traces alone

    @property
    def holds(self) -> bool:
        """Whether the exponent is surely beyond -1/2: the pull decides most of the estimate."""
        if math.isnan(self.value):
            return self.bound > HELD_FROM
        error = 0.0 if math.isnan(self.sem) else self.sem
        return self.value + SURE * error < -HELD_FROM


def doubled(sampler: Sampler) -> Sampler:
    """The sampler with twice gamma and half the draws after the burn-in."""
    drawn = sampler.num_draws - sampler.burn_in
    return dataclasses.replace(
        sampler,
        localization=2 * sampler.localization,
        num_draws=sampler.burn_in + math.ceil(drawn / 2),
    )


def measured(per_chain: PerChain, per_chain_doubled: PerChain) -> PullExponent:
    """The exponent from estimates of the same chains over the same draws, at gamma and twice it."""
    changes = per_chain_doubled - per_chain
    exponent = PullExponent(change=float(changes.mean()), change_sem=_sem(changes))
    if not all(surely_positive(values) for values in (per_chain, per_chain_doubled)):
        return exponent
    value, sem = pull_exponent(per_chain, per_chain_doubled)
    return exponent._replace(value=value, sem=sem)


def bound(
    grad_norm: Float[np.ndarray, "C draws"], per_chain: PerChain, constants: Constants, burn_in: int
) -> float:
    """The least |exponent| that gradients allow on a quadratic, by three standard errors.

    With weights p_i of what direction i adds to the LLC the exponent is E_p[gamma / a], and r = n
    beta^2 E|g|^2 / (2 gamma llc) is E_p[a / gamma] - 1; by Jensen's inequality the first is at
    least 1 / (1 + r). The bias of a step weakens a stiff direction's answer to gamma, by a ninth at
    epsilon a = 0.4. It is for whole-data batches: the noise of others is in |g|^2 too. A gradient
    at w*, draw 0's, is taken off.

    Args:
        grad_norm: |gradient| of every draw, burn-in included.
        per_chain: the estimate of each chain.
        constants: of the sampler.
        burn_in: draws that no estimate uses.

    Returns:
        nan where the LLC is not surely positive or there is no pull.
    """
    if constants.localization == 0 or not surely_positive(per_chain):
        return math.nan
    squares = np.square(grad_norm.astype(np.float64))
    rise = squares[:, burn_in:].mean(1) - squares[:, 0]
    ratio = constants.nbeta**2 * rise / (2 * constants.localization * per_chain.mean())
    error = np.nan_to_num(_sem(ratio))
    return float(1 / (1 + max(0.0, ratio.mean() + SURE * error)))


def bound_by_offset(
    projections: Float[np.ndarray, "C draws K"], constants: Constants, heat: float
) -> float:
    """The least |exponent| that the offset along gradients of batches allows, by three errors.

    Such gradients weigh direction i by its curvature, so gamma E y^2 of the offset y along one of
    length 1 is the mean of gamma / a over directions with the weights h. The exponent's weights are
    h / a. These favour small h, where gamma / a is larger: the exponent is no smaller.

    Args:
        projections: of the draws after the burn-in.
        constants: of the sampler.
        heat: by which share minibatch noise widens the offset along such a gradient.

    Returns:
        nan where there is no pull.
    """
    if constants.localization == 0:
        return math.nan
    squares = np.square(projections.astype(np.float64)).mean((1, 2))  # of each chain
    share = constants.localization * squares / (1 + heat)
    return float(np.clip(share.mean() - SURE * np.nan_to_num(_sem(share)), 0, 1))


def surely_positive(per_chain: PerChain) -> bool:
    """Whether the mean over chains is above 0 by three standard errors."""
    error = _sem(per_chain)
    return bool(per_chain.mean() > SURE * (0.0 if math.isnan(error) else error))


def _sem(values: PerChain) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
