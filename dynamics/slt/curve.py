"""The local learning coefficient over checkpoints, in turn or several in one program.

Axes: K checkpoints of a group, C chains.
"""

import contextlib
import functools
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from dynamics import devices
from dynamics.errors import ChainError, InputError
from dynamics.slt import batches, centers, gradient, llc, stability
from dynamics.slt.batches import LossFn
from dynamics.slt.chain import Fixed, Origin, Traces, chain_fn, refuse_non_finite, to_host
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.samplers.base import Sampler
from dynamics.slt.summary import summarise


def estimate_llc_curve(
    loss_fn: LossFn,
    checkpoints: Iterable[PyTree[Float[Array, "..."]]],
    data: PyTree,
    key: Key[Array, ""],
    sampler: Sampler,
    *,
    common_noise: bool = True,
    at_once: int = 1,
    mask: PyTree | None = None,
    trivial_loss: float | None = None,
    top_eigenvalue: Literal["measure"] | None = "measure",
    on_unstable: Literal["refuse", "report"] = "refuse",
) -> Iterator[LLCEstimate]:
    """Yields the estimate of every checkpoint, in order.

    A failure at one checkpoint comes after the estimates of all checkpoints before it.

    Args:
        loss_fn, data, key, sampler, mask, trivial_loss, top_eigenvalue, on_unstable: as in
            `estimate_llc`.
        checkpoints: params of each, all of one structure; read one group at a time.
        common_noise: whether noise and batches repeat at every checkpoint (appendix A.4.2 of
            Hoogland et al. 2024, "Loss Landscape Degeneracy and Stagewise Development in
            Transformers"). It smooths the curve and pairs differences along it; what the common
            noise adds moves the whole curve, so errors of its points are not independent: their
            mean is as sure as one point. Otherwise checkpoint k has noise of its own, folded from k
            (their Fig. A.3). Seeds are to have keys of their own, or their errors are common too
            and a spread over seeds leaves them out.
        at_once: checkpoints whose chains run in one program, where memory holds K C copies of the
            weights. Small models leave a device idle one at a time.

    Raises:
        ChainError: at the checkpoint, named by its number, where chains go non-finite or the step
            is beyond its bound.
        InputError: at_once below 1, checkpoints of a group that differ in shape; see also
            `estimate_llc`.

    Example:
        Three checkpoints that approach the minimum of a quadratic:

        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     return 0.5 * jnp.sum(w**2)
        >>> checkpoints = [jnp.full(3, x) for x in (0.4, 0.2, 0.0)]
        >>> sampler = slt.SGLD(
        ...     step_size=1e-3, nbeta=100.0, localization=100.0, num_chains=20, num_draws=200
        ... )
        >>> data = np.zeros((2, 1), np.float32)  # this loss ignores it
        >>> curve = slt.estimate_llc_curve(
        ...     loss, checkpoints, data, jax.random.key(0), sampler, at_once=3
        ... )
        >>> [estimate.verdict.state for estimate in curve]
        ['off a minimum', 'off a minimum', 'unchecked']
    """
    if at_once < 1:
        raise InputError(f"at_once={at_once}", expected="at least 1")
    stability.check_on_unstable(on_unstable)
    remaining, first = iter(checkpoints), 0
    while group := list(islice(remaining, at_once)):
        numbers = range(first, first + len(group))
        keys = [key if common_noise else jax.random.fold_in(key, number) for number in numbers]
        spectra, failure = [], None
        for number, params, own_key in zip(numbers, group, keys, strict=True):
            try:
                with _names_checkpoint(number):
                    ends = _spectrum_of_sound_start(
                        loss_fn, params, data, own_key, sampler, mask, top_eigenvalue, on_unstable
                    )
            except (ChainError, InputError) as error:
                failure = error  # raised once the estimates before it are out
                break
            spectra.append(ends)
        sound = len(spectra)
        traces_of_group = _sample_group(loss_fn, group[:sound], data, keys[:sound], sampler, mask)
        for number, params, own_key, ends, traces in zip(
            numbers, group, keys, spectra, traces_of_group, strict=False
        ):
            with _names_checkpoint(number):
                refuse_non_finite(traces, 0, sampler, params)
            yield summarise(
                loss_fn,
                params,
                data,
                own_key,
                sampler,
                traces,
                mask=mask,
                trivial_loss=trivial_loss,
                top_eigenvalue=ends,
            )
        if failure is not None:
            raise failure
        first += len(group)


