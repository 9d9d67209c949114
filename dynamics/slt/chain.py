"""One chain as a scan, and all chains in segments that can be saved and resumed.

Axes: C chains, N data items, m items of a batch, K directions. A draw is a recorded step; two draws
are `thinning` steps apart.

Randomness is folded from names (seed, chain, step, purpose). So it repeats at every checkpoint, as
appendix A.4.2 of Hoogland et al. (2024), "Loss Landscape Degeneracy and Stagewise Development in
Transformers", asks, and depends neither on the number of devices nor on chain batching nor on where
a run was cut.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from dynamics import devices
from dynamics.errors import ChainError, InputError
from dynamics.slt import batches, centers, gradient
from dynamics.slt.batches import LossFn
from dynamics.slt.samplers import kernel
from dynamics.slt.samplers.base import Constants, Sampler


class Traces(NamedTuple):
    """Records of every draw, [C,draws]; inside a chain [draws]. All precede the draw's step."""

    loss: Any  # batch loss at w_t
    baseline: Any  # loss of the same batch at w*, or None where it is not taken
    distance: Any  # |w_t - w*|
    offset: Any  # |u_t|, the same in the units of noise and pull
    grad_norm: Any  # |gradient of the batch loss at w_t|, in those units
    drift: Any  # length of the step's loss-gradient part, in those units
    pull: Any  # length of its part towards w*
    noise: Any  # length of its random part
    acceptance: Any  # Metropolis probability of the move; nan where there is no test
    probes: Any  # name -> [C,draws,...] per-item losses of that probe set at w_t
    projections: Any = None  # [C,draws,K] u_t along `Origin.directions`; None where there are none


class Origin(NamedTuple):
    """Where chains start, and along which directions their offset is recorded."""

    center: Any  # w*
    directions: Any  # K vectors of length 1, leaves [K,...], as `gradient.directions` has them


class Run(NamedTuple):
    """A run as far as it has come; all that is needed to resume it."""

    state: Any  # the sampler's state, leaves [C,...]; None where all draws are one segment
    traces: Traces  # NumPy, [C, draws so far]


class Fixed(NamedTuple):
    """What every chain of a run shares besides w* and the constants."""

    data: Any  # pytree, leading axis N
    units: centers.Units
    probes: Mapping[str, Any]  # name -> items as `per_item_fn` takes them


