"""Which sampler settings are healthy? A grid of them at a few checkpoints, one recommended.

    python -m experiments.calibration --suite=nano --models=nano-32

`python -m experiments.llc --calibrate` does the same. With --suggest each model's grid lies about
the setting that experiments.llc_settings finds for it. 36 settings at 3 checkpoints take three
minutes on 2 cores. Of what the Hessian's stability bound condemns the mildest setting alone is
sampled, for its traces.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from absl import flags

from dynamics import slt
from dynamics.errors import ChainError, InputError
from dynamics.measures import problem
from dynamics.questions.calibration import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, llc_settings, number_flags, sampler_flags

FLAGS = flags.FLAGS
number_flags.reals(
    "step_sizes",
    None,
    "step sizes to try; default 1/4, 1, 4 and 16 times --step_size",
    least=1e-30,
    most=1e12,
)
number_flags.reals(
    "nbetas",
    None,
    "values of n beta to try; default 1/10, 1 and 10 times --nbeta",
    least=1e-30,
    most=1e12,
)
number_flags.reals(
    "localizations",
    None,
    "values of gamma to try; default 1/10, 1 and 10 times --localization",
    least=0,
    most=1e12,
)
number_flags.whole(
    "calibrate_at",
    3,
    "checkpoints of each model to try them at, log-spaced",
    least=1,
    most=number_flags.MOST_PARTS,
)
# NaN where the stability bound condemns a setting, or its chains diverged: `state` says so.
_NOT_SAMPLED = ("llc", "sem", "chain_loss", "rhat", "ess", "localization_share", "excess")
_BEYOND = ("unstable", "diverged")
_SEGMENT = 5  # draws after which chains that leave the numbers are looked at


def experiments(study: Study) -> list[common.Experiment]:
    """The grid at a few checkpoints of every model, step 0 left out: it has no basin to stay in."""
    sampler_flags.settle(study)
    config = sampler_flags.config(study)
    if FLAGS.suggest:
        llc_settings.ensure(study)
        config["suggested"] = {
            model: grid(llc_settings.sampler(study, model)) for model in study.suite.models
        }
    else:
        config |= {name: list(values) for name, values in grid(sampler_flags.sampler()).items()}
    steps = sampler_flags.spaced(
        [step for step in study.suite.steps if step > 0], FLAGS.calibrate_at
    )
    units = [
        unit
        for unit in study.single_units(record.MEASURE, study.suite.seeds[:1])
        if unit.step in steps
    ]
    if not units:
        raise InputError(
            f"steps {list(study.suite.steps)}",
            expected="a checkpoint after step 0 to calibrate at",
        )
    return [common.Experiment(record.MEASURE, config, units, calibrate, may_be_nan=_NOT_SAMPLED)]


def grid(sampler: slt.Sampler) -> dict[str, tuple[float, ...]]:
    """Name of a setting -> its values, ascending: those of the flags, or about the sampler's.

    Raises:
        InputError: a sampler without n beta.
    """
    if sampler.nbeta is None:
        raise InputError("a sampler without n beta", expected="--nbeta, to be varied")
    return {
        "step_size": _values("step_sizes", sampler.step_size, (0.25, 1, 4, 16)),
        "nbeta": _values("nbetas", sampler.nbeta, (0.1, 1, 10)),
        "localization": _values("localizations", sampler.localization, (0.1, 1, 10)),
    }


def _values(flag: str, default: float, factors: Sequence[float]) -> tuple[float, ...]:
    """The flag's values, or `factors` times the default; ascending."""
    return tuple(sorted(set(FLAGS[flag].value or ()) or {default * factor for factor in factors}))


