"""The data set of one work unit that compares the predictions of a model's seeds at one checkpoint.

`convergence` (next tokens) and `masked` (hidden tokens) store it; it alone knows the names of its
variables. Axes: S seeds, G documents, W windows, P predictions of a window. Nats.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.questions.schema import Schema, expect_documents, numbers, texts, whole


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What one unit holds. None where older results lack it.

    Attributes:
        seeds: [S].
        documents: [G] which of the text's, ascending.
        tokens: [G] predictions of each document: its weight in a mean over tokens.
        surprisal: [S,G] of the token that stands there, mean over the document's predictions, as
            the other numbers by document are.
        entropy: [S,G] of the prediction.
        kl_uniform: [S,G] KL(prediction || uniform).
        kl_unigram: [S,G] KL(prediction || how frequent tokens are).
        kl: [S,S,G] KL(i || j) of every two seeds.
        js: [S,S,G] their Jensen-Shannon divergence.
        token_kl: [W,P] of single predictions, mean over ordered pairs of seeds.
        token_js: [W,P] the same of the Jensen-Shannon divergence.
        token_surprisal: [S,W,P] of single predictions.
        window_document: [W] the document of each window.
        max_logit: [S] the largest |logit|.
        num_parameters: of the model.
        learning_rate: of the optimiser at this step.
        coverage: how much text that is and what of it is left out, in a sentence; "" in older
            results.
        caution: why some of the seeds may not compare with the others, in a sentence; "" where
            nothing says so.
    """

    seeds: tuple[int, ...]
    documents: np.ndarray
    tokens: np.ndarray
    surprisal: np.ndarray
    entropy: np.ndarray
    kl_uniform: np.ndarray
    kl_unigram: np.ndarray
    kl: np.ndarray
    js: np.ndarray | None
    token_kl: np.ndarray
    token_js: np.ndarray | None
    token_surprisal: np.ndarray | None
    window_document: np.ndarray | None
    max_logit: np.ndarray
    num_parameters: int | None = None
    learning_rate: float | None = None
    coverage: str = ""
    caution: str = ""

    @classmethod
    def of_measure(
        cls,
        numbers: Mapping[str, np.ndarray],
        window_document: np.ndarray,
        *,
        seeds: tuple[int, ...],
        num_parameters: int,
        learning_rate: float | None,
        coverage: str = "",
        caution: str = "",
    ) -> "Record":
        """The record of what `measures.divergence` or `measures.masked` returns by name."""
        return cls(
            seeds=seeds,
            documents=np.unique(window_document),
            tokens=numbers["document_tokens"],
            surprisal=numbers["surprisal_documents"],
            entropy=numbers["entropy_documents"],
            kl_uniform=numbers["kl_uniform_documents"],
            kl_unigram=numbers["kl_unigram_documents"],
            kl=numbers["kl_documents"],
            js=numbers["js_documents"],
            token_kl=numbers["kl"],
            token_js=numbers["js"],
            token_surprisal=numbers["surprisal"],
            window_document=window_document,
            max_logit=numbers["max_logit"],
            num_parameters=num_parameters,
            learning_rate=learning_rate,
            coverage=coverage,
            caution=caution,
        )


SCHEMA = Schema(
    variables={
        "seed": whole("seed", optional=True),
        "document": whole("document"),
        "tokens": numbers("document", least=1),
        "surprisal": numbers("seed document"),
        "entropy": numbers("seed document"),
        "kl_uniform": numbers("seed document"),
        "kl_unigram": numbers("seed document"),
        "kl": numbers("seed other document"),
        "js": numbers("seed other document", optional=True),
        "kl_token": numbers("window position"),
        "js_token": numbers("window position", optional=True),
        "surprisal_token": numbers("seed window position", optional=True),
        "window_document": whole("window", optional=True),
        "max_logit": numbers("seed"),
        "parameters": whole(optional=True),
        "learning_rate": numbers(optional=True),
    },
    attributes={"coverage": texts(optional=True), "caution": texts(optional=True)},
)


def to_dataset(record: Record) -> xr.Dataset:
    """The record as it is stored, every array in the precision that it has."""
    by_seed, pairs = ("seed", "document"), ("seed", "other", "document")
    token = ("window", "position")
    optional = {
        "js": (pairs, record.js),
        "js_token": (token, record.token_js),
        "surprisal_token": (("seed", *token), record.token_surprisal),
        "parameters": ((), record.num_parameters),
        "learning_rate": ((), record.learning_rate),
        "window_document": ("window", record.window_document),
    }
    data = {
        "surprisal": (by_seed, record.surprisal),
        "entropy": (by_seed, record.entropy),
        "kl_uniform": (by_seed, record.kl_uniform),
        "kl_unigram": (by_seed, record.kl_unigram),
        "kl": (pairs, record.kl),
        "kl_token": (token, record.token_kl),
        "max_logit": ("seed", record.max_logit),
        **{name: variable for name, variable in optional.items() if variable[1] is not None},
    }
    coordinates = {
        "seed": list(record.seeds),
        "document": record.documents,
        "tokens": ("document", record.tokens),
    }
    attributes = {"units": "nats", "rests_on": "seeds and documents"}
    attributes |= {"coverage": record.coverage, "caution": record.caution}
    dataset = xr.Dataset(data, coordinates, attributes)
    return dataset.set_coords([name for name in ["window_document"] if name in dataset])


def from_dataset(data: xr.Dataset) -> Record:
    """The record that a stored data set holds, in the precision that it is stored in.

    Raises InputError.
    """
    SCHEMA.check(data)
    expect_documents(data)
    return Record(
        seeds=tuple(data["seed"].values.tolist()) if "seed" in data else (),
        documents=data["document"].values,
        tokens=data["tokens"].values,
        surprisal=data["surprisal"].values,
        entropy=data["entropy"].values,
        kl_uniform=data["kl_uniform"].values,
        kl_unigram=data["kl_unigram"].values,
        kl=data["kl"].values,
        js=_optional(data, "js"),
        token_kl=data["kl_token"].values,
        token_js=_optional(data, "js_token"),
        token_surprisal=_optional(data, "surprisal_token"),
        window_document=_optional(data, "window_document"),
        max_logit=data["max_logit"].values,
        num_parameters=int(data["parameters"]) if "parameters" in data else None,
        learning_rate=float(data["learning_rate"]) if "learning_rate" in data else None,
        coverage=str(data.attrs.get("coverage", "")),
        caution=str(data.attrs.get("caution", "")),
    )


def _optional(data: xr.Dataset, name: str) -> np.ndarray | None:
    return data[name].values if name in data else None
