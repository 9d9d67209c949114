"""How far models of different seeds are apart in what they predict.

Axes: S seeds, B windows, T tokens, P = T-1 predictions, V vocabulary, E width of a hidden state, G
documents, N tokens of a chunk. Units: nats.

Source: Fehlauer, Mahowald & Pimentel, "Convergence and Divergence of Language Models under
Different Random Seeds", eq. 1-3; their convergence is the negative of the pair mean here.

    KL(p_i || p_j) = sum_v p_i (log p_i - log p_j),                 0 log 0 = 0
    JS(p_i, p_j)   = (KL(p_i || m) + KL(p_j || m)) / 2,             m = (p_i + p_j) / 2
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree

from dynamics import devices, models
from dynamics.errors import InputError
from dynamics.measures import finite, pairwise, token_chunks, window_blocks, window_groups

# Floats of one chunk's logits of all seeds. Smaller chunks would read the unembeddings, which no
# cache holds, more often.
_CHUNK_FLOATS = {"cpu": 2**23, "gpu": 2**26, "tpu": 2**26}
# Tokens whose hidden states are held at once; this bounds memory however long the text is.
_BLOCK_TOKENS = {"cpu": 2**11, "gpu": 2**14, "tpu": 2**14}
_IMPOSSIBLE = -200.0  # a logit this far below the greatest has probability 0 in float32


def pairwise_kl(log_probs: Float[ArrayLike, "S *axes V"]) -> Float[Array, "S S *axes"]:
    """KL(p_i || p_j) of every ordered pair of seeds, nats.

    Inputs need not be normalised, so raw logits serve; they even keep digits that a log-softmax
    would round away. Within 1e-5 relative of float64 on the same inputs, for pairs from 1e-5 to far
    apart; never negative; infinite where j excludes (-inf) what i does not.

    Args:
        log_probs: [S,...,V] log-probabilities or logits.

    Returns:
        [S,S,...]; the first axis is i, the second j.

    Raises:
        InputError: fewer than two seeds.

    Example:
        >>> p = np.array([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25]])
        >>> with np.errstate(divide="ignore"):
        ...     kl = pairwise_kl(np.log(p))
        >>> print(np.asarray(kl, float).round(4))  # log(2) / 2; infinite where p_0 excludes a token
        [[0.     0.3466]
         [   inf 0.    ]]
    """
    return _pairwise(log_probs, js=False)[0]


def pairwise_js(log_probs: Float[ArrayLike, "S *axes V"]) -> Float[Array, "S S *axes"]:
    """JS(p_i, p_j) of every pair of seeds, nats, between 0 and log 2.

    Symmetric to the last digit, and as accurate as `pairwise_kl`.

    Args:
        log_probs: [S,...,V] log-probabilities or logits.

    Returns:
        [S,S,...].

    Raises:
        InputError: fewer than two seeds.

    Example:
        >>> p = np.array([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25]])
        >>> with np.errstate(divide="ignore"):
        ...     js = pairwise_js(np.log(p))
        >>> print(np.asarray(js, float).round(4))
        [[0.     0.1079]
         [0.1079 0.    ]]
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

        def excluding(own):  # [N,V] -> [S,N]: which seeds exclude something that is possible here
            return jnp.any(own[None] & ~possible, axis=-1)

        def of_token(finite, disjoint):
            return pairwise.divergences(pairwise.softmaxes(finite), disjoint.T, js)[:2]

        disjoint = jax.lax.map(excluding, possible)  # [S,S,N]
        kl, jensen_shannon = pairwise.map_tokens(of_token, finite, jnp.moveaxis(disjoint, -1, 0))
    shape = (num_seeds, num_seeds, *log_probs.shape[1:-1])
    kl = jnp.where(disjoint, jnp.inf, jnp.moveaxis(kl, 0, -1)).reshape(shape)
    if jensen_shannon is None:
        return kl, None
    return kl, jnp.moveaxis(jensen_shannon, 0, -1).reshape(shape)


