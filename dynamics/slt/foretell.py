"""Settings of chains from the landscape alone, as a quadratic foretells them.

What a chain finds on a quadratic depends on three ratios, so a setting needs no grid:
- gamma / n beta decides which directions the pull holds. The largest one is taken at which the pull
  decides less than is asked (`pull_exponent`), and at which every direction is confined.
- n beta decides how far the loss rises, LLC / n beta. The lowest one is taken at which chains stay
  well below the trivial predictor; a higher one would add to minibatch heat and to what the
  gradient at w* takes off.
- epsilon (n beta h + gamma) of the stiffest direction decides the bias of a step.
Burn-in and draws follow from the slowest direction.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from dynamics.errors import InputError
from dynamics.slt import quadratic
from dynamics.slt.diagnostics import ENOUGH_DRAWS
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.landscape import Landscape
from dynamics.slt.quadratic import QuadraticReference, quadratic_llc
from dynamics.slt.samplers import SGLD

CONFINED = 1.5  # gamma over n beta |h| of the most downward direction: its Ritz value falls short
RISE = 0.2  # of the way from l(w*) to the trivial predictor that chains may use
UNSETTLED = 0.05  # of the reference that the burn-in may leave out
_RATIOS = np.geomspace(1e-4, 1e4, 321)  # gamma / n beta, in units of the largest curvature


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Settings, or why there are none.

    Attributes:
        sampler: one for all the checkpoints; None where none serves.
        references: what a quadratic would give at each checkpoint under it; () without a sampler.
        tries: estimates by which it was tried, in order; () where it was only foretold.
        steps: of a chain, burn-in and thinning included; 0 without a sampler.
        sentence: what was chosen and by what, or what stands in the way.
    """

    sampler: SGLD | None
    references: tuple[QuadraticReference, ...]
    tries: tuple[LLCEstimate, ...] = ()
    steps: int
    sentence: str


def suggest_for(
    landscapes: Sequence[Landscape],
    num_data: int,
    *,
    room: float | None = None,
    pull_exponent: float = -0.5,
    bias: float = 0.1,
    max_steps: int = 5000,
    batch_size: int | None = 8,
    num_chains: int = 4,
) -> Suggestion:
    """One SGLD sampler for landscapes that are known.

    Args:
        landscapes: of one checkpoint or more.
        num_data: N, the items that batches are drawn from.
        room: the trivial predictor's loss less l(w*); by default n beta is that of m / log m.
        pull_exponent: d ln llc / d ln gamma that is allowed at most, between -1 and 0.
        bias: by which share the stiffest direction may be too wide.
        max_steps: of a chain.
        batch_size: m.
        num_chains: C.

    Raises:
        InputError: no landscape; a number outside its range.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from dynamics import slt
        >>> def loss(w, curvatures):
        ...     return jnp.sum(curvatures.mean(0) * w**2) / 2
        >>> data = np.tile(np.float32([0.1, 1.0, 5.0]), (64, 1))
        >>> landscape = slt.measure_landscape(loss, jnp.zeros(3), data, jax.random.key(0))
        >>> suggestion = suggest_for([landscape], 64, room=0.1)
        >>> suggestion.sampler.localization / suggestion.sampler.nbeta < 5  # the stiffest direction
        True
        >>> -0.6 < suggestion.references[0].pull_exponent < 0
        True
    """
    _check(landscapes, room, pull_exponent, bias, max_steps)
    largest = max(float(landscape.density.nodes.max()) for landscape in landscapes)
    smallest = min(float(landscape.density.nodes.min()) for landscape in landscapes)
    if largest <= 0:
        return unserved("No direction curves upward, so no posterior has a width to find.")
    lowest = CONFINED * max(0.0, -smallest)
    ratio = _strongest_pull(landscapes, largest, lowest, pull_exponent)
    if ratio is None:
        at_limit = _worst_exponent(landscapes, max(lowest, largest * _RATIOS[0]))
        return unserved(
            f"The most downward direction, h = {smallest:.3g}, is confined only from gamma = "
            f"{lowest:.3g} n beta on, and there the pull's exponent is still {at_limit:.2f}, "
            f"beyond {pull_exponent:g}."
        )
    nbeta = _nbeta(landscapes, ratio, room, batch_size or num_data)
    step_size = 4 * bias / (1 + bias) / (nbeta * (largest + ratio))
    sampler = SGLD(
        step_size=_rounded(step_size, math.floor),
        nbeta=nbeta,
        localization=ratio * nbeta,
        num_chains=num_chains,
        num_draws=2,
        batch_size=None if batch_size is None or batch_size >= num_data else batch_size,
    )
    burn_in, draws, thinning = _lengths(landscapes, dataclasses.replace(sampler, batch_size=None))
    steps = (burn_in + draws) * thinning
    if steps > max_steps:
        return unserved(
            f"At gamma = {ratio:.3g} n beta a chain needs {steps} steps to settle and to draw, and "
            f"{max_steps} are allowed."
        )
    sampler = dataclasses.replace(
        sampler, num_draws=burn_in + draws, burn_in=burn_in, thinning=thinning
    )
    references = tuple(
        quadratic_llc(landscape.density, sampler, num_data, landscape.slope)
        for landscape in landscapes
    )
    exponent = min(reference.pull_exponent for reference in references)
    return Suggestion(
        sampler=sampler,
        references=references,
        steps=steps,
        sentence=f"gamma = {ratio:.3g} n beta gives the pull's exponent {exponent:.2f} on the "
        f"quadratic; n beta = {nbeta:g}"
        + ("" if room is None else f" raises the loss by at most {RISE:.0%} of the room to the "
           "trivial predictor")
        + f"; epsilon = {sampler.step_size:g} makes the stiffest direction at most {bias:.0%} too "
        f"wide; {steps} steps a chain.",
    )  # fmt: skip


