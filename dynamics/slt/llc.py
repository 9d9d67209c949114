"""The local learning coefficient of a checkpoint: lambda = n beta (E[l(w)] - l(w*)) (Lau et al. 2025; eq. 3).

Axes: C chains, N data items, m items of a batch, K chunks of the data.

The expectation is over exp(-n beta l_n(w) - gamma/2 |w - w*|^2). Estimates compare only at equal n beta, gamma and
epsilon, so these go with every one.
"""

import dataclasses
import functools
import math
import warnings
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import InputError
from dynamics.slt import plan, stability, verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class LLCEstimate:
    """An estimate, its error, and all that is needed to doubt it. Losses are in the loss function's unit.

    Attributes:
        llc: lambda, dimensionless.
        sem: standard error, between-chain SD / sqrt(C); nan for one chain. It rests on C chains and cannot see an error
            that all chains share: that of the "recycled" baseline, about nbeta * init_loss_sem, is often far larger.
        per_chain: [C].
        loss_trace: [C,draws] batch loss at w_t before the step, burn-in included; draw 0 is w* itself.
        baseline_trace: [C,draws] what each is compared with.
        init_loss: l(w*), over the batches drawn or over the data.
        init_loss_sem: its standard error as a population loss, from the spread of batch losses; nan where there is one.
        distance: [C,draws] |w_t - w*|.
        grad_norm: [C,draws] norm of the batch gradient at w_t, minibatch noise included.
        init_norm: |w*|.
        rhat: rank-normalised split R-hat of the loss above its baseline after the burn-in; nan for one chain.
        ess: effective number of draws for its mean, all chains together.
        verdict: whether the chains were still near the model.
        stability: what the top Hessian eigenvalue says of the step.
    """

    llc: float
    sem: float
    per_chain: np.ndarray
    loss_trace: np.ndarray
    baseline_trace: np.ndarray
    init_loss: float
    init_loss_sem: float
    distance: np.ndarray
    grad_norm: np.ndarray
    init_norm: float
    rhat: float
    ess: float
    verdict: verdict.Verdict
    stability: stability.Stability
    nbeta: float
    localization: float
    step_size: float
    burn_in: int

    @property
    def llc_trace(self) -> np.ndarray:
        """[C, draws - burn_in] running estimate of each chain (A.4.4, eq. 12); its last column is `per_chain`."""
        excess = (self.loss_trace.astype(np.float64) - self.baseline_trace)[:, self.burn_in :]
        return self.nbeta * np.cumsum(excess, axis=1) / np.arange(1, excess.shape[1] + 1)[None]

    @property
    def drift_norm(self) -> np.ndarray:
        """[C,draws] length of each step's loss-gradient part."""
        return self.step_size / 2 * self.nbeta * self.grad_norm

    @property
    def pull_norm(self) -> np.ndarray:
        """[C,draws] length of each step's part towards w*."""
        return self.step_size / 2 * self.localization * self.distance


def estimate_llc(
    loss_fn,
    params,
    data,
    key,
    sampler: plan.Plan,
    *,
    trivial_loss: float | None = None,
    top_eigenvalue: float | None = None,
    on_unstable: Literal["refuse", "report"] = "refuse",
    mesh=None,
    progress=None,
) -> LLCEstimate:
    """Samples around `params` and compares the loss there with the loss at `params`.

    Args:
        loss_fn: (params, batch) -> mean loss. Programs are kept by its identity, so a sweep over checkpoints, and over
            step_size, nbeta and localization, compiles once (and one small program at the first negative estimate).
        params: w*, any pytree.
        data: pytree, leading axis N.
        key: typed key; the same at every checkpoint makes noise and batches repeat there (A.4.2).
        sampler: such as `SGLD(step_size=..., localization=..., num_chains=..., num_draws=...)`.
        trivial_loss: loss of the best constant predictor (log V, Var y), which the locality verdict needs.
        top_eigenvalue: largest eigenvalue of the loss Hessian at w*, which predicts stability before any sampling.
        on_unstable: "refuse" raises where it says that chains diverge; "report" samples all the same and says so.
        mesh: as in `devices.map_chains`.
        progress: called with (draws done, draws in all) after each of the sampler's segments.

    Raises:
        ChainError: a step beyond the stability bound, or chains that went non-finite; these are never averaged in.
        InputError: see `plan.segments`.
    """
    if on_unstable not in ("refuse", "report"):
        raise InputError.unknown("on_unstable", on_unstable, ("refuse", "report"))
    scales = sampler.scales(plan.num_items(data))
    if on_unstable == "refuse":
        stability.refuse_unstable(stability.assess(scales, top_eigenvalue), scales)
    runs = plan.segments(loss_fn, sampler, params, data, key, mesh=mesh)
    traces = next(runs).traces
    _report(progress, traces, sampler)
    for run in runs:
        traces = run.traces
        _report(progress, traces, sampler)
    known = {"trivial_loss": trivial_loss, "top_eigenvalue": top_eigenvalue}
    return summarise(loss_fn, params, data, key, sampler, traces, **known)


