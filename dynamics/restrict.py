"""Parts of a model by name, such as "layers.3.attention.heads.2": masks over its stacked params.

A mask is a pytree like params, of boolean NumPy arrays. Each leaf has its parameter's rank and is
broadcastable to it: its size is 1 along every axis that no name reaches into. So masks are small at
any model size, and all masks of one config have the same shapes: a program compiled for one head
serves the others. The names are those of the architecture's `PARTS`:

    "embed"                             a part
    "layers.3.mlp"                      of one layer
    "layers.0-2", "layers.0,2,5-7"      ranges with both ends, and lists
    "layers.*.attention.heads.0"        any number
    "layers.3.attention.heads"          a number left out at the end: all of them
    "all"                               every weight
"""

import functools
import itertools
import re
from typing import TypeAlias

import chex
import jax
import numpy as np
from jaxtyping import Bool, PyTree

from dynamics import models
from dynamics.errors import InputError

__all__ = ["Mask", "groups", "names", "select", "size"]

Mask: TypeAlias = PyTree[Bool[np.ndarray, "..."]]


def select(config: models.Config, *names: str) -> Mask:
    """The mask of all parts that any of `names` covers.

    Raises:
        InputError: no name; an unknown one, or a number that the config does not reach (near names
            are listed).

    Example:
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=3, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> mask = select(config, "layers.1.attention.heads.0")
        >>> kernel = mask["layers"]["attention"]["qkv"]["kernel"]  # of [L,D,H,3,K]
        >>> kernel.shape, kernel[:, 0, :, 0, 0].tolist()
        ((3, 1, 2, 1, 1), [[False, False], [True, False], [False, False]])
        >>> size(config, mask)  # D*3K + 3K + K*D
        536
    """
    if not names:
        raise InputError(
            "no name of a part", expected=f"one or more of {', '.join(_ranges(config))}"
        )
    masks = [_select(config, name) for name in names]
    return jax.tree.map(lambda *leaves: np.logical_or.reduce(leaves), *masks)


def names(config: models.Config) -> list[str]:
    """Every single part, each number written out.

    Example:
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=1, num_heads=2)
        >>> names(config)[:4]
        ['all', 'embed', 'unembed', 'final_norm']
    """
    kinds = (re.sub(r"{\w+}", "*", template) for template in models.architecture(config).PARTS)
    return ["all", *(name for kind in kinds for name in _singles(config, kind))]


def groups(config: models.Config, by: str) -> dict[str, Mask]:
    """name -> mask of every part of a kind: "layers", "modules" or "heads".

    "layers" and "modules" partition the weights, "heads" does not.

    Raises:
        InputError: a kind that the architecture does not have.

    Example:
        >>> from dynamics import models
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=2, num_heads=2)
        >>> list(groups(config, "layers"))
        ['embed', 'layers.0', 'layers.1', 'final_norm', 'unembed']
    """
    kinds = models.architecture(config).PART_GROUPS
    if by not in kinds:
        raise InputError.unknown("group of parts", by, kinds)
    return {name: select(config, name) for kind in kinds[by] for name in _singles(config, kind)}


def size(config: models.Config, mask: Mask) -> int:
    """How many weights a mask of `config` selects.

    Raises:
        AssertionError: a mask that is not of the params' structure, whose leaves' ranks differ from
            the params', or that does not broadcast to them.
    """
    shapes = _shapes(config)
    chex.assert_trees_all_equal_structs(shapes, mask)

    def count(p, m):
        # A mask of lower rank would broadcast too, along other axes than those it was made for.
        chex.assert_equal_rank([p, m])
        chex.assert_is_broadcastable(m.shape, p.shape)
        return p.size // np.size(m) * np.count_nonzero(m)

    return sum(map(int, jax.tree.leaves(jax.tree.map(count, shapes, mask))))


