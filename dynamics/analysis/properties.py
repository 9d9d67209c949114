"""All that is said of convergence by properties of tokens: the largest model's conditions, the
regression over sizes, and the tokens at either end."""

from dataclasses import dataclass

from dynamics.analysis import conditional, contexts, regression, token_table
from dynamics.analysis.conditional import Condition
from dynamics.analysis.contexts import Text
from dynamics.analysis.curves import Committed
from dynamics.analysis.regression import Regression
from dynamics.analysis.token_table import Token
from dynamics.errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class Properties:
    """What a store with the measures "convergence" and "text" says of single tokens."""

    model: str  # the largest, which the conditions and the tokens are of
    step: int  # the last, which the tokens are of
    num_seeds: int
    text: Text
    predicted: tuple[Condition, ...]
    last_context: tuple[Condition, ...]
    regression: Regression | None  # None where there are fewer than two documents
    tokens: tuple[Token, ...]


def properties(convergence: Committed, text: Committed) -> Properties | None:
    """None where either measure is absent, or no model has numbers of single tokens."""
    if not text:
        return None
    known = contexts.text(text[0][1])
    found = contexts.contexts(convergence, known)
    if not found:
        return None
    largest = found[-1]
    cuts = conditional.partitions(known, largest)
    try:
        fitted = regression.regression(found, known)
    except InputError:  # one document, or models that share no step
        fitted = None
    return Properties(
        model=largest.model,
        step=int(largest.steps[-1]),
        num_seeds=len(largest.seeds),
        text=known,
        predicted=tuple(conditional.condition(largest, known, cut) for cut in cuts),
        last_context=tuple(
            conditional.condition(largest, known, cut, "last context token") for cut in cuts
        ),
        regression=fitted,
        tokens=tuple(token_table.tokens(largest, known)),
    )
