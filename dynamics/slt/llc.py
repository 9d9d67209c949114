"""The local learning coefficient of a checkpoint, lambda = n beta (E[l(w)] - l(w*)).

Axes: C chains, N data items.

Lau et al. (2025); Hoogland et al. (2024), "Loss Landscape Degeneracy and Stagewise Development in
Transformers", equation 3. The expectation is over exp(-n beta l_n(w) - gamma/2 |w - w*|^2).
Estimates compare only at equal n beta, gamma and epsilon, so every estimate carries them.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from dynamics.errors import ChainError, InputError
from dynamics.slt import baseline, batches, centers, pull, stability, target
from dynamics.slt.batches import LossFn
from dynamics.slt.chain import Run, segments
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.landscape import Landscape
from dynamics.slt.samplers.base import Sampler
from dynamics.slt.summary import summarise

_EXPONENTS = ("measure", "where positive")
_LEAST_SEGMENT = 16  # draws: shorter scans would be all overhead
_SCALAR = jax.ShapeDtypeStruct((), jnp.float32)


def estimate_llc(
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
    landscape: Landscape | None = None,
    on_unstable: Literal["refuse", "report"] = "refuse",
    pull_exponent: Literal["measure", "where positive"] | None = None,
    target_error: float | None = None,
    error_floor: float = 0.0,
    mesh: jax.sharding.Mesh | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LLCEstimate:
    """Samples around `params` and compares the loss there with the loss at `params`.

    Args:
        loss_fn: (params, batch) -> mean loss. Programs are cached by its identity. A sweep over
            checkpoints, step_size, nbeta and localization compiles once, and one small program more
            at the first negative estimate.
        params: w*, any pytree.
        data: pytree, leading axis N.
        key: typed key. The same key at every checkpoint repeats noise and batches there (appendix
            A.4.2 of Hoogland et al. 2024).
        sampler: such as `SGLD(step_size=..., localization=..., num_chains=..., num_draws=...)`.
        mask: pytree like params of 0 (frozen at w*) and 1, each leaf broadcastable to its
            parameter, as `restrict.select` gives it: the weight-refined LLC (Wang et al. 2024).
        probes: name -> items. `per_item_fn(params, items)` is recorded for each at every draw, so
            that one chain measures many data sets. By default the data, where a per_item_fn is
            given.
        per_item_fn: (params, items) -> losses, one per item or per token.
        trivial_loss: loss of the best constant predictor (log V, Var y); the locality verdict needs
            it.
        top_eigenvalue: "measure" takes both ends of the Hessian's spectrum at w*, on the first
            batch's worth of data (in the sampler's units, over the free weights): they predict
            stability before any sampling, and how far chains may go. Or these ends, as
            `measure_spectrum_ends` gives them; or the largest eigenvalue; or None. The warning
            "stability unknown" stands for None, for a curvature at w* that is not finite, and for a
            loss that JAX cannot differentiate twice.
        landscape: of `measure_landscape` at `params`, where it is known: then nothing of the
            curvature is measured again, and top_eigenvalue is not asked for.
        on_unstable: "refuse" raises where that eigenvalue says that chains diverge; "report"
            samples nevertheless and says so in the estimate.
        pull_exponent: "measure" runs the chains once more with twice gamma, the same noise and half
            the draws, for `LLCEstimate.pull_exponent`; half as much work again. "where positive"
            does so where the LLC is surely above 0, and so has an exponent. Without either the
            traces bound it.
        target_error: standard error to sample to, as a share of |llc|; num_draws is then the most
            draws that are taken, and `LLCEstimate.target` says what came of it.
        error_floor: the least standard error that is worth the work, where |llc| may be near 0.
        mesh: as in `devices.map_chains`.
        progress: called with (draws done, draws in all) after each of the sampler's segments.

    Raises:
        ChainError: params that are not finite, a step beyond the stability bound, or chains that
            went non-finite; these are never averaged in.
        InputError: a loss that is no scalar, params that are no weights; see also `segments`.

    Example:
        A regression at its minimum; its coefficient is half its number of weights:

        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     x, y = batch
        ...     return jnp.mean((x @ w - y) ** 2) / 2
        >>> x = np.eye(4, dtype=np.float32) * 2  # E[x x'] = 1
        >>> y = np.zeros(4, np.float32)
        >>> sampler = slt.SGLD(
        ...     step_size=1e-3, nbeta=100.0, localization=1.0,
        ...     num_chains=20, num_draws=500, burn_in=100
        ... )
        >>> estimate = slt.estimate_llc(
        ...     loss, jnp.zeros(4), (x, y), jax.random.key(0), sampler, trivial_loss=1.0
        ... )
        >>> abs(estimate.llc - 2) < 0.3, estimate.verdict.state
        (True, 'local')
    """
    stability.check_on_unstable(on_unstable)
    constants = sampler.constants(batches.num_items(data))
    check_start(loss_fn, params, data, key)
    ends = None if landscape is None else landscape.ends
    if ends is None:
        ends = spectrum_ends(loss_fn, params, data, key, sampler, mask, top_eigenvalue)
    if on_unstable == "refuse":
        bound = stability.assess_stability(constants, ends, sampler.bias_factor)
        stability.refuse_unstable(bound, constants)
    if pull_exponent not in (None, *_EXPONENTS):
        raise InputError.unknown("pull_exponent", pull_exponent, _EXPONENTS)
    if target_error is not None:
        target.check(target_error, error_floor)

    def runs(settings: Sampler, **recorded):
        return segments(loss_fn, settings, params, data, key, mask=mask, mesh=mesh, **recorded)

    segment = sampler.segment if pull_exponent is None else _common_segment(sampler)

    def excess_of(run: Run):
        return _excess_so_far(loss_fn, params, data, sampler, run)

    measured = functools.partial(runs, probes=probes, per_item_fn=per_item_fn)
    outcome = None
    if target_error is None:
        run = _last(measured(dataclasses.replace(sampler, segment=segment)), sampler, progress)
    else:
        run, outcome = target.run_to(
            measured,
            sampler,
            excess_of,
            target_error=target_error,
            floor=error_floor,
            progress=progress,
        )
        sampler = dataclasses.replace(sampler, num_draws=outcome.draws)
    doubled = None
    measures_exponent = pull_exponent == "measure" or (
        pull_exponent is not None and pull.surely_positive(excess_of(run)[0].mean(1))
    )
    if measures_exponent and constants.localization > 0:
        tighter = pull.doubled(dataclasses.replace(sampler, segment=segment))
        doubled = _last(runs(tighter), tighter, progress).traces
    return summarise(
        loss_fn,
        params,
        data,
        key,
        sampler,
        run.traces,
        mask=mask,
        trivial_loss=trivial_loss,
        top_eigenvalue=ends,
        landscape=landscape,
        doubled=doubled,
        target=outcome,
    )


def _common_segment(sampler: Sampler) -> int | None:
    """Draws of a scan that divide this run and that at twice the pull: one program serves both."""
    common = math.gcd(sampler.num_draws, pull.doubled(sampler).num_draws)
    return sampler.segment or (common if common >= _LEAST_SEGMENT else None)


def _last(
    runs: Iterator[Run], sampler: Sampler, progress: Callable[[int, int], None] | None
) -> Run:
    """The run after its last segment."""
    run: Run | None = None
    for run in runs:
        if progress is not None:
            progress(run.traces.loss.shape[1], sampler.num_draws)
    assert run is not None  # a sampler has at least one draw
    return run


def _excess_so_far(loss_fn: LossFn, params, data, sampler: Sampler, run: Run):
    """n beta (loss - baseline) after the burn-in [C,T], the shared error, and float32's grain."""
    done = dataclasses.replace(sampler, num_draws=run.traces.loss.shape[1])
    nbeta = sampler.constants(batches.num_items(data)).nbeta
    reference = baseline.of_run(loss_fn, params, data, done, run.traces)
    excess = run.traces.loss.astype(np.float64) - reference.trace
    grain = nbeta * float(np.spacing(np.float32(abs(reference.loss))))
    return nbeta * excess[:, sampler.burn_in :], nbeta * reference.shared, grain


