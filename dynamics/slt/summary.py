"""From finished traces to an estimate: means after the burn-in, errors, diagnostics, verdict.

Axes: C chains.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from dynamics.errors import InputError
from dynamics.measures import curvature
from dynamics.slt import (
    baseline,
    batches,
    bias,
    centers,
    diagnostics,
    gradient,
    pull,
    stability,
    verdict,
)
from dynamics.slt.batches import LossFn
from dynamics.slt.chain import Traces
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.landscape import Landscape
from dynamics.slt.quadratic import Slope
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
    if traces.loss.shape != (sampler.num_chains, sampler.num_draws):
        raise InputError(
            f"traces of shape {traces.loss.shape}",
            expected=f"{sampler.num_chains} chains with {sampler.num_draws} draws each",
        )
    constants = sampler.constants(batches.num_items(data))
    reference = baseline.of_run(loss_fn, params, data, sampler, traces)
    drawn = slice(sampler.burn_in, None)
    excess = traces.loss[:, drawn].astype(np.float64) - reference.trace[:, drawn]
    per_chain = constants.nbeta * excess.mean(axis=1)
    llc, sem = float(per_chain.mean()), baseline.sem(per_chain)
    shared_sem = constants.nbeta * reference.shared
    projections = None if traces.projections is None else traces.projections[:, drawn]
    mixing = diagnostics.mixing(excess, traces.offset[:, drawn], projections)
    ends = stability.as_ends(top_eigenvalue) if landscape is None else landscape.ends
    bound = stability.assess_stability(constants, ends, sampler.bias_factor)
    # A single chain has no other to be compared with: its own scatter over effective draws serves.
    within_sem = constants.nbeta * float(np.nan_to_num(excess.std() / math.sqrt(mixing.loss_ess)))
    error = math.hypot(sem if len(per_chain) > 1 else within_sem, shared_sem)
    # A few chains may agree by chance: what is compared with the error takes the largest of three.
    cautious_error = max(error, within_sem, mixing.place_error * abs(llc))
    chain_loss = float(traces.loss[:, drawn].mean(dtype=np.float64))
    acceptance = float(traces.acceptance[:, drawn].mean(dtype=np.float64))
    exponent = _pull_exponent(loss_fn, params, data, sampler, excess, doubled)
    init_norm, num_free = _norm(params), centers.num_free(params, mask)
    units = centers.units(centers.as_float32(params), mask, sampler.scale_by)
    start = gradient.at_start(loss_fn, params, data, key, sampler, units.scale)
    biases = bias.of_run(sampler, constants, traces, start, llc, num_free)
    exponent = exponent._replace(bound=_pull_bound(sampler, traces, per_chain, start, constants))
    drop = functools.partial(
        _gradient_drop,
        constants,
        sampler,
        traces,
        start,
        functools.partial(_along, loss_fn, params, data, sampler, units, start)
        if landscape is None
        else lambda: landscape.slope,
    )
    negative = verdict.surely_negative(llc, error)
    size = max(abs(llc), cautious_error)
    distance, offset = (x[:, drawn].astype(np.float64) for x in (traces.distance, traces.offset))
    judged = verdict.judge(
        llc=llc,
        locality=verdict.judge_locality(chain_loss, reference.loss, reference.sem, trivial_loss),
        descent=verdict.explain_descent(llc, drop(at_least=abs(llc) / 2)) if negative else None,
        mixing=mixing,
        stability=bound,
        init_loss=reference.loss,
        chain_loss=chain_loss,
        trivial_loss=trivial_loss,
        relative_distance=float(distance.mean() / init_norm) if init_norm else math.inf,
        localization_share=float(constants.localization * np.square(offset).mean() / num_free),
        stuck=verdict.stuck(traces.acceptance[:, drawn], offset, sampler.thinning),
        held_by_pull=exponent.holds and not negative,  # then the gradient decides
        lowered_by_gradient=not negative and drop(at_least=size / 2, surely=True) > size / 2,
        far=bool(_farthest(offset) > verdict.FAR * stability.own_radius(ends, constants, num_free)),
        heated=bias.matters(biases.noise, llc, cautious_error),
        biased=bias.matters(biases.step, llc, cautious_error),
        stability_unknown=ends is None,
    )
    return LLCEstimate(
        llc=llc,
        sem=sem,
        shared_sem=shared_sem,
        per_chain=per_chain,
        loss_trace=traces.loss,
        baseline_trace=reference.trace,
        init_loss=reference.loss,
        init_loss_sem=reference.sem,
        distance=traces.distance,
        offset=traces.offset,
        grad_norm=traces.grad_norm,
        drift_norm=traces.drift,
        pull_norm=traces.pull,
        noise_norm=traces.noise,
        acceptance=acceptance,
        probes=traces.probes,
        init_norm=init_norm,
        num_free=num_free,
        rhat=mixing.rhat,
        ess=mixing.ess,
        loss_rhat=mixing.loss_rhat,
        loss_ess=mixing.loss_ess,
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


def _gradient_drop(
    constants: Constants,
    sampler: Sampler,
    traces: Traces,
    start: gradient.StartGradient,
    curvature_along: Callable[[], Slope | None],
    *,
    at_least: float,
    surely: bool = False,
) -> float:
    """The most by which the gradient at w* lowers the estimate, by the curvature along it.

    Curvature is asked for only where a plane of that slope would lower it by `at_least`. `surely`
    takes three standard errors off the slope's square.
    """
    drawn = np.arange(sampler.burn_in, sampler.num_draws) * sampler.thinning
    steps = sampler.langevin_steps(drawn.astype(np.float64))
    # A preconditioner makes steps longer along the gradient.
    plain = sampler.drift_factor * constants.step_size * constants.nbeta * traces.grad_norm
    gain = float(traces.drift.mean(dtype=np.float64) / max(plain.mean(dtype=np.float64), 1e-300))
    constants = constants._replace(step_size=gain * constants.step_size)
    square = max(0.0, start.square - surely * diagnostics.SURE * start.square_sem)
    on_plane = verdict.gradient_drop(math.sqrt(square), constants, steps)
    if on_plane < at_least or not square > 0:
        return on_plane
    slope = curvature_along()
    if slope is None or not slope.squares.sum() > 0:
        return on_plane
    shares = square * slope.squares / slope.squares.sum()
    return sum(
        verdict.gradient_drop(math.sqrt(share), constants, steps, float(node))
        for share, node in zip(shares, slope.nodes, strict=True)
    )


def _along(loss_fn, params, data, sampler: Sampler, units, start) -> Slope | None:
    """The gradient in eigenvectors of a batch's Hessian; None where the loss has no curvature."""
    try:
        rule = curvature.along(
            curvature.hessian(stability.loss_of_offset(loss_fn)),
            jax.tree.map(jnp.zeros_like, start.mean),
            stability.surroundings(params, data, sampler, units),
            start.mean,
            num_matvecs=stability.MATVECS,
            mask=units.free,
        )
    except stability.NO_CURVATURE:
        return None
    return Slope(*rule)
