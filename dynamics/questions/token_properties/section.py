"""The page on which tokens seeds agree."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.regression import FEWEST_DF
from dynamics.figures import style
from dynamics.questions.token_properties import figures
from dynamics.questions.token_properties.conditions import FEW, TOKENS, Bin, Condition
from dynamics.questions.token_properties.contrasts import Contrast
from dynamics.questions.token_properties.equation6 import FREQUENCY, Regression
from dynamics.questions.token_properties.findings import Properties
from dynamics.questions.token_properties.token_table import visible
from dynamics.report import grades, words
from dynamics.report.section import Finding, Panel, Section, Table

INTRODUCTION = (
    "The same divergence between seeds, taken apart by what is predicted and by what stands before "
    "it: how frequent a token is, whether it is a function word, how surprising it stays to the "
    "end. What a bin of few documents shows may be one author's habits; a table counts them."
)
_ALL_ELSE = "All else equal"


def section(properties: Properties, look: style.Look) -> Section:
    """Panels by property, the regression on all of them, and tokens in their contexts."""
    panels = [_condition(c, properties) for c in properties.predicted if c.bins]
    panels += [_contrast(by_bin, properties) for by_bin in properties.contrasts]
    panels += [_condition(c, properties) for c in properties.smaller if c.bins]
    panels += [_condition(c, properties) for c in properties.last_context if c.bins]
    if properties.regression is not None:
        panels += _regression(properties.regression, look)
    return Section(
        introduction=INTRODUCTION,
        panels=panels,
        findings=_findings(properties),
        tables={
            _tokens_heading(properties): _tokens(properties),
            "Bins, and how much each holds": _sizes(
                [*properties.predicted, *properties.last_context]
            ),
            **_coefficients(properties),
        },
        numbers=_numbers(properties),
    )


def _numbers(properties: Properties) -> dict[str, object]:
    """Curves of every bin, and of every coefficient."""
    by_token: dict[str, dict[str, object]] = {}
    for by_bin in (*properties.predicted, *properties.last_context):
        if by_bin.bins:
            by_token.setdefault(by_bin.token, {})[by_bin.name] = _plain(by_bin)
    numbers: dict[str, object] = {"token_properties": by_token}
    if properties.smaller:
        numbers["token_properties_of_smaller"] = _by_model(properties.smaller)
    if properties.contrasts:
        differences = {by_bin.name: _plain(by_bin) for by_bin in properties.contrasts}
        numbers["token_properties_small_less_large"] = differences
    regression = properties.regression
    if regression is not None:
        coefficients = {name: regression.coefficient(name) for name in regression.names}
        numbers["convergence_coefficients"] = coefficients
    return numbers


def _plain(by_bin: Condition | Contrast) -> dict[str, object]:
    """Both curves of every bin."""
    return {p.name: {"kl": p.kl, "cross_entropy": p.cross_entropy} for p in by_bin.bins}


def _by_model(conditions: Sequence[Condition]) -> dict[str, dict[str, object]]:
    by_model: dict[str, dict[str, object]] = {}
    for by_bin in conditions:
        by_model.setdefault(by_bin.model, {})[by_bin.name] = _plain(by_bin)
    return by_model


def _sizes(conditions: Sequence[Condition]) -> Table:
    """Every bin of every property, those that hold no token too."""
    rows = [
        (by_bin, name, tokens, documents)
        for by_bin in conditions
        for name, tokens, documents in [
            *((part.name, part.tokens, part.documents) for part in by_bin.bins),
            *((name, 0, 0) for name in by_bin.empty),
        ]
    ]
    return Table(
        columns={
            "property": [by_bin.name for by_bin, *_ in rows],
            "of the": [by_bin.token for by_bin, *_ in rows],
            "bin": [name for _, name, *_ in rows],
            "tokens": [tokens for *_, tokens, _ in rows],
            "documents": [documents for *_, documents in rows],
            f"in fewer than {FEW} documents": [
                "yes" if documents < FEW else "no" for *_, documents in rows
            ],
        }
    )


def _condition(by_bin: Condition, properties: Properties) -> Panel:
    of_largest = by_bin.model == properties.model
    of_model = "" if of_largest else f" {by_bin.model}"
    return Panel(
        name=f"by-{by_bin.name}-{by_bin.token}{of_model}".replace(" ", "-"),
        title=f"By {by_bin.name} of the {by_bin.token}, {by_bin.model}",
        caption=f"Above, the divergence between seeds; below, the cross-entropy of the same "
        f"predictions. {_source(by_bin, properties)} Bands: one standard error between documents, "
        "these seeds held fixed.",
        draw=lambda: figures.condition(by_bin),
        table=_bins(by_bin),
        group=f"{by_bin.token.capitalize()}{of_model and f',{of_model}'}",
    )


def _contrast(by_bin: Contrast, properties: Properties) -> Panel:
    few = [part.name for part in by_bin.bins if part.too_few]
    hint = f" On too few documents to be more than a hint: {words.listed(few)}." if few else ""
    return Panel(
        name=f"small-less-large-by-{by_bin.name}".replace(" ", "-"),
        title=f"{by_bin.small} less {by_bin.large}, by {by_bin.name}",
        caption="Above 0 the smaller model's seeds are farther apart (upper panel), or its loss is "
        f"higher (lower panel). {_contrast_source(by_bin, properties)} Both models predict "
        "the same tokens. Bands: 95 % limits over documents (jackknife, Student's t), these "
        f"seeds held fixed; a band may leave the panel.{hint}",
        draw=lambda: figures.contrast(by_bin),
        table=_contrast_table(by_bin),
        group=f"{by_bin.small} less {by_bin.large}",
    )


def _contrast_source(by_bin: Contrast, properties: Properties) -> str:
    if by_bin.name == "final surprisal":
        steps = words.listed(
            [f"{properties.final_steps[name]} ({name})" for name in (by_bin.small, by_bin.large)]
        )
        return f"By surprisal at step {steps}, mean over seeds and over both models."
    (like,) = [c for c in properties.predicted if c.name == by_bin.name]
    return _source(like, properties)


def _contrast_table(by_bin: Contrast) -> Table:
    parts = by_bin.bins
    kl = Table.of_curves([part.kl for part in parts], "difference of KL (nats)")
    loss = Table.of_curves(
        [part.cross_entropy for part in parts], "of cross-entropy (nats)", ", cross-entropy"
    )
    columns = dict(kl.beside(loss).columns)
    facts = {
        fact: [value for part in parts for value in [of(part)] * len(part.kl.steps)]
        for fact, of in {
            "tokens": lambda part: part.tokens,
            "documents": lambda part: part.documents,
            "degrees of freedom": lambda part: part.df,
        }.items()
    }
    return Table(columns={by_bin.name: columns.pop("model"), **facts, **columns})


def _bins(by_bin: Condition) -> Table:
    kl = Table.of_curves([part.kl for part in by_bin.bins], "KL between seeds (nats)")
    loss = Table.of_curves([part.cross_entropy for part in by_bin.bins], "cross-entropy (nats)")
    names = [part.name for part in by_bin.bins for _ in part.kl.steps]
    counts = [part.tokens for part in by_bin.bins for _ in part.kl.steps]
    renamed = {"low": "low, cross-entropy", "high": "high, cross-entropy"}
    beside = {renamed.get(name, name): cells for name, cells in loss.columns.items()}
    return Table(columns={by_bin.name: names, "tokens": counts, **kl.columns, **beside})


def _source(by_bin: Condition, properties: Properties) -> str:
    if by_bin.name == "frequency":
        return f"Bins by the token's count in {properties.text.frequency_corpus}."
    if by_bin.name == "domain":
        return "By what the corpus says of each document: its domain or its language."
    if by_bin.name == "final surprisal":
        return f"Surprisal at step {properties.final_steps[by_bin.model]}, mean over seeds."
    tagger = properties.text.tagger
    closed = "a closed list of English function words"
    return f"By {closed if tagger == 'closed' else f'the tagger {tagger}'}."


def _regression(regression: Regression, look: style.Look) -> list[Panel]:
    panels = []
    if FREQUENCY in regression.names:
        curve = regression.coefficient(FREQUENCY)
        panels.append(
            Panel(
                name="regression-frequency",
                title="Frequency, all else equal",
                caption="Convergence (minus the divergence) regressed on log frequency, kinds of "
                "the predicted and the last context token, and model. Above 0 seeds agree more on "
                f"frequent tokens. {_bands(regression, [FREQUENCY])}",
                draw=lambda: figures.frequency_coefficient(regression),
                table=_coefficient_table([curve], "coefficient (nats per ln frequency)"),
                group=_ALL_ELSE,
            )
        )
    sized = [f"model: {m}" for m in regression.models[1:] if f"model: {m}" in regression.names]
    if sized:
        curves = [regression.coefficient(name) for name in sized]
        panels.append(
            Panel(
                name="regression-size",
                title="Size, all else equal",
                caption=f"Convergence beyond that of {regression.models[0]} in the same "
                f"regression. {_bands(regression, sized)}",
                draw=lambda: figures.size_coefficients(regression, look),
                table=_coefficient_table(curves, "coefficient (nats)"),
                group=_ALL_ELSE,
            )
        )
    return [*panels, *(_words(regression, group) for group in _word_groups(regression))]


def _bands(regression: Regression, names: Sequence[str]) -> str:
    """What the limits are, and those of which coefficients rest on too few documents."""
    flagged = [name for name in names if regression.too_few(name)]
    meaning = (
        "Bands: 95\u00a0% limits with errors clustered by document, corrected for few and unequal "
        "documents (CR2, Satterthwaite's t), these seeds held fixed."
    )
    if not flagged:
        return meaning
    return (
        f"{meaning} On fewer than {FEWEST_DF:g} degrees of freedom at some step, so that the "
        f"limits are no more than a hint: {words.listed(flagged)}."
    )


def _word_groups(regression: Regression) -> list[str]:
    return [g for g in TOKENS if any(n.startswith(f"{g}: ") for n in regression.names)]


def _words(regression: Regression, group: str) -> Panel:
    reference = regression.references[group]
    names = [name for name in regression.names if name.startswith(f"{group}: ")]
    curves = [regression.coefficient(name) for name in names]
    return Panel(
        name=f"regression-{group}".replace(" ", "-"),
        title=f"Kind of the {group}, all else equal",
        caption=f"Convergence beyond that of {reference} in the same regression. "
        f"{_bands(regression, names)}",
        draw=lambda: figures.word_coefficients(regression, group, reference),
        table=_coefficient_table(curves, "coefficient (nats)"),
        group=_ALL_ELSE,
    )


def _basis(regression: Regression) -> Table:
    """What the regression stands on."""
    facts: dict[str, object] = {
        "models": words.listed(regression.models),
        "tokens of each model": regression.tokens,
        "tokens left out, their word never counted": regression.left_out,
        "tokens left out, without a tag, or after one without": regression.untagged,
        "documents": regression.documents,
        **{f"reference of the {group}": level for group, level in regression.references.items()},
        "columns dropped, spanned by others": words.listed(regression.dropped) or "none",
    }
    return Table(columns={"": list(facts), "of the regression": [str(v) for v in facts.values()]})


def _coefficient_table(curves: Sequence[Curve], quantity: str) -> Table:
    columns = dict(Table.of_curves(curves, quantity).columns)
    return Table(columns={"coefficient of": columns.pop("model"), **columns})


def _coefficients(properties: Properties) -> dict[str, Table]:
    """Every coefficient at the last step."""
    regression = properties.regression
    if regression is None:
        return {}
    last = regression.fits[-1]
    columns: dict[str, Sequence[object]] = {
        "coefficient of": regression.names,
        f"at step {regression.steps[-1]} (nats)": last.value.tolist(),
        "standard error": last.sem.tolist(),
        "degrees of freedom": last.df.tolist(),
        "low": last.low.tolist(),
        "high": last.high.tolist(),
        "too few documents": ["yes" if few else "no" for few in last.too_few],
    }
    return {
        "Coefficients at the last step": Table(columns=columns),
        "What the regression stands on": _basis(regression),
    }


def _tokens_heading(properties: Properties) -> str:
    without = properties.text.excluded
    return f"Tokens in their contexts{f', without {words.listed(without)}' if without else ''}"


def _tokens(properties: Properties) -> Table:
    tokens = properties.tokens
    return Table(
        columns={
            "group": [token.group for token in tokens],
            "token": [visible(token.piece) for token in tokens],
            "in context": [
                f"{visible(token.left)}‹{visible(token.piece)}›{visible(token.right)}"
                for token in tokens
            ],
            "KL (nats)": [token.kl for token in tokens],
            "surprisal (nats)": [token.surprisal for token in tokens],
            "domain": [token.domain for token in tokens],
        }
    )


def _findings(properties: Properties) -> list[Finding]:
    """What holds of all models first; then the ends of two properties, of the largest alone."""
    by_surprisal = [c for c in properties.predicted if c.name == "final surprisal" and c.bins]
    by_class = [c for c in properties.predicted if c.name == "word class" and len(c.bins) == 2]
    regression, findings = properties.regression, []
    if regression is not None and FREQUENCY in regression.names:
        findings.append(_frequency(regression, properties))
    findings += [_ends(by_bin, properties) for by_bin in (*by_class, *by_surprisal)]
    return findings + [_small_less_large(by_bin, properties) for by_bin in properties.contrasts]


def _small_less_large(by_bin: Contrast, properties: Properties) -> Finding:
    """In how many bins the seeds of the smaller model are surely farther apart, or nearer."""
    sure, count = [part for part in by_bin.bins if part.sure], len(by_bin.bins)
    farther = sum(part.errors > 0 for part in sure)
    widest = max(by_bin.bins, key=lambda part: abs(part.kl.value[-1]))
    value, low, high = (
        words.number(float(ends[-1])) for ends in (widest.kl.value, widest.kl.low, widest.kl.high)
    )
    return Finding(
        sentence=f"At step {by_bin.step}, by {by_bin.name} of the predicted token: of "
        f"{words.counted(count, 'bin')} these seeds of {by_bin.small} are surely farther apart "
        f"than those of {by_bin.large} in {farther}, and surely nearer in {len(sure) - farther}; "
        f"the largest difference is {value} nats ({low} to {high}) on {widest.name}.",
        rests_on=f"{words.counted(widest.documents, 'document')}, these {properties.num_seeds} "
        "seeds, the same tokens",
        grade="sure" if sure else "unsure",
    )


def _ends(by_bin: Condition, properties: Properties) -> Finding:
    """The bins on which seeds are farthest apart, and nearest, at the last step."""
    order = sorted(by_bin.bins, key=lambda part: -part.kl.value[-1])
    most, least = order[0], order[-1]
    gap = most.kl.value[-1] - least.kl.value[-1]
    return Finding(
        sentence=f"{properties.model} at step {properties.step}, by {by_bin.name} of the "
        f"{by_bin.token}: seeds are {_nats(most)} apart on {most.name} and {_nats(least)} on "
        f"{least.name}.",
        rests_on=f"{properties.num_seeds} seeds, {most.documents} documents",
        grade=grades.judge(gap, np.hypot(most.kl.sem[-1], least.kl.sem[-1])),
    )


def _nats(part: Bin) -> str:
    return f"{words.number(float(part.kl.value[-1]))} nats"


def _frequency(regression: Regression, properties: Properties) -> Finding:
    curve = regression.coefficient(FREQUENCY)
    value, low, high = (float(ends[-1]) for ends in (curve.value, curve.low, curve.high))
    limits = f"{words.number(low)} to {words.number(high)}"
    return Finding(
        sentence=f"All else equal, and over {words.listed(regression.models)}, a factor e of a "
        f"token's frequency goes with {words.number(value)} nats of convergence ({limits}) at step "
        f"{regression.steps[-1]}.",
        rests_on=f"{regression.documents} documents, these {properties.num_seeds} seeds",
        grade="unsure" if regression.too_few(FREQUENCY) else grades.excludes(low, high),
    )
