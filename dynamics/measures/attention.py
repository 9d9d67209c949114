"""Where heads look: previous-token, prefix-matching and duplicate-token scores.

Axes: N sequences, T targets (and S sources) of a sequence, L layers, H heads, M scores. A score is
a share of attention, 0 to 1.

A score is the attention that a head pays to stated sources, summed over them and averaged over the
targets that have any (Olsson et al. 2022, "In-context Learning and Induction Heads", "Definition of
induction heads" and appendix). Of a target at place t:

    previous_token   the source t - 1
    prefix_matching  each source that comes right after an earlier instance of the target's token:
                     what an induction head looks at, since the model has seen what followed
    duplicate_token  each earlier instance of the target's token itself

The last two are of random tokens repeated in blocks, where nothing but the repetition can be
learned from. Hoogland et al. 2024 (appendix C.2.4) call attention to the earlier instance itself
their prefix-matching score in the text, and use the token after it in their code: here the first
is duplicate_token and the second prefix_matching.
"""

import functools
from collections.abc import Callable, Mapping

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Bool, Float32, Int, Int32, PRNGKeyArray

from dynamics import models
from dynamics.errors import InputError
from dynamics.measures import finite

PREVIOUS, PREFIX, DUPLICATE = "previous_token", "prefix_matching", "duplicate_token"
# Floats of attention probabilities that are held at once.
_BLOCK_FLOATS = {"cpu": 2**22, "gpu": 2**28, "tpu": 2**28}


def repeated_tokens(
    key: PRNGKeyArray, ids: Int[ArrayLike, " ids"], count: int, block: int, repeats: int
) -> Int32[np.ndarray, "N T"]:
    """`count` sequences of T = block * repeats tokens: a random block, repeated.

    A block's tokens differ, so that a token comes back at distances of `block` alone. A sequence's
    key is folded from its number.

    Args:
        key: a typed key.
        ids: those to draw from, uniformly: real ids, without a vocabulary's padding and separator.
        count: N.
        block: tokens of a block; Olsson et al. take 25.
        repeats: how often it stands in the sequence, 2 or more; Olsson et al. take 4.

    Raises:
        InputError: fewer ids than a block has tokens; numbers that allow no repetition.

    Example:
        >>> tokens = repeated_tokens(jax.random.key(0), np.arange(5, 30), count=2, block=3,
        ...                          repeats=2)
        >>> tokens.shape, bool((tokens[:, :3] == tokens[:, 3:]).all())
        ((2, 6), True)
    """
    ids = np.unique(np.asarray(ids))
    if block < 2 or repeats < 2 or count < 1:
        raise InputError(
            f"{count} sequences of {repeats} blocks of {block} tokens",
            expected="1 or more, of 2 or more blocks of 2 or more tokens",
        )
    if len(ids) < block:
        raise InputError(
            f"{len(ids)} ids for blocks of {block} different tokens", expected=f"{block} or more"
        )
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(count))
    draw = jax.vmap(lambda key: jax.random.permutation(key, len(ids))[:block])
    return np.tile(ids[np.asarray(draw(keys))], (1, repeats)).astype(np.int32)


def previous_mask(size: int) -> dict[str, Bool[np.ndarray, "T S"]]:
    """The source before each target, in sequences of `size` tokens, for `head_scores`.

    Example:
        >>> previous_mask(3)["previous_token"].astype(int).tolist()
        [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    """
    return {PREVIOUS: np.eye(size, k=-1, dtype=bool)}


def repeat_masks(block: int, repeats: int) -> dict[str, Bool[np.ndarray, "T S"]]:
    """The sources of all three scores in the sequences of `repeated_tokens`.

    Example:
        >>> masks = repeat_masks(block=2, repeats=2)
        >>> masks["prefix_matching"].astype(int).tolist()  # the last two targets are in block 2
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
        >>> masks["duplicate_token"].astype(int).tolist()
        [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    """
    size = block * repeats
    back = np.subtract.outer(np.arange(size), np.arange(size))  # how far a source lies back
    earlier = (back >= block) & (back % block == 0)
    after = np.roll(earlier, 1, axis=1)
    after[:, 0] = False
    return {**previous_mask(size), PREFIX: after, DUPLICATE: earlier}


def uniform_score(mask: Bool[ArrayLike, "T S"]) -> float:
    """The score of a head that looks at every source alike: what no mechanism scores.

    Example:
        >>> round(uniform_score(previous_mask(3)["previous_token"]), 4)  # mean of 1/2 and 1/3
        0.4167
    """
    mask = np.asarray(mask)
    shares = mask.sum(1) / np.arange(1, len(mask) + 1)
    return float(shares[mask.any(1)].mean())


def head_scores(
    config: models.Config,
    params: models.Params,
    tokens: Int[ArrayLike, "N T"],
    masks: Mapping[str, Bool[ArrayLike, "T S"]],
) -> dict[str, Float32[np.ndarray, "L H N"]]:
    """Every head's score in every sequence, by the names of `masks`.

    Sequences are taken in blocks, so that memory does not grow with N.

    Args:
        config: of any model with the site "attention".
        params: of the checkpoint.
        tokens: [N,T].
        masks: name -> which sources [T,S] count for each target; a target without any is left out.

    Raises:
        InputError: a mask without a source; weights that are not finite; ids outside the
            vocabulary.
        AssertionError: tokens or masks of another form.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=16, num_layers=3, num_heads=2, intermediate_size=8, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> tokens = np.arange(12).reshape(2, 6)
        >>> head_scores(config, params, tokens, previous_mask(6))["previous_token"].shape
        (3, 2, 2)
    """
    tokens = np.asarray(tokens, np.int32)
    chex.assert_rank(tokens, 2)
    count, size = tokens.shape
    stacked = np.stack([np.asarray(mask, bool) for mask in masks.values()])
    chex.assert_shape(stacked, (len(masks), size, size))
    for name, mask in zip(masks, stacked, strict=True):
        if not mask.any():
            raise InputError(
                f"sequences of {size} tokens without a source for {name}", expected="one or more"
            )
    finite.check_params(params)
    models.check_tokens(config, tokens)
    floats = _BLOCK_FLOATS.get(jax.default_backend(), _BLOCK_FLOATS["cpu"])
    rows = min(count, max(1, floats // (config.num_layers * config.num_heads * size**2)))
    padded = np.concatenate([tokens, np.repeat(tokens[:1], -count % rows, axis=0)])
    run = _scores(config)
    blocks = [np.asarray(run(params, block, stacked)) for block in padded.reshape(-1, rows, size)]
    scores = np.concatenate(blocks, axis=-1)[..., :count]  # [M,L,H,N]
    return dict(zip(masks, scores, strict=True))


@functools.cache
def _scores(config: models.Config) -> Callable:
    """Jitted (params, tokens [N,T], masks [M,T,S]) -> [M,L,H,N]."""
    hidden = models.hidden_fn(config)

    @jax.jit
    def run(params, tokens, masks):
        with jax.default_matmul_precision("highest"):
            _, captured = hidden(params, tokens, capture=("attention",))
            targets = masks.any(-1).sum(-1)  # [M]
            # A share of each target's attention; targets without a source have a row of zeros.
            shares = masks / targets[:, None, None]
            return jnp.einsum("lnhts,mts->mlhn", captured["attention"], shares)

    return run
