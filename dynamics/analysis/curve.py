"""One number of one model over training, with its error: what figures and tables are made of.

Axes: K checkpoints, in ascending order of their steps.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """A value at every checkpoint. `low` and `high` are NaN where nothing shows the error.

    Attributes:
        model: name of the model.
        steps: [K] training steps.
        value: [K] in the unit that the figure names.
        low, high: [K] the ends of the error bar.
        rests_on: what the bar is and what it rests on, "" without any.

    Example:
        >>> curve = Curve.with_sem("toy", [0, 1], [2.0, 1.0], [0.1, 0.2], "± error over 3 seeds")
        >>> curve.low.tolist()
        [1.9, 0.8]
    """

    model: str
    steps: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rests_on: str

    @classmethod
    def with_sem(cls, model: str, steps, value, sem, rests_on: str) -> "Curve":
        """A curve whose bars are one standard error to either side; [K] each."""
        value, sem = np.asarray(value, np.float64), np.asarray(sem, np.float64)
        return cls.with_limits(model, steps, value, value - sem, value + sem, rests_on)

    @classmethod
    def with_limits(cls, model: str, steps, value, low, high, rests_on: str) -> "Curve":
        """A curve of any numbers that become float64 arrays; [K] each."""
        value, low, high = (np.asarray(numbers, np.float64) for numbers in (value, low, high))
        steps = np.asarray(steps)
        return cls(model=model, steps=steps, value=value, low=low, high=high, rests_on=rests_on)

    @property
    def has_errors(self) -> bool:
        """Whether any checkpoint has an error bar."""
        return bool(np.isfinite(self.low).any())

    @property
    def sem(self) -> np.ndarray:
        """[K] half the length of the bar: a standard error where `rests_on` says that it is one."""
        return (self.high - self.low) / 2

    def where(self, mask: np.ndarray) -> "Curve":
        """The checkpoints that a boolean mask [K] selects."""
        arrays = {name: getattr(self, name)[mask] for name in ("steps", "value", "low", "high")}
        return dataclasses.replace(self, **arrays)

    def finite(self) -> "Curve":
        """The checkpoints at which the value is finite."""
        return self.where(np.isfinite(self.value))


def all_steps(curves: Sequence[Curve]) -> np.ndarray:
    """Every step of any of the curves, ascending."""
    return np.unique(np.concatenate([curve.steps for curve in curves]))
