"""The local learning coefficient of a language model over a corpus of tokens: what is known then is
filled in.

Axes: N windows, T tokens of a window, V vocabulary.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dynamics import restrict
from dynamics.data import windows
from dynamics.errors import InputError
from dynamics.measures import surprisal
from dynamics.slt.llc import LLCEstimate, estimate_llc
from dynamics.slt.plan import Plan


def estimate_language_model_llc(
    config,
    params,
    tokens,
    key,
    sampler: Plan,
    *,
    parts: str | Sequence[str] = (),
    probes: Mapping[str, Any] | None = None,
    **options,
) -> LLCEstimate:
    """`llc.estimate_llc` with the mean surprisal as loss, log V as the trivial predictor's, and
    stability measured.

    Args:
        config, params: as in `checkpoints.Checkpoint`.
        tokens: [N,T] windows to sample over; a batch is `sampler.batch_size` windows.
        parts: a name or names for `restrict.select`, such as "layers.3.attention.heads.2"; () is
            the whole model.
        probes: name -> tokens [M,T]; the surprisal of each of their tokens, [M,T-1], is recorded at
            every draw.
        options: of `llc.estimate_llc`; what is given here wins.

    Raises:
        InputError: a part that the model does not have (near ones listed), tokens beyond its
            vocabulary or not in windows of two and more.
    """
    for items in (tokens, *(probes or {}).values()):
        _check_windows(items)
        windows.check_vocabulary(items, config.vocab_size)
    known = known_options(config, parts, probes)
    return estimate_llc(
        surprisal.loss_fn(config), params, tokens, key, sampler, **{**known, **options}
    )


def known_options(
    config, parts: str | Sequence[str] = (), probes: Mapping[str, Any] | None = None
) -> dict:
    """Options of `llc.estimate_llc` that a language model settles; for `compare.sensitivity`
    too."""
    parts = (parts,) if isinstance(parts, str) else parts
    return {
        "trivial_loss": math.log(config.vocab_size),
        "top_eigenvalue": "measure",
        "mask": restrict.select(config, *parts) if parts else None,
        "probes": probes,
        "per_item_fn": surprisal.surprisal_fn(config) if probes else None,
    }


def _check_windows(tokens):
    """Raises InputError for what is no [N,T] of integers with something to predict."""
    shape, dtype = np.shape(tokens), np.asarray(tokens).dtype
    if len(shape) != 2 or shape[1] < 2 or not np.issubdtype(dtype, np.integer):
        raise InputError(
            f"tokens of shape {shape} and dtype {dtype}", expected="integers [N,T], T at least 2"
        )
