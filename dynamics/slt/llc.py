"""The local learning coefficient of a checkpoint: lambda = n beta (E[l(w)] - l(w*)) (Lau et al.
2025; eq. 3).

Axes: C chains, N data items.

The expectation is over exp(-n beta l_n(w) - gamma/2 |w - w*|^2). Estimates compare only at equal n
beta, gamma and epsilon, so these go with every one.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import numpy as np

from dynamics.errors import ChainError, InputError
from dynamics.slt import baseline, batches, centers, diagnostics, stability, verdict
from dynamics.slt.chain import Run, Traces, segments
from dynamics.slt.plan import Plan, Scales


@dataclasses.dataclass(frozen=True, kw_only=True)
class LLCEstimate:
    """An estimate, its error, and all that is needed to doubt it. Losses are in the loss function's
    unit.

    Attributes:
        llc: lambda, dimensionless.
        sem: standard error, between-chain SD / sqrt(C); nan for one chain. It rests on C chains and
            cannot see an error that all chains share: that of the "recycled" baseline,
            `shared_sem`, is often far larger.
        shared_sem: n beta times the error of an l(w*) that all chains share; 0 where each has its
            own or it is exact.
        per_chain: [C].
        loss_trace: [C,draws] batch loss at w_t before the step, burn-in included; draw 0 is w*
            itself.
        baseline_trace: [C,draws] what each is compared with.
        init_loss: l(w*), over the batches drawn or over the data.
        init_loss_sem: its standard error as a population loss, from the spread of batch losses; nan
            where there is one.
        distance: [C,draws] |w_t - w*|.
        offset: [C,draws] the same in the sampler's units; equal to distance unless it has
            `scale_by`.
        grad_norm: [C,draws] norm of the batch gradient at w_t in those units, minibatch noise
            included.
        drift_norm, pull_norm, noise_norm: [C,draws] lengths of the step's three parts in those
        units.
        acceptance: mean Metropolis probability after the burn-in; nan where there was no test.
        probes: name -> [C,draws,...] what `per_item_fn` gave for that probe set at w_t; draw 0 is
            w* itself.
        init_norm: |w*|.
        num_free: weights that moved.
        rhat: rank-normalised split R-hat of the loss above its baseline after the burn-in; nan for
            one chain.
        ess: effective number of draws for its mean, all chains together.
        verdict: whether the chains were still near the model.
        stability: what the top Hessian eigenvalue says of the step.
        sampler: all settings.
        nbeta, localization, step_size: n beta, gamma, epsilon.
    """

    llc: float
    sem: float
    shared_sem: float
    per_chain: np.ndarray
    loss_trace: np.ndarray
    baseline_trace: np.ndarray
    init_loss: float
    init_loss_sem: float
    distance: np.ndarray
    offset: np.ndarray
    grad_norm: np.ndarray
    drift_norm: np.ndarray
    pull_norm: np.ndarray
    noise_norm: np.ndarray
    acceptance: float
    probes: Mapping[str, Any]
    init_norm: float
    num_free: int
    rhat: float
    ess: float
    verdict: verdict.Verdict
    stability: stability.Stability
    sampler: Plan
    nbeta: float
    localization: float
    step_size: float

    @property
    def burn_in(self) -> int:
        return self.sampler.burn_in

    @property
    def llc_trace(self) -> np.ndarray:
        """[C, draws - burn_in] running estimate of each chain (A.4.4, eq. 12); its last column is
        `per_chain`."""
        excess = (self.loss_trace.astype(np.float64) - self.baseline_trace)[:, self.burn_in :]
        return self.nbeta * np.cumsum(excess, axis=1) / np.arange(1, excess.shape[1] + 1)[None]

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Between-chain interval, Student's t with C - 1 degrees of freedom; nan for one chain.

        It covers what chains of this length estimate on average; of an error that all share it
        knows nothing. It holds for some 50 independent draws per chain and more, and the verdict
        warns of "too few draws" below that.
        """
        from scipy import stats

        if not 0 < level < 1:
            raise InputError(f"level={level}", expected="a share between 0 and 1")
        reach = self.sem * float(stats.t.ppf((1 + level) / 2, max(1, len(self.per_chain) - 1)))
        return self.llc - reach, self.llc + reach

    def wbic(self, n: int) -> float:
        """Watanabe's (2013) WBIC = n E[l(w)] of n items, an estimate of their free energy n l(w*) +
        lambda log n.

        Raises:
            InputError: chains at another temperature than n beta = n / log n, at which WBIC is
                defined.
        """
        wanted = n / math.log(n) if n > 1 else math.nan
        if not math.isclose(self.nbeta, wanted, rel_tol=1e-3):
            raise InputError(
                f"nbeta={self.nbeta:g} for the WBIC of {n} items",
                expected=f"nbeta = n / log n = {wanted:g}",
                mend="Sample at that temperature.",
            )
        return n * self.verdict.chain_loss