def check_start(loss_fn: LossFn, params: PyTree, data: PyTree, key: Key[Array, ""]) -> None:
    """Checks key, params and loss before any sampling.

    Raises:
        ChainError: params that are not finite, by leaf.
        InputError: anything but one typed key; params that are no weights, by leaf; a loss that is
            no scalar.
    """
    batches.check_key(key)
    if leaves := centers.non_weights(params):
        raise InputError(
            f"params that are no weights{leaves}",
            expected="leaves of floating-point numbers, at least one number in all",
            mend="Let loss_fn close over counters, indices and flags: noise would move them.",
        )
    loss = jax.eval_shape(loss_fn, params, data)
    try:
        chex.assert_trees_all_equal_shapes(loss, _SCALAR)
    except AssertionError as error:
        raise InputError(
            f"a loss_fn that returns {loss}",
            expected="the mean loss of the batch, a scalar",
            mend="Take .mean() of per-item losses; per_item_fn is for those.",
        ) from error
    try:
        chex.assert_tree_all_finite(centers.as_float32(params))
    except AssertionError as error:
        raise ChainError(
            f"params that are not finite{centers.non_finite(params)}",
            expected="a checkpoint of finite weights",
            mend="Draw 0 is the checkpoint itself: audit it.",
        ) from error


def spectrum_ends(
    loss_fn: LossFn,
    params: PyTree,
    data: PyTree,
    key: Key[Array, ""],
    sampler: Sampler,
    mask: PyTree | None,
    top_eigenvalue: float | stability.SpectrumEnds | Literal["measure"] | None,
) -> stability.SpectrumEnds | None:
    """The ends of the spectrum that `top_eigenvalue` of `estimate_llc` names; None for None."""
    if isinstance(top_eigenvalue, str) and top_eigenvalue == "measure":
        try:
            return stability.measure_spectrum_ends(loss_fn, params, data, key, sampler, mask)
        except stability.NO_CURVATURE:
            return None
    if top_eigenvalue is None or isinstance(top_eigenvalue, stability.SpectrumEnds):
        return top_eigenvalue
    if isinstance(top_eigenvalue, str):
        raise InputError.unknown("top_eigenvalue", top_eigenvalue, ("measure",))
    return stability.SpectrumEnds(float(top_eigenvalue), math.nan)
