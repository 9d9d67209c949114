"""Sentences from numbers: what a curve did, and what its bars mean. No sentence says more than its
number does."""

import collections
from collections.abc import Sequence

import numpy as np

from dynamics.analysis import curves
from dynamics.analysis.curves import Curve, Divergence, Llc


def number(value: float) -> str:
    """Three significant digits, as people write them."""
    if not np.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    text = f"{value:.{digits}f}" if digits <= 5 else f"{value:.2e}"
    return text.replace("-", "−")


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    parts = list(parts)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def course(curve: Curve, unit: str = "") -> str:
    """Where a curve starts, its extreme in between if it has one, and where it ends."""
    value, steps = curve.value, curve.steps
    kept = np.flatnonzero(np.isfinite(value))
    if not kept.size:
        return f"{curve.model} has no finite value"
    value, steps = value[kept], steps[kept]
    start, end = value[0], value[-1]
    if len(value) == 1:
        return f"{curve.model} is {number(start)}{unit} at step {steps[0]}"
    low, high = int(np.argmin(value)), int(np.argmax(value))
    margin = 0.05 * (value[high] - value[low])
    turns = []
    if value[high] > max(start, end) + margin:
        turns.append((high, "peaks at"))
    if value[low] < min(start, end) - margin:
        turns.append((low, "is lowest at"))
    middle = [
        f"{verb} {number(float(value[at]))} at step {steps[at]}" for at, verb in sorted(turns)
    ]
    parts = [
        f"starts at {number(start)}{unit}",
        *middle,
        f"ends at {number(end)} at step {steps[-1]}",
    ]
    return f"{curve.model} {listed(parts)}"


def courses(found: Sequence[Curve]) -> str:
    """What each of several curves did."""
    return "; ".join(map(course, found))


def kl_course(found: Divergence) -> str:
    """Start, minimum, later peak and end of the seed-pair KL, and how sure the rise from minimum to
    end is."""
    curve = curves.seed_kl(found)
    rise, sem, lowest = curves.kl_rise(found)
    at = int(np.argmin(curve.value))
    start = f"{found.model} starts at {number(curve.value[0])}"
    fall = (
        f", falls to {number(curve.value[at])} at step {lowest}" if at else " and never goes lower"
    )
    if at == len(curve.steps) - 1:
        return start + (fall if at else "") + " (the last step: no rise is seen)"
    return f"{start}{fall}, {_rise(curve, at)}; {_sure(rise, sem, len(found.seeds))}"


def _rise(curve: Curve, lowest: int) -> str:
    end = f"{number(curve.value[-1])} by step {curve.steps[-1]}"
    peak = lowest + int(np.argmax(curve.value[lowest:]))
    if curve.value[peak] - curve.value[-1] <= 0.05 * (curve.value[peak] - curve.value[lowest]):
        return f"and rises to {end}"
    return (
        f"rises to {number(curve.value[peak])} at step {curve.steps[peak]} and comes back to {end}"
    )


def _sure(rise: float, sem: float, num_seeds: int) -> str:
    if not np.isfinite(sem):
        return f"{num_seeds} seeds are too few to say how sure the rise is"
    if sem == 0:
        return "the rise has no error to be compared with"
    ratio = rise / sem
    if ratio < 3:
        return f"from minimum to end the rise is {ratio:.1f} standard errors (seeds and documents), not to be relied on"
    return f"from minimum to end the rise is {ratio:.0f} standard errors (seeds and documents)"


def bars(found: Sequence[Curve], what: str = "Bars") -> str:
    """What the error bars of a panel mean, or that it has none."""
    kinds = {curve.rests_on for curve in found if curve.has_errors}
    if not kinds:
        return "Without error bars: nothing measured shows the error."
    return f"{what}: {'; '.join(sorted(kinds))}."


def bands(found: Sequence[Curve], num_seeds: int, fixed: str, end: float = np.inf) -> str:
    """What bands over seeds are, what was held fixed, and how many the panel, which ends at `end`,
    cuts off."""
    if not any(curve.has_errors for curve in found):
        return f"No band: an interval over seeds needs three, and there are {num_seeds}."
    told = f"Bands: 95\u00a0% intervals over {num_seeds} seeds, {fixed}."
    cut = sum(int(np.sum(curve.high > end)) for curve in found)
    return f"{told} {cut} of them reach{'es' if cut == 1 else ''} above the panel." if cut else told


def verdicts(found: Sequence[Llc]) -> collections.Counter:
    """How many estimates, over models, steps and seeds, got which verdict."""
    return collections.Counter(verdict for one in found for row in one.verdicts for verdict in row)


def verdict_sentence(found: Sequence[Llc]) -> str:
    counts = verdicts(found)
    total, local = counts.total(), counts.pop("local", 0)
    others = listed([f"{count} “{name}”" for name, count in counts.most_common()]) if counts else ""
    return f"{local} of {total} estimates are local" + (f"; {others}" if others else "")


def warning_sentence(found: Sequence[Llc]) -> str:
    """How many estimates carry which warning; "" where none does."""
    counts = collections.Counter(word for one in found for word in one.warnings)
    return (
        f"Warned of: {listed([f'{count} “{name}”' for name, count in counts.most_common()])}."
        if counts
        else ""
    )


def loss_share_sentence(found: Sequence[Llc]) -> str:
    """Whether the curves hold more than the loss curve does; "" under three checkpoints."""
    told = []
    for one in found:
        share = one.loss_share
        if share is not None and np.isfinite(share.correlation):
            again = (
                "it is the loss curve again" if share.explained else "the loss does not explain it"
            )
            off = f"off by up to {number(share.residual)}"
            told.append(f"{one.estimate.model} {share.correlation:.3g}, {off} ({again})")
    return f"Correlation of the curve with −n β loss: {'; '.join(told)}." if told else ""


def pull_sentence(found: Sequence[Llc]) -> str:
    """How far the pull to the checkpoint, and not the loss, shapes what chains sample."""
    values = np.concatenate([one.pull_share.value for one in found])
    values = values[np.isfinite(values)]
    if not values.size:
        return ""
    low, high = number(float(values.min())), number(float(values.max()))
    share = f"γ E|w − w*|² / d is {low if low == high else f'{low} to {high}'}"
    pull_alone = "the pull shapes nearly every direction, the loss few"
    return f"{share}: {pull_alone if values.min() > 0.9 else '1 would be the pull alone'}."


def steps_apart(steps: np.ndarray, chosen: np.ndarray) -> str:
    """Step numbers, or how many there are if they are many."""
    names = [str(step) for step in steps[chosen]]
    return f"step {listed(names)}" if 0 < len(names) <= 6 else f"{len(names)} steps"
