"""How far models are from the truth: the exact next-token distribution of a synthetic source.

Axes: S models, B windows, T tokens, P = T-1 predictions, N tokens of a chunk, E width of a hidden
state, V vocabulary. Units: nats.

The divergence from the truth has a decomposition (Heskes 1998, "Bias/variance decompositions for
likelihood-based estimators", Neural Computation 10). With g the normalised geometric mean of the
models' distributions,

    mean_i KL(truth || p_i) = KL(truth || g) + mean_i KL(g || p_i),

exactly: the first term is common to all models of a size (the bias), the second is each model's own
(the variance). With S models the variance is about (S-1)/S of that of infinitely many; the rest
counts as common.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import divergence, finite, token_chunks

_BLOCK_WINDOWS = 64  # windows whose hidden states are held at once
_FAR = 50.0  # difference of logits beyond which its exponential is of no use


def divergence_from_truth(
    config: models.Config,
    stacked_params: PyTree[Float[ArrayLike, "S ..."]],
    tokens: Int[ArrayLike, "B T"],
    log_truth: Float[ArrayLike, "B P V"],
    log_unigram: Float[ArrayLike, " V"],
) -> dict[str, np.ndarray]:
    """Divergences between the models, the truth and the unigram, from one pass over the windows.

    Args:
        config: the models' common config.
        stacked_params: params with a leading axis S on every leaf.
        tokens: [B,T].
        log_truth: [B,P,V], ln of the true distribution of every predicted token; finite.
        log_unigram: [V], ln of the tokens' true frequencies; finite.

    Returns:
        Arrays by name, in nats.

        - [S,B,P]: truth_model = KL(truth || model), model_truth, unigram_model, model_unigram,
          surprisal and the model's entropy.
        - [S,S,B,P]: kl between models.
        - [B,P]: common = KL(truth || g), variance = mean_i KL(g || p_i), true_surprisal,
          true_entropy and truth_unigram = KL(truth || unigram).

    Raises:
        InputError: fewer than two models; distributions that are not the predictions'; weights that
            are not finite, by leaf.
        AssertionError: params or tokens of the wrong shape.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8, vocab_size=17
        ... )
        >>> init = jax.jit(models.init, static_argnames="config")
        >>> seeds = [init(jax.random.key(seed), config) for seed in range(2)]
        >>> params = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
        >>> uniform = np.full((2, 5, 17), -np.log(17))
        >>> tokens = np.arange(12).reshape(2, 6)
        >>> numbers = divergence_from_truth(config, params, tokens, uniform, uniform[0, 0])
        >>> numbers["truth_model"].shape, numbers["common"].shape
        ((2, 2, 5), (2, 5))
    """
    tokens, log_truth = np.asarray(tokens), np.asarray(log_truth, np.float32)
    num_models = jax.tree.leaves(stacked_params)[0].shape[0]
    if num_models < 2:
        raise InputError(
            f"{num_models} seed",
            expected="two or more, to have a pair",
            mend="Select more --seeds.",
        )
    chex.assert_tree_shape_prefix(stacked_params, (num_models,))
    finite.check_params(stacked_params)
    chex.assert_rank(tokens, 2)
    models.check_tokens(config, tokens)
    expected = (tokens.shape[0], tokens.shape[1] - 1, config.vocab_size)
    if log_truth.shape != expected or np.shape(log_unigram) != expected[2:]:
        shapes = f"truth {log_truth.shape} and unigram {np.shape(log_unigram)}"
        raise InputError(
            shapes,
            expected=f"{expected} and {expected[2:]}, one for every prediction of the models",
        )
    unigram = jnp.asarray(log_unigram, jnp.float32)
    blocks = [
        _of_block(config)(
            stacked_params,
            tokens[start : start + _BLOCK_WINDOWS],
            log_truth[start : start + _BLOCK_WINDOWS],
            unigram,
        )
        for start in range(0, len(tokens), _BLOCK_WINDOWS)
    ]
    return {
        name: np.concatenate([np.asarray(block[name]) for block in blocks], axis=-2)
        for name in blocks[0]
    }


@functools.cache
def _of_block(config: models.Config):
    """Jitted pass over a block: dict of [S,B,P], [S,S,B,P] and [B,P]."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)

    @jax.jit
    def of_block(stacked_params, tokens, log_truth, log_unigram):
        with jax.default_matmul_precision("highest"):
            h = jax.vmap(lambda params: hidden(params, tokens[:, :-1])[0])(stacked_params)
            num_models, shape = h.shape[0], h.shape[1:3]  # h [S,B,P,E]
            flat = (
                jnp.moveaxis(h.reshape(num_models, -1, h.shape[-1]), 1, 0),
                tokens[:, 1:].reshape(-1),
                log_truth.reshape(-1, log_truth.shape[-1]),
            )

            def of_chunk(inputs):
                h, target, truth = inputs  # [N,S,E], [N], [N,V]
                logits = jax.vmap(unembed, in_axes=(0, 1))(stacked_params, h)
                return jax.tree.map(
                    lambda x: jnp.moveaxis(x, -1, 0), numbers(logits, target, truth, log_unigram)
                )

            size = token_chunks.tokens_per_chunk(config.vocab_size, num_models + 2)
            mapped = token_chunks.map_chunks(of_chunk, flat, size)
            return jax.tree.map(
                lambda x: jnp.moveaxis(x, 0, -1).reshape(*x.shape[1:], *shape), mapped
            )

    return of_block