@functools.lru_cache(maxsize=64)
def chain_fn(
    loss_fn: LossFn,
    sampler: Sampler,
    length: int,
    keep_state: bool,
    per_item_fn: Callable | None = None,
) -> Callable:
    """Makes the function of one chain that takes draws start .. start + length - 1.

    Returns:
        chain((key, state), origin, fixed, constants, start) -> (state, Traces [length]), blind to
        devices. `key` is the chain's own. Without `keep_state` the state is None on both sides and
        the chain starts at w*, so that chains that run in turn do not all stay in memory.
    """
    moves = sampler.kernel()
    mean_loss = batches.accumulated(loss_fn, sampler.accumulate)

    def chain(key_and_state, origin: Origin, fixed: Fixed, constants: Constants, start):
        (key, state), (center, vectors) = key_and_state, origin
        target = kernel.Target(*constants, free=fixed.units.free)
        whole = sampler.whole(batches.num_items(fixed.data))

        def place(offset):
            return centers.place(center, offset, fixed.units)

        def draw_batch(step_key, purpose: str):
            name_key = batches.fold_name(step_key, purpose)
            return batches.draw_batch(name_key, fixed.data, sampler.batch_size)

        def step(state, index):
            step_key = jax.random.fold_in(key, index)
            batch = draw_batch(step_key, "batch")
            value_and_grad = functools.partial(
                _value_and_grad(loss_fn, sampler), center, fixed.units, batch
            )
            return *moves.step(step_key, state, value_and_grad, target), batch

        def compared_losses(step_key, offset, loss, batch):
            """Losses of the chain and of w* whose difference makes the estimate."""
            if whole or sampler.baseline in ("fixed", "recycled"):
                return loss, None
            if sampler.baseline == "same_batch":
                return loss, mean_loss(center, batch)
            fresh = draw_batch(step_key, "fresh batch")
            return mean_loss(place(offset), fresh), mean_loss(center, fresh)

        def draw(state, number):
            first = number * sampler.thinning
            offset = state.offset
            state, stats, batch = step(state, first)
            step_key = jax.random.fold_in(key, first)
            loss, baseline = compared_losses(step_key, offset, stats.loss, batch)
            probes = _probe_losses(per_item_fn, place(offset), fixed.probes) if per_item_fn else {}
            if sampler.thinning > 1:
                between = (first + 1, first + sampler.thinning)
                state = jax.lax.fori_loop(*between, lambda i, s: step(s, i)[0], state)
            return state, Traces(
                loss=loss,
                baseline=baseline,
                distance=centers.distance(offset, fixed.units),
                offset=kernel.norm(offset),
                grad_norm=stats.grad_norm,
                drift=stats.drift,
                pull=stats.pull,
                noise=stats.noise,
                acceptance=stats.acceptance,
                probes=probes,
                projections=None if vectors is None else gradient.project(vectors, offset),
            )

        with jax.default_matmul_precision("highest"):
            if not keep_state:
                state = _initial_state(loss_fn, sampler, key, center, fixed, target)
            state, traces = jax.lax.scan(draw, state, start + jnp.arange(length))
        return state if keep_state else None, traces

    return chain


def _value_and_grad(loss_fn: LossFn, sampler: Sampler):
    """(w*, units, batch, u) -> loss at w* + s u and its gradient in u."""

    def value_and_grad(center, units: centers.Units, batch, offset):
        def loss(offset, batch):
            return loss_fn(centers.place(center, offset, units), batch)

        return batches.accumulated(jax.value_and_grad(loss), sampler.accumulate)(offset, batch)

    return value_and_grad


def _initial_state(loss_fn, sampler: Sampler, key, center, fixed: Fixed, target: kernel.Target):
    """The state in which a chain starts: at w*, on the batch of its first step."""
    batch_key = batches.fold_name(jax.random.fold_in(key, 0), "batch")
    batch = batches.draw_batch(batch_key, fixed.data, sampler.batch_size)
    value_and_grad = functools.partial(
        _value_and_grad(loss_fn, sampler), center, fixed.units, batch
    )
    offset = jax.tree.map(jnp.zeros_like, center)
    return sampler.kernel().init(batches.fold_name(key, "init"), offset, value_and_grad, target)


def _probe_losses(per_item_fn, params, probes: Mapping) -> dict:
    return {name: per_item_fn(params, items) for name, items in probes.items()}


@functools.lru_cache(maxsize=64)
def init_fn(loss_fn: LossFn, sampler: Sampler) -> Callable:
    """init(key, origin, fixed, constants) -> the state in which a chain starts."""

    def init(key, origin: Origin, fixed: Fixed, constants: Constants):
        target = kernel.Target(*constants, free=fixed.units.free)
        with jax.default_matmul_precision("highest"):
            return _initial_state(loss_fn, sampler, key, origin.center, fixed, target)

    return init


