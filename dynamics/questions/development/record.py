"""The data set of one work unit on development: an in-context regression model's behaviour and
structure at one checkpoint.

Axes: P pairs of a context, N norms, R components of the embedding, Q components of the positions,
L layers, H heads, G gains; kinds of target x, y. Losses are squared errors.
"""

from dataclasses import dataclass, fields

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, texts, whole

MEASURE = "development"
ATTENTION = (
    "entropy", "variability", "to_self", "to_previous", "to_previous_x", "to_previous_y", "to_x",
    "to_y",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds. Errors, called sem, are over contexts.

    Attributes:
        loss, loss_sem: mean squared error over contexts and pairs.
        ridge_loss: of the best prediction, on the same contexts.
        trivial_loss: of predicting 0.
        mean_square, mean_square_sem: E[yhat^2], the distance from predicting 0 (D.1.1).
        from_prior, from_prior_sem: E[(yhat - x'tbar)^2], the distance from the mean of the tasks;
            of fresh tasks, whose mean is 0, the same number, which older files have alone.
        icl_early, icl_early_sem: ICL 1:D, the error at pair D less that at pair 1 (D.1.2).
        icl_late, icl_late_sem: ICL D:K, the error at the last pair less that at pair D.
        by_pair, ridge_by_pair: [P] mean squared errors of model and best prediction.
        weight_norm: of all weights.
        embed_shares: [R] of the embedding's squared singular values, largest first.
        position_shares: [Q] likewise.
        position_in_embed: share of the positions' squares that lies in the embedding's span.
        norms: [N] names of the layer norms.
        small_scales, small_biases: [N] share of a norm's numbers that are nearly 0.
        attention: [8,2,L,H] each of ATTENTION, for x-targets and y-targets.
        kinds: [2,L,H] what each head is classified as, in words.
        gains: [G] variances of inputs and tasks out of distribution (D.1.3).
        input_error, task_error: [G] squared error over g.
        input_size, task_size: [G] mean |yhat|.
        num_contexts: that the errors rest on.
    """

    loss: float
    loss_sem: float
    ridge_loss: float
    trivial_loss: float
    mean_square: float
    mean_square_sem: float
    from_prior: float
    from_prior_sem: float
    icl_early: float
    icl_early_sem: float
    icl_late: float
    icl_late_sem: float
    by_pair: np.ndarray
    ridge_by_pair: np.ndarray
    weight_norm: float
    embed_shares: np.ndarray
    position_shares: np.ndarray
    position_in_embed: float
    norms: tuple[str, ...]
    small_scales: np.ndarray
    small_biases: np.ndarray
    attention: np.ndarray
    kinds: np.ndarray
    gains: np.ndarray
    input_error: np.ndarray
    task_error: np.ndarray
    input_size: np.ndarray
    task_size: np.ndarray
    num_contexts: int


_HEADS = "target layer head"
_AXES = {
    "by_pair": "pair",
    "ridge_by_pair": "pair",
    "embed_shares": "component",
    "position_shares": "position_component",
    "small_scales": "norm",
    "small_biases": "norm",
    "attention": f"score {_HEADS}",
    "gains": "gain",
    "input_error": "gain",
    "task_error": "gain",
    "input_size": "gain",
    "task_size": "gain",
}
_WORDS = {"norms": "norm", "kinds": _HEADS}
_NOT_IN_OLDER = {"from_prior": "mean_square", "from_prior_sem": "mean_square_sem"}
_NUMBERS = [field.name for field in fields(Record) if field.name not in {*_WORDS, "num_contexts"}]
SCHEMA = Schema(
    variables={
        **{name: numbers(_AXES.get(name, ""), optional=name in _NOT_IN_OLDER) for name in _NUMBERS},
        **{name: texts(axes) for name, axes in _WORDS.items()},
        "score": texts("score", labels=ATTENTION),
    },
    attributes={"num_contexts": whole(least=2)},
    single_seed=True,
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    axes = {**_AXES, **_WORDS}
    data = {
        name: (tuple(axes.get(name, "").split()), np.asarray(getattr(record, name)))
        for name in (*_NUMBERS, *_WORDS)
    }
    attributes = {
        "units": "squared errors; shares",
        "rests_on": "contexts",
        "num_contexts": record.num_contexts,
    }
    return xr.Dataset({**data, "score": ("score", list(ATTENTION))}, attrs=attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds. Raises InputError."""
    SCHEMA.check(data)
    order = [data["score"].values.tolist().index(name) for name in ATTENTION]
    stored = {name: data[name if name in data else _NOT_IN_OLDER[name]].values for name in _NUMBERS}
    single = {name: float(value) for name, value in stored.items() if name not in _AXES}
    return Record(
        **{
            **stored,
            **single,
            "attention": stored["attention"][order],
            "norms": tuple(data["norms"].values.tolist()),
            "kinds": data["kinds"].values,
            "num_contexts": int(data.attrs["num_contexts"]),
        }
    )
