"""How far models are from the truth, where every next-token distribution is known, and how much of
it is their own.

Axes: S models, W windows, T tokens, P = T-1 predictions, V vocabulary, D width. Units: nats.

Beside the divergences stands their decomposition (Heskes 1998, "Bias/variance decompositions for
likelihood-based estimators", Neural Computation 10). With g the normalised geometric mean of the
models' distributions,

    mean_i KL(truth || p_i) = KL(truth || g) + mean_i KL(g || p_i),

exactly: what all models of a size have in common, and what each has alone (the variance). With S
models the variance is about (S-1)/S of that of infinitely many, and the rest of it counts as
common.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import divergence, token_chunks

_BLOCK = 64  # windows whose hidden states are held at once


def divergence_from_truth(
    config, stacked_params, tokens, log_truth, log_unigram
) -> dict[str, np.ndarray]:
    """Everything that one pass over the models tells, window block by block.

    Args:
        config: the models' common config.
        stacked_params: params with a leading S on every leaf.
        tokens: [W,T] int32.
        log_truth: [W,P,V] ln of the true distribution of every predicted token; finite.
        log_unigram: [V] ln of the tokens' true frequencies; finite.

    Returns:
        truth_model = KL(truth || model), model_truth, unigram_model, model_unigram, surprisal,
        entropy (of the model), each [S,W,P]; kl [S,S,W,P] between models; common = KL(truth || g)
        and variance = mean_i KL(g || p_i), truth's own entropy, true_surprisal and truth_unigram =
        KL(truth || unigram), each [W,P].

    Raises:
        InputError: fewer than two models, or distributions that are not the predictions'.
    """
    tokens, log_truth = np.asarray(tokens), np.asarray(log_truth, np.float32)
    count = jax.tree.leaves(stacked_params)[0].shape[0]
    if count < 2:
        raise InputError(
            f"{count} seed", expected="two or more, to have a pair", mend="Select more --seeds."
        )
    expected = (tokens.shape[0], tokens.shape[1] - 1, config.vocab_size)
    if log_truth.shape != expected or np.shape(log_unigram) != expected[2:]:
        shapes = f"truth {log_truth.shape} and unigram {np.shape(log_unigram)}"
        raise InputError(
            shapes,
            expected=f"{expected} and {expected[2:]}, one for every prediction of the models",
        )
    block, unigram = _block(config), jnp.asarray(log_unigram, jnp.float32)
    pieces = [
        block(
            stacked_params,
            tokens[start : start + _BLOCK],
            log_truth[start : start + _BLOCK],
            unigram,
        )
        for start in range(0, len(tokens), _BLOCK)
    ]
    return {
        name: np.concatenate([np.asarray(p[name]) for p in pieces], axis=-2) for name in pieces[0]
    }


@functools.cache
def _block(config):
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def block(stacked_params, tokens, log_truth, log_unigram):
        with jax.default_matmul_precision("highest"):
            h = jax.vmap(lambda params: hidden(params, tokens[:, :-1])[0])(
                stacked_params
            )  # [S,W,P,D]
            count, shape = h.shape[0], h.shape[1:3]
            flat = jnp.moveaxis(h.reshape(count, -1, h.shape[-1]), 1, 0), tokens[:, 1:].reshape(-1)

            def of_chunk(inputs):
                h, target, truth = inputs  # [n,S,D], [n], [n,V]
                logits = jax.vmap(unembed, in_axes=(0, 1))(stacked_params, h)
                return jax.tree.map(
                    lambda x: jnp.moveaxis(x, -1, 0), numbers(logits, target, truth, log_unigram)
                )

            size = token_chunks.tokens_per_chunk(config.vocab_size, count + 2)
            found = token_chunks.map_chunks(
                of_chunk, (*flat, log_truth.reshape(-1, log_truth.shape[-1])), size
            )
            return jax.tree.map(
                lambda x: jnp.moveaxis(x, 0, -1).reshape(*x.shape[1:], *shape), found
            )

    return block


def numbers(logits, target, log_truth, log_unigram) -> dict:
    """logits [S,n,V], target [n], log_truth [n,V], log_unigram [V] -> what `divergence_from_truth`
    tells, over n."""
    count = len(logits)
    log_p = jax.nn.log_softmax(logits, axis=-1)
    middle = jnp.mean(log_p, axis=0)
    away = -jax.nn.logsumexp(middle, axis=-1)  # mean_i KL(g || p_i) = -ln sum_v exp mean_i ln p_i
    unigram = jnp.broadcast_to(log_unigram[None], log_truth.shape)
    kl = divergence.pairwise_kl(jnp.stack([*logits, log_truth, unigram, middle]))
    truth, counts, common = count, count + 1, count + 2

    def at_target(logs):
        return -jnp.take_along_axis(
            logs, jnp.broadcast_to(target[..., None], (*logs.shape[:-1], 1)), axis=-1
        )[..., 0]

    return {
        "kl": kl[:count, :count],
        "truth_model": kl[truth, :count],
        "model_truth": kl[:count, truth],
        "unigram_model": kl[counts, :count],
        "model_unigram": kl[:count, counts],
        "truth_unigram": kl[truth, counts],
        "common": kl[truth, common],
        "variance": jnp.maximum(away, 0.0),
        "surprisal": at_target(log_p),
        "entropy": -jnp.sum(jnp.exp(log_p) * log_p, axis=-1),
        "true_surprisal": at_target(log_truth),
        "true_entropy": -jnp.sum(jnp.exp(log_truth) * log_truth, axis=-1),
    }
