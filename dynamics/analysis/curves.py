"""Committed results to curves over training steps, with errors: what figures and tables are made
of.

Axes: K steps (ascending), S seeds, G documents, M matrices, N bins, C chains, T draws. Units are
those of the measure.
"""

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from dynamics.analysis.loss_share import LossShare, explained_by_loss
from dynamics.analysis.means import mean_over_seeds
from dynamics.results import Unit

Committed = Sequence[tuple[Unit, xr.Dataset]]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One number of one model over training. low and high are NaN where nothing shows the error."""

    model: str
    steps: np.ndarray  # [K]
    value: np.ndarray  # [K]
    low: np.ndarray  # [K]
    high: np.ndarray  # [K]
    rests_on: str  # what low and high are and rest on; "" without any

    @property
    def has_errors(self) -> bool:
        return bool(np.isfinite(self.low).any())


@dataclass(frozen=True, kw_only=True)
class Llc:
    """Local learning coefficients of one model: the estimates, what says whether to believe them,
    the last chains."""

    estimate: Curve
    chain_loss: Curve
    init_loss: Curve
    trivial_loss: float
    pull_share: Curve  # localization_share: near 1 the pull alone shapes the posterior
    verdicts: tuple[tuple[str, ...], ...]  # [K][S], in the order of seeds
    warnings: tuple[str, ...]  # every warning of every estimate
    sentences: tuple[str, ...]  # [K], of the first seed
    settings: dict[str, float]  # nbeta, localization, step_size of the last estimate
    running: np.ndarray = field(repr=False)  # [C, T] of the first seed at the last step

    @property
    def local(self) -> np.ndarray:
        """bool [K]: every seed's chains stayed near the model."""
        return np.array([set(found) == {"local"} for found in self.verdicts])

    @property
    def loss_share(self) -> LossShare | None:
        """How much of the curve is the loss curve again; None under three checkpoints."""
        llcs, losses = self.estimate.value, self.init_loss.value
        return explained_by_loss(llcs, losses, self.settings["nbeta"]) if len(llcs) > 2 else None


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Histograms of one model's matrices, seeds pooled, and the moments of each."""

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray  # [K]
    center: np.ndarray  # [N], in units of the weights
    density: dict[str, np.ndarray]  # matrix -> [K, N], per unit of weight
    outside: float  # the largest share of any matrix's weights beyond the bins
    sd: dict[str, Curve]
    width: dict[str, Curve]  # sd over that of the same seed at its first step
    excess_kurtosis: dict[str, Curve]


def natural(model: str) -> tuple:
    """Sort key by size: 70m before 1.4b, nano-32 before nano-64."""
    unit = {"k": 1e3, "m": 1e6, "b": 1e9}
    sized = [
        float(number) * unit[suffix]
        for number, suffix in re.findall(r"(\d+(?:\.\d+)?)([kmb])\b", model.lower())
    ]
    parts = [
        (0, float(p), "") if p[:1].isdigit() else (1, 0.0, p)
        for p in re.findall(r"\d+(?:\.\d+)?|\D+", model)
    ]
    return (sized or [0.0], parts)


def scalars(committed: Committed, name: str, error: str | None) -> list[Curve]:
    """A scalar measured one seed at a time, models by size.

    With two or more seeds at every step the errors are standard errors over seeds; with a single
    one, the estimator's own, `error` (none if that is None).
    """
    return [_scalar(model, list(group), name, error) for model, group in _by_model(committed)]


def llcs(committed: Committed) -> list[Llc]:
    """What was found of every model, models by size."""
    return [_llc(model, list(group)) for model, group in _by_model(committed)]


def weights(committed: Committed) -> list[Weights]:
    """What was found of every model, models by size."""
    return [_weights(model, list(group)) for model, group in _by_model(committed)]


def _by_model(committed: Committed):
    ordered = sorted(
        committed,
        key=lambda pair: (natural(pair[0].model), pair[0].model, pair[0].step, pair[0].seeds),
    )
    return itertools.groupby(ordered, key=lambda pair: pair[0].model)


def _by_step(group: list) -> dict[int, list]:
    steps = itertools.groupby(group, key=lambda pair: pair[0].step)
    return {step: [data for _, data in pairs] for step, pairs in steps}


