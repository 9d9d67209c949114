"""What changes in an in-context regression transformer as it learns: behaviour and structure.

Axes: B contexts, P pairs of one, T = 2P tokens, X numbers of an x, I = X + 1, D width, L layers,
H heads, G gains, R singular values.

Source: Hoogland et al. 2024, appendix D. Where the text or the published code would mislead, it is
said at the function. Everything is of one checkpoint; errors are over contexts, which are
independent.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dynamics import models
from dynamics.data import contexts
from dynamics.measures import squared_error
from dynamics.models import Params, icl_regression

__all__ = [
    "COLLAPSED",
    "KINDS",
    "Attention",
    "Mean",
    "Structure",
    "attention_fn",
    "classify",
    "icl_scores",
    "mean_of",
    "structure",
    "task_prior",
]

COLLAPSED = 0.1  # |weight| of a norm below which appendix D.2.5 counts it as collapsed
KINDS = ("self", "previous token", "previous x", "previous y", "none")


class Mean(NamedTuple):
    """A mean over contexts and its standard error."""

    value: float
    sem: float


def mean_of(per_context: Float[np.ndarray | Array, " B"]) -> Mean:
    """The mean of one number of each context.

    Example:
        >>> mean_of(np.array([1.0, 2.0, 3.0]))
        Mean(value=2.0, sem=0.5773502691896258)
    """
    values = np.asarray(per_context, np.float64)
    chex.assert_rank(values, 1)
    return Mean(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5))


def icl_scores(errors: Float[np.ndarray | Array, "B P"], task_size: int) -> tuple[Mean, Mean]:
    """ICL 1:D and D:K (D.1.2): error at pair D less that at pair 1, and at pair K less that at D.

    D is `task_size`, K the last pair, both counted from 1. Negative where the context helps. The
    errors of one context are compared with each other, so what it has in common cancels.

    Example:
        >>> errors = np.array([[4.0, 3.0, 1.0], [4.0, 1.0, 1.0]])
        >>> [score.value for score in icl_scores(errors, task_size=2)]
        [-2.0, -1.0]
    """
    errors = np.asarray(errors)
    early, late = errors[:, task_size - 1] - errors[:, 0], errors[:, -1] - errors[:, task_size - 1]
    return mean_of(early), mean_of(late)


def task_prior(
    predictions: Float[np.ndarray | Array, "B P"],
    tokens: Float[np.ndarray | Array, "B T I"],
    mean_task: Float[np.ndarray, " X"] | None = None,
) -> tuple[Mean, Mean]:
    """E[yhat^2] and E[(yhat - x'tbar)^2] (D.1.1): how far from zero, and from the mean task.

    With fresh tasks the mean task is 0 and both are one number.

    Example:
        >>> tokens = contexts.draw(
        ...     jax.random.key(0), 9, task_size=2, num_pairs=3, noise_variance=0.0).tokens
        >>> zero, prior = task_prior(np.zeros((9, 3)), tokens, np.array([0.0, 0.0]))
        >>> zero == prior
        True
    """
    predictions = np.asarray(predictions)
    x = np.asarray(contexts.inputs_of(tokens))
    prior = 0.0 if mean_task is None else x @ np.asarray(mean_task)
    distances = (np.square(predictions - offset).mean(1) for offset in (0.0, prior))
    first, second = map(mean_of, distances)
    return first, second


class Structure(NamedTuple):
    """What weights alone tell (D.2). Shares are of squared singular values, largest first."""

    weight_norm: float
    embed_shares: Float[np.ndarray, " I"]
    position_shares: Float[np.ndarray, " R"]
    position_in_embed: float  # share of the positions' squares within the span of the embedding
    small_scales: Float[np.ndarray, " N"]  # of each norm: share of |scale| < COLLAPSED
    small_biases: Float[np.ndarray, " N"]
    effective_unembed: Float[np.ndarray, " D"]  # W_U[:, y] times the final norm's scale
    norms: tuple[str, ...]  # the N norms


def structure(config: icl_regression.Config, params: Params) -> Structure:
    """Norms, collapse of embeddings and of layer norms.

    The alignment of positions with the embedding is that of projections onto its span; the
    published code turned by a full rotation, which aligns anything.

    Example:
        >>> config = icl_regression.Config()
        >>> start = structure(config, models.init(jax.random.key(0), config))
        >>> round(start.weight_norm), start.embed_shares.shape, float(start.small_scales.max())
        (25, (5,), 0.0)
    """
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    embed, position = params["embed"]["token"]["kernel"], params["embed"]["position"]["embedding"]
    span = np.linalg.svd(embed, full_matrices=False)[2]
    layers, final = params["layers"], params["final_norm"]
    norms = {
        f"layers.{layer}.{name}": {key: leaf[layer] for key, leaf in layers[name].items()}
        for layer in range(config.num_layers)
        for name in ("attention_norm", "mlp_norm")
    } | {"final_norm": final}
    small = {
        key: np.array([(np.abs(norm[key]) < COLLAPSED).mean() for norm in norms.values()])
        for key in ("scale", "bias")
    }
    return Structure(
        weight_norm=sum(float(np.square(leaf).sum()) for leaf in jax.tree.leaves(params)) ** 0.5,
        embed_shares=_shares(embed),
        position_shares=_shares(position),
        position_in_embed=float(np.square(position @ span.T).sum() / np.square(position).sum()),
        small_scales=small["scale"],
        small_biases=small["bias"],
        effective_unembed=params["unembed"]["kernel"][:, 0] * final["scale"],
        norms=tuple(norms),
    )


def _shares(matrix: np.ndarray) -> np.ndarray:
    squares = np.square(np.linalg.svd(matrix, compute_uv=False))
    return squares / squares.sum()


class Attention(NamedTuple):
    """Scores of every head [L,H], averaged over the targets of a kind: x-tokens or y-tokens.

    Each is [2,L,H], x first. The last y-token, which nothing is learned at, is left out.
    """

    entropy: Float[np.ndarray, "2 L H"]  # of the pattern over log of its length (eq. 20, 21)
    variability: Float[np.ndarray, "2 L H"]  # (eq. 22), 0 to 1
    to_self: Float[np.ndarray, "2 L H"]
    to_previous: Float[np.ndarray, "2 L H"]  # token
    to_previous_x: Float[np.ndarray, "2 L H"]  # of the pair before
    to_previous_y: Float[np.ndarray, "2 L H"]
    to_x: Float[np.ndarray, "2 L H"]  # all x-tokens together
    to_y: Float[np.ndarray, "2 L H"]


@functools.cache
def attention_fn(config: icl_regression.Config) -> Callable[..., Attention]:
    """scores(params, tokens [B,T,I]) -> Attention.

    The first token has one place to look at: 0/0 in equation 21, so that it has no entropy here,
    and no previous one. A target with no token of a kind before it is left out of that mean.

    Example:
        >>> config = icl_regression.Config(hidden_size=8, num_heads=2, num_pairs=3)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(1), config)
        >>> drawn = contexts.draw(
        ...     jax.random.key(0), 5, task_size=4, num_pairs=3, noise_variance=0.125)
        >>> scores = attention_fn(config)(params, drawn.tokens)
        >>> scores.entropy.shape, bool(np.allclose(scores.to_x + scores.to_y, 1, atol=1e-5))
        ((2, 2, 2), True)
    """
    hidden = models.hidden_fn(config)

    @jax.jit
    def patterns(params, tokens):
        _, captured = hidden(params, tokens, capture=("attention",))
        attention = captured["attention"]  # [L,B,H,T,S]
        mean = attention.mean(1)
        entropy = -jax.scipy.special.xlogy(attention, attention).sum(-1).mean(1)  # [L,H,T]
        spread = jnp.abs(attention - mean[:, None]).sum(-1).mean(1) / 2  # patterns sum to 1
        return mean, entropy, spread

    def scores(params: Params, tokens: Float[Array, "B T I"]) -> Attention:
        mean, entropy, spread = map(np.asarray, patterns(params, tokens))
        length = mean.shape[-1]
        places = np.arange(length)
        full = np.log(np.maximum(places + 1, 2))
        by_kind = functools.partial(_by_kind, length)

        def looked_at(distance_x: int, distance_y: int) -> np.ndarray:
            """Attention to the token so far before the target, for x- and y-targets."""
            before = np.where(places % 2 == 0, distance_x, distance_y)
            sources = places - before
            picked = mean[:, :, places, np.maximum(sources, 0)]
            return by_kind(picked, sources >= 0)

        return Attention(
            entropy=by_kind(entropy / full, places > 0),
            variability=by_kind(spread, places >= 0),
            to_self=looked_at(0, 0),
            to_previous=looked_at(1, 1),
            to_previous_x=looked_at(2, 3),  # of the pair before the target's
            to_previous_y=looked_at(1, 2),
            to_x=by_kind(mean[..., ::2].sum(-1), places >= 0),
            to_y=by_kind(mean[..., 1::2].sum(-1), places >= 0),
        )

    return scores


def _by_kind(length: int, values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """[2,L,H] means of values [L,H,T] over x-targets and over y-targets, the last y left out."""
    places = np.arange(length)
    kinds = [counted & (places % 2 == 0), counted & (places % 2 == 1) & (places < length - 1)]
    return np.stack([values[..., kind].mean(-1) for kind in kinds])


def classify(scores: Attention, least: float = 0.8, most_variable: float = 0.2) -> np.ndarray:
    """KINDS' index for each part of a head [2,L,H]: where it looks, if it surely does.

    A head is of a kind where it gives that place `least` of its attention on average and varies
    little between contexts ("concentrated and consistent", D.2.3). The rule is ours; the paper
    classifies by eye. An x-target's previous token is its previous y: the plainer word counts.

    Example:
        >>> none, full = np.zeros((2, 1, 1)), np.ones((2, 1, 1))
        >>> hard = Attention(none, none, full, *[none] * 5)
        >>> KINDS[classify(hard)[0, 0, 0]]
        'self'
    """
    places = np.stack(
        [scores.to_self, scores.to_previous, scores.to_previous_x, scores.to_previous_y]
    )
    fits = (places >= least) & (scores.variability <= most_variable)[None]
    return np.where(fits.any(0), fits.argmax(0), len(places))


def out_of_distribution(
    config: icl_regression.Config,
    params: Params,
    gains: tuple[float, ...],
    num_contexts: int = 2048,
) -> dict[str, Float[np.ndarray, "G 2"]]:
    """Error over g and E|yhat| for inputs, and for tasks, of variance g (D.1.3, eq. 18, 19).

    Keys "inputs" and "tasks". Inputs are scaled by sqrt(g). Targets have mean square g X + noise,
    by g of which errors are divided (the paper's figure says g^2).
    """
    predict = jax.jit(squared_error.predict_fn(config))

    def row(gain: float, of_inputs: bool) -> list[float]:
        tokens = contexts.draw(
            jax.random.key(8),
            num_contexts,
            task_size=config.task_size,
            num_pairs=config.num_pairs,
            noise_variance=config.noise_variance,
            input_gain=gain if of_inputs else 1.0,
            task_gain=1.0 if of_inputs else gain,
        ).tokens
        predictions = predict(params, tokens)
        errors = jnp.square(predictions - contexts.targets_of(tokens))
        return [float(errors.mean()) / gain, float(jnp.abs(predictions).mean())]

    return {
        "inputs": np.array([row(gain, True) for gain in gains]),
        "tasks": np.array([row(gain, False) for gain in gains]),
    }
