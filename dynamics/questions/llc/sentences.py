"""What the LLC's estimates say, in sentences, and how far each can be trusted."""

from collections.abc import Sequence

import numpy as np

from dynamics.questions.llc import excess
from dynamics.questions.llc.findings import (
    Estimates,
    first_excesses,
    verdict_counts,
    warning_counts,
)
from dynamics.report import grades, words
from dynamics.report.section import Finding, Grade


def sentences(models: Sequence[Estimates]) -> list[Finding]:
    """Of all models: what became of the chains, and what they found; then of each model."""
    return [
        *_verdict_findings(models),
        *_excess_finding(models),
        *(finding for model in models for finding in _model_findings(model)),
    ]


def _excess_finding(models: Sequence[Estimates]) -> list[Finding]:
    """What the chains found that the Hessian does not tell, over all models."""
    excesses = first_excesses(models)
    sentence = excess.sentence(excesses)
    if not sentence:
        return []
    tells = [
        answer in ("more", "nothing more")
        for shown in excesses
        for answer, local in zip(shown.answers, shown.local, strict=True)
        if local
    ]
    return [
        Finding(
            sentence=sentence,
            rests_on=f"one seed{' of each model' if len(models) > 1 else ''}; standard errors of "
            "chains and of the spectrum's probes",
            grade="sure" if all(tells) else "unsure",
        )
    ]


def _rests_on(models: Sequence[Estimates]) -> str:
    seeds = max(len(m.seeds) for m in models)
    per_model = " of each model" if len(models) > 1 else ""
    return f"{words.counted(seeds, 'seed')}{per_model}, {models[-1].num_chains} chains an estimate"


def _verdict_findings(models: Sequence[Estimates]) -> list[Finding]:
    """How many of the estimates are local, and how many are warned of."""
    sentences = [verdict_sentence(models), warning_sentence(models)]
    return [
        Finding(sentence=sentence, rests_on=_rests_on(models), grade="sure")
        for sentence in sentences
        if sentence
    ]


def verdict_sentence(models: Sequence[Estimates]) -> str:
    """How many estimates are local, and what became of the others."""
    counts = verdict_counts(models)
    total, local = counts.total(), counts.pop("local", 0)
    others = words.listed([f"{count} “{verdict}”" for verdict, count in counts.most_common()])
    verb = "is" if local == 1 else "are"
    ending = f"; the others are {others}" if others else ""
    return f"{local} of {total} LLC estimates {verb} local{ending}."


def warning_sentence(models: Sequence[Estimates]) -> str:
    """How many estimates have which warning; "" where none has one."""
    counts = warning_counts(models)
    if not counts:
        return ""
    total, warned = verdict_counts(models).total(), sum(m.num_warned for m in models)
    kinds = words.listed([f"{count} “{warning}”" for warning, count in counts.most_common()])
    return f"{warned} of {total} LLC estimates have a warning: {kinds}."


def _model_findings(model: Estimates) -> list[Finding]:
    """Course of the local estimates, and whether a setting or the loss decides them."""
    judged: list[tuple[str, Grade]] = [
        # The warning is given where the exponent or its bound surely says so.
        (pull_sentence(model), "sure" if model.runs[0].pull_exponent is not None else "open"),
        (sensitivity_sentence(model), _sensitivity_grade(model)),
        # The correlation with the loss curve is one number without an error of its own.
        (loss_share_sentence(model), "open"),
        # A spread of few repeats is itself uncertain, and is said with how many it rests on.
        (repeats_sentence(model), "open"),
    ]
    return [
        *_course_finding(model),
        *(
            Finding(sentence=sentence, rests_on=_rests_on([model]), grade=grade)
            for sentence, grade in judged
            if sentence
        ),
    ]


def _sensitivity_grade(model: Estimates) -> Grade:
    """By the errors of the two largest changes that are named."""
    effects = [e for e in (model.step_effect, model.pull_effect) if e is not None]
    largest = [int(np.argmax(np.abs(effect.value))) for effect in effects]
    return grades.weakest(
        grades.judge(effect.value[at], effect.sem[at])
        for effect, at in zip(effects, largest, strict=True)
    )


def _course_finding(model: Estimates) -> list[Finding]:
    """How the local estimates move; unsure where the setting gamma decides their value."""
    local = model.llc.where(model.local).finite()
    if len(local.steps) < 2:
        return []
    by_setting = bool(model.set_by_pull[model.local].any())
    caveat = "; its value rests on γ" if by_setting else ""
    sentence = (
        f"From step {local.steps[0]} on, at the {len(local.steps)} of {len(model.steps)} steps "
        f"where it is local, the LLC of {words.course(local)}{caveat}."
    )
    course = grades.course(local)
    grade = grades.weakest([course, "unsure"]) if by_setting else course
    return [Finding(sentence=sentence, rests_on=_rests_on([model]), grade=grade)]


def repeats_sentence(model: Estimates) -> str:
    """How far estimates of other keys lie from each other, beside what their errors say."""
    repeated = model.repeated
    if repeated is None:
        return ""
    checkpoints = words.counted(repeated.num_checkpoints, "checkpoint")
    return (
        f"Repeated with other noise and batches, LLC estimates of {model.model} differ by a "
        f"standard deviation of {words.number(repeated.spread)} ({repeated.num_free} degrees of "
        f"freedom, {checkpoints}), where their stated errors are {words.number(repeated.stated)}."
    )


def pull_sentence(model: Estimates) -> str:
    """Whether a setting decides the estimates; "" where it decides at no step."""
    held = model.set_by_pull
    if not held.any():
        return ""
    at = "every step" if held.all() else words.steps_apart(model.steps, held)
    exponent = model.runs[0].pull_exponent
    span = ""
    if exponent is not None:
        ends = exponent.where(np.isin(exponent.steps, model.steps[held])).value
        span = f" (d ln LLC / d ln γ = {_span(ends)})" if ends.size else ""
    return (
        f"At {at} the setting γ decides most of the LLC of {model.model}{span}: another γ gives "
        "another LLC."
    )


def _span(values: np.ndarray) -> str:
    low, high = (f"{end:.2f}".replace("-", "−") for end in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def sensitivity_sentence(model: Estimates) -> str:
    """By how much other settings change the estimates; "" where that was not measured."""
    if model.step_effect is None or model.pull_effect is None:
        return ""
    step, pull = (
        words.number(100 * float(np.abs(effect.value).max()))
        for effect in (model.step_effect, model.pull_effect)
    )
    return (
        f"Half the step size changes the LLC of {model.model} by up to {step} %, and twice γ by "
        f"up to {pull} %."
    )


def loss_share_sentence(model: Estimates) -> str:
    """Whether the curve holds more than the loss curve; "" where that is not known."""
    share = model.loss_share
    if share is None or not np.isfinite(share.correlation):
        return ""
    is_again = "is the loss curve again" if share.explained else "is not the loss curve again"
    return (
        f"The LLC curve of {model.model} {is_again}: its correlation with −n β loss is "
        f"{words.number(share.correlation)}, and chains of one loss at all checkpoints would give "
        f"LLCs up to {words.number(share.residual)} from these."
    )