def _check(landscapes, room, pull_exponent: float, bias: float, max_steps: int):
    """Raises InputError for what no setting can be made of."""
    ranges = {
        "landscapes": (len(landscapes), len(landscapes) > 0, "one or more"),
        "pull_exponent": (pull_exponent, -1 < pull_exponent < 0, "between -1 and 0"),
        "bias": (bias, 0 < bias <= 1, "a share between 0 and 1"),
        "max_steps": (max_steps, max_steps >= 2, "at least 2"),
    }
    for name, (value, holds, expected) in ranges.items():
        if not holds:
            raise InputError(f"{name}={value}", expected=expected)
    if room is not None and not 0 < room < math.inf:
        raise InputError(
            f"a loss at w* that is {-room:.3g} above the trivial predictor's",
            expected="a loss below it",
            mend="Take a later checkpoint: this one knows nothing that chains could lose.",
        )


def unserved(sentence: str) -> Suggestion:
    """Without a sampler, and why."""
    return Suggestion(
        sampler=None, references=(), steps=0, sentence=f"No setting serves. {sentence}"
    )


def _strongest_pull(
    landscapes, largest: float, lowest: float, pull_exponent: float
) -> float | None:
    """The largest gamma / n beta above `lowest` that leaves the LLC to the landscape."""
    ratios = [float(ratio) for ratio in largest * _RATIOS[::-1] if ratio > lowest]
    return next(
        (ratio for ratio in ratios if _worst_exponent(landscapes, ratio) >= pull_exponent), None
    )


def _worst_exponent(landscapes: Sequence[Landscape], ratio: float) -> float:
    """The most negative d ln llc / d ln gamma of settled chains, over upward directions.

    Downward ones, which take off from the LLC, would cancel the pull's part where they are many.
    It is -inf where they take off all, or are not confined.
    """
    exponents = []
    for landscape in landscapes:
        nodes, weights = landscape.density.nodes, landscape.density.weights
        a = nodes + ratio
        upward = weights * np.maximum(nodes, 0) / a
        confined = bool((a > 0).all()) and (weights * nodes / a).sum() > 0
        exponents.append(-(upward * ratio / a).sum() / upward.sum() if confined else -math.inf)
    return min(exponents)


def _nbeta(landscapes, ratio: float, room: float | None, m: int) -> float:
    """n beta at which the quadratic's loss rises by RISE of the room; rounded up."""
    if room is None:
        return m / math.log(max(m, 2))
    rises = []
    for landscape in landscapes:
        density = landscape.density
        half = 0.5 * (density.weights * density.nodes / (density.nodes + ratio)).sum(1).mean()
        rises.append(density.dimension * half)
    return _rounded(max(rises) / (RISE * room), math.ceil)


def _lengths(landscapes: Sequence[Landscape], sampler: SGLD) -> tuple[int, int, int]:
    """(burn-in, draws after it, thinning): draws that are settled, and enough of them."""
    constants = sampler.constants(2)
    burn_in, apart = 1, 1.0
    for landscape in landscapes:
        density = landscape.density
        burn_in = max(burn_in, _burn_in(density, sampler))
        a = constants.nbeta * density.nodes + constants.localization
        rho = 1 - constants.step_size * a / 2
        share = density.weights * np.square(density.nodes / a)
        apart = max(apart, float((share * (1 + rho**2) / (1 - rho**2)).sum() / share.sum()))
    thinning = max(1, round(apart / 2))
    draws = math.ceil(2 * ENOUGH_DRAWS * apart / thinning)
    return math.ceil(burn_in / thinning), draws, thinning


def _burn_in(density, sampler: SGLD) -> int:
    """Steps after which a draw is within UNSETTLED of a settled one, on the quadratic."""

    def at(step: int) -> float:
        lone = dataclasses.replace(sampler, num_draws=step + 1, burn_in=step)
        return quadratic.quadratic_llc(density, lone, 2).llc

    settled, step = at(2**24), 1
    while step < 2**24 and abs(at(step) - settled) > UNSETTLED * abs(settled):
        step *= 2
    low, high = step // 2, step
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        low, high = (middle, high) if abs(at(middle) - settled) > UNSETTLED * abs(settled) else (
            low, middle)  # fmt: skip
    return high


def _rounded(value: float, towards) -> float:
    """Two significant digits, for people to read and repeat."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{towards(value / unit) * unit:.2g}")
