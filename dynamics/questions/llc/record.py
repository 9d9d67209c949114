"""The data set of one work unit on the LLC: the estimate at one checkpoint, and all that is needed
to believe or to doubt it.

Axes: C chains, T draws of a chain, burn-in among them. Losses in nats per token; the LLC has no
unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, expect, numbers, texts, whole
from dynamics.results import json_attribute, name_of

MEASURE = "llc"


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What becomes of an estimate with half the step and with twice the pull, as shares of it.

    Attributes:
        step_effect, step_effect_sem: (estimate at half the step size - estimate) / |estimate|.
        pull_effect, pull_effect_sem: the same at twice the localization.
    """

    step_effect: float
    step_effect_sem: float
    pull_effect: float
    pull_effect_sem: float


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a quadratic with the checkpoint's gradient and Hessian would give at these settings.

    Attributes:
        llc, sem: the chains' expected estimate, and its standard error over the spectrum's probes.
        slope: the part of it that the gradient makes.
        pull_exponent, pull_exponent_sem: its d ln llc / d ln gamma, from gamma to 2 gamma.
        unconfined: directions in which n beta h + gamma <= 0.
        smallest, largest: ends of the spectrum, nats per squared weight.
    """

    llc: float
    sem: float
    slope: float
    pull_exponent: float
    pull_exponent_sem: float
    unconfined: float
    smallest: float
    largest: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeats:
    """The same estimate again, of keys of their own.

    Attributes:
        llc, error: [R] each further estimate and its stated standard error.
    """

    llc: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, estimates: Sequence[tuple[float, float]]) -> "Repeats":
        """Of pairs (llc, error)."""
        llc, error = np.array(estimates, np.float64).T
        return cls(llc=llc, error=error)


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds. A number that older files lack is NaN, a trace that they lack None.

    Attributes:
        llc: the estimate.
        sem: its standard error between chains.
        shared_sem: that of an l(w*) that all chains share.
        init_loss, init_loss_sem: loss l(w*) of the checkpoint, and its standard error.
        trivial_loss: of the best predictor that knows nothing.
        chain_loss, chain_loss_sem: mean over chains and draws after the burn-in.
        rhat, ess: the worst of the loss above its baseline and of what has no batch noise, all
            chains together; in older files of the loss alone.
        acceptance: mean Metropolis probability; NaN where there is no test.
        nbeta, localization, step_size: n beta, gamma and epsilon.
        burn_in: draws of each chain that are left out.
        num_free: weights that move.
        step_curvature: epsilon (n beta h + gamma) in the stiffest direction.
        relative_distance: mean |w - w*| / |w*|.
        localization_share: gamma E|w - w*|^2 / d, d weights; 1 where the pull alone shapes what
            the chains sample.
        loss_trace, baseline_trace: [C,T] batch loss, and what it is compared with.
        per_chain: [C] estimates.
        distance: [C,T] |w - w*|.
        grad_norm: [C,T] norm of the batch gradient.
        drift_norm, pull_norm, noise_norm: [C,T] lengths of the three parts of a step.
        verdict: "local" where the chains stay near the model, else what became of them.
        warnings: further doubts.
        stability: what the Hessian's bound says of the step size.
        sentence: verdict and stability for people.
        sensitivity: None where it was not asked for.
        pull_exponent, pull_exponent_sem: d ln llc / d ln gamma from gamma to 2 gamma, paired
            between chains; NaN where it was not measured or the LLC is not surely positive.
        pull_bound: what |exponent| is at least on a quadratic, by the traces; NaN where the LLC is
            not surely positive, None in older files.
        reference: None where the spectrum was not measured.
        repeats: None where the estimate was made once.
    """

    llc: float
    sem: float
    shared_sem: float
    init_loss: float
    init_loss_sem: float
    trivial_loss: float
    chain_loss: float
    chain_loss_sem: float
    rhat: float
    ess: float
    acceptance: float
    nbeta: float
    localization: float
    step_size: float
    burn_in: int
    num_free: float
    step_curvature: float
    relative_distance: float
    localization_share: float
    loss_trace: np.ndarray
    baseline_trace: np.ndarray
    per_chain: np.ndarray | None
    distance: np.ndarray | None
    grad_norm: np.ndarray | None
    drift_norm: np.ndarray | None
    pull_norm: np.ndarray | None
    noise_norm: np.ndarray | None
    verdict: str
    warnings: tuple[str, ...]
    stability: str
    sentence: str
    sensitivity: Sensitivity | None = None
    pull_exponent: float = np.nan
    pull_exponent_sem: float = np.nan
    pull_bound: float | None = None
    reference: Reference | None = None
    repeats: Repeats | None = None

    @property
    def error(self) -> float:
        """Standard error of the estimate, of its chains and of what they share."""
        return float(np.hypot(self.sem, self.shared_sem))

    @property
    def running(self) -> np.ndarray:
        """[C,T - burn_in] n beta (mean loss so far - baseline) of each chain after the burn-in."""
        excess = (self.loss_trace - self.baseline_trace)[:, self.burn_in :]
        return self.nbeta * np.cumsum(excess, axis=1) / np.arange(1, excess.shape[1] + 1)


