"""Divergence of seeds by how well n-grams predict a token, and how much of it that explains.

Axes: K steps (ascending), O orders, W windows, P predictions of a window, N = W P predictions.
Nats.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.explained import explained_share
from dynamics.analysis.means import clustered_mean
from dynamics.errors import InputError
from dynamics.questions.committed import Committed
from dynamics.questions.convergence.findings import find as find_convergence
from dynamics.questions.predictability import record
from dynamics.questions.predictability.record import Record
from dynamics.questions.seed_divergence import Divergence


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictability:
    """The divergence of one model's seeds beside the surprisal of n-grams.

    Attributes:
        model: its name.
        steps: [K].
        seeds: how many.
        documents: that the predictions are of.
        by_order: n -> mean KL of the predictions that the n-gram is least surprised at, with one
            standard error between documents.
        predictions: n -> how many these are.
        explained: % of the variance of single predictions' KL that a linear function of all orders'
            surprisals explains, with its 95 % interval over documents.
        explained_by: n -> the same of that order's surprisal alone.
    """

    model: str
    steps: np.ndarray
    seeds: int
    documents: int
    by_order: Mapping[int, Curve]
    predictions: Mapping[int, int]
    explained: Curve
    explained_by: Mapping[int, Curve]


def find(committed: Committed) -> list[Predictability] | None:
    """One per model that has numbers of single predictions, models by size.

    Raises InputError where a model was measured on other windows than the n-grams.
    """
    units = committed.of(record.MEASURE)
    convergence = committed.findings(find_convergence)
    if not units or convergence is None:
        return None
    ngrams = record.from_dataset(units[0][1])
    divergences = [model.divergence for model in convergence.models]
    return [_predictability(each, ngrams) for each in divergences] or None


def _predictability(seeds: Divergence, ngrams: Record) -> Predictability:
    _check_windows(seeds, ngrams)
    kl = np.array([record.token_kl.ravel() for record in seeds.records], np.float64)  # [K,N]
    surprisal = ngrams.surprisal.reshape(len(ngrams.orders), -1)  # [O,N]
    owner = np.repeat(ngrams.document, ngrams.surprisal.shape[2])
    documents = len(np.unique(owner))
    best = surprisal.argmin(0)
    members = {n: np.flatnonzero(best == at) for at, n in enumerate(ngrams.orders)}

    def mean(at: np.ndarray) -> Curve:
        value, sem, count = clustered_mean(kl[:, at], owner[at])
        rests_on = "one standard error between documents" if count > 1 else ""
        return Curve.with_sem(seeds.model, seeds.steps, value, sem, rests_on)

    def share(columns: np.ndarray) -> Curve:
        limits = np.full((3, len(kl)), np.nan)  # share, low and high
        finite = np.isfinite(kl).all(1) & np.isfinite(columns).all()
        if documents >= 3 and finite.any():
            limits[:, finite] = explained_share(kl[finite], columns, owner)
        rests_on = f"95 % interval over {documents} documents"
        value, low, high = 100 * limits
        return Curve.with_limits(seeds.model, seeds.steps, value, low, high, rests_on)

    return Predictability(
        model=seeds.model,
        steps=seeds.steps,
        seeds=len(seeds.seeds),
        documents=documents,
        by_order={n: mean(at) for n, at in members.items() if at.size},
        predictions={n: len(at) for n, at in members.items() if at.size},
        explained=share(surprisal),
        explained_by={n: share(surprisal[[at]]) for at, n in enumerate(ngrams.orders)},
    )


def _check_windows(seeds: Divergence, ngrams: Record):
    """Raises InputError unless both are of the same predictions."""
    for step, measured in zip(seeds.steps, seeds.records, strict=True):
        same = measured.token_kl.shape == ngrams.surprisal.shape[1:]
        if not same or not np.array_equal(np.asarray(measured.window_document), ngrams.document):
            raise InputError(
                f"{seeds.model} at step {step} on {measured.token_kl.shape} predictions, n-grams "
                f"on {ngrams.surprisal.shape[1:]}",
                expected="n-grams on the very windows that divergence was measured on",
                mend="Delete the folder predictability/ of the results and run the experiment "
                "again with the same --windows and --context.",
            )
