"""How well a model foretells texts: mean surprisal of each, and of its last word.

Axes: N texts, T places. Units: nats; perplexity is exp of a mean surprisal, without a unit.

PPL(X) = exp(-1/T sum_t log p(x_t | x_<t)) (Nicolini et al. 2024, eq. 6). It is 1 for a model that
is always certain and right, and the size of the vocabulary for one that knows nothing; below 1 it
cannot be, since no probability is above 1. So a mean surprisal below 0 is an error and no result.
Perplexities of several texts are averaged as surprisals: exp of the mean is the perplexity of the
whole where texts have one length, and one text of 10^6 does not hide the others.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Float64, Int

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import finite, token_chunks

ROUNDING = 1e-4  # nats that rounding may put a certain prediction below 0
# Tokens whose hidden states are held at once.
_BLOCK_TOKENS = {"cpu": 2**12, "gpu": 2**16, "tpu": 2**16}


class TextSurprisal(NamedTuple):
    """Of each text. The last word's fields are None where no place of a last word was stated.

    Attributes:
        mean: [N] surprisal per scored token.
        scored: [N] scored tokens: all but the first.
        last_word: [N] summed surprisal of the tokens of the last word.
        last_right: [N] whether each of them was the likeliest token at its place.
    """

    mean: Float64[np.ndarray, " N"]
    scored: Int[np.ndarray, " N"]
    last_word: Float64[np.ndarray, " N"] | None
    last_right: Bool[np.ndarray, " N"] | None


def check_surprisal(
    mean: Float[ArrayLike, "..."], of: str = "a text"
) -> Float64[np.ndarray, "..."]:
    """The mean surprisals, those that rounding put below 0 at 0.

    Raises:
        InputError: a perplexity below 1 or not finite, which is impossible.

    Example:
        >>> check_surprisal([0.5, -1e-7]).tolist()
        [0.5, 0.0]
        >>> check_surprisal([0.5, -4.6])
        Traceback (most recent call last):
        dynamics.errors.InputError: got a perplexity of 0.0101 (1 of 2), of a text; expected 1 ...
    """
    mean = np.asarray(mean, np.float64)
    possible = mean >= -ROUNDING
    with np.errstate(over="ignore"):
        perplexity = np.exp(mean)
    sound = possible & np.isfinite(perplexity)
    if not sound.all():
        worst = perplexity[~sound].flat[0]
        raise InputError(
            f"a perplexity of {worst:.3g} ({(~sound).sum()} of {sound.size}), of {of}",
            expected="1 or more and finite: no probability is above 1",
            mend="The weights or the logits are damaged, or the run has diverged: audit the "
            "checkpoint.",
        )
    return np.maximum(mean, 0.0)


def text_surprisal(
    config: models.Config,
    params: models.Params,
    tokens: Int[ArrayLike, "N T"],
    lengths: Int[ArrayLike, " N"] | None = None,
    last_word: Int[ArrayLike, " N"] | None = None,
) -> TextSurprisal:
    """Surprisal of every text; a text's first token is only conditioned on.

    Args:
        config: of a causal model.
        params: of the checkpoint.
        tokens: [N,T]; what stands beyond a text's length may be any ids.
        lengths: [N], tokens of each text, 2 to T; None where all have T.
        last_word: [N], the place at which the last word of each text begins, 1 or more.

    Raises:
        InputError: a perplexity below 1 or not finite; weights that are not finite; a masked model;
            ids outside the vocabulary; lengths or places that leave nothing to score.
        AssertionError: arrays of other shapes.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> texts = text_surprisal(config, params, np.arange(12).reshape(2, 6), [6, 4])
        >>> texts.mean.shape, texts.scored.tolist()
        ((2,), [5, 3])
    """
    tokens = np.asarray(tokens, np.int32)
    chex.assert_rank(tokens, 2)
    count, size = tokens.shape
    ends = np.full(count, size) if lengths is None else np.asarray(lengths)
    chex.assert_shape(ends, (count,))
    if not ((ends >= 2) & (ends <= size)).all():
        raise InputError(
            f"texts of {ends.min()} to {ends.max()} tokens in rows of {size}",
            expected=f"2 to {size}: the first token is not scored",
        )
    models.check_causal(config)
    models.check_tokens(config, tokens)
    finite.check_params(params)
    surprisal, right = _of_tokens(config, params, tokens)
    place = np.arange(1, size)
    scored = place < ends[:, None]
    mean = np.where(scored, surprisal, 0).sum(1, dtype=np.float64) / scored.sum(1)
    word, all_right = None, None
    if last_word is not None:
        begins = np.asarray(last_word)
        chex.assert_shape(begins, (count,))
        if not ((begins >= 1) & (begins < ends)).all():
            raise InputError(
                "a last word that begins outside its text", expected="1 to the last token"
            )
        within = scored & (place >= begins[:, None])
        # By token: that of a word of a hundred tokens may be beyond all numbers, and is possible.
        by_token = np.where(within, surprisal, 0).sum(1, dtype=np.float64) / within.sum(1)
        word = check_surprisal(by_token, "a last word") * within.sum(1)
        all_right = (right | ~within).all(1)
    return TextSurprisal(check_surprisal(mean), scored.sum(1), word, all_right)


def _of_tokens(config: models.Config, params, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([N,T-1] surprisals, [N,T-1] whether the token was the likeliest), in blocks of one shape."""
    most = _BLOCK_TOKENS.get(jax.default_backend(), _BLOCK_TOKENS["cpu"])
    rows = min(len(tokens), max(1, most // tokens.shape[1]))
    padded = np.concatenate([tokens, np.repeat(tokens[:1], -len(tokens) % rows, axis=0)])
    run = _block(config)
    blocks = [run(params, block) for block in padded.reshape(-1, rows, tokens.shape[1])]
    surprisal, right = (np.concatenate(part)[: len(tokens)] for part in zip(*blocks, strict=True))
    return surprisal, right


@functools.cache
def _block(config: models.Config) -> Callable:
    """Jitted (params, tokens [b,T]) -> (surprisal [b,T-1], likeliest [b,T-1])."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)
    size = token_chunks.tokens_per_chunk(config.vocab_size)

    @jax.jit
    def run(params, tokens):
        with jax.default_matmul_precision("highest"):
            h, _ = hidden(params, tokens[:, :-1])
            targets = tokens[:, 1:]

            def of_chunk(inputs):
                logits = unembed(params, inputs[0])
                own = jnp.take_along_axis(logits, inputs[1][:, None], axis=1)[:, 0]
                return jax.nn.logsumexp(logits, axis=1) - own, own >= logits.max(1)

            flat = (h.reshape(-1, h.shape[-1]), targets.reshape(-1))
            scores = token_chunks.map_chunks(of_chunk, flat, size)
        return jax.tree.map(lambda of_token: of_token.reshape(targets.shape), scores)

    return run
