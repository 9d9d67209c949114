"""Two estimates side by side, and one estimate's dependence on the settings that should not matter.

Axes: C chains.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from dynamics.errors import InputError
from dynamics.slt.baseline import sem
from dynamics.slt.llc import LLCEstimate, estimate_llc
from dynamics.slt.plan import Plan

SETTINGS = ("nbeta", "localization", "step_size", "box", "scale_by", "thinning")


class Difference(NamedTuple):
    """Of two estimates, `other` minus `one`."""

    llc: float
    sem: float  # between chains, paired where both have as many, and of an l(w*) that all chains share


def difference(one: LLCEstimate, other: LLCEstimate) -> Difference:
    """lambda of `other` minus that of `one`. With one key for both, chain c of each has the same
    noise and batches, and pairing them removes what that noise does to both; chains without a
    common key lose nothing by being paired.

    Raises:
        InputError: estimates of different posteriors: another n beta, gamma, epsilon, sampler, box
            or units.
    """
    unlike = [f"{name} {a!r} and {b!r}" for name, a, b in _settings(one, other) if a != b]
    if unlike:
        raise InputError(
            f"estimates with {', '.join(unlike)}",
            expected="one setting: values at different ones are estimates of different things",
            mend="Estimate both again with one sampler.",
        )
    if len(one.per_chain) == len(other.per_chain):
        shared = (
            one.nbeta * sem(other.loss_trace[:, 0] - one.loss_trace[:, 0])
            if one.shared_sem
            else 0.0
        )
        return Difference(
            other.llc - one.llc, math.hypot(sem(other.per_chain - one.per_chain), shared)
        )
    errors = one.sem, one.shared_sem, other.sem, other.shared_sem
    return Difference(other.llc - one.llc, math.hypot(*errors))


def _settings(one: LLCEstimate, other: LLCEstimate):
    """(name, value, value) of everything that two comparable estimates share."""
    yield "sampler", type(one.sampler).__name__, type(other.sampler).__name__
    for name in SETTINGS:
        pair = [getattr(found, name, getattr(found.sampler, name, None)) for found in (one, other)]
        yield name, *pair
    yield "free weights", one.num_free, other.num_free


class Sensitivity(NamedTuple):
    """What an estimate becomes with half the step, and with twice the pull."""

    estimate: LLCEstimate
    half_step: LLCEstimate  # epsilon / 2, twice the steps between draws: the same time
    double_pull: LLCEstimate  # 2 gamma
    step_effect: float  # (half_step - estimate) / |estimate|; about minus the bias of the step size
    step_effect_sem: float
    pull_effect: float  # (double_pull - estimate) / |estimate|; near 0 where the pull does not shape the answer
    pull_effect_sem: float


def sensitivity(loss_fn, params, data, key, sampler: Plan, **options) -> Sensitivity:
    """Three estimates with one key; arguments as in `llc.estimate_llc`. Costs four times one of
    them."""
    known = {**options, "on_unstable": "report"}
    here = estimate_llc(loss_fn, params, data, key, sampler, **options)
    half = dataclasses.replace(
        sampler, step_size=sampler.step_size / 2, thinning=2 * sampler.thinning
    )
    pulled = dataclasses.replace(sampler, localization=2 * sampler.localization)
    half_step, double_pull = (
        estimate_llc(loss_fn, params, data, key, s, **known) for s in (half, pulled)
    )
    return Sensitivity(
        here,
        half_step,
        double_pull,
        *_relative(here, half_step, paired=False),
        *_relative(here, double_pull),
    )


def _relative(one: LLCEstimate, other: LLCEstimate, paired: bool = True) -> tuple[float, float]:
    scale = abs(one.llc) or math.nan
    error = sem(other.per_chain - one.per_chain) if paired else math.hypot(one.sem, other.sem)
    return (other.llc - one.llc) / scale, float(np.divide(error, scale))
