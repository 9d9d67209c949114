"""The page on local learning coefficients."""

import collections
import functools
from collections.abc import Sequence

import numpy as np

from dynamics.figures import style
from dynamics.questions.llc import figures
from dynamics.questions.llc.excess import Excess
from dynamics.questions.llc.findings import Estimates, first_excesses
from dynamics.questions.llc.sentences import sentences
from dynamics.questions.single_seeds import one_seed_warning
from dynamics.report import words
from dynamics.report.section import Panel, Section, Table, Track

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
        introduction=f"{INTRODUCTION} {_one_seed(models)}".strip(),
        panels=[
            _answer(models, look),
            *_excess_panels(models, look),
            _pull_panel(models, look),
            *(_chain_panel(model, look) for model in models),
            _running_panel(models[-1], look),
        ],
        findings=sentences(models),
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


def _one_seed(models: Sequence[Estimates]) -> str:
    return one_seed_warning({model.model: model.seeds for model in models})


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
        f"{_settings(models)}. {_one_seed(models)}".strip(),
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


def _excess_panels(models: Sequence[Estimates], look: style.Look) -> list[Panel]:
    return [
        Panel(
            name=f"llc-excess-{shown.model}",
            title=f"Does the LLC say more than the Hessian? {shown.model}, seed {shown.seed}",
            caption="Dashed: what a quadratic with the checkpoint's gradient and Hessian would "
            "give at the same settings, draw for draw. Below: the excess, which is what the chains "
            "found beyond it. Neither is drawn where the Hessian curves down so far that a "
            "quadratic holds no chain. Hollow: not local. "
            f"{words.bars([shown.llc, shown.reference, shown.value])}",
            draw=functools.partial(figures.beside_reference, shown, look),
            table=_excess_table(shown),
            group="Does the LLC say more than the Hessian?",
        )
        for shown in first_excesses(models)
        if np.isfinite(shown.value.value).any()
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


def _excess_numbers(models: Sequence[Estimates]) -> dict[str, object]:
    excesses = first_excesses(models)
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
