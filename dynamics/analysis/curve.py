"""One number of one model over training, with its error: what figures and tables are made of.

Axes: K checkpoints, in ascending order of their steps.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Float64, Real


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
    steps: Real[np.ndarray, " K"]
    value: Float64[np.ndarray, " K"]
    low: Float64[np.ndarray, " K"]
    high: Float64[np.ndarray, " K"]
    rests_on: str

    @classmethod
    def with_sem(
        cls,
        model: str,
        steps: Real[npt.ArrayLike, " K"],
        value: Float[npt.ArrayLike, " K"],
        sem: Float[npt.ArrayLike, " K"],
        rests_on: str,
    ) -> "Curve":
        """A curve whose bars are one standard error to either side; [K] each."""
        value, sem = np.asarray(value, np.float64), np.asarray(sem, np.float64)
        return cls.with_limits(model, steps, value, value - sem, value + sem, rests_on)

    @classmethod
    def with_limits(
        cls,
        model: str,
        steps: Real[npt.ArrayLike, " K"],
        value: Float[npt.ArrayLike, " K"],
        low: Float[npt.ArrayLike, " K"],
        high: Float[npt.ArrayLike, " K"],
        rests_on: str,
    ) -> "Curve":
        """A curve of any numbers that become float64 arrays; [K] each."""
        value, low, high = (np.asarray(numbers, np.float64) for numbers in (value, low, high))
        steps = np.asarray(steps)
        return cls(model=model, steps=steps, value=value, low=low, high=high, rests_on=rests_on)

    @property
    def has_errors(self) -> bool:
        """Whether any checkpoint has an error bar."""
        return bool(np.isfinite(self.low).any())

    @property
    def sem(self) -> Float64[np.ndarray, " K"]:
        """[K] half the length of the bar: a standard error where `rests_on` says that it is one."""
        return (self.high - self.low) / 2

    def where(self, mask: Bool[np.ndarray, " K"]) -> "Curve":
        """The checkpoints that a boolean mask [K] selects."""
        return dataclasses.replace(
            self,
            steps=self.steps[mask],
            value=self.value[mask],
            low=self.low[mask],
            high=self.high[mask],
        )

    def finite(self) -> "Curve":
        """The checkpoints at which the value is finite."""
        return self.where(np.isfinite(self.value))


def all_steps(curves: Sequence[Curve]) -> Real[np.ndarray, " steps"]:
    """Every step of any of the curves, ascending.

    Example:
        >>> first = Curve.with_sem("a", [0, 2], [1.0, 1.0], [0.1, 0.1], "")
        >>> second = Curve.with_sem("b", [1, 2], [1.0, 1.0], [0.1, 0.1], "")
        >>> all_steps([first, second]).tolist()
        [0, 1, 2]
    """
    return np.unique(np.concatenate([curve.steps for curve in curves]))
