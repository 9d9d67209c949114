"""Convergence conditioned on a property of a token: its frequency, its part of speech, its final
surprisal.

"Convergence and Divergence of Language Models under Different Random Seeds", definition 3, section
5, appendices C, E and G: E[conv | the predicted token has the property], and again with the last
token of the context; conv = -KL. Beside it the cross-entropy of the same predictions.

Axes: K steps, W windows, T tokens of a window, N predictions, S seeds. Nats, unless a name says
bits.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.contexts import Contexts, Text, last_context, predicted
from dynamics.analysis.curves import Curve
from dynamics.analysis.means import clustered_mean
from dynamics.data import frequency
from dynamics.errors import InputError

FEW = 5  # documents: a bin in fewer is flagged, since what it shows may be one author's
EDGES = (0.0, 1.0, 2.0, 4.0, 8.0)  # of final surprisal; the last bin is open
PER_UNIT = {"bits": np.log(2), "nats": 1.0}  # nats

# Figure 3's tags of closed classes with its open ones, Figure 7's nouns and verbs. Penn treebank
# names.
PARTS_OF_SPEECH = {
    "DT": ("DT",),
    "PRP": ("PRP",),
    "IN": ("IN",),
    "MD": ("MD",),
    "JJ": ("JJ", "JJR", "JJS"),
    "nouns": ("NN", "NNS", "NNP", "NNPS"),
    "verbs": ("VB", "VBD", "VBG", "VBN", "VBP", "VBZ"),
}
NOUNS = {name: (name,) for name in PARTS_OF_SPEECH["nouns"]}
VERBS = {name: (name,) for name in PARTS_OF_SPEECH["verbs"]}


@dataclass(frozen=True, eq=False, kw_only=True)
class Partition:
    """Disjoint bins of tokens: of[w, t] is the bin of a token, or -1 where it is in none."""

    name: str
    bins: tuple[str, ...]
    of: np.ndarray  # [W, T]
    ordered: bool  # small to large


@dataclass(frozen=True, kw_only=True)
class Bin:
    """What predictions of one bin do over training; errors are one standard error between
    documents."""

    name: str
    tokens: int
    documents: int
    kl: Curve
    cross_entropy: Curve

    @property
    def few(self) -> bool:
        return self.documents < FEW


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A model's predictions by one property of one of their tokens."""

    name: str
    token: str  # "predicted token" or "last context token"
    model: str
    bins: tuple[Bin, ...]  # those that hold a token
    empty: tuple[str, ...]  # names of those that hold none
    ordered: bool


def partitions(known: Text, found: Contexts) -> list[Partition]:
    """Every partition that the text and the model's last step allow, in the order of the paper's
    figures."""
    made = [by_frequency(known), by_word_class(known), *by_tags(known)]
    return [*made, by_surprisal(found.last_surprisal, known.index.shape)]


def by_frequency(known: Text) -> Partition:
    """Decades of the count in the frequency corpus; tokens that it lacks have a bin of their own,
    "never"."""
    of, names = frequency.decades(known.count)
    if not (of == 0).any():
        of, names = of - 1, names[1:]
    return Partition(name="frequency", bins=names, of=of, ordered=True)


def by_word_class(known: Text) -> Partition:
    """Function words against all others; what is no word is in neither bin."""
    names = ("content words", "function words")
    return Partition(
        name="word class", bins=names, of=known.word_class.astype(np.int64), ordered=False
    )


def by_tags(known: Text) -> list[Partition]:
    """Parts of speech, nouns and verbs where tags are Penn's; otherwise the tags themselves, seven
    at most."""
    if known.tagger == "closed":
        return [
            _groups("function words", known, {n: (n,) for n in known.tag_names if n != "other"})
        ]
    penn = [("part of speech", PARTS_OF_SPEECH), ("nouns", NOUNS), ("verbs", VERBS)]
    if {"NN", "DT", "IN"} & set(known.tag_names):
        return [_groups(name, known, groups) for name, groups in penn]
    sizes = np.bincount(known.tag[known.tag >= 0], minlength=len(known.tag_names))
    common = [known.tag_names[k] for k in np.argsort(-sizes, kind="stable")[:7]]
    return [_groups("part of speech", known, {name: (name,) for name in common})] if common else []


def by_surprisal(
    last_surprisal: np.ndarray,
    shape: tuple[int, int],
    *,
    edges: Sequence[float] = EDGES,
    unit: str = "bits",
    seed: int | None = None,
) -> Partition:
    """Bins of each token's surprisal at the model's last step; [S, N] nats, shape (W, T).

    Mean over seeds, or that of one seed by its place in S. The first token of a window is predicted
    by nothing and is in no bin. Raises InputError on an unknown unit or edges that do not ascend.
    """
    if unit not in PER_UNIT:
        raise InputError.unknown("unit", unit, PER_UNIT)
    if list(edges) != sorted(set(edges)):
        raise InputError(f"edges {tuple(edges)}", expected="numbers that ascend")
    chosen = last_surprisal.mean(0) if seed is None else last_surprisal[seed]
    value = np.maximum(chosen / PER_UNIT[unit], 0).reshape(
        shape[0], shape[1] - 1
    )  # none below 0, however it was rounded
    of = np.full(shape, -1)
    of[:, 1:] = np.searchsorted(edges, value, side="right") - 1
    closed = [f"{low:g}–{high:g}" for low, high in itertools.pairwise(edges)]
    names = tuple(f"{one} {unit}" for one in (*closed, f"{edges[-1]:g} or more"))
    return Partition(name="final surprisal", bins=names, of=of, ordered=True)


def condition(
    found: Contexts, known: Text, partition: Partition, token: str = "predicted token"
) -> Condition:
    """`found` by the bins of a partition of the predicted token, or of the last context token."""
    pick = {"predicted token": predicted, "last context token": last_context}
    if token not in pick:
        raise InputError.unknown("token", token, pick)
    of, owners = pick[token](partition.of), known.owners
    members = [(name, np.flatnonzero(of == k)) for k, name in enumerate(partition.bins)]
    return Condition(
        name=partition.name,
        token=token,
        model=found.model,
        bins=tuple(_bin(found, name, chosen, owners) for name, chosen in members if chosen.size),
        empty=tuple(name for name, chosen in members if not chosen.size),
        ordered=partition.ordered,
    )


def _groups(name: str, known: Text, groups: dict[str, tuple[str, ...]]) -> Partition:
    place = {tag: k for k, tags in enumerate(groups.values()) for tag in tags}
    of_tag = np.array([*(place.get(tag, -1) for tag in known.tag_names), -1])
    return Partition(name=name, bins=tuple(groups), of=of_tag[known.tag], ordered=False)


def _bin(found: Contexts, name: str, chosen: np.ndarray, owners: np.ndarray) -> Bin:
    owners = owners[chosen]
    documents = len(np.unique(owners))
    kl, loss = (_curve(found, values[:, chosen], owners) for values in (found.kl, found.surprisal))
    return Bin(name=name, tokens=len(chosen), documents=documents, kl=kl, cross_entropy=loss)


def _curve(found: Contexts, values: np.ndarray, owners: np.ndarray) -> Curve:
    mean, sem, count = clustered_mean(values, owners)
    rests_on = "one standard error between documents" if count > 1 else ""
    return Curve(
        model=found.model,
        steps=found.steps,
        value=mean,
        low=mean - sem,
        high=mean + sem,
        rests_on=rests_on,
    )