def estimate_llc(
    loss_fn,
    params,
    data,
    key,
    sampler: Plan,
    *,
    mask=None,
    probes: Mapping[str, Any] | None = None,
    per_item_fn: Callable | None = None,
    trivial_loss: float | None = None,
    top_eigenvalue: float | stability.Ends | Literal["measure"] | None = None,
    on_unstable: Literal["refuse", "report"] = "refuse",
    mesh=None,
    progress: Callable[[int, int], None] | None = None,
) -> LLCEstimate:
    """Samples around `params` and compares the loss there with the loss at `params`.

    Args:
        loss_fn: (params, batch) -> mean loss. Programs are kept by its identity, so a sweep over
            checkpoints, and over step_size, nbeta and localization, compiles once (and one small
            program at the first negative estimate).
        params: w*, any pytree.
        data: pytree, leading axis N.
        key: typed key; the same at every checkpoint makes noise and batches repeat there (A.4.2).
        sampler: such as `SGLD(step_size=..., localization=..., num_chains=..., num_draws=...)`.
        mask: pytree like params of 0 (frozen at w*) and 1, each leaf broadcastable to its
            parameter, as `restrict.select` gives: the weight-refined LLC (Wang et al. 2024).
        probes: name -> items; `per_item_fn(params, items)` is recorded for each at every draw: many
            data sets measured along one chain. Without it, where a per_item_fn is given, the data
            itself.
        per_item_fn: (params, items) -> array of losses, one per item or per token.
        trivial_loss: loss of the best constant predictor (log V, Var y), which the locality verdict
            needs.
        top_eigenvalue: largest eigenvalue of the loss Hessian at w* (in the sampler's units, over
            the free weights), which predicts stability before any sampling; or both ends of the
            spectrum, as `stability.measure` gives them; "measure" takes them on the first batch's
            worth of data.
        on_unstable: "refuse" raises where it says that chains diverge; "report" samples all the
            same and says so.
        mesh: as in `devices.map_chains`.
        progress: called with (draws done, draws in all) after each of the sampler's segments.

    Raises:
        ChainError: a step beyond the stability bound, or chains that went non-finite; these are
            never averaged in.
        InputError: a loss that is no scalar, params that are no weights; see also `chain.segments`.
    """
    stability.check_on_unstable(on_unstable)
    scales = sampler.scales(batches.num_items(data))
    check_start(loss_fn, params, data, key)
    ends = spectrum_ends(loss_fn, params, data, key, sampler, mask, top_eigenvalue)
    if on_unstable == "refuse":
        stability.refuse_unstable(stability.assess(scales, ends, sampler.bias), scales)
    run: Run | None = None
    given = {"mask": mask, "probes": probes, "per_item_fn": per_item_fn, "mesh": mesh}
    for run in segments(loss_fn, sampler, params, data, key, **given):
        if progress is not None:
            progress(run.traces.loss.shape[1], sampler.num_draws)
    assert run is not None  # a plan has at least one draw
    known = {"mask": mask, "trivial_loss": trivial_loss, "top_eigenvalue": ends}
    return summarise(loss_fn, params, data, key, sampler, run.traces, **known)


def check_start(loss_fn, params, data, key):
    """Refuses a loss that is no scalar, and params that are no weights or not finite, by leaf,
    before any sampling."""
    batches.check_key(key)
    if bad := centers.not_weights(params):
        raise InputError(
            f"params that are no weights{bad}",
            expected="leaves of floating-point numbers, at least one number in all",
            mend="Let loss_fn close over counters, indices and flags: noise would move them.",
        )
    shape = jax.eval_shape(loss_fn, params, data)
    if getattr(shape, "shape", None) != ():
        raise InputError(
            f"a loss_fn that returns {shape}",
            expected="the mean loss of the batch, a scalar",
            mend="Take .mean() of per-item losses; per_item_fn is for those.",
        )
    if bad := centers.non_finite(params):
        raise ChainError(
            f"params that are not finite{bad}",
            expected="a checkpoint of finite weights",
            mend="Draw 0 is the checkpoint itself: audit it.",
        )


def spectrum_ends(loss_fn, params, data, key, sampler: Plan, mask, top_eigenvalue):
    if top_eigenvalue == "measure":
        return stability.measure(loss_fn, params, data, key, sampler, mask)
    if top_eigenvalue is None or isinstance(top_eigenvalue, stability.Ends):
        return top_eigenvalue
    if isinstance(top_eigenvalue, str):
        raise InputError.unknown("top_eigenvalue", top_eigenvalue, ("measure",))
    return stability.Ends(float(top_eigenvalue), math.nan)


