"""The page on local learning coefficients."""

import collections
import functools
from collections.abc import Sequence

import numpy as np

from dynamics.figures import style
from dynamics.questions.llc import excess, figures
from dynamics.questions.llc.excess import Excess
from dynamics.questions.llc.findings import (
    Estimates,
    verdict_counts,
    warning_counts,
)
from dynamics.report import grades, words
from dynamics.report.section import Finding, Grade, Panel, Section, Table, Track

INTRODUCTION = (
    "The local learning coefficient (LLC) is n β times what Langevin chains started at the "
    "checkpoint lose on average. It speaks of the landscape only while the chains stay near the "
    "model, so each estimate carries a verdict."
)
QUANTITY = "LLC"


def section(models: Sequence[Estimates], look: style.Look) -> Section:
    """The estimates with their verdicts, then what says whether to believe them."""
    llc, chain_loss = [m.llc for m in models], [m.chain_loss for m in models]
    return Section(
        introduction=INTRODUCTION,
        panels=[
            _answer(models, look),
            *_excess_panels(models, look),
            _pull_panel(models, look),
            *(_chain_panel(model, look) for model in models),
            _running_panel(models[-1], look),
        ],
        findings=[
            *_verdict_findings(models),
            *_excess_finding(models),
            *(f for m in models for f in _model_findings(m)),
        ],
        tracks=[Track(label=QUANTITY, curves=llc)],
        tables={"What became of the chains at the last step": _verdicts(models)}
        | _suggested_table(models)
        | _sensitivity_tables(models),
        numbers={
            "llc": llc,
            "chain_loss": chain_loss,
            "init_loss": [m.init_loss for m in models],
            "localization_share": [m.localization_share for m in models],
            "llc_running": {
                m.model: {"step": m.last.step, "chains": m.last.running} for m in models
            },
            **_effect_numbers(models),
            **_excess_numbers(models),
        },
    )


def _answer(models: Sequence[Estimates], look: style.Look) -> Panel:
    curves = [m.llc for m in models]
    dotted = (
        "A dotted line is the loss curve again. " if any(m.is_loss_again for m in models) else ""
    )
    return Panel(
        name="llc",
        title="Local learning coefficient",
        caption="Filled markers: the chains stayed near the model, and the estimate is about it. "
        "Hollow: they did not, and it says nothing about the landscape. "
        f"{dotted}{words.bars(curves)} Estimates compare only at one setting, here "
        f"{_settings(models)}.",
        draw=lambda: figures.estimates(models, look),
        table=_estimate_table(models),
    )


def _settings(models: Sequence[Estimates]) -> str:
    """The settings that estimates share, or each model's own."""
    settings = {
        m.model: f"n β = {m.settings.nbeta:g}, γ = {m.settings.localization:g}, "
        f"ε = {m.settings.step_size:g}"
        for m in models
    }
    if len(set(settings.values())) == 1:
        return settings[models[0].model]
    return words.listed([f"{shared} of {model}" for model, shared in settings.items()])


def _estimate_table(models: Sequence[Estimates]) -> Table:
    columns = dict(Table.of_curves([m.llc for m in models], QUANTITY).columns)
    verdicts = [_counts(collections.Counter(verdicts)) for m in models for verdicts in m.verdicts]
    shares = [share for m in models for share in m.localization_share.value.tolist()]
    return Table(columns=columns | {"verdict": verdicts, "localization share": shares})


def _counts(counter: collections.Counter[str]) -> str:
    """ "local" where that is all, else "2 local, 1 escaped"."""
    if len(counter) == 1:
        return next(iter(counter))
    return ", ".join(f"{count} {word}" for word, count in counter.most_common())


def _pull_panel(models: Sequence[Estimates], look: style.Look) -> Panel:
    exponents = [r.pull_exponent for m in models for r in m.runs[:1] if r.pull_exponent is not None]
    if exponents:
        return Panel(
            name="llc-pull-exponent",
            title="What decides the estimates: the pull or the loss?",
            caption="d ln LLC / d ln γ, by which twice γ changes the LLC: 0 where the landscape "
            "decides the value and −1 where the pull to the checkpoint does. Below the dotted line "
            "another γ gives another LLC. Where the LLC is not surely positive there is none. "
            f"{words.bars(exponents)}",
            draw=lambda: figures.pull_exponents(exponents, look),
            table=Table.of_curves(exponents, "pull exponent"),
        )
    shares = [m.localization_share for m in models]
    return Panel(
        name="llc-pull",
        title="What shapes the estimates: the pull or the loss?",
        caption="The localization share is the mean over all directions of how far the pull to the "
        "checkpoint, and not the loss, holds the chains there. Near 1 it says that most directions "
        "are flat to the chains; whether the LLC is the pull's too is for the pull's exponent to "
        f"say, which was not measured here. {words.bars(shares)}",
        draw=lambda: figures.localization_share(models, look),
        table=Table.of_curves(shares, "localization share"),
    )


def _excesses(models: Sequence[Estimates]) -> list[Excess]:
    """Of every model's first seed that has one."""
    firsts = [next((r.excess for r in m.runs if r.excess is not None), None) for m in models]
    return [first for first in firsts if first is not None]


