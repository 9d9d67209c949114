"""Expected convergence of one model: its intervals, phases and last slope, or in words why there
are none.

Axes: K steps, S seeds, G documents, W windows.
"""

import dataclasses
import itertools
from collections.abc import Iterable

import numpy as np
import xarray as xr

from dynamics.analysis import curves, phases, slopes, uncertainty
from dynamics.analysis.curves import Curve, Divergence
from dynamics.analysis.leave_one_out import SeedEffect, seed_effects
from dynamics.analysis.means import mean_over_seeds
from dynamics.analysis.uncertainty import Interval
from dynamics.errors import InputError
from dynamics.results import Unit

# What an interval is about -> how it is found, shortest name first.
TARGETS = {
    "other seeds, these documents": uncertainty.seed_interval,
    "these seeds, other documents": uncertainty.document_interval,
    "other seeds, other documents": uncertainty.population_interval,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """What the seed-pair divergence of one model shows."""

    found: Divergence
    curves: dict[
        str, Curve
    ]  # target -> the KL with that interval at every step; those that can be had
    phases: phases.Phases | None
    refusal: str  # why there are no phases; "" where there are
    slope: slopes.Influences | None  # of the last phase
    slope_from: int | None  # its first step
    seeds: tuple[SeedEffect, ...]  # at the last step
    outlier_steps: tuple[int, ...]  # for every seed, at how many of the K steps it is flagged

    @property
    def model(self) -> str:
        return self.found.model

    @property
    def size(self) -> float | None:
        """Numbers in the model: as stored, else as its name has it (pythia-14m), else None."""
        named = curves.natural(self.model)[0][0]
        return self.found.parameters or (named if named else None)


def expected(found: Divergence) -> Expected:
    """Everything of one model. What cannot be found is left out and said, not raised."""
    try:
        there, refusal = phases.find_phases(found.steps, found.kl, found.tokens), ""
    except InputError as error:
        there, refusal = None, str(error)
    each = [seed_effects(kl, found.tokens) for kl in found.kl]
    slope, since = _last_slope(found, there)
    return Expected(
        found=found,
        curves=_curves(found),
        phases=there,
        refusal=refusal,
        slope=slope,
        slope_from=since,
        seeds=each[-1],
        outlier_steps=tuple(sum(one[i].outlier for one in each) for i in range(len(found.seeds))),
    )


def _curves(found: Divergence) -> dict[str, Curve]:
    each = [intervals(found, at) for at in range(len(found.steps))]
    told = {}
    for target in TARGETS:
        limits = [one[target] for one in each]
        known = [limit for limit in limits if isinstance(limit, Interval)]
        if len(known) == len(limits):
            value, low, high = (
                np.array([getattr(one, name) for one in known]) for name in ("mean", "low", "high")
            )
            rests_on = f"95 % interval over {known[0].rests_on}"
            told[target] = Curve(
                model=found.model,
                steps=found.steps,
                value=value,
                low=low,
                high=high,
                rests_on=rests_on,
            )
    return told


def _last_slope(
    found: Divergence, there: phases.Phases | None
) -> tuple[slopes.Influences | None, int | None]:
    """Of a straight line through the steps that the last of several phases holds."""
    begin = there.phases[-1].begin if there else None
    if begin is None:
        return None, None
    inside = np.flatnonzero(found.steps >= begin.value * (1 - 1e-9))
    if len(inside) < 2:
        return None, None
    return slopes.slope(found.steps[inside], found.kl[inside], found.tokens), int(
        found.steps[inside[0]]
    )


def intervals(found: Divergence, at: int = -1) -> dict[str, Interval | str]:
    """The three intervals of theta at step number `at`, by target; in words why there is none."""
    told: dict[str, Interval | str] = {}
    for target, interval in TARGETS.items():
        try:
            told[target] = interval(found.kl[at], found.tokens)
        except InputError as error:
            told[target] = str(error)
    return told


def against_size(found: Iterable[Expected]) -> tuple[Interval | None, str]:
    """How the last slope goes with size, per e-fold of parameters, and what is to be said of it."""
    known = [
        (one.size, one.slope, one.phases.phases[-1].name)
        for one in found
        if one.slope and one.phases and one.size
    ]
    sizes = sorted({size for size, _, _ in known})
    if len(sizes) < 2:
        return (
            None,
            "No regression on size: it needs the last slope of two models of different, known size.",
        )
    names = {name for _, _, name in known}
    caution = (
        ""
        if len(names) == 1
        else f" The last phases are not of one kind ({', '.join(sorted(names))})."
    )
    if len(sizes) == 2:
        caution = (
            " Two sizes only: a line through two points shows no misfit, and nothing of other sizes."
            + caution
        )
    return slopes.against_size(
        [size for size, _, _ in known], [slope for _, slope, _ in known]
    ), caution.strip()


def jensen_shannon(found: Divergence) -> Curve | None:
    """Seed-pair Jensen-Shannon divergence, with its interval over seeds as `curves.seed_kl` has
    it."""
    return None if found.js is None else curves.seed_kl(dataclasses.replace(found, kl=found.js))


def in_context_scores(committed: Iterable[tuple[Unit, xr.Dataset]]) -> tuple[list[Curve], str]:
    """Surprisal given the long context less that given the short one, nats, models by size; and the
    positions in words.

    Mean over windows, then over seeds, with its standard error over seeds. Below zero where context
    helps.
    """
    ordered = sorted(
        committed, key=lambda pair: (curves.natural(pair[0].model), pair[0].model, pair[0].step)
    )
    found, told = [], ""
    for model, group in itertools.groupby(ordered, key=lambda pair: pair[0].model):
        units, data = zip(*group, strict=True)
        pairs = np.array([mean_over_seeds(_score(one)) for one in data])
        value, sem = pairs.T
        steps = np.array([unit.step for unit in units])
        rests_on = (
            f"± standard error over {len(units[0].seeds)} seeds" if len(units[0].seeds) > 1 else ""
        )
        found.append(
            Curve(
                model=model,
                steps=steps,
                value=value,
                low=value - sem,
                high=value + sem,
                rests_on=rests_on,
            )
        )
        told = str(data[0].attrs.get("positions", "")) + (
            ", scaled down" if data[0].attrs.get("scaled") else ""
        )
    return found, told


def _score(data: xr.Dataset) -> np.ndarray:
    """[S]"""
    lengths, surprisal = (
        data["context"].values,
        data["surprisal"].transpose("seed", "window", "context").values,
    )
    return (surprisal[..., lengths.argmax()] - surprisal[..., lengths.argmin()]).mean(1)


def plain(found: phases.Phases) -> list[dict]:
    """Phases as lists and numbers alone."""
    return [
        {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(one).items()
        }
        for one in found.phases
    ]