def _report(progress, traces: plan.Traces, sampler: plan.Plan):
    if progress is not None:
        progress(traces.loss.shape[1], sampler.num_draws)


def summarise(
    loss_fn, params, data, key, sampler: plan.Plan, traces: plan.Traces, *, trivial_loss=None, top_eigenvalue=None
) -> LLCEstimate:
    """The estimate from finished traces, such as those of a resumed `plan.segments`; arguments as in `estimate_llc`."""
    scales = sampler.scales(plan.num_items(data))
    baseline = baseline_of(loss_fn, params, data, sampler, traces)
    excess = traces.loss[:, sampler.burn_in :].astype(np.float64) - baseline.trace[:, sampler.burn_in :]
    per_chain = scales.nbeta * excess.mean(axis=1)
    llc, sem = float(per_chain.mean()), _sem(per_chain)
    rhat, ess = convergence(excess)
    bound = stability.assess(scales, top_eigenvalue)
    shared = scales.nbeta * baseline.sem if _baseline_is_noisy(sampler, data) else 0.0
    below = _below(loss_fn, params, data, key, sampler, llc, math.hypot(np.nan_to_num(sem), np.nan_to_num(shared)))
    found = _found(params, sampler, scales, traces, baseline, trivial_loss)
    return LLCEstimate(
        llc=llc,
        sem=sem,
        per_chain=per_chain,
        loss_trace=traces.loss,
        baseline_trace=baseline.trace,
        init_loss=baseline.loss,
        init_loss_sem=baseline.sem,
        distance=traces.distance,
        grad_norm=traces.grad_norm,
        init_norm=_norm(params),
        rhat=rhat,
        ess=ess,
        verdict=verdict.judge(below=below, negative=below is not None, rhat=rhat, stability=bound.state, **found),
        stability=bound,
        burn_in=sampler.burn_in,
        **scales._asdict(),
    )


def _found(params, sampler, scales: plan.Scales, traces: plan.Traces, baseline, trivial_loss) -> dict:
    """Where the chains were: the parts of a verdict that losses and distances give."""
    distance = traces.distance[:, sampler.burn_in :].astype(np.float64)
    chain_loss = float(traces.loss[:, sampler.burn_in :].mean(dtype=np.float64))
    size, length = sum(np.size(leaf) for leaf in jax.tree.leaves(params)), _norm(params)
    return {
        "where": verdict.locality(chain_loss, baseline.loss, baseline.sem, trivial_loss),
        "chain_loss": chain_loss,
        "trivial_loss": trivial_loss,
        "relative_distance": float(distance.mean() / length) if length else math.inf,
        "localization_share": float(scales.localization * np.square(distance).mean() / size),
    }


def _norm(tree) -> float:
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(leaf, np.float64))) for leaf in jax.tree.leaves(tree))))


