"""Sentences from numbers: what a curve did, what its bars mean. None says more than its number."""

from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.analysis.curve import Curve

_MOST_MODELS = 4  # that a sentence names one by one


def number(value: float) -> str:
    """Three significant digits, as people write them.

    Example:
        >>> number(0.40237), number(-1234.5), number(3e-7)
        ('0.402', '−1234', '3.00e−07')
    """
    if not np.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    text = f"{value:.{digits}f}" if digits <= 5 else f"{value:.2e}"
    return text.replace("-", "−")


def listed(parts: Sequence[str]) -> str:
    """The parts as a, b and c; "" for none."""
    parts = list(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def counted(count: int, noun: str) -> str:
    """A count with its noun in the right number.

    Example:
        >>> counted(1, "seed"), counted(3, "seed")
        ('one seed', '3 seeds')
    """
    return f"one {noun}" if count == 1 else f"{count} {noun}s"


def course(curve: Curve, unit: str = "") -> str:
    """Where a curve starts, its extreme in between if it has one, and where it ends."""
    finite = curve.finite()
    value, steps = finite.value, finite.steps
    if not len(value):
        return f"{curve.model} has no finite value"
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
    ends = f"ends at {number(end)} at step {steps[-1]}"
    return f"{curve.model} {listed([f'starts at {number(start)}{unit}', *middle, ends])}"


def by_model(values: Mapping[str, float], unit: str = "") -> str:
    """A number of each model; of many models the smallest and the largest alone.

    Example:
        >>> by_model({"nano-32": 0.402, "nano-64": 0.31}, " nats")
        '0.402 nats (nano-32) and 0.310 nats (nano-64)'
    """
    if len(values) > _MOST_MODELS:
        ends = [pick(values, key=lambda name: values[name]) for pick in (min, max)]
        low, high = (f"{number(values[name])}{unit} ({name})" for name in ends)
        return f"{low} to {high}, over {len(values)} models"
    return listed([f"{number(value)}{unit} ({name})" for name, value in values.items()])


def bars(curves: Sequence[Curve], name: str = "Bars") -> str:
    """What the error bars of a panel mean, or that it has none."""
    kinds = {curve.rests_on for curve in curves if curve.has_errors}
    if not kinds:
        return "Without error bars: nothing measured shows the error."
    return f"{name}: {'; '.join(sorted(kinds))}."


def bands(curves: Sequence[Curve], num_seeds: int, fixed: str, end: float = np.inf) -> str:
    """What bands over seeds are, what is held fixed, and how many the panel cuts off at `end`."""
    if not any(curve.has_errors for curve in curves):
        return f"No band: an interval over seeds needs three, and there are {num_seeds}."
    meaning = f"Bands: 95\u00a0% intervals over {num_seeds} seeds, {fixed}."
    cut = sum(int(np.sum(curve.high > end)) for curve in curves)
    verb = "reaches" if cut == 1 else "reach"
    return f"{meaning} {cut} of them {verb} above the panel." if cut else meaning


def steps_apart(steps: np.ndarray, mask: np.ndarray) -> str:
    """The steps that a mask selects, or how many there are if they are many."""
    names = [str(step) for step in steps[mask]]
    return f"step {listed(names)}" if 0 < len(names) <= 6 else f"{len(names)} steps"
