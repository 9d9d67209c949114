"""Every drawn curve as plain data, for whoever wants to draw it again: NaN becomes null."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dynamics.analysis.curve import Curve


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The numbers of all questions under their names.

    Raises ValueError where two questions give one name.
    """
    whole: dict[str, Any] = {}
    for part in parts:
        if shared := whole.keys() & part.keys():
            raise ValueError(f"numbers of two questions are called {', '.join(sorted(shared))}")
        whole |= {name: plain(value) for name, value in part.items()}
    return whole


def plain(value: Any) -> Any:
    """Curves as model -> its steps and values; arrays as lists; what is not finite as None.

    Example:
        >>> plain({"loss": np.array([1.0, np.nan]), "steps": (0, 1)})
        {'loss': [1.0, None], 'steps': [0, 1]}
    """
    if isinstance(value, Curve):
        return _curve(value)
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(part, Curve) for part in value):
            return {curve.model: _curve(curve) for curve in value}
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _curve(curve: Curve) -> dict[str, Any]:
    values = {name: getattr(curve, name).astype(float) for name in ("value", "low", "high")}
    steps = {"steps": curve.steps.tolist()}
    return {**steps, **{k: plain(v) for k, v in values.items()}, "errors": curve.rests_on}
