"""Partitions of tokens: by frequency, word class, part of speech, final surprisal, domain.

Axes: W windows, T tokens of a window, N predictions, S seeds. Nats, unless a name says bits.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.decades import decades
from dynamics.errors import InputError
from dynamics.questions.token_properties.contexts import Contexts, Text

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
_MOST_TAGS = 7  # of a tagger whose tags are not Penn's


@dataclass(frozen=True, eq=False, kw_only=True)
class Partition:
    """Disjoint bins of tokens.

    Attributes:
        name: of the property.
        bins: names.
        bin_of: [W,T] the bin of each token, or -1 where it is in none.
        ordered: whether bins run from small to large.
    """

    name: str
    bins: tuple[str, ...]
    bin_of: np.ndarray
    ordered: bool


def partitions(text: Text, contexts: Contexts) -> list[Partition]:
    """Every partition that the text and the model's last step allow, in the paper's order."""
    of_text = [by_frequency(text), by_word_class(text), *by_tags(text)]
    return [*of_text, by_surprisal(contexts.last_surprisal, text.index.shape)]


def by_frequency(text: Text) -> Partition:
    """Decades of the count in the frequency corpus; tokens that it lacks have the bin "never"."""
    bin_of, names = decades(text.count)
    if not (bin_of == 0).any():
        bin_of, names = bin_of - 1, names[1:]
    return Partition(name="frequency", bins=names, bin_of=bin_of, ordered=True)


def by_word_class(text: Text) -> Partition:
    """Function words against all others; what is no word is in neither bin."""
    names = ("content words", "function words")
    bin_of = text.word_class.astype(np.int64)
    return Partition(name="word class", bins=names, bin_of=bin_of, ordered=False)


def by_domain(text: Text) -> Partition | None:
    """Domains of documents, such as prose and code, or languages; None where there is a single one.

    A document whose source names none is of the domain "text".

    Example:
        >>> import types
        >>> mixed = types.SimpleNamespace(
        ...     document=np.array([4, 7]), index=np.zeros((2, 3), int), domain={4: "code", 7: "de"}
        ... )
        >>> by_domain(mixed).bin_of.tolist()
        [[0, 0, 0], [1, 1, 1]]
    """
    of_window = [text.domain.get(int(document), "text") for document in text.document]
    names, bin_of = np.unique(of_window, return_inverse=True)
    if len(names) < 2:
        return None
    return Partition(
        name="domain",
        bins=tuple(names.tolist()),
        bin_of=np.broadcast_to(bin_of[:, None], text.index.shape),
        ordered=False,
    )


def by_tags(text: Text) -> list[Partition]:
    """Parts of speech, nouns and verbs where tags are Penn's; otherwise the commonest tags."""
    if text.tagger == "closed":
        names = [name for name in text.tag_names if name != "other"]
        return [_groups("function words", text, {name: (name,) for name in names})]
    penn = {"part of speech": PARTS_OF_SPEECH, "nouns": NOUNS, "verbs": VERBS}
    if {"NN", "DT", "IN"} & set(text.tag_names):
        return [_groups(name, text, groups) for name, groups in penn.items()]
    sizes = np.bincount(text.tag[text.tag >= 0], minlength=len(text.tag_names))
    common = [text.tag_names[k] for k in np.argsort(-sizes, kind="stable")[:_MOST_TAGS]]
    return [_groups("part of speech", text, {n: (n,) for n in common})] if common else []


def by_surprisal(
    last_surprisal: np.ndarray,
    shape: tuple[int, int],
    *,
    edges: Sequence[float] = EDGES,
    unit: str = "bits",
    seed: int | None = None,
) -> Partition:
    """Bins of each token's surprisal at the model's last step; [S,N] nats, shape (W, T).

    Mean over seeds, or that of one seed by its place in S. The first token of a window is predicted
    by nothing and is in no bin. Raises InputError on an unknown unit or edges that do not ascend.
    """
    if unit not in PER_UNIT:
        raise InputError.unknown("unit", unit, PER_UNIT)
    if list(edges) != sorted(set(edges)):
        raise InputError(f"edges {tuple(edges)}", expected="numbers that ascend")
    surprisal = last_surprisal.mean(0) if seed is None else last_surprisal[seed]
    # Surprisal is never below 0, however it was rounded.
    values = np.maximum(surprisal / PER_UNIT[unit], 0).reshape(shape[0], shape[1] - 1)
    bin_of = np.full(shape, -1)
    bin_of[:, 1:] = np.searchsorted(edges, values, side="right") - 1
    closed = [f"{low:g}–{high:g}" for low, high in itertools.pairwise(edges)]
    names = tuple(f"{limits} {unit}" for limits in (*closed, f"{edges[-1]:g} or more"))
    return Partition(name="final surprisal", bins=names, bin_of=bin_of, ordered=True)


def _groups(name: str, text: Text, groups: Mapping[str, Sequence[str]]) -> Partition:
    group_of = {tag: k for k, tags in enumerate(groups.values()) for tag in tags}
    of_tag = np.array([*(group_of.get(tag, -1) for tag in text.tag_names), -1])
    return Partition(name=name, bins=tuple(groups), bin_of=of_tag[text.tag], ordered=False)
