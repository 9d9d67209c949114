"""Convergence by properties of tokens: conditions, the regression on all, tokens at either end."""

from collections.abc import Mapping
from dataclasses import dataclass

from dynamics.errors import InputError
from dynamics.questions.committed import Committed, by_largest_seed_set
from dynamics.questions.convergence.findings import find as find_convergence
from dynamics.questions.token_properties import record, record_final
from dynamics.questions.token_properties.conditions import Condition, condition
from dynamics.questions.token_properties.contexts import (
    Contexts,
    Final,
    Text,
    contexts,
    text_of,
)
from dynamics.questions.token_properties.contrasts import Contrast, contrasts
from dynamics.questions.token_properties.equation6 import Regression, regression
from dynamics.questions.token_properties.partitions import by_domain, partitions
from dynamics.questions.token_properties.token_table import Token, tokens


@dataclass(frozen=True, eq=False, kw_only=True)
class Properties:
    """On which tokens seeds agree.

    Attributes:
        model: the largest, which `predicted`, `last_context` and the tokens are of.
        models: every model of the regression.
        step: the last measured, which the tokens are of.
        final_steps: of every model the last step of its runs, which its final surprisal is of; the
            last that was compared where that was not measured.
        num_seeds: of the largest model.
        text: what is known of the text.
        predicted: conditions on the predicted token.
        last_context: conditions on the last token of the context.
        smaller: conditions on the predicted token of every other model, in the order of `models`.
        contrasts: the smallest model less the largest by properties of the predicted token.
        regression: None where there are fewer than two documents.
        tokens: most divergent, middle, least divergent.
    """

    model: str
    models: tuple[str, ...]
    step: int
    final_steps: Mapping[str, int]
    num_seeds: int
    text: Text
    predicted: tuple[Condition, ...]
    last_context: tuple[Condition, ...]
    smaller: tuple[Condition, ...]
    contrasts: tuple[Contrast, ...]
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
    cuts = partitions(text, largest)
    try:
        fitted = regression(models, text)
    except InputError:  # one document, or models that share no step
        fitted = None
    return Properties(
        model=largest.model,
        models=tuple(model.model for model in models),
        step=int(largest.steps[-1]),
        final_steps={model.model: model.last_step for model in models},
        num_seeds=len(largest.seeds),
        text=text,
        predicted=_predicted(largest, text),
        last_context=tuple(condition(largest, text, cut, "last context token") for cut in cuts),
        smaller=tuple(by_bin for model in models[:-1] for by_bin in _predicted(model, text)),
        contrasts=contrasts(models[0], largest, text) if len(models) > 1 else (),
        regression=fitted,
        tokens=tuple(tokens(largest, text)),
    )


def _predicted(model: Contexts, text: Text) -> tuple[Condition, ...]:
    domains = by_domain(text)
    cuts = [*partitions(text, model), *([domains] if domains else [])]
    return tuple(condition(model, text, cut) for cut in cuts)


def _finals(committed: Committed) -> dict[str, Final]:
    """model -> its predictions at the last step of its runs, where that was measured apart."""
    finals = {}
    for model, pairs in by_largest_seed_set(committed.of(record_final.MEASURE)).items():
        unit, data = pairs[-1]
        if unit.step is not None:
            numbers = record_final.from_dataset(data)
            finals[model] = Final(seeds=unit.seeds, step=unit.step, record=numbers)
    return finals
