"""The data set of one work unit on a known truth: how far seeds are from it, and from one another.

Axes: S seeds, G independent windows, each a document of its own. Nats per token.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, numbers, whole

MEASURE = "truth"


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds, each number a mean over the tokens of a window.

    Attributes:
        seeds: [S].
        tokens: [G] predicted tokens of each window.
        kl: [S,S,G] between seeds.
        truth_model, model_truth: [S,G] KL from the truth to the model, and back.
        unigram_model, model_unigram: [S,G] KL from the tokens' frequencies to the model, and back.
        surprisal, entropy: [S,G] of the model.
        common, variance: [G] the parts of the mean KL from the truth that seeds share, and have
            alone.
        truth_unigram: [G] KL from the truth to the tokens' frequencies.
        true_surprisal, true_entropy: [G] of the truth.
        parameters: numbers in one model.
    """

    seeds: tuple[int, ...]
    tokens: np.ndarray
    kl: np.ndarray
    truth_model: np.ndarray
    model_truth: np.ndarray
    unigram_model: np.ndarray
    model_unigram: np.ndarray
    surprisal: np.ndarray
    entropy: np.ndarray
    common: np.ndarray
    variance: np.ndarray
    truth_unigram: np.ndarray
    true_surprisal: np.ndarray
    true_entropy: np.ndarray
    parameters: int


_PAIRS = ("kl",)
_PER_SEED = (
    "truth_model",
    "model_truth",
    "unigram_model",
    "model_unigram",
    "surprisal",
    "entropy",
)
_SHARED = ("common", "variance", "truth_unigram", "true_surprisal", "true_entropy")
_DIMENSIONS = {
    **dict.fromkeys(_PAIRS, ("seed", "other", "document")),
    **dict.fromkeys(_PER_SEED, ("seed", "document")),
    **dict.fromkeys(_SHARED, ("document",)),
}


SCHEMA = Schema(
    variables={
        "seed": whole("seed"),
        "tokens": numbers("document", least=1),
        "parameters": whole(optional=True),
        **{name: numbers(" ".join(axes), optional=True) for name, axes in _DIMENSIONS.items()},
    },
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored."""
    data = {name: (dims, getattr(record, name)) for name, dims in _DIMENSIONS.items()}
    coordinates = {
        "seed": list(record.seeds),
        "document": np.arange(len(record.tokens)),
        "tokens": ("document", record.tokens),
    }
    attributes = {"units": "nats per token", "rests_on": "seeds and independent windows"}
    return xr.Dataset({**data, "parameters": record.parameters}, coordinates, attributes)


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds; NaN where an older one lacks a variable.

    Raises InputError.
    """
    SCHEMA.check(data)
    shape = {"seed": data.sizes["seed"], "other": data.sizes["seed"], **data.sizes}

    def read(name: str) -> np.ndarray:
        if name in data:
            return data[name].values.astype(np.float64)
        return np.full([shape[dim] for dim in _DIMENSIONS[name]], np.nan)

    return Record(
        seeds=tuple(data["seed"].values.tolist()),
        tokens=data["tokens"].values.astype(np.float64),
        parameters=int(data["parameters"]) if "parameters" in data else 0,
        **{name: read(name) for name in _DIMENSIONS},
    )
