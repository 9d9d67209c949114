"""What a smaller model's seeds do beyond a larger one's, bin by bin, on the same tokens.

The difference of two conditional curves of Figures 3 and 9 of "Convergence and Divergence of
Language Models under Different Random Seeds". Both models predict the same tokens of the same
documents, so that what makes a token hard for both cancels before the error is taken. Its limits
are over documents; these seeds are held fixed.

Axes: K steps, N predictions. Nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis import selection
from dynamics.analysis.curve import Curve
from dynamics.analysis.few_documents import Limits, limits
from dynamics.analysis.regression import FEWEST_DF
from dynamics.analysis.significance import SURE
from dynamics.questions.token_properties.contexts import Contexts, Text, predicted
from dynamics.questions.token_properties.partitions import (
    Partition,
    by_domain,
    by_surprisal,
    partitions,
)


@dataclass(frozen=True, kw_only=True)
class ContrastedBin:
    """The smaller model less the larger one on the predictions of one bin, with 95 % limits.

    Attributes:
        name: of the bin.
        tokens, documents: how many it holds.
        df: degrees of freedom of its errors.
        kl, cross_entropy: the differences over training.
        errors: the last difference of the KL in standard errors, as rare as it is among all the
            bins of its property.
    """

    name: str
    tokens: int
    documents: int
    df: float
    kl: Curve
    cross_entropy: Curve
    errors: float

    @property
    def too_few(self) -> bool:
        """Whether the limits rest on too few documents to hold what they claim."""
        return not self.df >= FEWEST_DF

    @property
    def sure(self) -> bool:
        """Whether the last difference of the KL is surely not 0, one of many though it is."""
        return not self.too_few and abs(self.errors) > SURE


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Two models' predictions by one property of the predicted token.

    Attributes:
        name: of the property.
        small, large: names of the models.
        bins: those that hold a token.
        ordered: whether bins run from small to large.
    """

    name: str
    small: str
    large: str
    bins: tuple[ContrastedBin, ...]
    ordered: bool

    @property
    def step(self) -> int:
        """The last step at which both were measured."""
        return int(self.bins[0].kl.steps[-1])


def contrasts(small: Contexts, large: Contexts, text: Text) -> tuple[Contrast, ...]:
    """Every property of the text, and the mean of both models' final surprisals; none where the
    models share no step."""
    *of_text, _ = partitions(text, large)  # the last is of one model's surprisal
    both = np.stack([small.last_surprisal.mean(0), large.last_surprisal.mean(0)])
    cuts, domains = [*of_text, by_surprisal(both, text.index.shape)], by_domain(text)
    found = [contrast(small, large, text, cut) for cut in (*cuts, *([domains] if domains else []))]
    return tuple(each for each in found if each is not None)


def contrast(small: Contexts, large: Contexts, text: Text, partition: Partition) -> Contrast | None:
    """Small less large by the bins of the predicted token; None without a step or a token."""
    steps = np.intersect1d(small.steps, large.steps)
    bin_of = predicted(partition.bin_of)
    members = {n: np.flatnonzero(bin_of == k) for k, n in enumerate(partition.bins)}
    members = {name: at for name, at in members.items() if at.size}
    if not len(steps) or not members:
        return None
    places = [np.searchsorted(model.steps, steps) for model in (small, large)]
    bins = []
    for name, at in members.items():
        of_small, of_large = (np.ix_(place, at) for place in places)
        owners = text.owners[at]
        kl = limits(small.kl[of_small] - large.kl[of_large], owners)
        loss = limits(small.surprisal[of_small] - large.surprisal[of_large], owners)
        bins.append(_bin(name, steps, len(at), kl, loss, len(members)))
    return Contrast(
        name=partition.name,
        small=small.model,
        large=large.model,
        bins=tuple(bins),
        ordered=partition.ordered,
    )


def _bin(
    name: str, steps: np.ndarray, tokens: int, kl: Limits, loss: Limits, count: int
) -> ContrastedBin:
    return ContrastedBin(
        name=name,
        tokens=tokens,
        documents=kl.documents,
        df=kl.df,
        kl=_curve(name, steps, kl),
        cross_entropy=_curve(name, steps, loss),
        errors=_errors(float(kl.value[-1]), float(kl.sem[-1]), kl.df, count),
    )


def _errors(value: float, sem: float, df: float, count: int) -> float:
    """Standard errors of one of `count` differences, with its sign; NaN where none is known."""
    if not sem > 0:
        return np.nan
    return float(np.copysign(selection.one_of_many(abs(value) / sem, df, count), value))


def _curve(name: str, steps: Sequence[int] | np.ndarray, of: Limits) -> Curve:
    rests_on = f"95 % limits over {of.documents} documents" if of.documents > 1 else ""
    return Curve.with_limits(name, steps, of.value, of.low, of.high, rests_on)