def segments(
    loss_fn: LossFn,
    sampler: Sampler,
    params: PyTree,
    data: PyTree,
    key: Key[Array, ""],
    *,
    mask: PyTree | None = None,
    probes: Mapping[str, PyTree] | None = None,
    per_item_fn: Callable | None = None,
    mesh: jax.sharding.Mesh | None = None,
    run: Run | None = None,
) -> Iterator[Run]:
    """Yields the run after each of the sampler's segments.

    A yielded run can be saved and passed back as `run`: the rest is then equal bit for bit.

    Args:
        loss_fn: (params, batch) -> mean loss. Programs are cached by its identity: define it once,
            outside loops.
        sampler: its `segment` says how many draws make a segment.
        params: w*; cast to float32, since sqrt(epsilon) is below the spacing of bfloat16.
        data: pytree, leading axis N.
        key: a typed PRNG key, the same at every checkpoint.
        mask, probes, per_item_fn: as in `estimate_llc`.
        mesh: as in `devices.map_chains`.
        run: what an earlier call yielded, to go on from.

    Raises:
        ChainError: chains that went non-finite, after the segment in which they did.
        InputError: data without a common leading axis; a batch larger than the data; an untyped
            key; a mask that does not fit the params or frees no weight; probes without a
            per_item_fn or without items; a `run` with another number of chains or without a state.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     return 0.5 * jnp.sum(w**2)
        >>> sampler = slt.SGLD(
        ...     step_size=1e-3, nbeta=100.0, localization=1.0, num_chains=2, num_draws=6, segment=3
        ... )
        >>> data, key = np.zeros((2, 1), np.float32), jax.random.key(0)
        >>> first = next(slt.segments(loss, sampler, jnp.zeros(3), data, key))
        >>> *_, last = slt.segments(loss, sampler, jnp.zeros(3), data, key, run=first)
        >>> first.traces.loss.shape, last.traces.loss.shape
        ((2, 3), (2, 6))
    """
    batches.check_key(key)
    _check_probes(probes, per_item_fn)
    num_done = 0 if run is None else _num_done(run, sampler)
    constants = sampler.constants(batches.num_items(data))
    center = centers.as_float32(params)
    if mesh is None:
        _check_memory(sampler, centers.num_free(center, None))
    data = jax.tree.map(jnp.asarray, data)
    if per_item_fn is not None and not probes:
        probes = {"data": data}
    units = centers.units(center, mask, sampler.scale_by)
    program = sampler.program()
    origin = Origin(center, gradient.directions(loss_fn, center, data, key, program, units.scale))
    fixed = Fixed(data, units, jax.tree.map(jnp.asarray, dict(probes or {})))
    keys = jax.vmap(lambda chain: jax.random.fold_in(key, chain))(jnp.arange(sampler.num_chains))
    state = None if run is None else run.state
    segment = min(sampler.segment or sampler.num_draws, sampler.num_draws)
    keep_state = segment < sampler.num_draws or state is not None
    if keep_state and state is None:
        state = devices.map_chains(init_fn(loss_fn, program), mesh)(keys, origin, fixed, constants)
    while num_done < sampler.num_draws:
        length = min(segment, sampler.num_draws - num_done)
        chain = chain_fn(loss_fn, program, length, keep_state, per_item_fn)
        mapped = devices.map_chains(chain, mesh, chain_batch=sampler.chain_batch)
        state, traces = mapped((keys, state), origin, fixed, constants, np.int32(num_done))
        traces = to_host(traces)
        refuse_non_finite(traces, num_done, sampler, params)
        run = Run(state, traces if run is None else _joined(run.traces, traces))
        num_done += length
        yield run


