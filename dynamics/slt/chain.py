"""One chain as a scan, and all of them in segments that can be saved and taken up again.

Axes: C chains, N data items, m items of a batch. A draw is a recorded step; between two draws lie
`thinning` steps.

Randomness is folded from names, (seed, chain, step, what for), so it repeats at every checkpoint
(paper A.4.2) and does not depend on the number of devices, on chain batching or on where a run was
cut.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import devices
from dynamics.errors import ChainError, InputError
from dynamics.slt import batches, centers
from dynamics.slt.plan import Plan, Scales
from dynamics.slt.samplers import kernel


class Traces(NamedTuple):
    """What was recorded at every draw, each [C,draws]; inside a chain [draws]. All are taken before
    the step."""

    loss: Any  # batch loss at w_t
    baseline: Any  # loss of the same batch at w*, or None where it is not taken
    distance: Any  # |w_t - w*|
    offset: Any  # the same in the units that noise and pull are in; equal to distance where those are one
    grad_norm: Any  # |gradient of the batch loss at w_t|, in those units
    drift: Any  # length of the step's loss-gradient part, in those units
    pull: Any  # of its part towards w*
    noise: Any  # of its random part
    acceptance: Any  # Metropolis probability of the move; nan where there is no test
    probes: Any  # name -> [C,draws,...] per-item losses of that probe set at w_t


class Run(NamedTuple):
    """A run as far as it has come; all that is needed to go on."""

    state: Any  # the sampler's state, leaves [C,...]; None where all draws are one segment
    traces: Traces  # NumPy, [C, draws so far]


class Fixed(NamedTuple):
    """What every chain of a run shares besides w* and the numbers."""

    data: Any  # pytree, leading axis N
    units: centers.Units
    probes: Mapping[str, Any]  # name -> items as `per_item_fn` takes them


@functools.lru_cache(maxsize=64)
def chain_fn(
    loss_fn, sampler: Plan, length: int, keep_state: bool, per_item_fn: Callable | None = None
):
    """chain((key, state), center, fixed, scales, start) -> (state, Traces [length]): draws start ..
    start + length - 1.

    For one chain on no device in particular. `key` is the chain's own. Without `keep_state` the
    state is None on both sides and the chain starts at `center` (w*), so that chains taken in turn
    do not all stay in memory.
    """
    moves = sampler.kernel()
    mean_loss = batches.accumulated(loss_fn, sampler.accumulate)

    def chain(key_and_state, center, fixed: Fixed, scales: Scales, start):
        key, state = key_and_state
        target = kernel.Target(*scales, free=fixed.units.free)
        whole = sampler.whole(batches.num_items(fixed.data))

        def place(offset):
            return centers.place(center, offset, fixed.units)

        def step(state, index):
            at = jax.random.fold_in(key, index)
            batch = batches.draw_batch(
                batches.fold_name(at, "batch"), fixed.data, sampler.batch_size
            )
            value_and_grad = functools.partial(
                _value_and_grad(loss_fn, sampler), center, fixed.units, batch
            )
            return *moves.step(at, state, value_and_grad, target), batch

        def compared(at, offset, loss, batch):
            """Losses of chain and w* that an estimate compares."""
            if whole or sampler.baseline in ("fixed", "recycled"):
                return loss, None
            if sampler.baseline == "same_batch":
                return loss, mean_loss(center, batch)
            fresh = batches.draw_batch(
                batches.fold_name(at, "fresh batch"), fixed.data, sampler.batch_size
            )
            return mean_loss(place(offset), fresh), mean_loss(center, fresh)

        def draw(state, number):
            first = number * sampler.thinning
            offset = state.offset
            state, info, batch = step(state, first)
            loss, baseline = compared(jax.random.fold_in(key, first), offset, info.loss, batch)
            probes = _probed(per_item_fn, place(offset), fixed.probes) if per_item_fn else {}
            if sampler.thinning > 1:
                between = (first + 1, first + sampler.thinning)
                state = jax.lax.fori_loop(*between, lambda i, s: step(s, i)[0], state)
            moved = centers.moved(offset, fixed.units), kernel.norm(offset)
            parts = (info.grad_norm, info.drift, info.pull, info.noise, info.acceptance)
            return state, Traces(loss, baseline, *moved, *parts, probes)

        with jax.default_matmul_precision("highest"):
            state = state if keep_state else _initial(loss_fn, sampler, key, center, fixed, target)
            state, traces = jax.lax.scan(draw, state, start + jnp.arange(length))
        return state if keep_state else None, traces

    return chain


def _value_and_grad(loss_fn, sampler: Plan):
    """(w*, units, batch, u) -> loss at w* + s u and its gradient in u."""

    def value_and_grad(center, units: centers.Units, batch, offset):
        def loss(offset, batch):
            return loss_fn(centers.place(center, offset, units), batch)

        return batches.accumulated(jax.value_and_grad(loss), sampler.accumulate)(offset, batch)

    return value_and_grad


def _initial(loss_fn, sampler: Plan, key, center, fixed: Fixed, target: kernel.Target):
    """The state in which a chain starts: at w*, on the batch of its first step."""
    batch_key = batches.fold_name(jax.random.fold_in(key, 0), "batch")
    batch = batches.draw_batch(batch_key, fixed.data, sampler.batch_size)
    value_and_grad = functools.partial(
        _value_and_grad(loss_fn, sampler), center, fixed.units, batch
    )
    offset = jax.tree.map(jnp.zeros_like, center)
    return sampler.kernel().init(batches.fold_name(key, "init"), offset, value_and_grad, target)


def _probed(per_item_fn, params, probes: Mapping) -> dict:
    return {name: per_item_fn(params, items) for name, items in probes.items()}


@functools.lru_cache(maxsize=64)
def init_fn(loss_fn, sampler: Plan):
    """init(key, center, fixed, scales) -> the state in which a chain starts."""

    def init(key, center, fixed: Fixed, scales: Scales):
        with jax.default_matmul_precision("highest"):
            return _initial(
                loss_fn, sampler, key, center, fixed, kernel.Target(*scales, free=fixed.units.free)
            )

    return init


def segments(
    loss_fn,
    sampler: Plan,
    params,
    data,
    key,
    *,
    mask=None,
    probes: Mapping[str, Any] | None = None,
    per_item_fn: Callable | None = None,
    mesh=None,
    run: Run | None = None,
) -> Iterator[Run]:
    """Yields the run after each segment; save one, hand it back as `run`, and the rest comes out
    bit for bit the same.

    Args:
        loss_fn: (params, batch) -> mean loss. Programs are kept by its identity: define it once,
            outside loops.
        params: w*; taken to float32, since sqrt(epsilon) is under bfloat16's spacing.
        data: pytree, leading axis N.
        key: a typed PRNG key, the same one for every checkpoint.
        mask, probes, per_item_fn: as in `llc.estimate_llc`.
        mesh: as in `devices.map_chains`.

    Raises:
        ChainError: chains that went non-finite, after the segment where they did.
        InputError: data without a common leading axis, a batch larger than the data, a key of the
            old kind, a mask that is not of the params or frees none, probes without a per_item_fn
            or without items; a `run` of another number of chains, or one that kept no state to go
            on from.
    """
    batches.check_key(key)
    if probes and per_item_fn is None:
        raise InputError(
            "probes without a per_item_fn", expected="per_item_fn(params, items) -> per-item losses"
        )
    if empty := [
        name
        for name, items in (probes or {}).items()
        if not all(map(np.size, jax.tree.leaves(items)))
    ]:
        raise InputError(
            f"probes without items: {', '.join(empty)}", expected="at least one item in each"
        )
    done = 0 if run is None else _done(run, sampler)
    scales = sampler.scales(batches.num_items(data))
    center = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    data = jax.tree.map(jnp.asarray, data)
    if per_item_fn is not None and not probes:
        probes = {"data": data}
    fixed = Fixed(
        data,
        centers.units(center, mask, sampler.scale_by),
        jax.tree.map(jnp.asarray, dict(probes or {})),
    )
    keys = jax.vmap(lambda chain: jax.random.fold_in(key, chain))(jnp.arange(sampler.num_chains))
    program, state = sampler.program(), None if run is None else run.state
    segment = min(sampler.segment or sampler.num_draws, sampler.num_draws)
    keeps_state = segment < sampler.num_draws or state is not None
    if keeps_state and state is None:
        state = devices.map_chains(init_fn(loss_fn, program), mesh)(keys, center, fixed, scales)
    while done < sampler.num_draws:
        length = min(segment, sampler.num_draws - done)
        chain = chain_fn(loss_fn, program, length, keeps_state, per_item_fn)
        mapped = devices.map_chains(chain, mesh, chain_batch=sampler.chain_batch)
        state, traces = mapped((keys, state), center, fixed, scales, np.int32(done))
        traces = jax.tree.map(np.asarray, traces)
        refuse_non_finite(traces, done, sampler, params)
        run = Run(state, traces if run is None else _joined(run.traces, traces))
        done += length
        yield run


def _done(run: Run, sampler: Plan) -> int:
    """Draws that a run has. Raises InputError where it cannot be gone on with."""
    chains, done = run.traces.loss.shape
    if chains != sampler.num_chains:
        raise InputError(
            f"a run of {chains} chains", expected=f"one of num_chains={sampler.num_chains}"
        )
    if run.state is None and done < sampler.num_draws:
        raise InputError(
            f"a run that ended at draw {done} without its state, and num_draws={sampler.num_draws}",
            expected="the run of a sampler with `segment` below its num_draws, which keeps the state",
        )
    return done


def _joined(before: Traces, after: Traces) -> Traces:
    return jax.tree.map(lambda x, y: np.concatenate([x, y], axis=1), before, after)


def refuse_non_finite(traces: Traces, start: int, sampler: Plan, params):
    """Raises ChainError naming the chains that are not finite and the first bad draw; at draw 0,
    the bad leaves."""
    watched = [traces.loss, traces.distance, traces.grad_norm, *jax.tree.leaves(traces.baseline)]
    bad = np.logical_or.reduce([~np.isfinite(trace) for trace in watched])
    if not bad.any():
        return
    chains = np.flatnonzero(bad.any(axis=1))
    first = start + int(np.flatnonzero(bad.any(axis=0))[0])
    named = ", ".join(map(str, chains[:10])) + (", ..." if len(chains) > 10 else "")
    raise ChainError(
        f"{len(chains)} of {len(bad)} chains non-finite (chain {named}), the first at draw {first}",
        expected="finite losses and gradients in every chain",
        mend=_cause(traces.loss, first - start, sampler)
        if first
        else f"Draw 0 is the checkpoint itself: its loss or gradient is not finite{centers.non_finite(params)}.",
    )


def _cause(losses, broken: int, sampler: Plan) -> str:
    """What drives chains out of the numbers: a step that overshoots, or a loss that falls without
    end."""
    if broken > 0 and losses[:, broken - 1].mean() < losses[:, 0].mean():
        return (
            "The loss fell without bound before that: is its sign right? A likelihood is to be negated, and a loss that"
            " has no minimum needs more localization."
        )
    return (
        f"step_size={sampler.step_size} is too large here (the bound is 4 / (nbeta h + gamma), h the top Hessian"
        " eigenvalue)."
    )
