"""Made-up records of what seeds predict, and the units that hold them.

Axes: K steps, S seeds, G documents, W windows, P predictions of a window.
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from dynamics.questions import seed_record
from dynamics.results import Unit

LEVEL = 2.0  # of every number of single seeds, plus the seed's own


def made_record(
    kl: np.ndarray, tokens: np.ndarray, mean: float, *, complete: bool = True
) -> seed_record.Record:
    """A record of kl [S,S,G], with the rest made up; `complete` with what newer results hold."""
    seeds, documents = kl.shape[1:]
    by_seed = np.full((seeds, documents), LEVEL) + np.arange(seeds)[:, None]
    token_kl = mean * np.array([[0.5, 1.0], [1.0, 1.5]])
    return seed_record.Record(
        seeds=tuple(range(seeds)),
        documents=np.arange(documents),
        tokens=tokens,
        surprisal=by_seed,
        entropy=by_seed,
        kl_uniform=by_seed,
        kl_unigram=by_seed,
        kl=kl,
        js=kl / 8 if complete else None,
        token_kl=token_kl,
        token_js=token_kl / 8 if complete else None,
        token_surprisal=np.ones((seeds, 2, 2)) if complete else None,
        window_document=np.arange(2) if complete else None,
        max_logit=np.ones(seeds),
        num_parameters=8_000 if complete else None,
        learning_rate=1e-3 if complete else None,
    )


def units(
    measure: str, model: str, by_step: Mapping[int, xr.Dataset]
) -> list[tuple[Unit, xr.Dataset]]:
    """The units of one model, step -> data set."""
    seeds = tuple(next(iter(by_step.values()))["seed"].values.tolist())
    return [
        (Unit(measure=measure, model=model, seeds=seeds, step=step), data)
        for step, data in by_step.items()
    ]


def kl_of_level(level, seeds: int = 3, documents: int = 8, spread: float = 0.02) -> np.ndarray:
    """[K,S,S,G] whose pairs lie about the level [K], at most `spread` of it away."""
    rng = np.random.default_rng(0)
    shape = (len(level), seeds, seeds, documents)
    kl = np.asarray(level)[:, None, None, None] * rng.uniform(1 - spread, 1 + spread, shape)
    return kl * ~np.eye(seeds, dtype=bool)[None, :, :, None]
