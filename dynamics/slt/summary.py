"""From finished traces to an estimate: means after the burn-in, errors, diagnostics, verdict.

Axes: C chains.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from dynamics.errors import InputError
from dynamics.slt import (
    baseline,
    batches,
    bias,
    centers,
    diagnostics,
    downhill,
    gradient,
    pull,
    stability,
    verdict,
)
from dynamics.slt.batches import LossFn
from dynamics.slt.chain import Traces
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.landscape import Landscape
from dynamics.slt.samplers.base import Constants, Sampler
from dynamics.slt.target import Outcome


def summarise(
    loss_fn: LossFn,
    params: PyTree,
    data: PyTree,
    key: Key[Array, ""],
    sampler: Sampler,
    traces: Traces,
    *,
    mask: PyTree | None = None,
    trivial_loss: float | None = None,
    top_eigenvalue: "float | stability.SpectrumEnds | None" = None,
    landscape: Landscape | None = None,
    doubled: Traces | None = None,
    target: Outcome | None = None,
) -> LLCEstimate:
    """The estimate from finished traces, such as those of a resumed run of `segments`.

    Args:
        traces: of all draws of all chains.
        loss_fn, params, data, key, sampler, mask, trivial_loss, top_eigenvalue, landscape: as
            in `estimate_llc`.
        doubled: traces of the same chains under `pull.doubled(sampler)`, where they were run.
        target: what came of a stated error, where there was one.

    Raises:
        InputError: traces of another sampler or of an unfinished run.
    """
    _check_shape(sampler, traces)
    constants = sampler.constants(batches.num_items(data))
    means = _means(loss_fn, params, data, sampler, traces, constants)
    ends = stability.as_ends(top_eigenvalue) if landscape is None else landscape.ends
    bound = stability.assess_stability(constants, ends, sampler.bias_factor)
    units = centers.units(centers.as_float32(params), mask, sampler.scale_by)
    start = gradient.at_start(loss_fn, params, data, key, sampler, units.scale)
    biases = bias.of_run(
        sampler, constants, traces, start, means.llc, centers.num_free(params, mask)
    )
    exponent = _pull_exponent(loss_fn, params, data, sampler, means.excess, doubled)
    exponent = exponent._replace(
        bound=_pull_bound(sampler, traces, means.per_chain, start, constants)
    )
    along = functools.partial(
        downhill.curvature_along, loss_fn, params, data, sampler, units, start
    )
    drop = functools.partial(
        downhill.most_lowered,
        constants,
        sampler,
        traces,
        start,
        along if landscape is None else lambda: landscape.slope,
    )
    places = _places(params, mask, sampler, traces, constants, ends)
    judged = _judged(means, places, biases, exponent, bound, drop, trivial_loss, ends is None)
    return LLCEstimate(
        llc=means.llc,
        sem=means.sem,
        shared_sem=means.shared_sem,
        per_chain=means.per_chain,
        loss_trace=traces.loss,
        baseline_trace=means.reference.trace,
        init_loss=means.reference.loss,
        init_loss_sem=means.reference.sem,
        distance=traces.distance,
        offset=traces.offset,
        grad_norm=traces.grad_norm,
        drift_norm=traces.drift,
        pull_norm=traces.pull,
        noise_norm=traces.noise,
        acceptance=means.acceptance,
        probes=traces.probes,
        init_norm=places.init_norm,
        num_free=places.num_free,
        rhat=means.mixing.rhat,
        ess=means.mixing.ess,
        loss_rhat=means.mixing.loss_rhat,
        loss_ess=means.mixing.loss_ess,
        bias=biases,
        pull_exponent=exponent,
        target=target,
        verdict=judged,
        stability=bound,
        sampler=sampler,
        nbeta=constants.nbeta,
        localization=constants.localization,
        step_size=constants.step_size,
    )


def _check_shape(sampler: Sampler, traces: Traces):
    if traces.loss.shape != (sampler.num_chains, sampler.num_draws):
        raise InputError(
            f"traces of shape {traces.loss.shape}",
            expected=f"{sampler.num_chains} chains with {sampler.num_draws} draws each",
        )


class _Means(NamedTuple):
    """Means over the draws after the burn-in, with their errors."""

    reference: baseline.Baseline
    excess: np.ndarray  # [C,T] of the loss over l(w*)
    per_chain: np.ndarray  # [C]
    llc: float
    sem: float  # between chains
    shared_sem: float  # of an l(w*) that all chains share
    within_sem: float  # by the scatter over effective draws
    chain_loss: float
    acceptance: float
    mixing: diagnostics.Mixing

    @property
    def error(self) -> float:
        """A single chain has no other to be compared with: its own scatter serves."""
        own = self.sem if len(self.per_chain) > 1 else self.within_sem
        return math.hypot(own, self.shared_sem)

    @property
    def cautious_error(self) -> float:
        """A few chains may agree by chance: the largest of three errors."""
        return max(self.error, self.within_sem, self.mixing.place_error * abs(self.llc))


def _means(loss_fn, params, data, sampler: Sampler, traces: Traces, constants: Constants) -> _Means:
    reference = baseline.of_run(loss_fn, params, data, sampler, traces)
    drawn = slice(sampler.burn_in, None)
    excess = traces.loss[:, drawn].astype(np.float64) - reference.trace[:, drawn]
    per_chain = constants.nbeta * excess.mean(axis=1)
    projections = None if traces.projections is None else traces.projections[:, drawn]
    mixing = diagnostics.mixing(excess, traces.offset[:, drawn], projections)
    within_sem = constants.nbeta * float(np.nan_to_num(excess.std() / math.sqrt(mixing.loss_ess)))
    return _Means(
        reference=reference,
        excess=excess,
        per_chain=per_chain,
        llc=float(per_chain.mean()),
        sem=baseline.sem(per_chain),
        shared_sem=constants.nbeta * reference.shared,
        within_sem=within_sem,
        chain_loss=float(traces.loss[:, drawn].mean(dtype=np.float64)),
        acceptance=float(traces.acceptance[:, drawn].mean(dtype=np.float64)),
        mixing=mixing,
    )


class _Places(NamedTuple):
    """Where the chains were, against w*."""

    init_norm: float  # |w*|
    num_free: int
    relative_distance: float
    localization_share: float
    stuck: bool
    far: bool  # beyond the radius of the chains' own quadratic


def _places(params, mask, sampler: Sampler, traces: Traces, constants: Constants, ends) -> _Places:
    init_norm, num_free = _norm(params), centers.num_free(params, mask)
    drawn = slice(sampler.burn_in, None)
    distance, offset = (x[:, drawn].astype(np.float64) for x in (traces.distance, traces.offset))
    own_radius = stability.own_radius(ends, constants, num_free)
    return _Places(
        init_norm=init_norm,
        num_free=num_free,
        relative_distance=float(distance.mean() / init_norm) if init_norm else math.inf,
        localization_share=float(constants.localization * np.square(offset).mean() / num_free),
        stuck=verdict.stuck(traces.acceptance[:, drawn], offset, sampler.thinning),
        far=bool(_farthest(offset) > verdict.FAR * own_radius),
    )


def _judged(
    means: _Means,
    places: _Places,
    biases: bias.Bias,
    exponent: pull.PullExponent,
    bound: stability.Stability,
    drop: Callable[..., float],
    trivial_loss: float | None,
    stability_unknown: bool,
) -> verdict.Verdict:
    """The verdict; `drop`(at_least=, surely=) is what the gradient at w* may take off."""
    llc, reference = means.llc, means.reference
    negative = verdict.surely_negative(llc, means.error)
    size = max(abs(llc), means.cautious_error)
    return verdict.judge(
        llc=llc,
        locality=verdict.judge_locality(
            means.chain_loss, reference.loss, reference.sem, trivial_loss
        ),
        descent=verdict.explain_descent(llc, drop(at_least=abs(llc) / 2)) if negative else None,
        mixing=means.mixing,
        stability=bound,
        init_loss=reference.loss,
        chain_loss=means.chain_loss,
        trivial_loss=trivial_loss,
        relative_distance=places.relative_distance,
        localization_share=places.localization_share,
        stuck=places.stuck,
        held_by_pull=exponent.holds and not negative,  # then the gradient decides
        lowered_by_gradient=not negative and drop(at_least=size / 2, surely=True) > size / 2,
        far=places.far,
        heated=bias.matters(biases.noise, llc, means.cautious_error),
        biased=bias.matters(biases.step, llc, means.cautious_error),
        stability_unknown=stability_unknown,
    )


def _pull_exponent(
    loss_fn, params, data, sampler: Sampler, excess: np.ndarray, doubled: Traces | None
) -> pull.PullExponent:
    """From two runs over the same draws; nothing measured without the second."""
    if doubled is None:
        return pull.PullExponent()
    tighter, nbeta = pull.doubled(sampler), sampler.constants(batches.num_items(data)).nbeta
    reference = baseline.of_run(loss_fn, params, data, tighter, doubled)
    losses = doubled.loss.astype(np.float64) - reference.trace
    count = tighter.num_draws - tighter.burn_in
    return pull.measured(
        nbeta * excess[:, :count].mean(1), nbeta * losses[:, tighter.burn_in :].mean(1)
    )


def _pull_bound(
    sampler: Sampler, traces: Traces, per_chain, start: gradient.StartGradient, constants
) -> float:
    """The least |pull exponent|: by whole gradients, or by offsets along those of batches."""
    if traces.projections is None:
        return pull.bound(traces.grad_norm, per_chain, constants, sampler.burn_in)
    drawn = traces.projections[:, sampler.burn_in :]
    return pull.bound_by_offset(drawn, constants, bias.widening_along(start, constants))


def _norm(tree) -> float:
    squares = (np.sum(np.square(np.asarray(x, np.float64))) for x in jax.tree.leaves(tree))
    return float(np.sqrt(sum(squares)))


def _farthest(offset: np.ndarray) -> float:
    """Root mean square of |u| in the chain that is farthest from w*."""
    return float(np.sqrt(np.square(offset).mean(axis=1).max()))
