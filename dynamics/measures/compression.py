"""Weights of fewer values: ternary, of k bits, or with the smallest set to zero.

Axes: ... of a matrix. Numbers keep the weights' unit.

A rule takes one matrix and gives one of the same shape. Its scale is the matrix's own: one for each
stored matrix of each layer (GPT-NeoX stores queries, keys and values of all heads as one). Only
matrices are changed; biases and the norms' scales, a thousandth of the weights, stay as they are.
Nothing is trained afterwards, so that a loss is what the rule alone costs.

    ternary    w -> a sign(w) where |w| > d, else 0, with d = 0.7 mean |w| and a the mean of |w|
               over |w| > d (Li, Zhang & Liu 2016, "Ternary Weight Networks", eqs. 4 to 6)
    bits:k     w -> s round(w / s), s = max |w| / (2^(k-1) - 1): 2^k - 1 values, zero among them
               and both signs alike (uniform symmetric rounding to the nearest)
    pruned:q   the share q of the smallest |w| -> 0 (magnitude pruning, Han et al. 2015)
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dynamics import models
from dynamics.errors import InputError
from dynamics.inputs import Range, Real, Whole

Kind = Literal["ternary", "bits", "pruned"]
_LEVELS: dict[str, Range] = {"bits": Whole(2, 16), "pruned": Real(0, 1)}
_TERNARY_THRESHOLD = 0.7  # of mean |w|; optimal for weights between uniform and normal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """What is done to every matrix.

    Attributes:
        kind: "ternary", "bits" or "pruned".
        level: bits of a weight, or the share that is set to zero; 0 for "ternary".

    Raises:
        InputError: an unknown kind; a level out of its range.

    Example:
        >>> str(Rule(kind="bits", level=4)), str(Rule(kind="ternary"))
        ('bits:4', 'ternary')
    """

    kind: Kind
    level: float = 0

    def __post_init__(self):
        if self.kind != "ternary":
            if self.kind not in _LEVELS:
                raise InputError.unknown("compression", self.kind, ["ternary", *_LEVELS])
            _LEVELS[self.kind].check(self.level, f"{self.kind}:")

    def __str__(self) -> str:
        return self.kind if self.kind == "ternary" else f"{self.kind}:{self.level:g}"


def compressed(
    params: models.Params, rule: Rule, parts: Sequence[str] | None = None
) -> models.Params:
    """The params with the rule applied to every matrix, or to those below the names in `parts`.

    Args:
        params: of any family; leaves under "layers" are stacked, and each layer has its own scale.
        rule: what is done.
        parts: top-level names, such as "unembed"; None for all.

    Raises:
        InputError: a name that the params do not have.

    Example:
        >>> from dynamics.models import gpt_neox
        >>> config = gpt_neox.Config(
        ...     hidden_size=16, num_layers=3, num_heads=2, intermediate_size=8, vocab_size=17
        ... )
        >>> params = jax.jit(models.init, static_argnames="config")(jax.random.key(0), config)
        >>> ternary = compressed(params, Rule(kind="ternary"), ["unembed"])
        >>> len(set(ternary["unembed"]["kernel"].ravel().tolist()))
        3
    """
    for name in parts or ():
        if name not in params:
            raise InputError.unknown("part of the params", name, params)

    def leaf(path, matrix):
        names = [entry.key for entry in path]
        if names[-1] not in ("kernel", "embedding") or (parts and names[0] not in parts):
            return matrix
        of_matrix = _of_layers if names[0] == "layers" else _of_one
        return of_matrix(rule.kind)(jnp.asarray(matrix), rule.level)

    return jax.tree_util.tree_map_with_path(leaf, params)


def ternary(matrix: Float[Array, "..."]) -> Float[Array, "..."]:
    """Values -a, 0 and a; a matrix of zeros stays one.

    Example:
        >>> ternary(jnp.array([-2.0, 0.1, 4.0])).tolist()
        [-3.0, 0.0, 3.0]
    """
    size = jnp.abs(matrix)
    large = size > _TERNARY_THRESHOLD * size.mean()
    scale = jnp.where(large, size, 0).sum() / jnp.maximum(large.sum(), 1)
    return jnp.where(large, scale * jnp.sign(matrix), 0)


def rounded(matrix: Float[Array, "..."], bits: float | Array) -> Float[Array, "..."]:
    """2^bits - 1 equally spaced values from -max|w| to max|w|; 2 bits or more.

    Example:
        >>> rounded(jnp.array([-3.0, 0.4, 1.6]), bits=3).tolist()
        [-3.0, 0.0, 2.0]
    """
    step = jnp.abs(matrix).max() / (2.0 ** (jnp.asarray(bits) - 1) - 1)
    return jnp.where(step > 0, jnp.round(matrix / jnp.where(step > 0, step, 1)) * step, matrix)


def pruned(matrix: Float[Array, "..."], share: float | Array) -> Float[Array, "..."]:
    """floor(share * size) of the smallest |w| set to zero; of equal ones none or all go.

    Example:
        >>> pruned(jnp.array([-3.0, 0.4, 1.6, -0.1]), share=0.5).tolist()
        [-3.0, 0.0, 1.6..., 0.0]
    """
    size = jnp.abs(matrix)
    ascending = jnp.sort(size.ravel())
    # A share of .3 of ten weights is three, though 0.3 * 10 may round to below it.
    count = jnp.floor(jnp.asarray(share) * size.size * (1 + 1e-6)).astype(int)
    smallest_left = ascending[jnp.minimum(count, size.size - 1)]
    stays = (size >= smallest_left) & (count < size.size)
    return jnp.where(stays, matrix, 0)


_APPLY: dict[str, Callable] = {
    "ternary": lambda matrix, _: ternary(matrix),
    "bits": rounded,
    "pruned": pruned,
}


@functools.cache
def _of_one(kind: Kind) -> Callable:
    """Jitted (matrix, level) -> matrix; the level is traced, so that all share a program."""
    return jax.jit(_APPLY[kind])


@functools.cache
def _of_layers(kind: Kind) -> Callable:
    """The same of matrices that are stacked over layers, each with its own scale."""
    return jax.jit(jax.vmap(_APPLY[kind], in_axes=(0, None)))