SCHEMA = Schema(
    variables={
        "llc": numbers(),
        "sem": numbers(),
        "init_loss": numbers(),
        "init_loss_sem": numbers(),
        "trivial_loss": numbers(),
        "chain_loss": numbers(),
        "chain_loss_sem": numbers(),
        "nbeta": numbers(),
        "localization": numbers(),
        "step_size": numbers(),
        "localization_share": numbers(),
        "shared_sem": numbers(optional=True),
        "rhat": numbers(optional=True),
        "ess": numbers(optional=True),
        "acceptance": numbers(optional=True),
        "num_free": numbers(optional=True),
        "eps_a": numbers(optional=True),
        "relative_distance": numbers(optional=True),
        "burn_in": whole(optional=True),
        "loss_trace": numbers("chain draw"),
        "baseline_trace": numbers("chain draw", optional=True),
        "distance": numbers("chain draw", optional=True),
        "grad_norm": numbers("chain draw", optional=True),
        "drift_norm": numbers("chain draw", optional=True),
        "pull_norm": numbers("chain draw", optional=True),
        "noise_norm": numbers("chain draw", optional=True),
        "per_chain": numbers("chain", optional=True),
        "step_effect": numbers(optional=True),
        "step_effect_sem": numbers(optional=True),
        "pull_effect": numbers(optional=True),
        "pull_effect_sem": numbers(optional=True),
        "pull_exponent": numbers(optional=True),
        "pull_exponent_sem": numbers(optional=True),
        "pull_bound": numbers(optional=True),
        "repeat_llc": numbers("repeat", optional=True),
        "repeat_error": numbers("repeat", optional=True),
        "reference_llc": numbers(optional=True),
        "reference_sem": numbers(optional=True),
        "reference_slope": numbers(optional=True),
        "reference_pull_exponent": numbers(optional=True),
        "reference_pull_exponent_sem": numbers(optional=True),
        "reference_unconfined": numbers(optional=True),
        "reference_smallest": numbers(optional=True),
        "reference_largest": numbers(optional=True),
    },
    attributes={
        "verdict": texts(),
        "warnings": texts(optional=True),
        "stability": texts(optional=True),
        "sentence": texts(optional=True),
    },
    single_seed=True,
    together=[
        ("step_effect", "step_effect_sem", "pull_effect", "pull_effect_sem"),
        ("pull_exponent", "pull_exponent_sem"),
        ("repeat_llc", "repeat_error"),
        (
            "reference_llc",
            "reference_sem",
            "reference_slope",
            "reference_pull_exponent",
            "reference_pull_exponent_sem",
            "reference_unconfined",
            "reference_smallest",
            "reference_largest",
        ),
    ],
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored; arrays keep their precision."""
    scalars = {
        "llc": record.llc,
        "sem": record.sem,
        "shared_sem": record.shared_sem,
        "init_loss": record.init_loss,
        "init_loss_sem": record.init_loss_sem,
        "trivial_loss": record.trivial_loss,
        "chain_loss": record.chain_loss,
        "chain_loss_sem": record.chain_loss_sem,
        "rhat": record.rhat,
        "ess": record.ess,
        "acceptance": record.acceptance,
        "nbeta": record.nbeta,
        "localization": record.localization,
        "step_size": record.step_size,
        "burn_in": record.burn_in,
        "num_free": record.num_free,
        "eps_a": record.step_curvature,
        "relative_distance": record.relative_distance,
        "localization_share": record.localization_share,
        "pull_exponent": record.pull_exponent,
        "pull_exponent_sem": record.pull_exponent_sem,
    }
    if record.pull_bound is not None:
        scalars["pull_bound"] = record.pull_bound
    traces = {
        "loss_trace": record.loss_trace,
        "baseline_trace": record.baseline_trace,
        "distance": record.distance,
        "grad_norm": record.grad_norm,
        "drift_norm": record.drift_norm,
        "pull_norm": record.pull_norm,
        "noise_norm": record.noise_norm,
    }
    data = scalars | {
        name: (("chain", "draw"), trace) for name, trace in traces.items() if trace is not None
    }
    if record.per_chain is not None:
        data["per_chain"] = ("chain", record.per_chain)
    if record.sensitivity is not None:
        data["step_effect"] = record.sensitivity.step_effect
        data["step_effect_sem"] = record.sensitivity.step_effect_sem
        data["pull_effect"] = record.sensitivity.pull_effect
        data["pull_effect_sem"] = record.sensitivity.pull_effect_sem
    if record.repeats is not None:
        data["repeat_llc"] = ("repeat", record.repeats.llc)
        data["repeat_error"] = ("repeat", record.repeats.error)
    if record.reference is not None:
        data["reference_llc"] = record.reference.llc
        data["reference_sem"] = record.reference.sem
        data["reference_slope"] = record.reference.slope
        data["reference_pull_exponent"] = record.reference.pull_exponent
        data["reference_pull_exponent_sem"] = record.reference.pull_exponent_sem
        data["reference_unconfined"] = record.reference.unconfined
        data["reference_smallest"] = record.reference.smallest
        data["reference_largest"] = record.reference.largest
    attributes = {
        "units": "losses in nats; llc dimensionless",
        "rests_on": f"{len(record.loss_trace)} chains",
        "verdict": record.verdict,
        "warnings": ", ".join(record.warnings),
        "stability": record.stability,
        "sentence": record.sentence,
    }
    return xr.Dataset(data, attrs=attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds, numbers in double precision. Raises InputError."""
    SCHEMA.check(data)
    burn_in, draws = _burn_in(data), data.sizes["draw"]
    expect(data, burn_in < draws, f"a burn-in of {burn_in} of {draws} draws", "draws after it")
    loss_trace = data["loss_trace"].values.astype(np.float64)
    init_loss, baseline = float(data["init_loss"]), _array(data, "baseline_trace")
    warnings = data.attrs.get("warnings", "").split(", ")
    return Record(
        llc=float(data["llc"]),
        sem=float(data["sem"]),
        shared_sem=_number(data, "shared_sem", 0.0),
        init_loss=init_loss,
        init_loss_sem=float(data["init_loss_sem"]),
        trivial_loss=float(data["trivial_loss"]),
        chain_loss=float(data["chain_loss"]),
        chain_loss_sem=float(data["chain_loss_sem"]),
        rhat=_number(data, "rhat"),
        ess=_number(data, "ess"),
        acceptance=_number(data, "acceptance"),
        nbeta=float(data["nbeta"]),
        localization=float(data["localization"]),
        step_size=float(data["step_size"]),
        burn_in=_burn_in(data),
        num_free=_number(data, "num_free"),
        step_curvature=_number(data, "eps_a"),
        relative_distance=_number(data, "relative_distance"),
        localization_share=float(data["localization_share"]),
        loss_trace=loss_trace,
        baseline_trace=np.full_like(loss_trace, init_loss) if baseline is None else baseline,
        per_chain=_array(data, "per_chain"),
        distance=_array(data, "distance"),
        grad_norm=_array(data, "grad_norm"),
        drift_norm=_array(data, "drift_norm"),
        pull_norm=_array(data, "pull_norm"),
        noise_norm=_array(data, "noise_norm"),
        verdict=str(data.attrs["verdict"]),
        warnings=tuple(word for word in warnings if word),
        stability=str(data.attrs.get("stability", "")),
        sentence=str(data.attrs.get("sentence", "")),
        sensitivity=_sensitivity(data),
        pull_exponent=_number(data, "pull_exponent"),
        pull_exponent_sem=_number(data, "pull_exponent_sem"),
        pull_bound=float(data["pull_bound"]) if "pull_bound" in data else None,
        reference=_reference(data),
        repeats=Repeats(llc=data["repeat_llc"].values, error=data["repeat_error"].values)
        if "repeat_llc" in data
        else None,
    )


def _number(data: xr.Dataset, name: str, absent: float = np.nan) -> float:
    return float(data[name]) if name in data else absent


def _array(data: xr.Dataset, name: str) -> np.ndarray | None:
    return data[name].values.astype(np.float64) if name in data else None


def _burn_in(data: xr.Dataset) -> int:
    """Older files have it in their configuration alone."""
    if "burn_in" in data:
        return int(data["burn_in"])
    draws = json_attribute(data.attrs, "config", name_of(data)).get("burn_in", 0)
    expect(data, type(draws) is int and draws >= 0, f"a burn-in of {draws}", "a whole number")
    return draws


def _reference(data: xr.Dataset) -> Reference | None:
    if "reference_llc" not in data:
        return None
    return Reference(
        llc=float(data["reference_llc"]),
        sem=float(data["reference_sem"]),
        slope=float(data["reference_slope"]),
        pull_exponent=float(data["reference_pull_exponent"]),
        pull_exponent_sem=float(data["reference_pull_exponent_sem"]),
        unconfined=float(data["reference_unconfined"]),
        smallest=float(data["reference_smallest"]),
        largest=float(data["reference_largest"]),
    )


def _sensitivity(data: xr.Dataset) -> Sensitivity | None:
    if "step_effect" not in data:
        return None
    return Sensitivity(
        step_effect=float(data["step_effect"]),
        step_effect_sem=float(data["step_effect_sem"]),
        pull_effect=float(data["pull_effect"]),
        pull_effect_sem=float(data["pull_effect_sem"]),
    )
