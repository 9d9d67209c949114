"""Committed divergences joined with what is known of the text: every prediction of a model, over
its steps.

Axes: K steps, W windows, T tokens of a window, P = T - 1 predictions of a window, N = W P
predictions, S seeds, U distinct ids. Prediction (w, p) is of token (w, p + 1), the last token of
its context is (w, p). Nats.
"""

import json
from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.analysis.curves import Committed, natural
from dynamics.errors import InputError
from dynamics.results import Unit


@dataclass(frozen=True, eq=False, kw_only=True)
class Text:
    """Windows of text and what is known of their tokens before any model reads them."""

    document: np.ndarray  # [W]
    index: np.ndarray  # [W, T], into pieces
    pieces: tuple[str, ...]  # [U]
    count: np.ndarray  # [W, T], of each token in the frequency corpus
    tag: np.ndarray  # [W, T], index into tag_names, or -1
    tag_names: tuple[str, ...]
    word_class: np.ndarray  # [W, T], 1 function word, 0 other word, -1 neither
    frequency_corpus: str
    tagger: str
    domain: dict[int, str]  # of each document

    @property
    def owners(self) -> np.ndarray:
        """The document of every prediction, [N]."""
        return np.repeat(self.document, self.index.shape[1] - 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Contexts:
    """Every prediction of one model's seeds."""

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray  # [K]
    kl: np.ndarray  # [K, N] float32, mean over ordered pairs of seeds
    surprisal: np.ndarray  # [K, N] float32, of the predicted token, mean over seeds
    last_surprisal: np.ndarray  # [S, N], at the last step


def predicted(places: np.ndarray) -> np.ndarray:
    """[W, T] -> [N]: of every prediction the value at the token that it is of."""
    return places[:, 1:].ravel()


def last_context(places: np.ndarray) -> np.ndarray:
    """[W, T] -> [N]: of every prediction the value at the last token that it is given."""
    return places[:, :-1].ravel()


def text(data: xr.Dataset) -> Text:
    """A committed "text" unit."""
    index = data["index"].values
    return Text(
        document=data["document"].values,
        index=index,
        pieces=tuple(map(str, data["piece"].values)),
        count=data["count"].values[index],
        tag=data["tag"].values,
        tag_names=tuple(map(str, data["tag_name"].values)),
        word_class=data["word_class"].values,
        frequency_corpus=data.attrs["frequency_corpus"],
        tagger=data.attrs["tagger"],
        domain={int(owner): domain for owner, domain in json.loads(data.attrs["domain"]).items()},
    )


def contexts(committed: Committed, known: Text) -> list[Contexts]:
    """One per model, by size, of the largest set of seeds it was measured with.

    Data sets without a surprisal of every token (written before it was kept) are left out. Raises
    InputError where a model was measured on other windows than the text's.
    """
    groups: dict[tuple[str, tuple[int, ...]], list[tuple[Unit, xr.Dataset]]] = {}
    for unit, data in committed:
        if "surprisal_token" in data:
            groups.setdefault((unit.model, unit.seeds), []).append((unit, data))
    chosen: dict[str, list] = {}
    for (model, seeds), group in groups.items():
        if (len(seeds), len(group)) > _size(chosen.get(model, [])):
            chosen[model] = group
    return [
        _contexts(sorted(chosen[model], key=lambda pair: pair[0].step), known)
        for model in sorted(chosen, key=natural)
    ]


def _size(group: list) -> tuple[int, int]:
    return (len(group[0][0].seeds), len(group)) if group else (0, 0)


def _contexts(group: list, known: Text) -> Contexts:
    units, data = zip(*group, strict=True)
    shape = (known.index.shape[0], known.index.shape[1] - 1)
    for unit, one in group:
        if one["kl_token"].shape != shape or not np.array_equal(
            one["window_document"].values, known.document
        ):
            raise InputError(
                f"{unit} on {one['kl_token'].shape} predictions, text features of {shape}",
                expected="features of the very windows that divergence was measured on",
                mend="Delete the folder text/ of the results and run the same command again.",
            )
    return Contexts(
        model=units[0].model,
        seeds=units[0].seeds,
        steps=np.array([unit.step for unit in units]),
        kl=np.stack([one["kl_token"].values.ravel() for one in data]),
        surprisal=np.stack([one["surprisal_token"].values.mean(0).ravel() for one in data]),
        last_surprisal=data[-1]["surprisal_token"].values.reshape(len(units[0].seeds), -1),
    )