def seed_divergence(
    config: models.Config,
    stacked_params: PyTree[Float[ArrayLike, "S ..."]],
    tokens: Int[ArrayLike, "B T"],
    *,
    documents: Int[ArrayLike, " B"] | None = None,
    log_unigram: Float[ArrayLike, " V"] | None = None,
    js: bool = True,
    full: bool = False,
    scored: Bool[ArrayLike, "B P"] | None = None,
) -> dict[str, np.ndarray]:
    """Divergence, surprisal and entropy of all seeds, from one pass over their distributions.

    Windows go in blocks of one shape (one compilation), every device of this process taking its
    share of them, and logits in chunks. Beyond the numbers that are returned, memory does not grow
    with the number of windows.

    Args:
        config: the seeds' common model config.
        stacked_params: params with a leading axis S on every leaf.
        tokens: [B,T] token ids; tokens 1 to T-1 are predicted.
        documents: [B], the document of each window; by default each window is its own.
        log_unigram: [V] log-probabilities of a unigram reference, for "kl_unigram".
        js: also the Jensen-Shannon divergence.
        full: also "kl_pairs" and "js_pairs" [S,S,B,P], float32.
        scored: [B,P], which predictions count, as of `windows.prefixes`; by default all. Windows
            may then be padded with any ids after their last prediction that counts.

    Returns:
        Arrays by name, in nats. Per token, float32, NaN where it is not scored: kl and js [B,P],
        means over ordered pairs i != j; surprisal [S,B,P]. Per document, float64 means over its
        tokens, documents in the order of np.unique: kl_documents and js_documents [S,S,G];
        surprisal_documents, entropy_documents, kl_uniform_documents, KL(p || uniform) = log V -
        entropy, and kl_unigram_documents, KL(p || unigram), each [S,G]. document_tokens [G], the
        predictions of each document; max_logit [S], the greatest |logit|.

    Raises:
        InputError: fewer than two seeds; weights that are not finite, by leaf; a window of which
            nothing is scored.
        AssertionError: an array whose shape does not fit the others.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> init = jax.jit(models.init, static_argnames="config")
        >>> seeds = [init(jax.random.key(seed), config) for seed in range(3)]
        >>> params = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
        >>> tokens = np.arange(12).reshape(2, 6)
        >>> numbers = seed_divergence(config, params, tokens)
        >>> numbers["kl"].shape, numbers["kl_documents"].shape, bool((numbers["kl"] > 0).all())
        ((2, 5), (3, 3, 2), True)
    """
    num_seeds = jax.tree.leaves(stacked_params)[0].shape[0]
    if num_seeds < 2:
        raise InputError(
            f"{num_seeds} seed", expected="two or more, to have a pair", mend="Select more --seeds."
        )
    tokens, params = np.asarray(tokens), devices.replicated(stacked_params)
    documents = None if documents is None else np.asarray(documents)
    reference = None if log_unigram is None else jnp.asarray(log_unigram, jnp.float32)
    check_shapes(config, params, tokens, documents, reference)
    if scored is not None:
        scored = np.asarray(scored)
        chex.assert_shape(scored, tokens[:, 1:].shape)
        if not scored.any(1).all():
            raise InputError("a window of which nothing is scored", expected="one or more tokens")
    most = _BLOCK_TOKENS.get(jax.default_backend(), _BLOCK_TOKENS["cpu"])

    def statistics_of(rows, length):
        block = tokens[rows, : length + 1]
        return window_groups.spread(_fused(config, js), params, block, reference)

    size = max(1, most // tokens.shape[1])
    return window_blocks.collect(statistics_of, size, tokens[:, 1:].shape, documents, full, scored)


def check_shapes(
    config: models.Config,
    stacked_params: PyTree[Float[ArrayLike, "S ..."]],
    tokens: Int[np.ndarray, "B T"],
    documents: Int[np.ndarray, " B"] | None,
    log_unigram: Float[ArrayLike, " V"] | None,
) -> None:
    """Raises where the inputs of `seed_divergence` do not fit each other.

    AssertionError for shapes that differ, InputError for ids outside the vocabulary and for weights
    that are not finite.
    """
    num_seeds = jax.tree.leaves(stacked_params)[0].shape[0]
    chex.assert_tree_shape_prefix(stacked_params, (num_seeds,))
    finite.check_params(stacked_params)
    chex.assert_rank(tokens, 2)
    models.check_tokens(config, tokens)
    if documents is not None:
        chex.assert_shape(documents, (len(tokens),))
    if log_unigram is not None:
        chex.assert_shape(log_unigram, (config.vocab_size,))


@functools.cache
def _fused(config, js: bool):
    """Jitted pass over a block: params [S,...], tokens [B,T] -> `Statistics` of [B,P] tokens."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def fused(stacked_params, tokens, log_unigram):
        with jax.default_matmul_precision("highest"):
            num_seeds, shape = jax.tree.leaves(stacked_params)[0].shape[0], tokens[:, 1:].shape
            h = jax.lax.map(lambda p: hidden(p, tokens[:, :-1])[0], stacked_params)  # [S,B,P,E]
            flat = (
                jnp.moveaxis(h.reshape(num_seeds, -1, h.shape[-1]), 1, 0),
                tokens[:, 1:].reshape(-1),
            )

            def of_chunk(inputs):
                h, target = inputs  # [N,S,E], [N]
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


def statistics(
    logits: Float[Array, "S N V"],
    target: Int[Array, " N"],
    log_unigram: Float[Array, " V"] | None = None,
    js: bool = True,
) -> window_blocks.Statistics:
    """The numbers of every token: [S,N], and [S,S,N] of pairs, nats.

    Args:
        logits: [S,N,V], finite.
        target: [N], the token that was to be predicted.
        log_unigram: [V]; without it there is no `kl_unigram`.
        js: also the Jensen-Shannon divergence.
    """

    def of_token(logits, target):
        seeds = pairwise.softmaxes(logits)
        kl, jensen_shannon, entropy = pairwise.divergences(seeds, js=js)
        return window_blocks.Statistics(
            kl=kl,
            js=jensen_shannon,
            surprisal=jnp.log(seeds.mass) - (logits[:, target] - seeds.top),
            entropy=entropy,
            kl_uniform=math.log(logits.shape[-1]) - entropy,
            kl_unigram=(
                None if log_unigram is None else -entropy - seeds.weights @ log_unigram / seeds.mass
            ),
            max_logit=jnp.max(jnp.abs(logits), axis=-1),
        )

    return jax.tree.map(
        lambda x: jnp.moveaxis(x, 0, -1), pairwise.map_tokens(of_token, logits, target)
    )
