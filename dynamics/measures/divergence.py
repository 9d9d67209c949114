"""How far models of different seeds are apart in what they predict.

Axes: S seeds, B windows, T tokens, P = T-1 predictions, V vocabulary, D width, G documents, N
tokens of a chunk.
Units: nats.

Source: Fehlauer, Mahowald & Pimentel, "Convergence and Divergence of Language Models under
Different Random Seeds", eq. 1-3; their convergence is the negative of the pair mean here. KL(p_i ||
p_j) = sum_v p_i (log p_i - log p_j), with 0 log 0 = 0; JS(p_i, p_j) = (KL(p_i || m) + KL(p_j || m))
/ 2, m = (p_i + p_j) / 2.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import pairwise, token_chunks, window_blocks

# Floats of one chunk's logits of all seeds. Fewer tokens read the unembeddings, which no cache
# holds, more often.
_CHUNK_FLOATS = {"cpu": 2**23, "gpu": 2**26, "tpu": 2**26}
# Tokens whose hidden states are held at once: what bounds memory however long the text is.
_BLOCK_TOKENS = {"cpu": 2**11, "gpu": 2**14, "tpu": 2**14}
_IMPOSSIBLE = -200.0  # a logit this far under the greatest has the probability 0 in float32


def pairwise_kl(log_probs):
    """KL(p_i || p_j) of every ordered pair: [S,...,V] log-probabilities or logits -> [S,S,...],
    nats.

    Unnormalised inputs are normalised on the way, so raw logits serve, and keep the digits that a
    log-softmax would round away. Within 1e-5 relative of float64 on the same inputs, for pairs 1e-5
    to far apart; never negative; infinite where j excludes (-inf) what i does not. Raises
    InputError for fewer than two seeds.
    """
    return _pairwise(log_probs, js=False)[0]


def pairwise_js(log_probs):
    """JS(p_i, p_j) of every pair: [S,...,V] log-probabilities or logits -> [S,S,...], nats, from 0
    to log 2.

    Symmetric to the last digit; accurate as `pairwise_kl` is. Raises InputError for fewer than two
    seeds.
    """
    return _pairwise(log_probs, js=True)[1]


@functools.partial(jax.jit, static_argnames="js")
def _pairwise(log_probs, *, js: bool):
    num_seeds = log_probs.shape[0]
    if num_seeds < 2:
        raise InputError(f"{num_seeds} seed", expected="two or more, to have a pair")
    with jax.default_matmul_precision("highest"):
        logits = jnp.asarray(log_probs, jnp.float32).reshape(num_seeds, -1, log_probs.shape[-1])
        possible = logits > -jnp.inf
        finite = jnp.where(possible, logits, jnp.max(logits, axis=-1, keepdims=True) + _IMPOSSIBLE)

        def lacks(own):  # [N,V] -> [S,N]: which seeds exclude something that is possible here
            return jnp.any(own[None] & ~possible, axis=-1)

        def of_token(finite, excluded):
            return pairwise.divergences(pairwise.softmaxes(finite), excluded.T, js)

        excluded = jax.lax.map(lacks, possible)  # [S,S,N]
        kl, js_ = pairwise.map_tokens(of_token, finite, jnp.moveaxis(excluded, -1, 0))  # [N,S,S]
    shape = (num_seeds, num_seeds, *log_probs.shape[1:-1])
    kl = jnp.where(excluded, jnp.inf, jnp.moveaxis(kl, 0, -1)).reshape(shape)
    return kl, None if js_ is None else jnp.moveaxis(js_, 0, -1).reshape(shape)


def seed_divergence(
    config,
    stacked_params,
    tokens,
    *,
    documents=None,
    log_unigram=None,
    js: bool = True,
    full: bool = False,
) -> dict:
    """Everything that one pass over the seeds' distributions yields, of any number of tokens.

    Windows go in blocks of one shape (one compilation) and logits in chunks, so memory holds the
    numbers per token that are returned, and beyond them the same however many windows there are.

    Args:
        config: the seeds' common model config.
        stacked_params: params with a leading S on every leaf.
        tokens: [B,T] int32; predictions are of tokens 1 to T-1.
        documents: [B] int, the document of each row; default each row its own.
        log_unigram: [V] log-probabilities of a unigram reference, for "kl_unigram".
        js: also the Jensen-Shannon divergence.
        full: also "kl_pairs" and "js_pairs" [S,S,B,P], float32.

    Returns:
        per token, float32: kl and js [B,P], means over ordered pairs i != j; surprisal [S,B,P]. per
        document, float64 means over its tokens, documents in the order of np.unique: kl_documents
        and js_documents [S,S,G]; surprisal_documents, entropy_documents, kl_uniform_documents, KL(p
        || uniform) = log V - entropy, and kl_unigram_documents, KL(p || unigram), each [S,G];
        document_tokens [G]. max_logit [S], the greatest |logit|.

    Raises:
        InputError: fewer than two seeds.
    """
    num_seeds = jax.tree.leaves(stacked_params)[0].shape[0]
    if num_seeds < 2:
        raise InputError(
            f"{num_seeds} seed", expected="two or more, to have a pair", mend="Select more --seeds."
        )
    tokens, params = np.asarray(tokens), jax.device_put(stacked_params)
    reference = None if log_unigram is None else jnp.asarray(log_unigram, jnp.float32)
    most = _BLOCK_TOKENS.get(jax.default_backend(), _BLOCK_TOKENS["cpu"])

    def numbers(rows):
        return _fused(config, js)(params, tokens[rows], reference)

    size = max(1, most // tokens.shape[1])
    return window_blocks.collect(numbers, size, tokens[:, 1:].shape, documents, full)


@functools.cache
def _fused(config, js: bool):
    """Jitted pass over a block: params [S,...], tokens [B,T] -> dict of [S,B,P], pairs
    [S,S,B,P]."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def fused(stacked_params, tokens, log_unigram):
        with jax.default_matmul_precision("highest"):
            num_seeds, shape = jax.tree.leaves(stacked_params)[0].shape[0], tokens[:, 1:].shape
            h = jax.lax.map(lambda p: hidden(p, tokens[:, :-1])[0], stacked_params)  # [S,B,P,D]
            flat = (
                jnp.moveaxis(h.reshape(num_seeds, -1, h.shape[-1]), 1, 0),
                tokens[:, 1:].reshape(-1),
            )

            def of_chunk(inputs):
                h, target = inputs  # [N,S,D], [N]
                logits = jax.vmap(unembed, in_axes=(0, 1))(stacked_params, h)  # [S,N,V]
                return jax.tree.map(
                    lambda x: jnp.moveaxis(x, -1, 0), statistics(logits, target, log_unigram, js)
                )

            size = token_chunks.tokens_per_chunk(config.vocab_size, num_seeds, _CHUNK_FLOATS)
            numbers = token_chunks.map_chunks(of_chunk, flat, size)
            return jax.tree.map(
                lambda x: jnp.moveaxis(x, 0, -1).reshape(*x.shape[1:], *shape), numbers
            )

    return fused


def statistics(logits, target, log_unigram=None, js: bool = True) -> dict:
    """Finite logits [S,N,V], target [N], log_unigram [V] or None -> the numbers per token, [S,N]
    and [S,S,N], nats."""

    def of_token(logits, target):
        found = pairwise.softmaxes(logits)
        kl, js_ = pairwise.divergences(found, js=js)
        lowered = logits - found.top[:, None]
        entropy = jnp.log(found.mass) - pairwise.total(found.weights * lowered) / found.mass
        numbers = {
            "kl_pairs": kl,
            "surprisal": jnp.log(found.mass) - lowered[:, target],
            "entropy": entropy,
            "kl_uniform": math.log(logits.shape[-1]) - entropy,
            "max_logit": jnp.max(jnp.abs(logits), axis=-1),
        }
        if log_unigram is not None:
            numbers["kl_unigram"] = -entropy - found.weights @ log_unigram / found.mass
        return numbers if js_ is None else {**numbers, "js_pairs": js_}

    return jax.tree.map(
        lambda x: jnp.moveaxis(x, 0, -1), pairwise.map_tokens(of_token, logits, target)
    )