def numbers(
    logits: Float[Array, "S N V"],
    target: Int[Array, " N"],
    log_truth: Float[Array, "N V"],
    log_unigram: Float[Array, " V"],
) -> dict[str, Array]:
    """The numbers of `divergence_from_truth` for N tokens: [S,N], [S,S,N] and [N], nats."""
    num_models = len(logits)
    log_p = jax.nn.log_softmax(logits, axis=-1)
    log_mean = jnp.mean(log_p, axis=0)  # ln g, not normalised
    unigram = jnp.broadcast_to(log_unigram[None], log_truth.shape)
    kl = divergence.pairwise_kl(jnp.stack([*logits, log_truth, unigram, log_mean]))
    truth, by_count, geometric = num_models, num_models + 1, num_models + 2  # their places in kl

    def at_target(logs):
        index = jnp.broadcast_to(target[..., None], (*logs.shape[:-1], 1))
        return -jnp.take_along_axis(logs, index, axis=-1)[..., 0]

    return {
        "kl": kl[:num_models, :num_models],
        "truth_model": kl[truth, :num_models],
        "model_truth": kl[:num_models, truth],
        "unigram_model": kl[by_count, :num_models],
        "model_unigram": kl[:num_models, by_count],
        "truth_unigram": kl[truth, by_count],
        "common": kl[truth, geometric],
        "variance": _own_part(logits, log_mean),
        "surprisal": at_target(log_p),
        "entropy": -jnp.sum(jnp.exp(log_p) * log_p, axis=-1),
        "true_surprisal": at_target(log_truth),
        "true_entropy": -jnp.sum(jnp.exp(log_truth) * log_truth, axis=-1),
    }


def _own_part(logits: Float[Array, "S N V"], log_mean: Float[Array, "N V"]) -> Float[Array, " N"]:
    """mean_i KL(g || p_i), nats, to six digits or so however close the models are.

    It is -ln sum_v exp mean_i ln p_i, too, which serves where models are far apart and leaves few
    digits where they are close: of models 1e-4 apart it is five times too large. There each KL is
    log1p(E_g phi(x - E_g x)), with phi(x) = e^x - 1 - x and x the logits less the middle's, a sum
    of terms that are not negative. Offsets of models change no softmax; their whole numbers are
    taken off first.
    """
    top = jnp.max(logits, axis=-1)  # [S,N]
    reference = jnp.argmin(jnp.abs(top), axis=0)  # its logits have the most digits
    base = jnp.take_along_axis(logits, reference[None, :, None], axis=0)
    level = jnp.take_along_axis(top, reference[None], axis=0)
    apart = (logits - jnp.round(top - level)[..., None]) - base
    middle = jnp.mean(apart, axis=0, keepdims=True)
    weights = jax.nn.softmax(base + middle, axis=-1)  # [1,N,V]
    apart = apart - middle
    apart = apart - jnp.sum(weights * apart, axis=-1, keepdims=True)
    close = jnp.mean(jnp.log1p(jnp.sum(weights * _phi(apart), axis=-1)), axis=0)
    far = jnp.max(apart, axis=(0, -1)) > _FAR
    return jnp.where(far, jnp.maximum(-jax.nn.logsumexp(log_mean, axis=-1), 0.0), close)


def _phi(x: Array) -> Array:
    """e^x - 1 - x, by its series where the difference would cancel; x beyond `_FAR` is cut off."""
    near = jnp.abs(x) < 0.5
    small, large = jnp.where(near, x, 0.0), jnp.minimum(jnp.where(near, 0.0, x), _FAR)
    series = jnp.ones_like(small)
    for order in range(9, 2, -1):  # x^2 / 2 (1 + x / 3 (1 + x / 4 (...)))
        series = 1 + small / order * series
    return jnp.where(near, jnp.square(small) / 2 * series, jnp.expm1(large) - large)