def _sem(values) -> float:
    """Standard error of the mean of independent values; nan for one."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def convergence(values) -> tuple[float, float]:
    """Rank-normalised split R-hat and the effective sample size for the mean (Vehtari et al. 2021) of [C,draws].

    nan where they do not exist: R-hat for one chain, both for fewer than four draws or values that never move.
    """
    if values.shape[1] < 4 or not np.ptp(values) > 0:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arviz announces its successor at import
        import arviz

        rhat = float(arviz.rhat(values)) if len(values) > 1 else math.nan
        return rhat, float(arviz.ess(values, method="mean"))


class Baseline(NamedTuple):
    """What chain losses are compared with."""

    trace: np.ndarray  # [C,draws]
    loss: float  # l(w*)
    sem: float


def baseline_of(loss_fn, params, data, sampler: plan.Plan, traces: plan.Traces) -> Baseline:
    """The baseline that `sampler.baseline` names, with l(w*) and its error.

    The error is that of a mean over a sample of the population: independent batches of m among N items give
    SD_batch sqrt(m / N) for the data and SD_batch / sqrt(batches) for having drawn only so many.
    """
    count = plan.num_items(data)
    m, shape = sampler.items(count), traces.loss.shape
    drawn = traces.baseline if traces.baseline is not None else traces.loss[:, :1]  # draw 0 is w* itself
    if sampler.whole(count) or sampler.baseline == "fixed":
        loss, sem = data_loss(loss_fn, params, data, m)
        return Baseline(np.full(shape, loss), loss, sem)
    loss, sem = float(drawn.mean(dtype=np.float64)), _sem(drawn.ravel().astype(np.float64))
    sem *= math.sqrt(1 + drawn.size * m / count)
    return Baseline(drawn if sampler.baseline == "same_batch" else np.full(shape, loss), loss, sem)


def data_loss(loss_fn, params, data, size: int) -> tuple[float, float]:
    """l(w*) over the whole data in chunks of `size`, and its standard error from K equal chunks; nan where K is one."""
    count = plan.num_items(data)
    whole, params = count // size * size, _float32(params)
    losses = np.asarray(_chunk_losses(loss_fn, size)(params, jax.tree.map(lambda x: x[:whole], data)), np.float64)
    rest = []
    if whole < count:
        rest = np.asarray(_chunk_losses(loss_fn, count - whole)(params, jax.tree.map(lambda x: x[whole:], data)))
    total = losses.sum() * size + sum(map(float, rest)) * (count - whole)
    return float(total / count), _sem(losses)


@functools.lru_cache(maxsize=64)
def _chunk_losses(loss_fn, size: int):
    def losses(params, data):
        with jax.default_matmul_precision("highest"):
            chunks = jax.tree.map(lambda x: jnp.reshape(x, (-1, size, *x.shape[1:])), data)
            return jax.lax.map(lambda chunk: loss_fn(params, chunk), chunks)

    return jax.jit(losses)


def _float32(params):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)


def _baseline_is_noisy(sampler: plan.Plan, data) -> bool:
    """Whether one noisy l(w*) is subtracted from every chain, which the spread between chains cannot show."""
    return sampler.baseline == "recycled" and not sampler.whole(plan.num_items(data))


def _below(loss_fn, params, data, key, sampler: plan.Plan, llc: float, sem: float) -> str | None:
    """Why the chains' loss lies below l(w*), if it surely does; the gradient at w* is taken only then."""
    if not verdict.surely_negative(llc, sem):
        return None
    scales = sampler.scales(plan.num_items(data))
    steps = np.arange(sampler.burn_in, sampler.num_draws) * sampler.thinning
    drop = verdict.gradient_drop(init_grad_norm(loss_fn, params, data, key, sampler), scales, steps)
    return verdict.downhill(llc, drop)


def init_grad_norm(loss_fn, params, data, key, sampler: plan.Plan) -> float:
    """|gradient at w*| free of minibatch noise: from products of the gradients of independent batches, at least 0.

    |sum g|^2 - sum |g|^2 over B (B - 1), with B = max(C, 16) batches; the whole data needs one.
    """
    batches = 1 if sampler.whole(plan.num_items(data)) else max(sampler.num_chains, 16)
    total, squares = _gradients(loss_fn, sampler.batch_size, batches)(_float32(params), data, key)
    if batches == 1:
        return math.sqrt(float(squares))
    return math.sqrt(max(0.0, (float(total) - float(squares)) / (batches * (batches - 1))))


@functools.lru_cache(maxsize=64)
def _gradients(loss_fn, size: int | None, batches: int):
    def add(params, data, key, sums, index):
        batch = plan.draw_batch(plan.fold_name(jax.random.fold_in(key, index), "init gradient"), data, size)
        grad = jax.grad(loss_fn)(params, batch)
        return (jax.tree.map(jnp.add, sums[0], grad), sums[1] + plan.norm(grad) ** 2), None

    def gradients(params, data, key):
        with jax.default_matmul_precision("highest"):
            start = (jax.tree.map(jnp.zeros_like, params), jnp.float32(0))
            body = functools.partial(add, params, data, key)
            (total, squares), _ = jax.lax.scan(body, start, jnp.arange(batches))
        return plan.norm(total) ** 2, squares

    return jax.jit(gradients)
