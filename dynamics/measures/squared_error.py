"""The squared error of in-context predictions, its products, and predictions that need no model.

Axes: B batch, P pairs of a context, T = 2P tokens, I numbers of a token, X numbers of an x.

The loss is a mean over contexts and pairs (Hoogland et al. 2024, eq. 2). As a likelihood it is that
of y ~ N(yhat, 1/2): -log p = (y - yhat)^2 + const.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Key

from dynamics import models
from dynamics.data import contexts
from dynamics.measures.curvature import products
from dynamics.models import Params, icl_regression

__all__ = [
    "Pairs",
    "draw_pairs",
    "errors_fn",
    "gauss_newton",
    "loss_fn",
    "pair_loss_fn",
    "predict_fn",
    "ridge",
    "trivial_loss",
]


@functools.cache
def predict_fn(config: icl_regression.Config) -> Callable[..., Float[Array, "B P"]]:
    """predict(params, tokens [B,T,I]) -> yhat [B,P]: what the model says at every x, before its y.

    Example:
        >>> import jax
        >>> config = icl_regression.Config(hidden_size=8, num_heads=2, num_pairs=3)
        >>> drawn = contexts.draw(
        ...     jax.random.key(0), 5, task_size=4, num_pairs=3, noise_variance=0.125)
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(1), config)
        >>> predict_fn(config)(params, drawn.tokens).shape
        (5, 3)
    """
    hidden = models.hidden_fn(config)

    def predict(params: Params, tokens: Float[Array, "B T I"]) -> Float[Array, "B P"]:
        h, _ = hidden(params, tokens)
        return h[:, ::2] @ icl_regression.unembedding(params)[:, 0]

    return predict


@functools.cache
def errors_fn(config: icl_regression.Config) -> Callable[..., Float[Array, "B P"]]:
    """errors(params, tokens [B,T,I]) -> (yhat - y)^2 [B,P]."""
    predict = predict_fn(config)

    def errors(params: Params, tokens: Float[Array, "B T I"]) -> Float[Array, "B P"]:
        return jnp.square(predict(params, tokens) - contexts.targets_of(tokens))

    return errors


@functools.cache
def loss_fn(config: icl_regression.Config) -> Callable[..., Float[Array, ""]]:
    """loss(params, tokens [B,T,I]) -> the mean squared error over contexts and pairs."""
    errors = errors_fn(config)
    return lambda params, tokens: errors(params, tokens).mean()


@functools.cache
def gauss_newton(config: icl_regression.Config) -> products.Product:
    """The Gauss-Newton matrix 2 J'J / (B P) of `loss_fn`, J the Jacobian of the predictions."""
    predict = predict_fn(config)

    def loss_of(predictions: Float[Array, "B P"], tokens: Float[Array, "B T I"]):
        return jnp.square(predictions - contexts.targets_of(tokens)).mean()

    return products.gauss_newton(predict, loss_of)


class Pairs(NamedTuple):
    """Contexts, and the pair whose y is predicted in each."""

    tokens: Float[ArrayLike, "B T I"]
    pair: Int[ArrayLike, " B"]  # 0 to P-1


def draw_pairs(key: Key[Array, ""], tokens: Float[ArrayLike, "B T I"]) -> Pairs:
    """A pair for every context, uniform: with them contexts are independent items (A.5, eq. 14).

    Example:
        >>> drawn = draw_pairs(jax.random.key(0), jnp.zeros((3, 16, 5)))
        >>> drawn.pair.shape, bool((drawn.pair < 8).all())
        ((3,), True)
    """
    chex.assert_rank(tokens, 3)
    count, length, _ = jnp.shape(tokens)
    return Pairs(jnp.asarray(tokens), jax.random.randint(key, (count,), 0, length // 2))


@functools.cache
def pair_loss_fn(config: icl_regression.Config) -> Callable[..., Float[Array, ""]]:
    """loss(params, Pairs) -> the mean squared error at the drawn pairs."""
    errors = errors_fn(config)

    def loss(params: Params, drawn: Pairs) -> Float[Array, ""]:
        own = errors(params, jnp.asarray(drawn.tokens))
        return jnp.take_along_axis(own, jnp.asarray(drawn.pair)[:, None], axis=1).mean()

    return loss


def trivial_loss(config: icl_regression.Config, num_tasks: int | None = None) -> float:
    """What predicting 0 loses: E y^2 = E|t|^2 + noise_variance, with inputs of variance 1.

    Fresh tasks have E|t|^2 = X; of a finite set of `num_tasks` it is the mean over the set.

    Example:
        >>> trivial_loss(icl_regression.Config())
        4.125
    """
    size = float(config.task_size)
    if num_tasks is not None:
        tasks = contexts.task_set(0, num_tasks, config.task_size)
        size = float(jnp.square(tasks).sum(1).mean())
    return size + config.noise_variance


@functools.partial(jax.jit, static_argnames="noise_variance")
def ridge(tokens: Float[Array, "B T I"], *, noise_variance: float) -> Float[Array, "B P"]:
    """The best prediction of each y given the pairs before it: the posterior mean of t'x.

    With tasks N(0, I) it is ridge regression with penalty `noise_variance`, and 0 at the first
    pair. Its expected error falls from X + noise_variance at no pair towards noise_variance.

    Example:
        >>> import jax
        >>> drawn = contexts.draw(
        ...     jax.random.key(0), 1000, task_size=4, num_pairs=8, noise_variance=0.125)
        >>> predictions = ridge(drawn.tokens, noise_variance=0.125)
        >>> errors = jnp.square(predictions - contexts.targets_of(drawn.tokens)).mean(0)
        >>> bool(errors[0] > 3.5), bool(errors[-1] < 0.4)
        (True, True)
    """
    x, y = contexts.inputs_of(tokens), contexts.targets_of(tokens)
    outer = x[..., :, None] * x[..., None, :]
    before = jnp.cumsum(outer, axis=1) - outer  # [B,P,X,X]: of the pairs before each
    moment = jnp.cumsum(x * y[..., None], axis=1) - x * y[..., None]
    gram = before + noise_variance * jnp.eye(x.shape[-1])[None, None]
    weights = jnp.linalg.solve(gram, moment[..., None])[..., 0]
    return (weights * x).sum(-1)
