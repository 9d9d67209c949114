"""Texts that a model completes: decoding with a memory, and causal unmasking scored two ways.

Axes: B rows that are decoded together, N texts, T tokens of a text, P = T - 1 lengths of a prefix.
Units: nats.

Causal unmasking (Nicolini et al. 2024, section 4.2.2): every prefix of a text, of 1 to T - 1
tokens, is completed to the text's length. That is T (T - 1) / 2 decoded tokens of each text. Keys
and values of what is read stay in a memory, so that each decoded token is one pass over one token.
Figure 6 of the paper is the perplexity "of generated tokens"; which tokens a perplexity is of
decides what it says, so both readings are here, each under its name:

    completion  the tokens that the model wrote itself, each given all before it. A model that
                repeats itself finds that easy: low values are no sign of quality.
    text        the tokens that the text has at those places, given the prefix and what the model
                wrote after it.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Float32, Int, Int32, PRNGKeyArray

from dynamics import models
from dynamics.errors import InputError
from dynamics.inputs import Real
from dynamics.measures import finite

TEMPERATURE = Real(0, 100)
# Floats that the rows of a block may take: their memory and logits. On a CPU a block that stays in
# the caches of its own cores is faster: by a third than one of four times the size.
_BLOCK_FLOATS = {"cpu": 2**18, "gpu": 2**28, "tpu": 2**28}
# Floats that the memories of whole texts may take, which all their prefixes share.
_TEXT_FLOATS = {"cpu": 2**26, "gpu": 2**29, "tpu": 2**29}


class Completion(NamedTuple):
    """Completed rows. The surprisals are of places 1 to T - 1, and NaN before a row's prefix ends.

    Attributes:
        tokens: [B,T] the prefix and what the model wrote after it.
        completion: [B,T-1] surprisal of what it wrote.
        text: [B,T-1] surprisal of what the text has at the same places.
    """

    tokens: Int[ArrayLike, "B T"]
    completion: Float[ArrayLike, "B T-1"]
    text: Float[ArrayLike, "B T-1"]


class Unmasked(NamedTuple):
    """Causal unmasking of texts. A completion of a prefix of p tokens has T - p tokens.

    Attributes:
        tokens: [N,P,T] prefix and completion.
        completion: [N,P] mean surprisal of what the model wrote after each prefix.
        text: [N,P] mean surprisal of what the text has there.
    """

    tokens: Int32[np.ndarray, "N P T"]
    completion: Float32[np.ndarray, "N P"]
    text: Float32[np.ndarray, "N P"]


@functools.cache
def complete_fn(config: models.Config, temperature: float = 0.0) -> Callable[..., Completion]:
    """complete(params, tokens [B,T], lengths [B], keys=None [B], memory=None) -> Completion.

    Row b keeps its first lengths[b] tokens, and the model writes the others: at temperature 0 the
    likeliest token at each place, else a draw from softmax(logits / temperature). Surprisals are
    those of the model itself, at temperature 1. A draw depends on its row's key and its place, and
    not on what else is decoded. Nothing is decoded before the shortest prefix ends, so that rows of
    like lengths cost least together. `memory` is that of `read_fn` for these rows, where the caller
    has it.

    Args:
        config: of a causal model.
        temperature: 0 to 100.

    Raises:
        InputError: a masked model; a temperature out of its range.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> tokens = jax.numpy.arange(12).reshape(2, 6)
        >>> completed = jax.jit(complete_fn(config))(params, tokens, jnp.array([2, 5]))
        >>> jnp.isnan(completed.text).sum(1).tolist()  # places that stand in the prefix
        [1, 4]
        >>> bool((completed.tokens[1, :5] == tokens[1, :5]).all())
        True
    """
    TEMPERATURE.check(temperature, "temperature ")
    read_on, unembed = models.continue_fn(config), models.unembed_fn(config)

    def choose(logits: Float[Array, "B V"], place: Int[Array, ""], keys) -> Int[Array, " B"]:
        if temperature == 0:
            return _likeliest(logits)
        own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, place)
        # Less the largest: a temperature that is no number of float32 is then greedy, not NaN.
        below = logits - logits.max(-1, keepdims=True)
        tempered = below / max(temperature, float(jnp.finfo(jnp.float32).tiny))
        return jax.vmap(jax.random.categorical)(own, tempered)

    def complete(params, tokens, lengths, keys=None, memory=None) -> Completion:
        rows, size = tokens.shape
        memory = read_fn(config)(params, tokens) if memory is None else memory
        first = lengths.min()  # of the places that anything is written to

        def write(state, place):
            token, memory = state
            h, memory = read_on(params, token[:, None], memory, place - 1)
            logits = unembed(params, h[:, 0])
            in_text = tokens[:, place]
            written = jnp.where(place < lengths, in_text, choose(logits, place, keys))
            written = written.astype(tokens.dtype)
            total = jax.nn.logsumexp(logits, -1)
            scores = jnp.stack([total - _at(logits, written), total - _at(logits, in_text)])
            scores = jnp.where(place < lengths, jnp.nan, scores)
            return (written, memory), (written, scores)

        def read(state, place):
            in_text = tokens[:, place]
            return (in_text, state[1]), (in_text, jnp.full((2, rows), jnp.nan))

        def at_place(state, place):
            return jax.lax.cond(place < first, read, write, state, place)

        start = (tokens[:, 0], memory)
        _, (written, scores) = jax.lax.scan(at_place, start, jnp.arange(1, size))
        completed = jnp.concatenate([tokens[:, :1], written.T], axis=1)
        own, of_text = scores.transpose(1, 2, 0)
        return Completion(completed, own, of_text)

    return complete


@functools.cache
def read_fn(config: models.Config) -> Callable[..., models.Memory]:
    """read(params, tokens [B,T]) -> what a model remembers of whole texts, in one pass.

    A prefix's memory is its part of it, since a causal model's keys and values do not change with
    what comes later.
    """
    read_on = models.continue_fn(config)

    def read(params, tokens) -> models.Memory:
        _, memory = read_on(params, tokens, models.empty_memory(config, *tokens.shape), 0)
        return memory

    return read


def causal_unmasking(
    config: models.Config,
    params: models.Params,
    tokens: Int[ArrayLike, "N T"],
    *,
    temperature: float = 0.0,
    key: PRNGKeyArray | None = None,
) -> Unmasked:
    """Completes every prefix of every text, T (T - 1) / 2 decoded tokens of each.

    Args:
        config: of a causal model.
        params: of the checkpoint.
        tokens: [N,T], texts of one length, T of 2 or more.
        temperature: 0 is greedy; see `complete_fn`.
        key: a typed key for draws; a draw's own key is folded from text, length of the prefix and
            place.

    Raises:
        InputError: draws without a key; weights that are not finite; longer texts than the model
            has positions; ids outside its vocabulary; a masked model.
        AssertionError: tokens that are no [N,T].

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> unmasked = causal_unmasking(config, params, np.arange(12).reshape(2, 6))
        >>> unmasked.tokens.shape, unmasked.completion.shape
        ((2, 5, 6), (2, 5))
    """
    tokens = np.asarray(tokens, np.int32)
    chex.assert_rank(tokens, 2)
    texts, size = tokens.shape
    if size < 2:
        raise InputError(f"texts of {size} token", expected="2 or more, to complete one by one")
    if temperature > 0 and key is None:
        raise InputError("a temperature without a key", expected="a key to draw with")
    models.check_tokens(config, tokens)
    finite.check_params(params)
    per_text = 2 * config.num_layers * size * config.hidden_size
    at_once = min(texts, max(1, _most(_TEXT_FLOATS) // per_text))
    groups = []
    for begin in range(0, texts, at_once):
        names = np.arange(begin, min(begin + at_once, texts))  # that draws are folded from
        padded = np.concatenate([names, np.repeat(names[:1], at_once - len(names))])
        groups.append(_group(config, params, tokens[padded], names, temperature, key))
    return Unmasked(*map(np.concatenate, zip(*groups, strict=True)))


def _group(config, params, tokens, names, temperature, key) -> Unmasked:
    """Of the first texts of tokens [N,T], as many as there are names."""
    texts, size = len(names), tokens.shape[1]
    # Prefixes of one length stand together, so that a block decodes little that is not asked for.
    length, text = (axis.ravel() for axis in np.meshgrid(np.arange(1, size), np.arange(texts)))
    order = np.lexsort((text, length))
    length, text = length[order], text[order]
    rows = min(len(length), _rows(config, size))
    decode = functools.partial(
        _compiled(config, temperature), params, tokens, _reader(config)(params, tokens)
    )
    parts = np.array_split(np.arange(len(length)), -(-len(length) // rows))
    blocks = [_block(decode, names, text[part], length[part], rows, key) for part in parts]
    back = np.lexsort((length, text))
    joined = (np.concatenate(arrays)[back] for arrays in zip(*blocks, strict=True))
    return Unmasked(*(part.reshape(texts, size - 1, *part.shape[1:]) for part in joined))


def _block(decode, names, text, length, rows, key) -> tuple:
    """(tokens [b,T], mean surprisals [b] of the completion and [b] of the text) of b rows."""
    padded = np.concatenate([np.arange(len(text)), np.zeros(rows - len(text), int)])
    completed = decode(text[padded], names[text[padded]], length[padded], key)
    tokens, *scores = (np.asarray(part)[: len(text)] for part in completed)
    # Not by what is NaN: a number that a broken model gives has to stay one.
    written = np.arange(1, tokens.shape[1]) >= length[:, None]
    return tokens, *(np.where(written, of, 0).sum(1) / written.sum(1) for of in scores)


@functools.cache
def _reader(config: models.Config) -> Callable:
    @jax.jit
    def run(params, tokens) -> models.Memory:
        with jax.default_matmul_precision("highest"):
            return read_fn(config)(params, tokens)

    return run


@functools.cache
def _compiled(config: models.Config, temperature: float) -> Callable:
    """(params, tokens [N,T], memory of them, text [B], name [B], length [B], key) -> Completion.

    `text` is a row's place in `tokens`, `name` what its draws are folded from.
    """
    complete = complete_fn(config, temperature)

    @jax.jit
    def run(params, tokens, memory, text, name, length, key) -> Completion:
        keys = None
        if key is not None:
            keys = jax.vmap(functools.partial(_folded, key))(name, length)
        own = jax.tree.map(lambda leaf: leaf[:, text], memory)
        with jax.default_matmul_precision("highest"):
            return complete(params, tokens[text], length, keys, own)

    return run


def _folded(key: PRNGKeyArray, *names: Int[ArrayLike, ""]) -> PRNGKeyArray:
    for name in names:
        key = jax.random.fold_in(key, name)
    return key


def _rows(config: models.Config, size: int) -> int:
    """How many rows to decode together."""
    memory = 2 * config.num_layers * size * config.hidden_size
    return max(1, _most(_BLOCK_FLOATS) // (memory + config.vocab_size))


def _most(floats: Mapping[str, int]) -> int:
    return floats.get(jax.default_backend(), floats["cpu"])


def _likeliest(logits: Float[Array, "B V"]) -> Int[Array, " B"]:
    """argmax over V. XLA's own does not vectorise on a CPU, and took as long as the matrices."""
    ids = jnp.arange(logits.shape[1])[None]
    top = logits == logits.max(-1, keepdims=True)
    return jnp.where(top, ids, logits.shape[1]).min(-1)


