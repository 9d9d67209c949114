"""Hub tensors to a stacked params tree and back: rearrangement and a cast, nothing else.

An architecture's layout says which tensor goes where (`checkpoints.layouts`).
"""

import functools
import itertools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree, Shaped
from numpy.typing import DTypeLike

from dynamics import models
from dynamics.checkpoints import layouts
from dynamics.checkpoints.formats import INTEGERS
from dynamics.checkpoints.layouts.rule import Rule
from dynamics.errors import InputError

_BLOCK = 1024  # rows and columns that are copied at a time: a few MB
# Numbers: a tree no larger than this is made, and the tensor that differs is named in its turn.
_SMALL = 1 << 24
Part = tuple[Rule, str, np.ndarray]  # the rule, the tensor's name, the array that it fills


class Tensors(Protocol):
    """Named tensors, such as `formats.TensorFolder`; several threads read them at once."""

    def names(self) -> set[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read(self, name: str) -> Shaped[np.ndarray, "..."]: ...


def to_params(
    config: models.Config, tensors: Tensors, dtype: DTypeLike = np.float32
) -> PyTree[Float[np.ndarray, "..."]]:
    """The params tree of a config, from the hub's tensors.

    Of an encoder that was saved alone the tree has no head: `models.has_head`. Raises InputError
    for a missing, an unknown, a misshapen or a non-finite tensor, and for one of integers, by name.
    """
    table = _table(config, tensors.names())
    _check_names(table, config, tensors.names())
    shapes = _shapes(config)
    _check_sizes(table, shapes, tensors)
    _check_tied(table, tensors)
    params: dict = {}
    parts = [
        part
        for rule in table
        for part in _parts(params, rule, _get(shapes, rule.path).shape, dtype)
    ]
    parts.sort(key=lambda part: -part[2].size)  # so that no core ends with a long one
    # NumPy casts without the interpreter's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        _all(pool, lambda part: _fill(*part, tensors), parts)
    return params


def from_params(
    config: models.Config, params: PyTree[Float[Array | np.ndarray, "..."]]
) -> dict[str, Float[np.ndarray, "..."]]:
    """Hub tensors of a params tree, by name: the inverse of `to_params`.

    Raises InputError if the tree is not the config's.
    """
    _check_tree(_leaf_shapes(params), _leaf_shapes(_shapes(config)))
    tensors = {}
    for rule in layouts.of_config(config).rules(config):
        leaf = np.asarray(_get(params, rule.path))
        for layer, part in enumerate(leaf if rule.stacked else leaf[None]):
            # safetensors stores the buffer as it lies, so a transposed view must be copied.
            tensors[rule.hub_name.format(layer=layer)] = np.ascontiguousarray(rule.to_hub(part))
    return tensors


def _table(config: models.Config, names: set[str]) -> list[Rule]:
    """The rules for a file of these names.

    A trunk that was saved alone (BertModel, GPTNeoXModel) has names without the prefix of the whole
    model, and no head.
    """
    layout = layouts.of_config(config)
    rules = layout.rules(config)
    if any(name.startswith(layout.PREFIX) for name in names):
        return [rule.named(names) for rule in rules]
    bare = [rule.without(layout.PREFIX).named(names) for rule in rules]
    trunk = [rule for rule in bare if rule.path[0] not in layout.HEAD]
    if not any(rule.hub_name.format(layer=0) in names for rule in trunk):
        return [rule.named(names) for rule in rules]  # none of this layout: say what it misses
    heads = [rule for rule in bare if rule not in trunk]
    return bare if any(rule.hub_name in names for rule in heads) else trunk


@functools.lru_cache
def _shapes(config: models.Config):
    return jax.eval_shape(lambda key: models.init(key, config), jax.random.key(0))


def _leaf_shapes(tree) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.shape(leaf)
        for path, leaf in leaves
    }


def _check_tree(shapes: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]):
    for path in sorted(shapes.keys() | expected.keys()):
        if shapes.get(path) != expected.get(path):
            raise InputError(
                f"params whose {path} is {shapes.get(path, 'missing')}",
                expected=f"{expected.get(path, 'no such leaf')}, from the config",
                mend="Do the config and the params belong together?",
            )


def _check_names(table: list[Rule], config: models.Config, names: set[str]):
    if config.num_layers > len(names):
        raise InputError(
            f"weights of {len(names)} tensors",
            expected=f"those of the {config.num_layers} layers of config.json",
            mend="Do config.json and the weights belong together?",
        )
    layers, layout = range(config.num_layers), layouts.of_config(config)
    beside = {name for rule in table for name in rule.tied}
    expected = {
        rule.hub_name.format(layer=layer)
        for rule in table
        for layer in (layers if rule.stacked else [0])
    }
    missing = sorted(expected - names)
    unknown = sorted(
        name for name in names - expected - beside if not layout.SKIPPED.fullmatch(name)
    )
    if missing or unknown:
        faults = [f"{len(missing)} missing ({', '.join(missing[:5])})"] if missing else []
        faults += [f"{len(unknown)} unknown ({', '.join(unknown[:5])})"] if unknown else []
        raise InputError(
            "weights with tensors " + " and ".join(faults),
            expected=f"exactly the {len(expected)} of {_described(table, config)}",
            mend="Do config.json and the weights belong together?",
        )


