"""The page on heads, units and precision."""

from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.figures import style
from dynamics.questions.headline import headline
from dynamics.questions.mechanism import figures
from dynamics.questions.mechanism.findings import ENOUGH_TOKENS, RARE, HeadScores, Mechanism
from dynamics.questions.mechanism.record import DUPLICATE, PREFIX, PREVIOUS
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table, Track

INTRODUCTION = (
    "What the weights do, checkpoint by checkpoint. Heads: how much of their attention goes to the "
    "token before, to what followed an earlier instance of the same token (which is what an "
    "induction head looks at, Olsson et al. 2022), and to that instance itself. MLP units: which "
    "are active at no token. Precision: what the loss becomes when the matrices may take fewer "
    "values, without training afterwards."
)
NAMES = {
    PREVIOUS: "previous-token score",
    PREFIX: "prefix-matching score",
    DUPLICATE: "duplicate-token score",
}
_KINDS = {
    "ternary": "Three values for each matrix",
    "bits": "Fewer bits for each weight",
    "pruned": "The smallest weights set to zero",
}
_RULES = {
    "ternary": "−a, 0 and a: 0 where |w| is at most 0.7 of its mean, a the mean of the other |w| "
    "(ternary weight networks, Li et al. 2016), for each matrix of each layer, or for the "
    "unembedding alone",
    "bits": "each weight is rounded to the nearest of 2ᵏ − 1 equally spaced values from −max |w| "
    "to max |w| of its matrix",
    "pruned": "the share of weights named in the legend, those of smallest |w| of each matrix, is "
    "set to zero",
}


def section(models: Sequence[Mechanism], look: style.Look) -> Section:
    """Where heads look first; units and precision below."""
    return Section(
        introduction=INTRODUCTION,
        panels=[
            *(_score_panel(models, name, look) for name in NAMES),
            _text_panel(models, look),
            *(_heads_panel(m, name) for m in models for name in NAMES),
            _units_panel(models, look),
            *(_layers_panel(m) for m in models if (m.units.by_layer > 0).any()),
            *(panel for m in models for panel in _precision_panels(m)),
        ],
        findings=_findings(models),
        tracks=[
            Track(
                label="highest prefix-matching score",
                curves=[m.scores[PREFIX].highest for m in models],
            )
        ],
        tables={f"MLP units by layer, {m.model}": _layers_table(m) for m in models},
        numbers=_numbers(models),
    )


def _numbers(models: Sequence[Mechanism]) -> dict[str, object]:
    return {
        **{
            f"highest {title}": [m.scores[name].highest for m in models]
            for name, title in NAMES.items()
        },
        "highest previous-token score on text": [m.previous_on_text.highest for m in models],
        "scores of heads": {
            m.model: {
                name: {"steps": m.steps, "heads": s.names, "score": s.by_head}
                for name, s in m.scores.items()
            }
            for m in models
        },
        "dead units": [m.units.dead for m in models],
        "rarely active units": [m.units.rare for m in models],
        "dead units by layer": {
            m.model: {
                "steps": m.steps,
                "never active": m.units.by_layer,
                "rarely active": m.units.rare_by_layer,
            }
            for m in models
        },
        "loss in full precision": [m.precision.loss for m in models],
        "increase in loss": {
            m.model: {_setting(*key): curve for key, curve in m.precision.increase.items()}
            for m in models
        },
    }


def _score_panel(models: Sequence[Mechanism], name: str, look: style.Look) -> Panel:
    scores, largest = [m.scores[name] for m in models], models[-1]
    meaning = {
        PREFIX: "to whatever came right after an earlier instance of the token",
        PREVIOUS: "to the token before",
        DUPLICATE: "to earlier instances of the token itself",
    }[name]
    return _highest_panel(
        scores,
        look,
        panel=f"heads-{name.replace('_', '-')}",
        title=f"Highest {NAMES[name]} of any head",
        label=f"highest {NAMES[name]}",
        text=f"Share of attention that goes {meaning}, on random tokens in blocks of "
        f"{largest.block}, each block {largest.repeats} times.",
    )


