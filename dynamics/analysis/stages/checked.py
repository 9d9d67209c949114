"""What a rule is given, checked."""

from typing import NamedTuple

import numpy as np

from dynamics.analysis.stages.rule import PublishedRule, Rule
from dynamics.errors import InputError


class Values(NamedTuple):
    """Finite values from a rule's start on. [K] each."""

    steps: np.ndarray
    x: np.ndarray  # ln(step + 1)
    y: np.ndarray
    sem: np.ndarray | None
    left_out: tuple[float, ...]  # steps at which the value is not finite


def checked(steps, curve, sem, rule: Rule | PublishedRule) -> Values:
    """Float64 arrays, or InputError."""
    arrays = {"steps": steps, "curve": curve} | ({} if sem is None else {"sem": sem})
    arrays = {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    steps, values = arrays["steps"], arrays["curve"]
    sizes = {name: value.shape for name, value in arrays.items()}
    if steps.ndim != 1 or len(set(sizes.values())) > 1:
        raise InputError(
            f"arrays of shapes {sizes}", expected="one number per checkpoint, [K], in each"
        )
    if not np.isfinite(steps).all() or (steps < 0).any() or (np.diff(steps) <= 0).any():
        raise InputError(
            "steps that are negative, repeat, fall back or are not finite",
            expected="ascending steps from 0 on",
        )
    finite = np.isfinite(values)
    inside = finite & (steps >= rule.start)
    if inside.sum() < rule.fewest:
        raise InputError(_too_few(steps, finite, int(inside.sum()), rule), expected=_needed(rule))
    errors = arrays.get("sem")
    return Values(
        steps=steps[inside],
        x=np.log1p(steps[inside]),
        y=values[inside],
        sem=None if errors is None else _errors(errors[inside], steps[inside]),
        left_out=tuple(steps[~finite].tolist()),
    )


def _too_few(steps, finite, inside: int, rule: Rule | PublishedRule) -> str:
    got = f"too few checkpoints: {len(steps)}"
    if not finite.all():
        got += f", of which {int(finite.sum())} have a finite value"
    return got if rule.start == 0 else f"{got}, and {inside} from step {rule.start:g} on"


def _needed(rule: Rule | PublishedRule) -> str:
    return f"at least {rule.fewest} with a finite value"


def _errors(errors: np.ndarray, steps: np.ndarray) -> np.ndarray | None:
    """Errors with gaps and zeros filled by the typical one; None where no checkpoint has one."""
    if (errors < 0).any():
        at = steps[errors < 0][0]
        raise InputError(f"a negative standard error at step {at:g}", expected="sem >= 0")
    stated = np.isfinite(errors) & (errors > 0)
    if not stated.any():
        return None
    return np.where(stated, errors, np.median(errors[stated]))
