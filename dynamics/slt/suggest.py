"""Settings of chains that mean something: foretold from the landscape, and tried.

A landscape is no quadratic as far out as chains go: many flat directions that add up can be the
pull's although the Hessian says otherwise. So the setting of `foretell` is tried. Where the
measured exponent is beyond the one asked for, n beta and gamma are doubled together, which brings
chains nearer to w*, until it is not, or the gradient at w* takes off more than the landscape gives,
or the tries end.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from dynamics.slt.baseline import data_loss
from dynamics.slt.batches import LossFn, num_items
from dynamics.slt.diagnostics import SURE
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.foretell import Suggestion, suggest_for, unserved
from dynamics.slt.landscape import Landscape, measure_landscape
from dynamics.slt.llc import estimate_llc
from dynamics.slt.pull import PullExponent
from dynamics.slt.quadratic import quadratic_llc
from dynamics.slt.samplers import SGLD

MOST_TRIES = 4


def suggest(
    loss_fn: LossFn,
    params: PyTree[Float[Array, "..."]],
    data: PyTree,
    key: Key[Array, ""],
    *,
    further: Sequence[PyTree[Float[Array, "..."]]] = (),
    trivial_loss: float | None = None,
    pull_exponent: float = -0.5,
    bias: float = 0.1,
    max_steps: int = 5000,
    batch_size: int | None = 8,
    num_chains: int = 4,
    num_probes: int = 4,
    num_matvecs: int = 16,
    probe_items: int = 8,
    mask: PyTree | None = None,
) -> Suggestion:
    """The settings of `suggest_for`, tried at a checkpoint; one setting for several checkpoints.

    Args:
        loss_fn, params, data, key, trivial_loss, mask: as in `estimate_llc`. The setting is tried
            at `params`.
        further: params of other checkpoints that the setting must serve too, since estimates
            compare only at one.
        num_probes, num_matvecs, probe_items: as in `measure_landscape`.
        pull_exponent, bias, max_steps, batch_size, num_chains: as in `suggest_for`.

    Raises:
        InputError: as `measure_landscape` and `suggest_for` do.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from dynamics import slt
        >>> def loss(w, curvatures):
        ...     return jnp.sum(curvatures.mean(0) * w**2) / 2
        >>> data = np.tile(np.float32([0.1, 1.0, 5.0]), (64, 1))
        >>> suggestion = suggest(
        ...     loss, jnp.zeros(3), data, jax.random.key(0), trivial_loss=0.1
        ... )
        >>> bool(suggestion.tries[-1].pull_exponent.value > -0.6)
        True
    """
    landscapes = [
        measure_landscape(
            loss_fn,
            checkpoint,
            data,
            key,
            num_probes=num_probes,
            num_matvecs=num_matvecs,
            probe_items=probe_items,
            mask=mask,
        )
        for checkpoint in (params, *further)
    ]
    count = num_items(data)
    room = None
    if trivial_loss is not None:
        room = trivial_loss - data_loss(loss_fn, params, data, min(probe_items, count))[0]
    foretold = suggest_for(
        landscapes,
        count,
        room=room,
        pull_exponent=pull_exponent,
        bias=bias,
        max_steps=max_steps,
        batch_size=batch_size,
        num_chains=num_chains,
    )

    def attempt(sampler: SGLD) -> LLCEstimate:
        return estimate_llc(
            loss_fn,
            params,
            data,
            key,
            sampler,
            mask=mask,
            trivial_loss=trivial_loss,
            top_eigenvalue=foretold.references[0].largest,
            on_unstable="report",
            pull_exponent="measure",
        )

    return _tried(foretold, attempt, landscapes, count, pull_exponent)


def _tried(
    foretold: Suggestion,
    attempt: Callable[[SGLD], LLCEstimate],
    landscapes: Sequence[Landscape],
    num_data: int,
    wanted: float,
) -> Suggestion:
    """The foretold setting, or one nearer to w*, whose measured exponent is not beyond `wanted`."""
    sampler, tries, said = foretold.sampler, (), []
    if sampler is None:
        return foretold
    assert sampler.nbeta is not None
    for number in range(MOST_TRIES):
        factor = 2**number
        nearer = dataclasses.replace(
            sampler,
            nbeta=sampler.nbeta * factor,
            localization=sampler.localization * factor,
            step_size=sampler.step_size / factor,
        )
        references = tuple(
            quadratic_llc(landscape.density, nearer, num_data, landscape.slope)
            for landscape in landscapes
        )
        flat = references[0].llc - references[0].slope
        if -references[0].slope > flat:
            said.append(
                f"at n beta = {nearer.nbeta:g} the gradient at w* takes off "
                f"{-references[0].slope:.3g} of the {flat:.3g} that the Hessian gives"
            )
            break
        estimate = attempt(nearer)
        tries = (*tries, estimate)
        exponent = estimate.pull_exponent
        if estimate.verdict.state in ("local", "unchecked") and _within(exponent, wanted):
            return dataclasses.replace(
                foretold,
                sampler=nearer,
                references=references,
                tries=tries,
                sentence=f"{foretold.sentence} Tried: d ln llc / d ln gamma = "
                f"{exponent.value:.2f} ± {exponent.sem:.2f} at n beta = {nearer.nbeta:g}.",
            )
        measured = "unknown" if math.isnan(exponent.value) else f"{exponent.value:.2f}"
        said.append(
            f"at n beta = {nearer.nbeta:g}, gamma = {nearer.localization:g} the chains are "
            f"“{estimate.verdict.state}” and d ln llc / d ln gamma is {measured}"
        )
    exponent = foretold.references[0].pull_exponent
    hope = "" if math.isnan(exponent) else f"The quadratic foretells {exponent:.2f}, but "
    reasons = "; ".join(said)
    failed = unserved(f"{hope}{reasons}." if hope else f"{reasons[0].upper()}{reasons[1:]}.")
    return dataclasses.replace(failed, tries=tries)


def _within(exponent: PullExponent, wanted: float) -> bool:
    """Whether the measured exponent is not surely beyond the one asked for."""
    return exponent.value + SURE * np.nan_to_num(exponent.sem) >= wanted