def _text_panel(models: Sequence[Mechanism], look: style.Look) -> Panel:
    return _highest_panel(
        [m.previous_on_text for m in models],
        look,
        panel="heads-previous-token-on-text",
        title="Highest previous-token score of any head, on text",
        label="highest previous-token score",
        text="Share of attention that goes to the token before, on windows of held-out text.",
    )


def _highest_panel(
    scores: Sequence[HeadScores],
    look: style.Look,
    *,
    panel: str,
    title: str,
    label: str,
    text: str,
) -> Panel:
    curves = [score.highest for score in scores]
    return Panel(
        name=panel,
        title=title,
        caption=f"{text} The head that scores highest may change from step to step. Dotted: a head "
        f"that looks at all tokens alike. {words.bars(curves)}",
        draw=lambda: figures.highest(scores, look, label),
        table=Table.of_curves(curves, label),
        group="Where heads look",
    )


def _heads_panel(model: Mechanism, name: str) -> Panel:
    score = model.scores[name]
    shown = len(score.names)
    which = (
        f"The {shown} of {score.num_heads} heads that end highest"
        if (shown < score.num_heads)
        else "Every head"
    )
    k, j = (axis.ravel() for axis in np.indices(score.by_head.shape))
    return Panel(
        name=f"heads-{name.replace('_', '-')}-{model.model}",
        title=f"{NAMES[name].capitalize()} by head, {model.model}, seed {model.seeds[0]}",
        caption=f"{which} (layer.head, from 0), means over {score.num_sequences} random sequences.",
        draw=lambda: figures.by_head(score, model.steps, NAMES[name]),
        table=Table(
            columns={
                "model": [model.model] * k.size,
                "step": model.steps[k].tolist(),
                "head": [score.names[place] for place in j],
                NAMES[name]: score.by_head.ravel().tolist(),
            }
        ),
        group="Head by head",
    )


def _units_panel(models: Sequence[Mechanism], look: style.Look) -> Panel:
    units = [m.units for m in models]
    dead, rare = [u.dead for u in units], [u.rare for u in units]
    tokens = min(u.num_tokens for u in units)
    return Panel(
        name="dead-units",
        title="MLP units that are never active",
        caption=f"Share of units whose pre-activation is above 0 at none of {tokens:,} tokens of "
        f"held-out text (solid), and at fewer than {100 * RARE:g} % of them (dashed). GELU still "
        f"leaks below 0: such a unit gives a little, and learns. {words.bars(dead)}",
        draw=lambda: figures.units(units, look),
        table=Table.of_curves(dead, "never active (share)").beside(
            Table.of_curves(rare, "rarely active (share)", " of rarely active")
        ),
        group="Units",
    )


def _layers_panel(model: Mechanism) -> Panel:
    return Panel(
        name=f"dead-units-{model.model}",
        title=f"Never active units by layer, {model.model}, seed {model.seeds[0]}",
        caption=f"Share of each layer's units that are active at none of "
        f"{model.units.num_tokens:,} tokens. A count without bars.",
        draw=lambda: figures.dead_by_layer(model.units, model.steps),
        table=_layers_table(model),
        group="Units",
    )


def _layers_table(model: Mechanism) -> Table:
    share, rare = model.units.by_layer, model.units.rare_by_layer
    k, layer = (axis.ravel() for axis in np.indices(share.shape))
    return Table(
        columns={
            "model": [model.model] * k.size,
            "seed": [model.seeds[0]] * k.size,
            "step": model.steps[k].tolist(),
            "layer": layer.tolist(),
            "never active (share)": share.ravel().tolist(),
            f"active at fewer than {100 * RARE:g} % of tokens (share)": rare.ravel().tolist(),
        }
    )


def _precision_panels(model: Mechanism) -> list[Panel]:
    return [
        _precision_panel(model, kind, curves)
        for kind in _KINDS
        if (curves := _of_kind(model, kind))
    ]


def _of_kind(model: Mechanism, kind: str) -> dict[str, Curve]:
    """Label of a rule -> its curve."""
    return {
        _setting(*key): curve
        for key, curve in model.precision.increase.items()
        if key[0].partition(":")[0] == kind
    }


def _setting(rule: str, part: str) -> str:
    """What a legend calls a rule."""
    kind, _, level = rule.partition(":")
    names = {"bits": f"{level} bits", "pruned": f"{level} pruned"}
    return names.get(kind, f"{rule}, {part}")