def calibrate(study: Study, unit: Unit):
    """Every setting at one checkpoint. What the stability bound condemns has no estimate."""
    checkpoint = study.load(*unit.cells()[0])
    params, data = jax.device_put(checkpoint.params), sampler_flags.data(study)
    sampler = llc_settings.sampler(study, unit.model)
    loss, mask = (
        problem.of(checkpoint.config).loss,
        slt.part_mask(checkpoint.config, FLAGS.parts),
    )
    ends = slt.measure_spectrum_ends(loss, params, data, jax.random.key(0), sampler, mask)
    estimate = functools.partial(
        slt.estimate_llc,
        loss,
        params,
        data,
        sampler_flags.key(),
        mask=mask,
        trivial_loss=problem.of(checkpoint.config, study.suite.num_tasks).trivial_loss,
        top_eigenvalue=ends,
    )
    settings = grid(sampler)
    cells = np.empty(tuple(len(values) for values in settings.values()), object)
    for place in np.ndindex(cells.shape):
        values = {name: axis[n] for n, (name, axis) in zip(place, settings.items(), strict=True)}
        varied = dataclasses.replace(sampler, **values)
        constants = varied.constants(len(data))
        stability = slt.assess_stability(constants, ends, varied.bias_factor)
        cells[place] = _cell(estimate, varied, stability)
    chains = functools.partial(
        slt.segments, loss, params=params, data=data, key=sampler_flags.key(), mask=mask
    )
    _with_its_end(cells, settings, sampler, chains)
    measured = record.to_dataset(_record(settings, cells, sampler, ends.largest))
    return measured, [checkpoint.provenance]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Cell:
    """One setting; numbers are NaN where chains were not sampled or not finite."""

    step_curvature: float
    state: str
    warnings: str = ""
    llc: float = np.nan
    sem: float = np.nan
    chain_loss: float = np.nan
    rhat: float = np.nan
    ess: float = np.nan
    localization_share: float = np.nan
    excess: np.ndarray | None = None  # [C,T]


def _cell(estimate, sampler: slt.Sampler, stability: slt.Stability) -> _Cell:
    """The estimate and its diagnostics; only the state where there are none."""
    try:
        llc = estimate(sampler=sampler)
    except ChainError:
        state = "unstable" if stability.state == "unstable" else "diverged"
        return _Cell(step_curvature=stability.step_curvature, state=state)
    return _Cell(
        step_curvature=stability.step_curvature,
        state=llc.verdict.state,
        warnings=", ".join(llc.verdict.warnings),
        llc=llc.llc,
        sem=llc.error,
        chain_loss=llc.verdict.chain_loss,
        rhat=llc.rhat,
        ess=llc.ess,
        localization_share=llc.verdict.localization_share,
        excess=sampler.nbeta * (llc.loss_trace - llc.baseline_trace),
    )


def _with_its_end(cells: np.ndarray, settings: Mapping, sampler: slt.Sampler, segments) -> None:
    """Gives the mildest setting beyond the bound the draws that its chains take before they are no
    numbers, so that there is one trace of that."""
    beyond: dict[tuple[int, ...], _Cell] = {
        place: cell for place, cell in np.ndenumerate(cells) if cell.state in _BEYOND
    }
    if not beyond:
        return
    place = min(beyond, key=lambda place: beyond[place].step_curvature)
    values = {name: axis[n] for n, (name, axis) in zip(place, settings.items(), strict=True)}
    varied = dataclasses.replace(sampler, **values, segment=_SEGMENT)
    excess = np.full((varied.num_chains, varied.num_draws), np.nan, np.float32)
    with contextlib.suppress(ChainError):
        for run in segments(sampler=varied):
            start = run.traces.baseline
            start = run.traces.loss[:, :1] if start is None else start  # draw 0 is w*
            above = varied.nbeta * (run.traces.loss - start)
            excess[:, : above.shape[1]] = above
    cells[place] = dataclasses.replace(beyond[place], excess=excess)


def _record(settings, cells: np.ndarray, sampler: slt.Sampler, top: float) -> record.Record:
    """The record of one checkpoint's cells [E,B,G]."""

    nowhere = np.full((sampler.num_chains, sampler.num_draws), np.nan, np.float32)

    def stacked(value: Callable[[_Cell], float | str | np.ndarray]) -> np.ndarray:
        values = np.array([value(cell) for cell in cells.ravel()])
        return values.reshape(*cells.shape, *values.shape[1:])

    return record.Record(
        step_sizes=np.array(settings["step_size"]),
        nbetas=np.array(settings["nbeta"]),
        localizations=np.array(settings["localization"]),
        llc=stacked(lambda cell: cell.llc),
        sem=stacked(lambda cell: cell.sem),
        chain_loss=stacked(lambda cell: cell.chain_loss),
        rhat=stacked(lambda cell: cell.rhat),
        ess=stacked(lambda cell: cell.ess),
        localization_share=stacked(lambda cell: cell.localization_share),
        step_curvature=stacked(lambda cell: cell.step_curvature),
        state=stacked(lambda cell: cell.state),
        warnings=stacked(lambda cell: cell.warnings),
        excess=stacked(lambda cell: nowhere if cell.excess is None else cell.excess),
        top_eigenvalue=top,
        num_chains=sampler.num_chains,
        num_draws=sampler.num_draws - sampler.burn_in,
        burn_in=sampler.burn_in,
    )


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