def _excess_panels(models: Sequence[Estimates], look: style.Look) -> list[Panel]:
    return [
        Panel(
            name=f"llc-excess-{shown.model}",
            title=f"Does the LLC say more than the Hessian? {shown.model}, seed {shown.seed}",
            caption="Dashed: what a quadratic with the checkpoint's gradient and Hessian would "
            "give at the same settings, draw for draw. Below: the excess, which is what the chains "
            "found beyond it. Hollow: not local. "
            f"{words.bars([shown.llc, shown.reference, shown.value])}",
            draw=functools.partial(figures.beside_reference, shown, look),
            table=_excess_table(shown),
            group="Does the LLC say more than the Hessian?",
        )
        for shown in _excesses(models)
    ]


def _excess_table(shown: Excess) -> Table:
    columns = dict(Table.of_curves([shown.llc], QUANTITY).columns)
    for quantity, curve in {"reference": shown.reference, "excess": shown.value}.items():
        columns |= {
            f"{quantity}": curve.value.tolist(),
            f"low of the {quantity}": curve.low.tolist(),
            f"high of the {quantity}": curve.high.tolist(),
        }
    return Table(
        columns=columns
        | {
            "the gradient's part of the reference": shown.slope.tolist(),
            "directions that the quadratic does not confine": shown.unconfined.tolist(),
            "did the chains find more?": shown.answers,
        }
    )


def _excess_finding(models: Sequence[Estimates]) -> list[Finding]:
    """What the chains found that the Hessian does not tell, over all models."""
    excesses = _excesses(models)
    sentence = excess.sentence(excesses)
    if not sentence:
        return []
    tells = [
        answer != "cannot tell"
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


def _excess_numbers(models: Sequence[Estimates]) -> dict[str, object]:
    excesses = _excesses(models)
    exponents = [r.pull_exponent for m in models for r in m.runs[:1] if r.pull_exponent is not None]
    curves = {
        "llc_beside_reference": [shown.llc for shown in excesses],
        "llc_reference": [shown.reference for shown in excesses],
        "llc_excess": [shown.value for shown in excesses],
        "llc_pull_exponent": exponents,
    }
    return {name: values for name, values in curves.items() if values}


def _chain_panel(model: Estimates, look: style.Look) -> Panel:
    curves = [model.chain_loss, model.init_loss]
    return Panel(
        name=f"llc-chains-{model.model}",
        title=f"Did the chains stay? {model.model}",
        caption="Chains above the trivial predictor (dotted), which is the best that knows "
        "nothing, have left the model. Chains and checkpoint are shown on batches of their own; "
        f"the estimate compares them on the same ones. {words.bars(curves)}",
        draw=lambda: figures.chain_loss(model, look),
        table=_chain_table(model),
        group="Did the chains stay?",
    )


def _chain_table(model: Estimates) -> Table:
    unit = "(nats per token)"
    chains = Table.of_curves([model.chain_loss], f"loss of the chains {unit}")
    checkpoint = Table.of_curves(
        [model.init_loss], f"loss of the checkpoint {unit}", ", checkpoint"
    )
    columns = dict(chains.beside(checkpoint).columns)
    columns[f"loss of the trivial predictor {unit}"] = [model.trivial_loss] * len(model.steps)
    excess = model.llc.value / model.settings.nbeta
    columns[f"chains above the checkpoint, same batches {unit}"] = excess.tolist()
    return Table(columns=columns)


def _running_panel(model: Estimates, look: style.Look) -> Panel:
    last = model.last
    return Panel(
        name="llc-running",
        title=f"Have the chains settled? {model.model}, step {last.step}",
        caption="Running estimate of each chain, n β (mean loss so far − the checkpoint's own): "
        "flat and close to the others where chains have settled. Dashed: their mean. The chains' "
        "spread is the error.",
        draw=lambda: figures.running(model, look),
        table=_running_table(model),
        group="Did the chains stay?",
    )


def _running_table(model: Estimates) -> Table:
    chains, draws = model.last.running.shape
    return Table(
        columns={
            "chain": np.repeat(np.arange(chains), draws).tolist(),
            "draw after the burn-in": np.tile(np.arange(1, draws + 1), chains).tolist(),
            "running estimate of the LLC": model.last.running.ravel().tolist(),
        }
    )


def _verdicts(models: Sequence[Estimates]) -> Table:
    """The verdict on the first seed's chains of the last step."""
    return Table(
        columns={
            "model": [m.model for m in models],
            "step": [m.last.step for m in models],
            "verdict": [m.last.verdict for m in models],
            "in words": [m.last.sentence for m in models],
        }
    )


def _suggested_table(models: Sequence[Estimates]) -> dict[str, Table]:
    asked = [m for m in models if m.suggested]
    if not asked:
        return {}
    columns = {"model": [m.model for m in asked], "setting": [m.suggested for m in asked]}
    return {"Settings that leave the LLC to the landscape": Table(columns=columns)}


def _effect_numbers(models: Sequence[Estimates]) -> dict[str, object]:
    step = [m.step_effect for m in models if m.step_effect is not None]
    pull = [m.pull_effect for m in models if m.pull_effect is not None]
    effects = {"llc_half_step_effect": step, "llc_twice_pull_effect": pull}
    return {name: curves for name, curves in effects.items() if curves}


def _sensitivity_tables(models: Sequence[Estimates]) -> dict[str, Table]:
    """How other settings change the estimates, where that was measured."""
    step = [m.step_effect for m in models if m.step_effect is not None]
    pull = [m.pull_effect for m in models if m.pull_effect is not None]
    headed = {"Half the step size": step, "Twice the pull γ": pull}
    quantity = "change, as a share of the LLC"
    return {
        heading: Table.of_curves(curves, quantity) for heading, curves in headed.items() if curves
    }


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