def _described(table: list[Rule], config: models.Config) -> str:
    layout = layouts.of_config(config)
    alone = not any(rule.path[0] in layout.HEAD for rule in table)
    return f"a {config.num_layers}-layer {layout.NAME}{' without its head' if alone else ''}"


def _check_sizes(table: list[Rule], shapes, tensors: Tensors):
    """Raises InputError before memory is taken for a tree far larger than its tensors."""
    for rule in table:
        shape, name = _get(shapes, rule.path).shape, rule.hub_name.format(layer=0)
        wanted, stored = math.prod(shape[1:] if rule.stacked else shape), tensors.shape(name)
        if wanted > 2 * math.prod(stored) + _SMALL:
            raise InputError(
                f"{name} of shape {stored}",
                expected=f"{wanted} numbers, from config.json",
                mend="Do they belong together?",
            )


def _check_tied(table: list[Rule], tensors: Tensors):
    """Raises InputError where a file holds two versions of a tied tensor: one would be ignored."""
    for rule in table:
        for name in rule.tied:
            if name in tensors.names() and not np.array_equal(
                tensors.read(name), tensors.read(rule.hub_name)
            ):
                raise InputError(
                    f"{name} that differs from {rule.hub_name}",
                    expected="the same tensor, since the two are tied",
                    mend="Was the model trained with tie_word_embeddings off? "
                    "That is not supported.",
                )


def _parts(params: dict, rule: Rule, shape: tuple[int, ...], dtype: DTypeLike) -> list[Part]:
    """Puts an empty leaf into `params`; returns the part that each of its tensors fills.

    So the peak of memory is the tree plus a few tensors.
    """
    leaf = np.empty(shape, dtype)
    _put(params, rule.path, leaf)
    layers = leaf if rule.stacked else leaf[None]
    return [(rule, rule.hub_name.format(layer=layer), part) for layer, part in enumerate(layers)]


def _all(pool: ThreadPoolExecutor, function: Callable[[Part], None], parts: list[Part]):
    """Runs all; raises the first error in their order, and drops what was not begun by then."""
    futures = [pool.submit(function, part) for part in parts]
    try:
        for future in futures:
            future.result()
    finally:
        for future in futures:
            future.cancel()


def _fill(rule: Rule, name: str, part: np.ndarray, tensors: Tensors):
    stored = tensors.read(name)
    if stored.dtype.kind in INTEGERS:
        raise InputError(
            f"{name} of {stored.dtype} numbers",
            expected="floating-point weights",
            mend="A quantised model must be saved with its weights restored.",
        )
    expected = rule.to_hub(part).shape
    if stored.shape != expected:
        raise InputError(
            f"{name} of shape {stored.shape}",
            expected=f"{expected} from config.json",
            mend="Do they belong together?",
        )
    # A cast out of range gives inf, which is refused below.
    with np.errstate(over="ignore", invalid="ignore"):
        finite = [_copied(*block) for block in _blocks(part, rule.to_flax(stored))]
    if not all(finite):
        raise InputError(
            f"{name} with {int((~np.isfinite(part)).sum())} non-finite of {part.size} numbers",
            expected="finite weights",
            mend="The file is damaged, the run had diverged by this step, "
            f"or {part.dtype} is too narrow.",
        )


def _blocks(part: np.ndarray, stored: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    # A transposed vocabulary matrix read across its whole width misses the cache at every number,
    # which is four times as slow.
    steps = [range(0, n, _BLOCK) for n in part.shape[:1] + part.shape[1:][-1:]]
    for first, *last in itertools.product(*steps):
        at = (slice(first, first + _BLOCK), ..., *(slice(k, k + _BLOCK) for k in last))
        yield part[at], stored[at]


def _copied(part: np.ndarray, stored: np.ndarray) -> bool:
    """Casts into `part`; returns whether it is finite, checked while it is in the cache."""
    part[...] = stored
    return _finite(part)


def _finite(part: np.ndarray) -> bool:
    if part.dtype not in (np.float32, np.float64):
        return bool(np.isfinite(part).all())
    # Both extremes are NaN if any number is. Without an array of booleans it takes half the time.
    return bool(np.isfinite(part.min()) and np.isfinite(part.max()))


def _get(tree, path: tuple[str, ...]):
    for key in path:
        tree = tree[key]
    return tree


def _put(tree: dict, path: tuple[str, ...], leaf):
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = leaf
