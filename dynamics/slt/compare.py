"""Two estimates compared, and one estimate's dependence on step size and localization.

Axes: C chains.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from dynamics.errors import InputError
from dynamics.slt import stability
from dynamics.slt.baseline import sem
from dynamics.slt.batches import LossFn
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.llc import estimate_llc
from dynamics.slt.samplers.base import Sampler


class Difference(NamedTuple):
    """The second of two estimates minus the first."""

    llc: float
    sem: float  # between chains, paired where the numbers agree, and of a shared l(w*)


def difference(first: LLCEstimate, second: LLCEstimate) -> Difference:
    """lambda of `second` minus that of `first`, with its standard error.

    With the same key for both, chain c has the same noise and batches in each, and pairing the
    chains removes what that noise does to both. Chains without a common key lose nothing by being
    paired.

    Raises:
        InputError: estimates of different posteriors: another n beta, gamma, epsilon, sampler, box,
            units, thinning or number of free weights.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, curvatures):
        ...     return 0.5 * jnp.sum(curvatures.mean(0) * w**2)
        >>> sampler = slt.SGLD(
        ...     step_size=1e-3, nbeta=100.0, localization=1.0,
        ...     num_chains=20, num_draws=500, burn_in=100
        ... )
        >>> valley, bowl = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 1.0, 1.0]])
        >>> first, second = (
        ...     slt.estimate_llc(loss, jnp.zeros(3), curvatures, jax.random.key(0), sampler)
        ...     for curvatures in (valley, bowl)
        ... )
        >>> change = slt.difference(first, second)
        >>> abs(change.llc - 0.5) < 0.15, change.sem < second.sem  # one more direction; paired
        (True, True)
    """
    settings, others = _settings(first), _settings(second)
    unlike = [name for name in settings if settings[name] != others[name]]
    if unlike:
        listing = ", ".join(f"{name} {settings[name]!r} and {others[name]!r}" for name in unlike)
        raise InputError(
            f"estimates with {listing}",
            expected="one setting: values at different ones are estimates of different things",
            mend="Estimate both again with one sampler.",
        )
    change = second.llc - first.llc
    if len(first.per_chain) != len(second.per_chain):
        errors = first.sem, first.shared_sem, second.sem, second.shared_sem
        return Difference(change, math.hypot(*errors))
    shared = 0.0
    if first.shared_sem:  # of the drawn l(w*), which draw 0 is
        shared = first.nbeta * sem(second.loss_trace[:, 0] - first.loss_trace[:, 0])
    return Difference(change, math.hypot(sem(second.per_chain - first.per_chain), shared))


def _settings(estimate: LLCEstimate) -> dict[str, object]:
    """Everything that two comparable estimates share."""
    return {
        "sampler": type(estimate.sampler).__name__,
        "nbeta": estimate.nbeta,
        "localization": estimate.localization,
        "step_size": estimate.step_size,
        "box": estimate.sampler.box,
        "scale_by": estimate.sampler.scale_by,
        "thinning": estimate.sampler.thinning,
        "free weights": estimate.num_free,
    }


class Sensitivity(NamedTuple):
    """What an estimate becomes with half the step, and with twice the pull."""

    estimate: LLCEstimate
    half_step: LLCEstimate  # epsilon / 2, twice the steps between draws: the same time
    double_pull: LLCEstimate  # 2 gamma
    step_effect: float  # (half_step - estimate) / |estimate|: about minus the step's bias
    step_effect_sem: float  # with the error of the estimate that it is divided by
    pull_effect: float  # (double_pull - estimate) / |estimate|: near 0 where gamma hardly matters
    pull_effect_sem: float


def sensitivity(
    loss_fn: LossFn,
    params: PyTree[Float[Array, "..."]],
    data: PyTree,
    key: Key[Array, ""],
    sampler: Sampler,
    *,
    mask: PyTree | None = None,
    probes: Mapping[str, PyTree] | None = None,
    per_item_fn: Callable[[PyTree, PyTree], Float[Array, "..."]] | None = None,
    trivial_loss: float | None = None,
    top_eigenvalue: float | stability.SpectrumEnds | Literal["measure"] | None = "measure",
    on_unstable: Literal["refuse", "report"] = "refuse",
    mesh: jax.sharding.Mesh | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sensitivity:
    """Three estimates with one key: as set, with half the step, with twice the pull.

    It costs four times one estimate. Arguments and errors are those of `estimate_llc`; the two
    variants are never refused as unstable.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     return 0.5 * jnp.sum(w**2)
        >>> sampler = slt.SGLD(
        ...     step_size=1e-3, nbeta=100.0, localization=100.0, num_chains=20, num_draws=200
        ... )
        >>> data = np.zeros((2, 1), np.float32)  # this loss ignores it
        >>> effects = slt.sensitivity(loss, jnp.zeros(3), data, jax.random.key(0), sampler)
        >>> effects.pull_effect < -0.2  # here the pull is as strong as the curvature
        True
    """
    estimate = functools.partial(
        estimate_llc,
        loss_fn,
        params,
        data,
        key,
        mask=mask,
        probes=probes,
        per_item_fn=per_item_fn,
        trivial_loss=trivial_loss,
        top_eigenvalue=top_eigenvalue,
        mesh=mesh,
        progress=progress,
    )
    as_set = estimate(sampler=sampler, on_unstable=on_unstable)
    finer = dataclasses.replace(
        sampler, step_size=sampler.step_size / 2, thinning=2 * sampler.thinning
    )
    tighter = dataclasses.replace(sampler, localization=2 * sampler.localization)
    half_step = estimate(sampler=finer, on_unstable="report")
    double_pull = estimate(sampler=tighter, on_unstable="report")
    step_effect, step_effect_sem = _relative_change(as_set, half_step, paired=False)
    pull_effect, pull_effect_sem = _relative_change(as_set, double_pull, paired=True)
    return Sensitivity(
        estimate=as_set,
        half_step=half_step,
        double_pull=double_pull,
        step_effect=step_effect,
        step_effect_sem=step_effect_sem,
        pull_effect=pull_effect,
        pull_effect_sem=pull_effect_sem,
    )


def _relative_change(first: LLCEstimate, second: LLCEstimate, paired: bool) -> tuple[float, float]:
    """(second - first) / |first| and its standard error, to first order in both estimates' errors.

    Chains of another step size take other steps with the same noise, so pairing gains nothing. An
    l(w*) that all chains share is the same draw in both, so its error leaves the difference alone
    and is in what the difference is divided by.
    """
    size = abs(first.llc) or math.nan
    change = (second.llc - first.llc) / size
    ratio = 1 + change * np.sign(first.llc)  # second over first
    if paired:
        own = sem(second.per_chain - ratio * first.per_chain)
    else:
        own = math.hypot(second.sem, ratio * first.sem)
    error = math.hypot(own, change * first.shared_sem)
    return change, float(np.divide(error, size))
