"""Convergence by properties of tokens: conditions, the regression on all, tokens at either end."""

from dataclasses import dataclass

from dynamics.errors import InputError
from dynamics.questions.committed import Committed, by_largest_seed_set
from dynamics.questions.convergence.findings import find as find_convergence
from dynamics.questions.token_properties import record, record_final
from dynamics.questions.token_properties.conditions import Condition, condition
from dynamics.questions.token_properties.contexts import Final, Text, contexts, text_of
from dynamics.questions.token_properties.equation6 import Regression, regression
from dynamics.questions.token_properties.partitions import by_domain, partitions
from dynamics.questions.token_properties.token_table import Token, tokens


@dataclass(frozen=True, eq=False, kw_only=True)
class Properties:
    """On which tokens seeds agree.

    Attributes:
        model: the largest, which the conditions and the tokens are of.
        models: every model of the regression.
        step: the last measured, which the tokens are of.
        final_step: the last of the runs, which final surprisal is of; `step` where that was not
            measured.
        num_seeds: of the largest model.
        text: what is known of the text.
        predicted: conditions on the predicted token.
        last_context: conditions on the last token of the context.
        regression: None where there are fewer than two documents.
        tokens: most divergent, middle, least divergent.
    """

    model: str
    models: tuple[str, ...]
    step: int
    final_step: int
    num_seeds: int
    text: Text
    predicted: tuple[Condition, ...]
    last_context: tuple[Condition, ...]
    regression: Regression | None
    tokens: tuple[Token, ...]


def find(committed: Committed) -> Properties | None:
    """None without properties of the text, or without a model that has numbers of single tokens."""
    units = committed.of(record.MEASURE, record.FORMER)
    convergence = committed.findings(find_convergence)
    if not units or convergence is None:
        return None
    text = text_of(record.from_dataset(units[0][1]))
    models = contexts([m.divergence for m in convergence.models], text, _finals(committed))
    if not models:
        return None
    largest = models[-1]
    cuts, domains = partitions(text, largest), by_domain(text)
    try:
        fitted = regression(models, text)
    except InputError:  # one document, or models that share no step
        fitted = None
    return Properties(
        model=largest.model,
        models=tuple(model.model for model in models),
        step=int(largest.steps[-1]),
        final_step=largest.last_step,
        num_seeds=len(largest.seeds),
        text=text,
        predicted=tuple(
            condition(largest, text, cut) for cut in (*cuts, *([domains] if domains else []))
        ),
        last_context=tuple(condition(largest, text, cut, "last context token") for cut in cuts),
        regression=fitted,
        tokens=tuple(tokens(largest, text)),
    )


def _finals(committed: Committed) -> dict[str, Final]:
    """model -> its predictions at the last step of its runs, where that was measured apart."""
    finals = {}
    for model, pairs in by_largest_seed_set(committed.of(record_final.MEASURE)).items():
        unit, data = pairs[-1]
        if unit.step is not None:
            numbers = record_final.from_dataset(data)
            finals[model] = Final(seeds=unit.seeds, step=unit.step, record=numbers)
    return finals
