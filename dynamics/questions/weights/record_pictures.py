"""The data set of pictures of one checkpoint: matrices, attention and logits as images.

Axes: D and V the first dimensions and tokens of the unembedding, I and O the first inputs and
outputs of the first layer's attention matrix, T tokens of one sentence, W all tokens. Weights are
stored in 255 levels between -limit and limit: an image shows no more.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "weight_pictures"
LEVELS = 127  # on either side of 0
_SHADES = 255  # of a share between 0 and 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds.

    Attributes:
        unembedding: [D,V] weights; None without a head, as are the logits.
        attention_matrix: [I,O] weights of queries, keys and values, head by head.
        attention: [T,T] share of attention in the first layer, target by source, over all heads.
        mean_logit: [W] of every token, averaged over the sentence.
        sentence: its beginning.
    """

    unembedding: np.ndarray | None
    attention_matrix: np.ndarray
    attention: np.ndarray
    mean_logit: np.ndarray | None
    sentence: str


SCHEMA = Schema(
    variables={
        "unembedding": whole("dimension shown_token", optional=True, least=-LEVELS, most=LEVELS),
        "attention_matrix": whole("input output", least=-LEVELS, most=LEVELS),
        "attention": whole("target source", least=0, most=_SHADES),
        "mean_logit": numbers("vocabulary", optional=True),
    },
    attributes={
        "unembedding_limit": numbers(optional=True),
        "attention_matrix_limit": numbers(),
        "sentence": texts(),
    },
    single_seed=True,
    together=[("unembedding", "mean_logit")],
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored: levels of one byte."""
    matrix, limit = _levels(record.attention_matrix)
    shares = np.nan_to_num(record.attention).clip(0, 1) * _SHADES
    data = {
        "attention_matrix": (("input", "output"), matrix),
        "attention": (("target", "source"), shares.round().astype(np.uint8)),
    }
    attributes = {"attention_matrix_limit": limit, "sentence": record.sentence}
    if record.unembedding is not None and record.mean_logit is not None:
        levels, attributes["unembedding_limit"] = _levels(record.unembedding)
        data["unembedding"] = (("dimension", "shown_token"), levels)
        data["mean_logit"] = ("vocabulary", record.mean_logit.astype(np.float32))
    return xr.Dataset(data, attrs={"units": "weight, share, logit", **attributes})


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    unembedding = mean_logit = None
    if "unembedding" in data:
        limit = float(data.attrs.get("unembedding_limit", np.nan))
        unembedding = data["unembedding"].values * (limit / LEVELS)
        mean_logit = data["mean_logit"].values.astype(np.float64)
    limit = float(data.attrs["attention_matrix_limit"])
    return Record(
        unembedding=unembedding,
        attention_matrix=data["attention_matrix"].values * (limit / LEVELS),
        attention=data["attention"].values / _SHADES,
        mean_logit=mean_logit,
        sentence=str(data.attrs["sentence"]),
    )


def _levels(weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Levels between -LEVELS and LEVELS, and the weight that the largest stands for."""
    weights = np.nan_to_num(np.asarray(weights, np.float64), posinf=0.0, neginf=0.0)
    limit = float(np.abs(weights).max(initial=0.0)) or 1.0
    return np.round(weights / limit * LEVELS).astype(np.int8), limit
