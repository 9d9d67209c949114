"""How far seeds of in-context regression are apart in what they predict.

Axes: S seeds, B contexts, T tokens, I numbers of a token, P pairs of a context. Units: nats.

A squared error (y - yhat)^2 / 2 is the surprisal, up to a constant, of y ~ N(yhat, 1). Of two such
predictions KL(i || j) = KL(j || i) = (yhat_i - yhat_j)^2 / 2; KL(i || N(0, 1)) = yhat_i^2 / 2 is
the distance from the mean task, which needs no context.
"""

from typing import NamedTuple

import chex
import jax
import numpy as np
from jaxtyping import ArrayLike, Float, PyTree

from dynamics.data import contexts
from dynamics.errors import InputError
from dynamics.measures import finite, squared_error
from dynamics.models import icl_regression

__all__ = ["SeedPredictions", "gaussian_kl", "seed_predictions"]


class SeedPredictions(NamedTuple):
    """Numbers of every context, means over its pairs, float64."""

    kl: Float[np.ndarray, "S S B"]  # KL(i || j); 0 where i = j
    squared_error: Float[np.ndarray, "S B"]
    from_mean_task: Float[np.ndarray, "S B"]  # KL to the prediction 0


def gaussian_kl(predictions: Float[ArrayLike, "S ..."]) -> Float[np.ndarray, "S S ..."]:
    """KL of every two seeds' predictions as means of normal distributions of variance 1.

    Raises:
        InputError: fewer than two seeds.

    Example:
        >>> gaussian_kl([[0.0, 1.0], [2.0, 1.0]])[0].tolist()  # seed 0 from either, for two y
        [[0.0, 0.0], [2.0, 0.0]]
    """
    means = np.asarray(predictions, np.float64)
    if len(means) < 2:
        raise InputError(f"{len(means)} seed", expected="two or more, to have a pair")
    return np.square(means[:, None] - means[None]) / 2


def seed_predictions(
    config: icl_regression.Config,
    stacked_params: PyTree[Float[ArrayLike, "S ..."]],
    tokens: Float[ArrayLike, "B T I"],
) -> SeedPredictions:
    """Divergence, error and distance from the mean task of all seeds on the same contexts.

    Args:
        config: the seeds' common config.
        stacked_params: params with a leading axis S on every leaf.
        tokens: contexts, which every seed reads.

    Raises:
        InputError: fewer than two seeds; weights that are not finite, by leaf.
    """
    finite.check(
        "params",
        stacked_params,
        expected="finite weights",
        mend="Leave that seed out with --seeds.",
    )
    tokens = np.asarray(tokens)
    predict = jax.jit(squared_error.predict_fn(config))
    num_seeds = len(jax.tree.leaves(stacked_params)[0])
    predictions = np.stack(
        [
            np.asarray(predict(jax.tree.map(lambda leaf, k=seed: leaf[k], stacked_params), tokens))
            for seed in range(num_seeds)
        ]
    ).astype(np.float64)
    chex.assert_shape(predictions, (num_seeds, len(tokens), None))
    errors = predictions - np.asarray(contexts.targets_of(tokens))
    return SeedPredictions(
        kl=gaussian_kl(predictions).mean(-1),
        squared_error=np.square(errors).mean(-1),
        from_mean_task=np.square(predictions).mean(-1) / 2,
    )