@contextlib.contextmanager
def _names_checkpoint(number: int):
    """Adds the checkpoint's number to a ChainError."""
    try:
        yield
    except ChainError as error:
        raise ChainError(f"checkpoint {number}: {str(error).removeprefix('got ')}") from error


def _spectrum_of_sound_start(
    loss_fn: LossFn, params, data, key, sampler: Sampler, mask, top_eigenvalue, on_unstable
) -> stability.SpectrumEnds | None:
    """The ends of the spectrum at a checkpoint. Raises where chains must not start there."""
    llc.check_start(loss_fn, params, data, key)
    ends = llc.spectrum_ends(loss_fn, params, data, key, sampler, mask, top_eigenvalue)
    if on_unstable == "refuse":
        constants = sampler.constants(batches.num_items(data))
        stability.refuse_unstable(
            stability.assess_stability(constants, ends, sampler.bias_factor), constants
        )
    return ends


def _sample_group(loss_fn: LossFn, group, data, keys, sampler: Sampler, mask) -> Iterator[Traces]:
    """Traces of each checkpoint of a group, from one program over all their chains."""
    if not group:
        return
    constants, data = sampler.constants(batches.num_items(data)), jax.tree.map(jnp.asarray, data)
    centers_of_group = [centers.as_float32(params) for params in group]
    for center in centers_of_group:
        if _shapes(center) != _shapes(centers_of_group[0]):
            raise InputError(
                f"checkpoints of {_shapes(centers_of_group[0])} and {_shapes(center)}",
                expected="one model throughout",
            )
    units = [centers.units(center, mask, sampler.scale_by) for center in centers_of_group]
    program = sampler.program()
    origins = [
        Origin(center, gradient.directions(loss_fn, center, data, key, program, own.scale))
        for center, own, key in zip(centers_of_group, units, keys, strict=True)
    ]
    if any(origin.directions is None for origin in origins):
        origins = [origin._replace(directions=None) for origin in origins]
    pairs = zip(origins, units, strict=True)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pairs)
    chains = jnp.arange(sampler.num_chains)
    chain_keys = [jax.vmap(functools.partial(jax.random.fold_in, key))(chains) for key in keys]
    index = np.repeat(np.arange(len(group)), sampler.num_chains)
    chain = chain_fn(loss_fn, program, sampler.num_draws, False)
    mapped = devices.map_chains(_chain_of_stack(chain), chain_batch=sampler.chain_batch)
    per_chain = (jnp.concatenate(chain_keys), index)
    traces = to_host(mapped(per_chain, stacked, data, constants))
    for number in range(len(group)):
        rows = slice(number * sampler.num_chains, (number + 1) * sampler.num_chains)
        yield jax.tree.map(lambda x, rows=rows: x[rows], traces)


def _shapes(params):
    return jax.tree.map(jnp.shape, params)


@functools.lru_cache(maxsize=64)
def _chain_of_stack(chain):
    """((key, number), stacked, data, constants) -> Traces of checkpoint `number` of the stack."""

    def chain_of_stack(key_and_number, stacked, data, constants):
        key, number = key_and_number
        origin, units = jax.tree.map(lambda x: x[number], stacked)
        _, traces = chain((key, None), origin, Fixed(data, units, {}), constants, jnp.int32(0))
        return traces

    return chain_of_stack