def summarise(
    loss_fn,
    params,
    data,
    key,
    sampler: Plan,
    traces: Traces,
    *,
    mask=None,
    trivial_loss: float | None = None,
    top_eigenvalue: "float | stability.Ends | None" = None,
) -> LLCEstimate:
    """The estimate from finished traces, such as those of a resumed `segments`; arguments as in
    `estimate_llc`.

    Raises InputError for the traces of another sampler or of an unfinished run.
    """
    if traces.loss.shape != (sampler.num_chains, sampler.num_draws):
        raise InputError(
            f"traces of shape {traces.loss.shape}",
            expected=f"those of {sampler.num_chains} chains with {sampler.num_draws} draws, burn-in among them",
        )
    scales = sampler.scales(batches.num_items(data))
    start = baseline.of_run(loss_fn, params, data, sampler, traces)
    kept = slice(sampler.burn_in, None)
    excess = traces.loss[:, kept].astype(np.float64) - start.trace[:, kept]
    per_chain = scales.nbeta * excess.mean(axis=1)
    llc, sem = float(per_chain.mean()), baseline.sem(per_chain)
    shared, mixed = scales.nbeta * start.shared, diagnostics.mixing(excess, traces.offset[:, kept])
    within = scales.nbeta * float(
        np.nan_to_num(excess.std() / math.sqrt(mixed.ess))
    )  # what one chain has to go by
    error = math.hypot(sem if len(per_chain) > 1 else within, shared)
    bound = stability.assess(scales, top_eigenvalue, sampler.bias)
    below = _below(loss_fn, params, data, key, sampler, mask, llc, error)
    found = _found(params, mask, scales, traces, start, trivial_loss, kept)
    acceptance = float(traces.acceptance[:, kept].mean(dtype=np.float64))
    told = {
        "mixing": mixed,
        "stability": bound,
        "init_loss": start.loss,
        "acceptance": acceptance,
        **found,
    }
    judged = verdict.judge(llc=llc, below=below, **told)
    return LLCEstimate(
        llc=llc,
        sem=sem,
        shared_sem=shared,
        per_chain=per_chain,
        loss_trace=traces.loss,
        baseline_trace=start.trace,
        init_loss=start.loss,
        init_loss_sem=start.sem,
        **{name: getattr(traces, name) for name in ("distance", "offset", "grad_norm", "probes")},
        **{f"{name}_norm": getattr(traces, name) for name in ("drift", "pull", "noise")},
        acceptance=acceptance,
        init_norm=_norm(params),
        num_free=centers.num_free(params, mask),
        rhat=mixed.rhat,
        ess=mixed.ess,
        verdict=judged,
        stability=bound,
        sampler=sampler,
        **{name: getattr(scales, name) for name in ("nbeta", "localization", "step_size")},
    )


def _found(
    params, mask, scales: Scales, traces: Traces, start: baseline.Baseline, trivial_loss, kept
) -> dict:
    """Where the chains were: the parts of a verdict that losses and distances give."""
    distance, offset = (x[:, kept].astype(np.float64) for x in (traces.distance, traces.offset))
    chain_loss, length = float(traces.loss[:, kept].mean(dtype=np.float64)), _norm(params)
    share = scales.localization * np.square(offset).mean() / centers.num_free(params, mask)
    return {
        "where": verdict.locality(chain_loss, start.loss, start.sem, trivial_loss),
        "chain_loss": chain_loss,
        "trivial_loss": trivial_loss,
        "relative_distance": float(distance.mean() / length) if length else math.inf,
        "localization_share": float(share),
    }


def _norm(tree) -> float:
    return float(
        np.sqrt(
            sum(np.sum(np.square(np.asarray(leaf, np.float64))) for leaf in jax.tree.leaves(tree))
        )
    )


def _below(loss_fn, params, data, key, sampler: Plan, mask, llc: float, error: float) -> str | None:
    """Why the chains' loss lies below l(w*), if it surely does; the gradient at w* is taken only
    then."""
    if not verdict.surely_negative(llc, error):
        return None
    scales = sampler.scales(batches.num_items(data))
    scale = centers.units(baseline.as_float32(params), mask, sampler.scale_by).scale
    slope = baseline.gradient_norm(loss_fn, params, data, key, sampler, scale)
    steps = np.arange(sampler.burn_in, sampler.num_draws) * sampler.thinning
    return verdict.downhill(llc, verdict.gradient_drop(slope, scales, steps))
