"""What Langevin chains around the checkpoints of a model say of the loss there.

Axes: K steps (ascending), S seeds, C chains, T draws after the burn-in. Losses in nats per token;
the local learning coefficient (LLC) has no unit.
"""

import collections
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.loss_share import LossShare, explained_by_loss
from dynamics.questions.committed import Committed, Pairs, by_model
from dynamics.questions.llc import excess, record, record_settings
from dynamics.questions.llc.record import Record, Sensitivity
from dynamics.questions.single_seeds import Steps, of_seed, over_seeds, records_by_step, seeds_of

HELD = "held by the pull"  # the warning, as chains have it
PULL_ALONE = 0.9  # localization share that stands in for the warning in older results


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What estimates must share to be compared: n beta, gamma and epsilon."""

    nbeta: float
    localization: float
    step_size: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """Estimates of a single seed.

    Attributes:
        seed: which one.
        llc: with its standard error, of the chains and of an l(w*) that they share.
        local: bool [K].
        pull_exponent: d ln llc / d ln gamma where it was measured; None where it was not.
        excess: beside the quadratic reference; None where that was not measured.
    """

    seed: int
    llc: Curve
    local: np.ndarray
    pull_exponent: Curve | None
    excess: excess.Excess | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeated:
    """How far estimates of one checkpoint differ between keys, over all that were repeated.

    Attributes:
        spread: their standard deviation, pooled over checkpoints.
        stated: root mean square of their stated errors.
        num_free: degrees of freedom of the spread.
        num_checkpoints: that were repeated.
    """

    spread: float
    stated: float
    num_free: int
    num_checkpoints: int


@dataclass(frozen=True, kw_only=True, eq=False)
class LastChains:
    """The chains of the first seed at the last step.

    Attributes:
        step: the last.
        running: [C,T] running estimate of each chain.
        verdict: what became of them.
        sentence: the same for people.
    """

    step: int
    running: np.ndarray
    verdict: str
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimates:
    """The LLC of one model over training, and what says whether to believe it.

    Attributes:
        model: name of the model.
        seeds: [S] that were sampled around at any step.
        num_chains: chains of each estimate.
        llc: the estimates, mean over seeds.
        chain_loss: mean loss of the chains.
        init_loss: loss of the checkpoints themselves.
        localization_share: gamma E|w - w*|^2 / d: 1 in the directions that the pull alone shapes,
            flat ones among them, whether or not they add to the LLC.
        set_by_pull: bool [K]: gamma decides most of an LLC, so that another gamma gives another.
        trivial_loss: of the best predictor that knows nothing.
        verdicts: [K][seeds of the step].
        warnings: every warning of every estimate.
        num_warned: estimates with a warning.
        settings: of the last estimate.
        loss_share: how much of the curve is the loss curve again; None under three checkpoints.
        step_effect, pull_effect: share by which half the step size, and twice gamma, change the
            estimate, 0 for none; None where that was not measured at every step.
        last: chains of the first seed at the last step.
        runs: the seeds one by one.
        suggested: what the landscape says of settings; "" where it was not asked.
        repeated: None where every estimate was made once.
    """

    model: str
    seeds: tuple[int, ...]
    num_chains: int
    llc: Curve
    chain_loss: Curve
    init_loss: Curve
    localization_share: Curve
    set_by_pull: np.ndarray
    trivial_loss: float
    verdicts: tuple[tuple[str, ...], ...]
    warnings: tuple[str, ...]
    num_warned: int
    settings: Settings
    loss_share: LossShare | None
    step_effect: Curve | None
    pull_effect: Curve | None
    last: LastChains
    runs: tuple[Run, ...]
    suggested: str
    repeated: Repeated | None

    @property
    def steps(self) -> np.ndarray:
        """[K]"""
        return self.llc.steps

    @property
    def local(self) -> np.ndarray:
        """bool [K]: the chains of every seed stayed near the model."""
        return np.array([set(verdicts) == {"local"} for verdicts in self.verdicts])

    @property
    def is_loss_again(self) -> bool:
        """Whether the loss curve alone explains the curve of estimates."""
        return self.loss_share is not None and self.loss_share.explained


def find(committed: Committed) -> list[Estimates] | None:
    """One per model, models by size."""
    groups = by_model(committed.of(record.MEASURE))
    suggested = {
        unit.model: record_settings.from_dataset(data).sentence
        for unit, data in committed.of(record_settings.MEASURE)
    }
    return [
        _estimates(model, pairs, suggested.get(model, "")) for model, pairs in groups.items()
    ] or None


def first_excesses(models: Sequence[Estimates]) -> list[excess.Excess]:
    """Of every model's first seed that has a quadratic reference."""
    firsts = [next((r.excess for r in m.runs if r.excess is not None), None) for m in models]
    return [first for first in firsts if first is not None]


