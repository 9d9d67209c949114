"""The local learning coefficient over checkpoints, one after another or several in one program.

Axes: K checkpoints of a group, C chains.
"""

import contextlib
import functools
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import devices
from dynamics.errors import ChainError, InputError
from dynamics.slt import batches, centers, llc, stability
from dynamics.slt.baseline import as_float32
from dynamics.slt.chain import Fixed, chain_fn, refuse_non_finite
from dynamics.slt.plan import Plan


def estimate_llc_curve(
    loss_fn,
    checkpoints: Iterable[Any],
    data,
    key,
    sampler: Plan,
    *,
    common_noise: bool = True,
    at_once: int = 1,
    mask=None,
    trivial_loss: float | None = None,
    top_eigenvalue: Literal["measure"] | None = None,
    on_unstable: Literal["refuse", "report"] = "refuse",
) -> Iterator[llc.LLCEstimate]:
    """Yields the estimate of every checkpoint, in order: what is yielded stays, whatever becomes of
    a later one.

    Args:
        loss_fn, data, key, sampler, mask, trivial_loss, top_eigenvalue, on_unstable: as in
        `llc.estimate_llc`.
        checkpoints: params of each, all of one structure; read one at a time.
        common_noise: whether noise and batches repeat at every checkpoint (A.4.2), which smooths
            the curve and makes differences along it paired; else checkpoint k has its own, folded
            from k (Fig. A.3).
        at_once: checkpoints whose chains run in one program, where memory holds K C copies of the
            weights. Small models leave a device idle one at a time.

    Raises:
        ChainError: at the checkpoint where chains go non-finite or the step is beyond its bound,
            told by its number.
        InputError: at_once below 1, checkpoints of a group that differ in shape; see also
            `llc.estimate_llc`.
    """
    if at_once < 1:
        raise InputError(f"at_once={at_once}", expected="at least 1")
    stability.check_on_unstable(on_unstable)
    remaining, first = iter(checkpoints), 0
    known = {"mask": mask, "trivial_loss": trivial_loss}
    while group := list(islice(remaining, at_once)):
        numbers = range(first, first + len(group))
        keys = [key if common_noise else jax.random.fold_in(key, number) for number in numbers]
        ends, refusal = [], None
        for number, params, k in zip(numbers, group, keys, strict=True):
            try:
                ends.append(
                    _bound(
                        loss_fn, params, data, k, sampler, mask, top_eigenvalue, on_unstable, number
                    )
                )
            except (ChainError, InputError) as error:
                refusal = error  # told once those before it are out
                break
        sound = len(ends)
        found = _traces(loss_fn, group[:sound], data, keys[:sound], sampler, mask) if sound else ()
        for number, params, k, top, traces in zip(numbers, group, keys, ends, found, strict=False):
            with _numbered(number):
                refuse_non_finite(traces, 0, sampler, params)
            yield llc.summarise(
                loss_fn, params, data, k, sampler, traces, top_eigenvalue=top, **known
            )
        if refusal is not None:
            raise refusal
        first += len(group)


@contextlib.contextmanager
def _numbered(number: int):
    """Names the checkpoint in a ChainError."""
    try:
        yield
    except ChainError as error:
        raise ChainError(f"checkpoint {number}: {str(error).removeprefix('got ')}") from error


def _bound(loss_fn, params, data, key, sampler, mask, top_eigenvalue, on_unstable, number):
    with _numbered(number):
        llc.check_start(loss_fn, params, data, key)
        ends = llc.spectrum_ends(loss_fn, params, data, key, sampler, mask, top_eigenvalue)
        scales = sampler.scales(batches.num_items(data))
        if on_unstable == "refuse":
            stability.refuse_unstable(stability.assess(scales, ends, sampler.bias), scales)
    return ends


def _traces(loss_fn, group, data, keys, sampler: Plan, mask):
    """Traces of each checkpoint of a group, from one program over all their chains."""
    scales, data = sampler.scales(batches.num_items(data)), jax.tree.map(jnp.asarray, data)
    params = [as_float32(one) for one in group]
    for one in params:
        if _shapes(one) != _shapes(params[0]):
            raise InputError(
                f"checkpoints of {_shapes(params[0])} and {_shapes(one)}",
                expected="one model throughout",
            )
    units = [centers.units(one, mask, sampler.scale_by) for one in params]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *zip(params, units, strict=True))
    chains = jnp.arange(sampler.num_chains)
    own = [jax.vmap(functools.partial(jax.random.fold_in, key))(chains) for key in keys]
    index = np.repeat(np.arange(len(group)), sampler.num_chains)
    program = _of_checkpoint(chain_fn(loss_fn, sampler.program(), sampler.num_draws, False))
    mapped = devices.map_chains(program, chain_batch=sampler.chain_batch)
    traces = jax.tree.map(np.asarray, mapped((jnp.concatenate(own), index), stacked, data, scales))
    for number in range(len(group)):
        rows = slice(number * sampler.num_chains, (number + 1) * sampler.num_chains)
        yield jax.tree.map(lambda x, rows=rows: x[rows], traces)


def _shapes(params):
    return jax.tree.map(jnp.shape, params)


@functools.lru_cache(maxsize=64)
def _of_checkpoint(chain):
    """The chain of one checkpoint out of a stack: ((key, number), stacked, data, scales) ->
    Traces."""

    def of_checkpoint(own, stacked, data, scales):
        key, number = own
        center, units = jax.tree.map(lambda x: x[number], stacked)
        return chain((key, None), center, Fixed(data, units, {}), scales, jnp.int32(0))[1]

    return of_checkpoint
