"""From finished traces to an estimate: means after the burn-in, errors, diagnostics, verdict.

Axes: C chains.
"""

import math

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from dynamics.errors import InputError
from dynamics.slt import baseline, batches, centers, diagnostics, pull, stability, verdict
from dynamics.slt.batches import LossFn
from dynamics.slt.chain import Traces
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.samplers.base import Sampler


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
    doubled: Traces | None = None,
) -> LLCEstimate:
    """The estimate from finished traces, such as those of a resumed run of `segments`.

    Args:
        traces: of all draws of all chains.
        loss_fn, params, data, key, sampler, mask, trivial_loss, top_eigenvalue: as in
            `estimate_llc`.
        doubled: traces of the same chains under `pull.doubled(sampler)`, where they were run.

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
    mixing = diagnostics.mixing(excess, traces.offset[:, drawn])
    bound = stability.assess_stability(constants, top_eigenvalue, sampler.bias_factor)
    # A single chain has no other to be compared with: its own scatter over effective draws serves.
    within_sem = constants.nbeta * float(np.nan_to_num(excess.std() / math.sqrt(mixing.ess)))
    error = math.hypot(sem if len(per_chain) > 1 else within_sem, shared_sem)
    chain_loss = float(traces.loss[:, drawn].mean(dtype=np.float64))
    acceptance = float(traces.acceptance[:, drawn].mean(dtype=np.float64))
    exponent = _pull_exponent(loss_fn, params, data, sampler, excess, doubled)
    exponent = exponent._replace(
        bound=pull.bound(traces.grad_norm, per_chain, constants, sampler.burn_in)
    )
    init_norm, num_free = _norm(params), centers.num_free(params, mask)
    distance, offset = (x[:, drawn].astype(np.float64) for x in (traces.distance, traces.offset))
    judged = verdict.judge(
        llc=llc,
        locality=verdict.judge_locality(chain_loss, reference.loss, reference.sem, trivial_loss),
        descent=_descent(loss_fn, params, data, key, sampler, mask, llc, error),
        mixing=mixing,
        stability=bound,
        init_loss=reference.loss,
        chain_loss=chain_loss,
        trivial_loss=trivial_loss,
        relative_distance=float(distance.mean() / init_norm) if init_norm else math.inf,
        localization_share=float(constants.localization * np.square(offset).mean() / num_free),
        acceptance=acceptance,
        held_by_pull=exponent.holds,
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
        pull_exponent=exponent,
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


def _norm(tree) -> float:
    squares = (np.sum(np.square(np.asarray(x, np.float64))) for x in jax.tree.leaves(tree))
    return float(np.sqrt(sum(squares)))


def _descent(
    loss_fn, params, data, key, sampler: Sampler, mask, llc: float, error: float
) -> str | None:
    """Why the chains' loss lies below l(w*), if it surely does; None elsewhere.

    The gradient at w* is taken only where it is needed.
    """
    if not verdict.surely_negative(llc, error):
        return None
    constants = sampler.constants(batches.num_items(data))
    scale = centers.units(centers.as_float32(params), mask, sampler.scale_by).scale
    grad_norm = baseline.gradient_norm(loss_fn, params, data, key, sampler, scale)
    steps = np.arange(sampler.burn_in, sampler.num_draws) * sampler.thinning
    drop = verdict.gradient_drop(grad_norm, constants, steps)
    return verdict.explain_descent(llc, drop)