def _at(logits: Float[Array, "B V"], tokens: Int[Array, " B"]) -> Float[Array, " B"]:
    return jnp.take_along_axis(logits, tokens[:, None], axis=1)[:, 0]


def repeated_ngrams(
    tokens: Int[np.ndarray, "*axes T"], start: Int[ArrayLike, "*axes"], n: int = 4
) -> tuple[Int[np.ndarray, "*axes"], Int[np.ndarray, "*axes"]]:
    """(repeated, all) n-grams of what stands from place `start` on in each row.

    repeated / all is seq-rep-n of Welleck et al. 2020 (section 3), 1 - distinct / all: 0 where no
    n-gram comes twice. A row of fewer than n tokens has none.

    Example:
        >>> repeated, total = repeated_ngrams(np.array([[7, 1, 2, 1, 2, 1]]), np.array([1]), n=2)
        >>> repeated.tolist(), total.tolist()  # 12 21 12 21: two come again
        ([2], [4])
    """
    tokens, start = np.asarray(tokens), np.asarray(start)
    flat, starts = tokens.reshape(-1, tokens.shape[-1]), np.broadcast_to(start, tokens.shape[:-1])
    repeated, total = [], []
    for row, first in zip(flat.tolist(), starts.ravel().tolist(), strict=True):
        ngrams = [tuple(row[k : k + n]) for k in range(first, len(row) - n + 1)]
        repeated.append(len(ngrams) - len(set(ngrams)))
        total.append(len(ngrams))
    shape = tokens.shape[:-1]
    return np.array(repeated, int).reshape(shape), np.array(total, int).reshape(shape)
