"""What a model has learned to do: its loss, and what experiments derive from it.

Axes: N items, T tokens of an item, I numbers of a token that is a vector.

An item is a window of text, int [N,T], or a context of regression, float [N,T,I]; either way one
array, so that what draws batches, probes Hessians or samples chains need not know which. Which
problem a model has is asked of its family once, by `of`.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Array, Key, Shaped

from dynamics import models
from dynamics.measures import prefix, squared_error, surprisal
from dynamics.measures.curvature.products import Product

__all__ = ["Problem", "of"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """The functions of one problem, of models of one config.

    Losses are in nats: a squared error is that of y ~ N(yhat, 1/2), less the constant log(pi) / 2.

    Attributes:
        loss: (params, items) -> the mean loss.
        gauss_newton: the Gauss-Newton matrix of that loss, for `curvature`.
        trivial_loss: what a predictor that knows nothing loses: log V of text, the mean square of y
            in regression.
        independent: (key, items) -> one prediction at a drawn place of every item: independent
            ones, as the theory of the LLC wants them.
        independent_loss: (params, what `independent` gives) -> the mean loss; its expectation is
            that of `loss`.
    """

    loss: Callable[..., Array]
    gauss_newton: Product
    trivial_loss: float
    independent: Callable[[Key[Array, ""], Shaped[np.ndarray, "N T ..."]], Any]
    independent_loss: Callable[..., Array]


@functools.cache
def of(config: models.Config, num_tasks: int | None = None) -> Problem:
    """The problem that a model's family learns, in regression from fresh tasks or a finite set.

    Raises InputError for a masked model.

    Example:
        >>> from dynamics import models
        >>> of(models.icl_regression.Config()).trivial_loss
        4.125
        >>> round(of(models.gpt_neox.Config(vocab_size=11)).trivial_loss, 3)  # log 11
        2.398
    """
    if isinstance(config, models.icl_regression.Config):
        return Problem(
            loss=squared_error.loss_fn(config),
            gauss_newton=squared_error.gauss_newton(config),
            trivial_loss=squared_error.trivial_loss(config, num_tasks),
            independent=squared_error.draw_pairs,
            independent_loss=squared_error.pair_loss_fn(config),
        )
    return Problem(
        loss=surprisal.loss_fn(config),
        gauss_newton=surprisal.gauss_newton(config),
        trivial_loss=math.log(config.vocab_size),
        independent=prefix.draw,
        independent_loss=prefix.loss_fn(config),
    )