def _scalar(
    model: str, group: list, name: str, error: str | None, matrix: str | None = None
) -> Curve:
    def take(data, key):
        return float(data[key] if matrix is None else data[key].sel(matrix=matrix))

    steps = _by_step(group)
    counts = {len(found) for found in steps.values()}
    values = [[take(data, name) for data in found] for found in steps.values()]
    own = [take(found[0], error) if error else np.nan for found in steps.values()]
    pairs = [
        mean_over_seeds(row) if len(row) > 1 else (row[0], sem)
        for row, sem in zip(values, own, strict=True)
    ]
    value, sem = np.array(pairs).T
    if min(counts) > 1:
        rests_on = f"± standard error over {_range(counts)} seeds"
    else:
        rests_on = "± the estimator's own error, one seed" if error and max(counts) == 1 else ""
        rests_on = rests_on or (
            f"± standard error over up to {max(counts)} seeds" if max(counts) > 1 else ""
        )
    return _curve(model, list(steps), value, value - sem, value + sem, rests_on)


def _llc(model: str, group: list) -> Llc:
    group = [
        (unit, data.assign(error=np.hypot(data["sem"], data.get("shared_sem", 0.0))))
        for unit, data in group
    ]
    steps = _by_step(group)
    last = list(steps.values())[-1][0]
    return Llc(
        estimate=_scalar(model, group, "llc", "error"),
        chain_loss=_scalar(model, group, "chain_loss", "chain_loss_sem"),
        init_loss=_scalar(model, group, "init_loss", "init_loss_sem"),
        trivial_loss=float(last["trivial_loss"]),
        pull_share=_scalar(model, group, "localization_share", None),
        verdicts=tuple(tuple(data.attrs["verdict"] for data in found) for found in steps.values()),
        warnings=tuple(
            word for found in steps.values() for data in found for word in _warnings(data)
        ),
        sentences=tuple(found[0].attrs.get("sentence", "") for found in steps.values()),
        settings={name: float(last[name]) for name in ("nbeta", "localization", "step_size")},
        running=_running(last),
    )


def _warnings(data: xr.Dataset) -> list[str]:
    return [word for word in data.attrs.get("warnings", "").split(", ") if word]


def _running(data: xr.Dataset) -> np.ndarray:
    """[C, T] running estimate of every chain after the burn-in."""
    burn_in = json.loads(data.attrs.get("config", "{}")).get("burn_in", 0)
    baseline = data["baseline_trace"] if "baseline_trace" in data else data["init_loss"]
    excess = (data["loss_trace"] - baseline).values.astype(np.float64)[:, burn_in:]
    return float(data["nbeta"]) * np.cumsum(excess, axis=1) / np.arange(1, excess.shape[1] + 1)


def _weights(model: str, group: list) -> Weights:
    steps, first = _by_step(group), group[0][1]
    names, center = (
        [str(name) for name in first["matrix"].values],
        first["center"].values.astype(np.float64),
    )
    counts = np.stack(
        [sum(d["counts"].values.astype(np.int64) for d in found) for found in steps.values()]
    )  # [K,M,N]
    beyond = np.stack(
        [
            sum((d["below"] + d["above"]).values.astype(np.int64) for d in found)
            for found in steps.values()
        ]
    )
    total = counts.sum(-1) + beyond
    density = counts / total[..., None] / (center[1] - center[0])
    return Weights(
        model=model,
        seeds=tuple(sorted({seed for unit, _ in group for seed in unit.seeds})),
        steps=np.array(list(steps)),
        center=center,
        density={name: density[:, m] for m, name in enumerate(names)},
        outside=float((beyond / total).max()),
        sd={name: _scalar(model, group, "sd", None, name) for name in names},
        width={name: _scalar(model, _with_width(group), "width", None, name) for name in names},
        excess_kurtosis={
            name: _scalar(model, group, "excess_kurtosis", None, name) for name in names
        },
    )


def _with_width(group: list) -> list:
    """Each data set with sd divided by that of its own seed's first step: what seeds share of it
    cancels."""
    first = {}
    for unit, data in group:
        first.setdefault(unit.seeds, data["sd"])
    return [(unit, data.assign(width=data["sd"] / first[unit.seeds])) for unit, data in group]


def _curve(model: str, steps, value, low, high, rests_on: str) -> Curve:
    numbers = (np.asarray(x, np.float64) for x in (value, low, high))
    value, low, high = numbers
    return Curve(
        model=model, steps=np.asarray(steps), value=value, low=low, high=high, rests_on=rests_on
    )


def _range(counts: set[int]) -> str:
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