def verdict_counts(models: Sequence[Estimates]) -> collections.Counter[str]:
    """Verdict -> how many estimates, over models, steps and seeds, have it."""
    return collections.Counter(
        verdict for model in models for verdicts in model.verdicts for verdict in verdicts
    )


def warning_counts(models: Sequence[Estimates]) -> collections.Counter[str]:
    """Warning -> how many estimates have it."""
    return collections.Counter(warning for model in models for warning in model.warnings)


def _estimates(model: str, pairs: Pairs, suggested: str) -> Estimates:
    steps = records_by_step(pairs, record.from_dataset)
    records = [r for of_step in steps.values() for r in of_step.values()]
    last_step = max(steps)
    last = next(iter(steps[last_step].values()))
    llc = over_seeds(model, steps, lambda r: r.llc, lambda r: r.error)
    init_loss = over_seeds(model, steps, lambda r: r.init_loss, lambda r: r.init_loss_sem)
    seeds = seeds_of(steps)
    return Estimates(
        model=model,
        seeds=tuple(seeds),
        num_chains=len(last.loss_trace),
        llc=llc,
        chain_loss=over_seeds(model, steps, lambda r: r.chain_loss, lambda r: r.chain_loss_sem),
        init_loss=init_loss,
        localization_share=over_seeds(model, steps, lambda r: r.localization_share, _no_error),
        set_by_pull=np.array([any(map(_held, of_step.values())) for of_step in steps.values()]),
        trivial_loss=last.trivial_loss,
        verdicts=tuple(
            tuple(seed_record.verdict for seed_record in of_step.values())
            for of_step in steps.values()
        ),
        warnings=tuple(warning for r in records for warning in r.warnings),
        num_warned=sum(bool(r.warnings) for r in records),
        settings=Settings(
            nbeta=last.nbeta, localization=last.localization, step_size=last.step_size
        ),
        loss_share=_loss_share(llc, init_loss, last.nbeta),
        step_effect=_effect(model, steps, _step_effect),
        pull_effect=_effect(model, steps, _pull_effect),
        last=LastChains(
            step=last_step, running=last.running, verdict=last.verdict, sentence=last.sentence
        ),
        runs=tuple(_run(model, seed, steps) for seed in seeds),
        suggested=suggested,
        repeated=_repeated(records),
    )


def _repeated(records: Sequence[Record]) -> Repeated | None:
    """Checkpoints are alike in their spread here: one number is better known than many."""
    pairs = [(r, r.repeats) for r in records if r.repeats is not None]
    if not pairs:
        return None
    groups = [np.append(repeats.llc, r.llc) for r, repeats in pairs]
    errors = np.concatenate([np.append(repeats.error, r.error) for r, repeats in pairs])
    squares = sum(float(np.square(group - group.mean()).sum()) for group in groups)
    num_free = sum(len(group) - 1 for group in groups)
    return Repeated(
        spread=(squares / num_free) ** 0.5,
        stated=float(np.square(errors).mean() ** 0.5),
        num_free=num_free,
        num_checkpoints=len(pairs),
    )


def _held(of_seed: Record) -> bool:
    """Whether gamma decides most of the estimate; older results have the localization share."""
    if of_seed.pull_bound is None:
        return of_seed.localization_share > PULL_ALONE
    return HELD in of_seed.warnings


def _no_error(_: Record) -> float:
    return np.nan


def _effect(model: str, steps: Steps[Record], effect: Callable[[Sensitivity], tuple[float, float]]):
    """Curve of an effect and its error, of the first seed's chains."""
    firsts = {step: next(iter(of_step.values())).sensitivity for step, of_step in steps.items()}
    effects = [effect(sensitivity) for sensitivity in firsts.values() if sensitivity is not None]
    if len(effects) < len(firsts):
        return None
    value, sem = np.array(effects).T
    return Curve.with_sem(model, list(firsts), value, sem, "± standard error between chains")


def _step_effect(sensitivity: Sensitivity) -> tuple[float, float]:
    return sensitivity.step_effect, sensitivity.step_effect_sem


def _pull_effect(sensitivity: Sensitivity) -> tuple[float, float]:
    return sensitivity.pull_effect, sensitivity.pull_effect_sem


def _loss_share(llc: Curve, init_loss: Curve, nbeta: float) -> LossShare | None:
    finite = np.isfinite(llc.value) & np.isfinite(init_loss.value)
    if finite.sum() < 3:
        return None
    return explained_by_loss(llc.value[finite], init_loss.value[finite], nbeta)


def _run(model: str, seed: int, steps: Steps[Record]) -> Run:
    own = of_seed(steps, seed)
    local = [of_step[seed].verdict == "local" for of_step in own.values()]
    return Run(
        seed=seed,
        llc=over_seeds(model, own, lambda r: r.llc, lambda r: r.error),
        local=np.array(local),
        pull_exponent=excess.exponents(model, seed, own),
        excess=excess.of_seed(model, seed, own),
    )