def _select(config, name: str):
    if name == "all":
        return jax.tree.map(np.ones_like, _blank(config))
    template, numbers = _parse(config, name)
    places = models.architecture(config).PARTS[template]

    def mark(path, leaf):
        leaf_path = jax.tree_util.keystr(path, simple=True, separator="/")
        marked = leaf.copy()
        for place, axes in places.items():
            if _under(leaf_path, place):
                index = [list(range(length)) for length in leaf.shape]
                for axis, selected in zip(axes, numbers, strict=True):
                    index[axis] = selected
                marked[np.ix_(*index)] = True
        return marked

    return jax.tree_util.tree_map_with_path(mark, _blank(config))


def _under(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


@functools.cache
def _shapes(config):
    return jax.eval_shape(functools.partial(models.init, config=config), jax.random.key(0))


@functools.cache
def _blank(config):
    """The mask of nothing.

    Its leaves have the params' sizes along the axes that some name reaches into, and 1 along the
    others.
    """
    places = [
        place for part in models.architecture(config).PARTS.values() for place in part.items()
    ]

    def blank(path, leaf):
        leaf_path = jax.tree_util.keystr(path, simple=True, separator="/")
        open_axes = {axis for place, axes in places if _under(leaf_path, place) for axis in axes}
        return np.zeros([n if axis in open_axes else 1 for axis, n in enumerate(leaf.shape)], bool)

    return jax.tree_util.tree_map_with_path(blank, _shapes(config))


def _parse(config, name: str) -> tuple[str, list[list[int]]]:
    """(the template that a name fits, the numbers selected at each of its places).

    Raises InputError.
    """
    for template in models.architecture(config).PARTS:
        numbers = _match(config, name.split("."), template.split("."))
        if numbers is not None and all(numbers):
            return template, numbers
    raise InputError.unknown("part", name, _ranges(config))


def _match(config, segments: list[str], template: list[str]) -> list[list[int]] | None:
    """The numbers at a template's places, None where the segments do not fit it.

    A number that cannot be read, or is too large, leaves its place empty.
    """
    counts = [_count(config, segment) for segment in template]
    if len(segments) == len(template) - 1 and counts[-1]:
        segments = [*segments, "*"]  # a number left out at the end: all of them
    if len(segments) != len(template):
        return None
    triples = list(zip(segments, template, counts, strict=True))
    if not all(count or segment == expected for segment, expected, count in triples):
        return None
    return [_numbers(segment, count) for segment, _, count in triples if count]


def _count(config, segment: str) -> int:
    """How many numbers a template's segment stands for; 0 for a plain name."""
    return getattr(config, segment[1:-1]) if segment.startswith("{") else 0


def _numbers(text: str, count: int) -> list[int]:
    """The numbers that "*", "3", "0-2" or "0,4-6" stands for.

    The list is empty where the text cannot be read or goes beyond `count`.
    """
    if text == "*":
        return list(range(count))
    selected = set()
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        if not (first.isdecimal() and (last if dash else first).isdecimal()):
            return []
        numbers = range(int(first), int(last if dash else first) + 1)
        if not numbers or numbers[-1] >= count:
            return []
        selected.update(numbers)
    return sorted(selected)


def _singles(config, name: str) -> list[str]:
    """The single parts that `name` covers, of its own kind."""
    template, numbers = _parse(config, name)
    places = iter(numbers)
    segments = [
        list(map(str, next(places))) if segment.startswith("{") else [segment]
        for segment in template.split(".")
    ]
    return list(map(".".join, itertools.product(*segments)))


def _ranges(config) -> list[str]:
    """The names that an error lists: each template with its ranges, such as "layers.0-5.mlp"."""
    templates = [template.split(".") for template in models.architecture(config).PARTS]
    return [
        "all",
        *(".".join(_range(segment, _count(config, segment)) for segment in t) for t in templates),
    ]


def _range(segment: str, count: int) -> str:
    """ "0-5" of six, "0" of one, a plain name as it is."""
    return segment if not count else "0" if count == 1 else f"0-{count - 1}"
