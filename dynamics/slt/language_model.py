"""The local learning coefficient of a language model over a corpus of tokens.

Axes: N windows, M windows of a probe set, T tokens of a window, V vocabulary.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from dynamics import models, restrict
from dynamics.data import windows
from dynamics.errors import InputError
from dynamics.measures import surprisal
from dynamics.slt import stability
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.llc import estimate_llc
from dynamics.slt.samplers.base import Sampler


def estimate_language_model_llc(
    config: models.Config,
    params: PyTree[Float[Array, "..."]],
    tokens: Int[Array, "N T"] | Int[np.ndarray, "N T"],
    key: Key[Array, ""],
    sampler: Sampler,
    *,
    parts: str | Sequence[str] = (),
    probes: Mapping[str, Int[Array, "M T"] | Int[np.ndarray, "M T"]] | None = None,
    top_eigenvalue: float | stability.SpectrumEnds | Literal["measure"] | None = "measure",
    on_unstable: Literal["refuse", "report"] = "refuse",
    pull_exponent: Literal["measure", "where positive"] | None = None,
    mesh: jax.sharding.Mesh | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LLCEstimate:
    """`estimate_llc` with the mean surprisal as loss and log V as the trivial predictor's loss.

    Args:
        config, params: as in `checkpoints.Checkpoint`.
        tokens: [N,T] windows to sample over; a batch is `sampler.batch_size` windows.
        key, sampler, on_unstable, pull_exponent, mesh, progress: as in `estimate_llc`.
        parts: a name or names for `restrict.select`, such as "layers.3.attention.heads.2"; () is
            the whole model.
        probes: name -> tokens [M,T]; the surprisal of each of their tokens, [M,T-1], is recorded at
            every draw.
        top_eigenvalue: as in `estimate_llc`; by default stability is measured.

    Raises:
        InputError: a part that the model does not have (similar names listed); tokens outside its
            vocabulary, or not in windows of two and more; see also `estimate_llc`.

    Example:
        >>> import jax, numpy as np
        >>> from dynamics import models, slt
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=11
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> tokens = np.random.default_rng(0).integers(0, 11, (16, 6))
        >>> sampler = slt.SGLD(
        ...     step_size=1e-5, nbeta=100.0, localization=100.0,
        ...     num_chains=2, num_draws=8, batch_size=4
        ... )
        >>> estimate = slt.estimate_language_model_llc(
        ...     config, params, tokens, jax.random.key(1), sampler,
        ...     parts="layers.0.attention",
        ...     top_eigenvalue=None,  # stability is not measured, for the example's speed
        ... )
        >>> estimate.num_free, round(estimate.verdict.trivial_loss, 3)  # log 11
        (288, 2.398)
    """
    for token_windows in (tokens, *(probes or {}).values()):
        _check_windows(token_windows)
        windows.check_vocabulary(np.asarray(token_windows), config.vocab_size)
    return estimate_llc(
        surprisal.loss_fn(config),
        params,
        tokens,
        key,
        sampler,
        mask=part_mask(config, parts),
        probes=probes,
        per_item_fn=surprisal.surprisal_fn(config) if probes else None,
        trivial_loss=trivial_loss(config),
        top_eigenvalue=top_eigenvalue,
        on_unstable=on_unstable,
        pull_exponent=pull_exponent,
        mesh=mesh,
        progress=progress,
    )


def trivial_loss(config: models.Config) -> float:
    """log V: the loss of the uniform prediction, in nats per token."""
    return math.log(config.vocab_size)


def part_mask(config: models.Config, parts: str | Sequence[str]) -> PyTree | None:
    """The mask that frees the named parts of a model, for `estimate_llc`; None for no names.

    Raises:
        InputError: a part that the model does not have (similar names listed).
    """
    names = (parts,) if isinstance(parts, str) else parts
    return restrict.select(config, *names) if names else None


def _check_windows(tokens):
    """Raises InputError for anything but [N,T] integers with something to predict."""
    shape, dtype = np.shape(tokens), np.asarray(tokens).dtype
    if len(shape) != 2 or shape[1] < 2 or not np.issubdtype(dtype, np.integer):
        raise InputError(
            f"tokens of shape {shape} and dtype {dtype}", expected="integers [N,T], T at least 2"
        )
