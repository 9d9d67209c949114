"""The page's section on which tokens seeds agree on."""

from dynamics.analysis.conditional import Condition
from dynamics.analysis.properties import Properties
from dynamics.analysis.regression import Regression
from dynamics.analysis.token_table import Token, visible
from dynamics.figures import conditional as figures
from dynamics.figures import style
from dynamics.report import words
from dynamics.report.section import Panel, Section


def section(found: Properties, look: style.Look) -> Section:
    """Panels by property, the regression on all of them, and a table of tokens in their
    contexts."""
    return Section(
        name="conditional",
        title="On which tokens do seeds agree?",
        question="The same divergence between seeds, taken apart by what is predicted and by what stands before it: "
        "how frequent a token is, whether it is a function word, how surprising it stays to the end.",
        panels=[
            *(
                _condition(one, found)
                for one in (*found.predicted, *found.last_context)
                if one.bins
            ),
            *(_regression(found.regression, look) if found.regression else []),
        ],
        rows=tuple(_row(token, found) for token in found.tokens),
    )


def _condition(one: Condition, found: Properties) -> Panel:
    last = one.bins[0].kl.steps[-1]
    ends = words.listed(
        [f"{words.number(float(b.kl.value[-1]))} nats ({b.name})" for b in _spread(one)]
    )
    return Panel(
        name=f"by-{one.name}-{one.token}".replace(" ", "-"),
        title=f"By {one.name} of the {one.token}, {one.model}",
        caption=f"At step {last} the divergence between seeds is {ends}. {_source(one, found)}{_told(one)} Below, "
        "the cross-entropy of the same predictions. Bands: one standard error between documents, these seeds held "
        "fixed.",
        draw=lambda: figures.condition(one),
    )


def _spread(one: Condition):
    """All of few bins; of more the first and the last in their order, or those of the largest and
    smallest KL."""
    if len(one.bins) < 4:
        return one.bins
    order = one.bins if one.ordered else sorted(one.bins, key=lambda b: -b.kl.value[-1])
    return order[0], order[-1]


def _source(one: Condition, found: Properties) -> str:
    if one.name == "frequency":
        return f"Bins by the token's count in {found.text.frequency_corpus}. "
    if one.name == "final surprisal":
        return f"Surprisal at that step, mean over {found.num_seeds} seeds. "
    how = {"closed": "a closed list of English function words"}.get(
        found.text.tagger, f"the tagger {found.text.tagger}"
    )
    return f"Told by {how}. "


def _told(one: Condition) -> str:
    """How many tokens the bins have, and which say little or nothing."""
    total = sum(b.tokens for b in one.bins)
    parts = [
        f"{total:,} tokens in all: {words.listed([f'{b.tokens:,} ({b.name})' for b in one.bins])}."
    ]
    few = [b.name for b in one.bins if b.few]
    if few:
        parts.append(f"In fewer than five documents: {words.listed(few)}.")
    if one.empty:
        parts.append(f"No token is {words.listed(list(one.empty))}.")
    return " ".join(parts)


def _regression(found: Regression, look: style.Look) -> list[Panel]:
    basis = (
        f"{found.tokens:,} tokens of {found.documents} documents and {len(found.models)} models. References: "
        f"{words.listed([f'{level} ({group})' for group, level in found.references.items()])}. Bands: 95\u00a0% limits "
        "with errors clustered by document, these seeds held fixed: they say nothing of other seeds."
    )
    left = (
        f" {found.left_out:,} tokens that were never counted are left out."
        if found.left_out
        else ""
    )
    dropped = (
        f" Told by the others, and dropped: {words.listed(list(found.dropped))}."
        if found.dropped
        else ""
    )
    panels = []
    if figures.FREQUENCY in found.names:
        value, low, high = (row[-1] for row in found.coefficient(figures.FREQUENCY))
        panels.append(
            Panel(
                name="regression-frequency",
                title="Frequency, all else equal",
                caption="Convergence (minus the divergence) regressed on log frequency, word classes of the predicted "
                f"and the last context token, and model. At step {found.steps[-1]} a factor e of frequency goes with "
                f"{words.number(value)} nats ({words.number(low)} to {words.number(high)}). {basis}{left}{dropped}",
                draw=lambda: figures.frequency_coefficient(found),
            )
        )
    sized = [model for model in found.models[1:] if f"model: {model}" in found.names]
    if sized:
        ends = words.listed(
            [
                f"{model} {words.number(found.coefficient(f'model: {model}')[0][-1])}"
                for model in sized
            ]
        )
        panels.append(
            Panel(
                name="regression-size",
                title="Size, all else equal",
                caption=f"Coefficients of the models in the same regression: at step {found.steps[-1]} {ends} nats of "
                f"convergence beyond {found.models[0]}. {basis}",
                draw=lambda: figures.size_coefficients(found, look),
            )
        )
    return panels


def _row(token: Token, found: Properties) -> dict[str, str]:
    return {
        f"{found.model}, step {found.step}": token.group,
        "token": visible(token.piece),
        "in context": f"{visible(token.left)}‹{visible(token.piece)}›{visible(token.right)}",
        "KL (nats)": words.number(token.kl),
        "surprisal (nats)": words.number(token.surprisal),
        "domain": token.domain,
    }