def _precision_panel(model: Mechanism, kind: str, curves: Mapping[str, Curve]) -> Panel:
    tables = [
        Table.of_curves([curve], "increase in loss (nats)").columns for curve in curves.values()
    ]
    columns = {name: [cell for table in tables for cell in table[name]] for name in tables[0]}
    rules = [label for label, curve in curves.items() for _ in curve.steps]
    return Panel(
        name=f"precision-{kind}-{model.model}",
        title=f"{_KINDS[kind]}: what it costs, {model.model}",
        caption=f"Loss after the rule less the loss before, text by text: {_RULES[kind]}. Linear "
        f"below 0.01 nats. {words.bars(list(curves.values()))}",
        draw=lambda: figures.increase(curves),
        table=Table(columns={"rule": rules, **columns}),
        group="Precision",
    )


def _findings(models: Sequence[Mechanism]) -> list[Finding]:
    heads = [_head_finding(m, PREVIOUS) for m in models]
    last = {m.model: float(m.scores[PREVIOUS].highest.value[-1]) for m in models}
    sentence = (
        f"The highest previous-token score of any head ends at {words.by_model(last)}, where "
        f"uniform attention scores {words.number(models[-1].scores[PREVIOUS].uniform)}."
    )
    own = [
        finding
        for m, head in zip(models, heads, strict=True)
        for finding in (
            head,
            _head_finding(m, PREFIX),
            _unit_finding(m),
            *_precision_findings(m),
        )
    ]
    return [*headline(sentence, heads), *own]


_LOOKED_AT = {
    PREVIOUS: "to the token before",
    PREFIX: "to what came after earlier instances of the token",
}


def _head_finding(model: Mechanism, name: str) -> Finding:
    """Whether any head scores more than uniform attention does, at the last step."""
    score = model.scores[name]
    last, sem = float(score.highest.value[-1]), float(score.highest.sem[-1])
    verb = "more" if last > score.uniform else "no more"
    return Finding(
        sentence=f"The head of {model.model} with the highest {NAMES[name]} at step "
        f"{score.highest.steps[-1]} gives {words.number(last)} of its attention "
        f"{_LOOKED_AT[name]}, {verb} than the {words.number(score.uniform)} of uniform attention.",
        rests_on=f"{words.counted(len(model.seeds), 'seed')}, {score.num_sequences} random "
        "sequences",
        grade=grades.judge(last - score.uniform, sem),
    )


def _unit_finding(model: Mechanism) -> Finding:
    units = model.units
    last = float(units.dead.value[-1])
    enough = units.num_tokens >= ENOUGH_TOKENS
    doubt = "" if enough else f", fewer than the {ENOUGH_TOKENS:,} that would tell"
    return Finding(
        sentence=f"{words.number(100 * last)} % of the MLP units of {model.model} are active at "
        f"none of {units.num_tokens:,} tokens at step {units.dead.steps[-1]}{doubt}.",
        rests_on=f"all {units.num_units} units of {words.counted(len(model.seeds), 'seed')}",
        grade=("sure" if enough else "unsure") if np.isfinite(last) else "open",
    )


def _precision_findings(model: Mechanism) -> list[Finding]:
    """Whether three values for each matrix cost more at the last step than at the first."""
    increases = model.precision.increase
    return [
        _precision_finding(model, part, increases[rule, part])
        for rule, part in increases
        if rule == "ternary"
    ]


def _precision_finding(model: Mechanism, part: str, curve: Curve) -> Finding:
    first, last = float(curve.value[0]), float(curve.value[-1])
    loss = float(model.precision.loss.value[-1])
    return Finding(
        sentence=f"Three values for {part} of {model.model} change its loss by "
        f"{words.number(first)} nats at step {curve.steps[0]} and by {words.number(last)} at step "
        f"{curve.steps[-1]}, where it is {words.number(loss)} without.",
        rests_on=f"{words.counted(len(model.seeds), 'seed')}, "
        f"{words.counted(model.precision.num_documents, 'document')}",
        grade=grades.judge(last - first, float(np.hypot(curve.sem[0], curve.sem[-1]))),
    )
