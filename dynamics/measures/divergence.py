"""How far models of different seeds are apart in what they predict.

Axes: S seeds, B batch, T tokens, V vocabulary, G documents, N tokens flattened. Units: nats.

Source: Fehlauer, Mahowald & Pimentel, "Convergence and Divergence of Language Models under Different Random Seeds",
eq. 1-3; their convergence is the negative of the pair mean here.
KL(p_i || p_j) = sum_v p_i (log p_i - log p_j), with 0 log 0 = 0.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import chunks

_SERIES_BELOW = 0.2  # |d| under which e^d - 1 - d is summed as a series
_FAR = 15.0  # largest centred d beyond which the direct form is exact enough and e^d may overflow


def pairwise_kl(log_probs):
    """KL(p_i || p_j) of every ordered pair: [S,...,V] log-probabilities or logits -> [S,S,...], nats.

    Unnormalised inputs are normalised on the way, so raw logits serve, and keep the digits that a log-softmax would
    round away. Within 1e-5 relative of float64 on the same inputs, for pairs 1e-5 to far apart; never negative.
    Raises InputError for fewer than two seeds.
    """
    if log_probs.shape[0] < 2:
        raise InputError(f"{log_probs.shape[0]} seed", expected="two or more, to have a pair")
    logits = jnp.asarray(log_probs, jnp.float32)
    return jax.lax.map(lambda own: jax.vmap(functools.partial(_kl, own))(logits), logits)


def _kl(own, other):
    """KL over the last axis, of softmax(own) to softmax(other).

    With d = other - own and p = softmax(own), KL = log sum p e^(d - sum p d) = log1p(sum p phi(d - sum p d)): a sum of
    non-negative terms, so nothing cancels for close pairs, where sum p (log p - log q) loses every digit.
    """
    # A token impossible under p contributes nothing, whatever q says of it.
    possible = own > -jnp.inf
    p = jax.nn.softmax(own, axis=-1)
    d = jnp.where(possible, other - own, 0.0)
    mean = jnp.sum(p * d, axis=-1, keepdims=True)
    centred = jnp.where(possible, d - mean, 0.0)
    near = jnp.log1p(jnp.sum(p * _phi(jnp.minimum(centred, _FAR)), axis=-1))
    far = jax.nn.logsumexp(other, axis=-1) - jax.nn.logsumexp(own, axis=-1) - mean[..., 0]
    # Also far: mass where only one of the two has any, for which the sum over p's support is not the whole.
    within = (jnp.max(centred, axis=-1) <= _FAR) & jnp.all(possible, axis=-1)
    return jnp.where(within, near, jnp.maximum(far, 0.0))


def _phi(d):
    """e^d - 1 - d, to float32 precision for small d too."""
    series = d * d * (1 / 2 + d * (1 / 6 + d * (1 / 24 + d * (1 / 120 + d * (1 / 720 + d / 5040)))))
    return jnp.where(jnp.abs(d) < _SERIES_BELOW, series, jnp.expm1(d) - d)


def seed_divergence(config, stacked_params, tokens, *, documents=None, log_unigram=None, full: bool = False) -> dict:
    """Everything that one pass over the seeds' distributions yields, chunk by chunk: no [T,V] array is ever held.

    Args:
        config: the seeds' common model config.
        stacked_params: params with a leading S on every leaf.
        tokens: [B,T] int32; predictions are of tokens 1 to T-1.
        documents: [B] int, the document of each row, for "kl_documents".
        log_unigram: [V] log-probabilities of a unigram reference, for "kl_unigram".
        full: also return "kl_pairs" [S,S,B,T-1].

    Returns:
        kl [B,T-1] mean over ordered pairs i != j; surprisal, entropy, kl_uniform = KL(p || uniform) = log V - entropy,
        kl_unigram = KL(p || unigram) and max_logit, each [S,B,T-1]; kl_documents [S,S,G] token means per document
        and document_tokens [G], documents in the order of np.unique.

    Raises:
        InputError: fewer than two seeds.
    """
    num_seeds = jax.tree.leaves(stacked_params)[0].shape[0]
    if num_seeds < 2:
        raise InputError(f"{num_seeds} seed", expected="two or more, to have a pair", mend="Select more --seeds.")
    reference = jnp.zeros(config.vocab_size) if log_unigram is None else jnp.asarray(log_unigram, jnp.float32)
    flat = _fused(config)(stacked_params, jnp.asarray(tokens), reference)
    batch, predicted = tokens.shape[0], tokens.shape[1] - 1
    grid = {name: np.asarray(value).reshape(*value.shape[:-1], batch, predicted) for name, value in flat.items()}
    pairs = grid.pop("kl_pairs")
    if log_unigram is None:
        del grid["kl_unigram"]
    out = {"kl": pairs.sum((0, 1)) / (num_seeds * (num_seeds - 1)), **grid}
    if documents is not None:
        out["kl_documents"], out["document_tokens"] = _per_document(pairs, np.asarray(documents))
    return {**out, "kl_pairs": pairs} if full else out


def _per_document(pairs, documents):
    """[S,S,B,T-1] and [B] -> token means [S,S,G] and token counts [G]."""
    rows = pairs.mean(-1, dtype=np.float64)
    names, owner = np.unique(documents, return_inverse=True)
    member = np.eye(len(names))[owner]  # [B,G]
    return rows @ member / member.sum(0), member.sum(0) * pairs.shape[-1]


@functools.cache
def _fused(config):
    """Jitted pass over all tokens: params [S,...], tokens [B,T], unigram [V] -> dict of [S,N], kl_pairs [S,S,N]."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def fused(stacked_params, tokens, log_unigram):
        with jax.default_matmul_precision("highest"):
            num_seeds = jax.tree.leaves(stacked_params)[0].shape[0]
            h = jax.vmap(lambda p: hidden(p, tokens[:, :-1])[0])(stacked_params)  # [S,B,T-1,D]
            flat = (jnp.moveaxis(h.reshape(num_seeds, -1, h.shape[-1]), 1, 0), tokens[:, 1:].reshape(-1))

            def of_chunk(inputs):
                h, target = inputs  # [n,S,D], [n]
                logits = jax.vmap(unembed, in_axes=(0, 1))(stacked_params, h)  # [S,n,V]
                return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), _statistics(logits, target, log_unigram))

            size = chunks.chunk_tokens(config.vocab_size, num_seeds)
            return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), chunks.map_tokens(of_chunk, flat, size))

    return fused


def _statistics(logits, target, log_unigram):
    """logits [S,n,V], target [n], log_unigram [V] -> the per-token numbers, [S,n] and [S,S,n]."""
    log_p = jax.nn.log_softmax(logits, axis=-1)
    p = jnp.exp(log_p)
    entropy = -jnp.sum(jnp.where(p > 0, p * log_p, 0.0), axis=-1)
    index = jnp.broadcast_to(target[None, :, None], (*log_p.shape[:-1], 1))
    return {
        "kl_pairs": pairwise_kl(logits),
        "surprisal": -jnp.take_along_axis(log_p, index, axis=-1)[..., 0],
        "entropy": entropy,
        "kl_uniform": math.log(logits.shape[-1]) - entropy,
        "kl_unigram": -entropy - jnp.einsum("snv,v->sn", p, log_unigram),
        "max_logit": jnp.max(jnp.abs(logits), axis=-1),
    }
