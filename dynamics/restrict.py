"""Parts of a model by name, such as "layers.3.attention.heads.2": masks over its stacked params.

A mask is a pytree like params of booleans, each leaf of its parameter's rank and broadcastable to
it: 1 along every axis that no name reaches into. So it is small at any model size, and masks of one
config all have the same shapes: what was compiled for one head serves the others. The names are the
architecture's (`PARTS` in its module); this file reads them:

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

import jax
import numpy as np

from dynamics import models
from dynamics.errors import InputError


def select(config, *names: str):
    """The mask of all parts that any of `names` covers.

    Raises InputError, near names listed, for no name, an unknown one, and a number that the config
    does not reach.
    """
    if not names:
        raise InputError(
            "no name of a part", expected=f"one or more of {', '.join(_known(config))}"
        )
    masks = [_select(config, name) for name in names]
    return jax.tree.map(lambda *leaves: np.logical_or.reduce(leaves), *masks)


def names(config) -> list[str]:
    """Every single part, each number written out."""
    kinds = (re.sub(r"{\w+}", "*", template) for template in models.architecture(config).PARTS)
    return ["all", *(name for kind in kinds for name in _singles(config, kind))]


def groups(config, by: str) -> dict[str, object]:
    """name -> mask of every part of one kind; "layers" and "modules" partition the weights, "heads"
    does not.

    Raises InputError for a kind that the architecture does not cut into.
    """
    kinds = models.architecture(config).PART_GROUPS
    if by not in kinds:
        raise InputError.unknown("group of parts", by, kinds)
    return {name: select(config, name) for kind in kinds[by] for name in _singles(config, kind)}


def size(config, mask) -> int:
    """How many weights a mask of `config` selects."""
    counts = jax.tree.map(
        lambda p, m: p.size // np.size(m) * np.count_nonzero(m), _shapes(config), mask
    )
    return sum(map(int, jax.tree.leaves(counts)))


def _select(config, name: str):
    if name == "all":
        return jax.tree.map(np.ones_like, _blank(config))
    template, chosen = _parse(config, name)
    places = models.architecture(config).PARTS[template]

    def mark(path, leaf):
        at = jax.tree_util.keystr(path, simple=True, separator="/")
        marked = leaf.copy()
        for place, axes in places.items():
            if _under(at, place):
                index = [list(range(length)) for length in leaf.shape]
                for axis, numbers in zip(axes, chosen, strict=True):
                    index[axis] = numbers
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
    """The mask of nothing: of each leaf's shape along the axes that some name reaches into, 1 along
    the others."""
    places = [
        place for part in models.architecture(config).PARTS.values() for place in part.items()
    ]

    def blank(path, leaf):
        at = jax.tree_util.keystr(path, simple=True, separator="/")
        open_axes = {axis for place, axes in places if _under(at, place) for axis in axes}
        return np.zeros([n if axis in open_axes else 1 for axis, n in enumerate(leaf.shape)], bool)

    return jax.tree_util.tree_map_with_path(blank, _shapes(config))


def _parse(config, name: str) -> tuple[str, list[list[int]]]:
    """(template, the numbers chosen at each of its places). Raises InputError."""
    words = name.split(".")
    for template in models.architecture(config).PARTS:
        wanted = template.split(".")
        given = (
            [*words, "*"] if len(words) == len(wanted) - 1 and _count(config, wanted[-1]) else words
        )
        if len(given) == len(wanted):
            counts = [_count(config, word) for word in wanted]
            fits = (
                count or got == want for got, want, count in zip(given, wanted, counts, strict=True)
            )
            if all(fits):
                chosen = [
                    _numbers(got, count) for got, count in zip(given, counts, strict=True) if count
                ]
                if all(chosen):
                    return template, chosen
    raise InputError.unknown("part", name, _known(config))


def _count(config, word: str) -> int:
    """How many numbers a template's word stands for; 0 for a plain word."""
    return getattr(config, word[1:-1]) if word.startswith("{") else 0


def _numbers(text: str, count: int) -> list[int]:
    """The numbers that "*", "3", "0-2" or "0,4-6" name; none where it cannot be read or goes beyond
    `count`."""
    if text == "*":
        return list(range(count))
    found = []
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        if not (first.isdecimal() and (last if dash else first).isdecimal()):
            return []
        numbers = range(int(first), int(last if dash else first) + 1)
        if not numbers or numbers[-1] >= count:
            return []
        found += numbers
    return sorted(set(found))


def _singles(config, name: str) -> list[str]:
    """The single parts that `name` covers, of its own kind."""
    template, chosen = _parse(config, name)
    fills = iter(chosen)
    words = [
        list(map(str, next(fills))) if word.startswith("{") else [word]
        for word in template.split(".")
    ]
    return list(map(".".join, itertools.product(*words)))


def _known(config) -> list[str]:
    """What an error lists: each template with its ranges, such as "layers.0-5.mlp"."""
    templates = models.architecture(config).PARTS
    return [
        "all",
        *(".".join(_range(word, _count(config, word)) for word in t.split(".")) for t in templates),
    ]


def _range(word: str, count: int) -> str:
    """ "0-5" of six, "0" of one, a plain word as it is."""
    return word if not count else "0" if count == 1 else f"0-{count - 1}"
