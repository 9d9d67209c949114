"""Convergence conditioned on a property of a token: its frequency, part of speech, final surprisal.

"Convergence and Divergence of Language Models under Different Random Seeds", definition 3, section
5, appendices C, E and G: E[conv | the predicted token has the property], and again with the last
token of the context; conv = -KL. Beside it the cross-entropy of the same predictions.

Axes: K steps, W windows, T tokens of a window, N predictions. Nats.
"""

from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.means import clustered_mean
from dynamics.errors import InputError
from dynamics.questions.token_properties.contexts import Contexts, Text, last_context, predicted
from dynamics.questions.token_properties.partitions import Partition

FEW = 5  # documents: a bin in fewer is flagged, since what it shows may be one author's
TOKENS = {"predicted token": predicted, "last context token": last_context}


@dataclass(frozen=True, kw_only=True)
class Bin:
    """What predictions of one bin do over training; errors are one standard error of documents."""

    name: str
    tokens: int
    documents: int
    kl: Curve
    cross_entropy: Curve

    @property
    def few(self) -> bool:
        """Whether it has so few documents that it may show one author's habits."""
        return self.documents < FEW


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A model's predictions by one property of one of their tokens.

    Attributes:
        name: of the property.
        token: a key of `TOKENS`.
        model: name of the model.
        bins: those that hold a token.
        empty: names of those that hold none.
        ordered: whether bins run from small to large.
    """

    name: str
    token: str
    model: str
    bins: tuple[Bin, ...]
    empty: tuple[str, ...]
    ordered: bool


def condition(
    contexts: Contexts, text: Text, partition: Partition, token: str = "predicted token"
) -> Condition:
    """Predictions by the bins of a partition of the predicted token, or the last context token.

    Raises InputError for another kind of token.
    """
    if token not in TOKENS:
        raise InputError.unknown("token", token, TOKENS)
    bin_of = TOKENS[token](partition.bin_of)
    members = {name: np.flatnonzero(bin_of == k) for k, name in enumerate(partition.bins)}
    return Condition(
        name=partition.name,
        token=token,
        model=contexts.model,
        bins=tuple(_bin(contexts, text, name, at) for name, at in members.items() if at.size),
        empty=tuple(name for name, at in members.items() if not at.size),
        ordered=partition.ordered,
    )


def _bin(contexts: Contexts, text: Text, name: str, at: np.ndarray) -> Bin:
    """The predictions at indices `at`."""
    owners = text.owners[at]
    return Bin(
        name=name,
        tokens=len(at),
        documents=len(np.unique(owners)),
        kl=_curve(contexts, contexts.kl[:, at], owners),
        cross_entropy=_curve(contexts, contexts.surprisal[:, at], owners),
    )


def _curve(contexts: Contexts, values: np.ndarray, owners: np.ndarray) -> Curve:
    mean, sem, count = clustered_mean(values, owners)
    rests_on = "one standard error between documents" if count > 1 else ""
    return Curve.with_sem(contexts.model, contexts.steps, mean, sem, rests_on)