def _check_memory(sampler: Sampler, num_params: int) -> None:
    """Raises InputError for chains whose places, gradients and moves alone fill the memory."""
    num_devices, cpu = jax.local_device_count(), jax.default_backend() == "cpu"
    at_once = sampler.chain_batch or -(-sampler.num_chains // num_devices)
    chains = min(sampler.num_chains, at_once * num_devices)
    memory = devices.memory_bytes() * (1 if cpu else num_devices)  # CPU devices share it
    needed = 4 * chains * 3 * num_params
    records = 4 * sampler.num_chains * sampler.num_draws * (len(Traces._fields) - 2)
    if max(needed, records) > memory:
        what = f"{chains} chains at once" if needed >= records else f"{sampler.num_draws} draws"
        raise InputError(
            f"{what} of {sampler.num_chains} chains over {num_params} parameters, which take "
            f"{max(needed, records) / 1e9:.3g} GB or more",
            expected=f"at most the {memory / 1e9:.3g} GB of memory",
            mend="Take fewer chains or draws, or hold fewer chains at once with chain_batch.",
        )


def to_host(traces: Traces) -> Traces:
    """The traces as NumPy arrays, with an acceptance of nan where chains had no test.

    Chains themselves hold no nan of ours, so that JAX_DEBUG_NANS catches those of others alone.
    """
    if traces.acceptance is None:
        traces = traces._replace(acceptance=np.full(np.shape(traces.loss), np.nan, np.float32))
    return jax.tree.map(np.asarray, traces)


def _check_probes(probes: Mapping[str, Any] | None, per_item_fn: Callable | None):
    """Raises InputError for probe sets that cannot be recorded."""
    if probes and per_item_fn is None:
        raise InputError(
            "probes without a per_item_fn", expected="per_item_fn(params, items) -> per-item losses"
        )
    empty = [
        name
        for name, items in (probes or {}).items()
        if not all(map(np.size, jax.tree.leaves(items)))
    ]
    if empty:
        raise InputError(
            f"probes without items: {', '.join(empty)}", expected="at least one item in each"
        )


def _num_done(run: Run, sampler: Sampler) -> int:
    """The number of draws that a run has. Raises InputError where it cannot be resumed."""
    chains, num_done = run.traces.loss.shape
    if chains != sampler.num_chains:
        raise InputError(
            f"a run of {chains} chains", expected=f"one of num_chains={sampler.num_chains}"
        )
    if run.state is None and num_done < sampler.num_draws:
        raise InputError(
            f"a run that ended at draw {num_done} without its state,"
            f" and num_draws={sampler.num_draws}",
            expected="a run of a sampler with `segment` below its num_draws, which keeps the state",
        )
    return num_done


def _joined(before: Traces, after: Traces) -> Traces:
    return jax.tree.map(lambda x, y: np.concatenate([x, y], axis=1), before, after)


def refuse_non_finite(traces: Traces, start: int, sampler: Sampler, params: PyTree) -> None:
    """Raises ChainError that names the non-finite chains and the first bad draw.

    At draw 0, which is the checkpoint itself, it names the bad leaves.
    """
    watched = [traces.loss, traces.distance, traces.grad_norm, *jax.tree.leaves(traces.baseline)]
    bad = np.logical_or.reduce([~np.isfinite(trace) for trace in watched])
    if not bad.any():
        return
    chains = np.flatnonzero(bad.any(axis=1))
    first = start + int(np.flatnonzero(bad.any(axis=0))[0])
    numbers = ", ".join(map(str, chains[:10])) + (", ..." if len(chains) > 10 else "")
    if first:
        mend = _likely_cause(traces.loss, first - start, sampler)
    else:
        leaves = centers.non_finite(params)
        mend = f"Draw 0 is the checkpoint itself: its loss or gradient is not finite{leaves}."
    raise ChainError(
        f"{len(chains)} of {len(bad)} chains non-finite (chain {numbers}),"
        f" the first at draw {first}",
        expected="finite losses and gradients in every chain",
        mend=mend,
    )


def _likely_cause(losses, broken: int, sampler: Sampler) -> str:
    """Why chains leave the numbers: a step that overshoots, or a loss that falls without end."""
    if broken > 0 and losses[:, broken - 1].mean() < losses[:, 0].mean():
        return (
            "The loss fell without bound before that: is its sign right? A likelihood is to be"
            " negated, and a loss that has no minimum needs more localization."
        )
    return (
        f"step_size={sampler.step_size} is too large here. The bound is 4 / (nbeta h + gamma), h"
        " the top Hessian eigenvalue where the chain is: around a singular w* it is above that of"
        " w*. Take a smaller step or more localization, or MALA, which refuses such steps."
    )
