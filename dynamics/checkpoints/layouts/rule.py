"""How a leaf of a params tree maps to the hub's tensors: their names, and the arrays' shapes.

A torch Linear stores [out, in]; a flax kernel is [in, out]. Axes: D model width, H heads, K head
dim.
"""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Rule:
    """A leaf's hub name, and the conversions of its array in either direction."""

    path: tuple[str, ...]
    hub_name: str  # with {layer} where the leaf is stacked
    to_flax: Callable[[np.ndarray], np.ndarray] = lambda x: x
    to_hub: Callable[[np.ndarray], np.ndarray] = lambda x: x
    others: tuple[str, ...] = ()  # names that some files use in place of hub_name
    tied: tuple[str, ...] = ()  # names of the same tensor, beside hub_name or in place of it

    @property
    def stacked(self) -> bool:
        """Does the leaf have a leading layer axis, for one hub tensor per layer?"""
        return self.path[0] == "layers"

    def without(self, prefix: str) -> "Rule":
        """The rule for a file whose names lack a prefix."""
        return dataclasses.replace(
            self,
            hub_name=self.hub_name.removeprefix(prefix),
            others=tuple(name.removeprefix(prefix) for name in self.others),
            tied=tuple(name.removeprefix(prefix) for name in self.tied),
        )

    def named(self, names: set[str]) -> "Rule":
        """The rule with the name that the tensor has in a file of these `names`."""
        aliases = (self.hub_name, *self.others, *self.tied)
        present = next((name for name in aliases if name.format(layer=0) in names), self.hub_name)
        tied = tuple(name for name in aliases if name in self.tied and name != present)
        return dataclasses.replace(self, hub_name=present, tied=tied)


def norm(path: tuple[str, ...], hub_name: str, *, greek: bool = False) -> list[Rule]:
    """A LayerNorm's scale and bias; with `greek`, also by TensorFlow's names gamma and beta."""
    gamma, beta = ((f"{hub_name}.gamma",), (f"{hub_name}.beta",)) if greek else ((), ())
    return [
        Rule((*path, "scale"), hub_name + ".weight", others=gamma),
        Rule((*path, "bias"), hub_name + ".bias", others=beta),
    ]


def dense(path: tuple[str, ...], hub_name: str) -> list[Rule]:
    """A Linear's matrix, transposed, and its bias."""
    kernel = Rule(
        (*path, "kernel"), hub_name + ".weight", to_flax=np.transpose, to_hub=np.transpose
    )
    return [kernel, Rule((*path, "bias"), hub_name + ".bias")]


def heads_in(path: tuple[str, ...], hub_name: str, width: int, heads: int) -> list[Rule]:
    """A Linear that writes heads, [D,H,K] in flax and [H K, D] on the hub, and its bias [H,K]."""
    return [
        Rule(
            (*path, "kernel"),
            hub_name + ".weight",
            to_flax=lambda w: w.T.reshape(width, heads, -1),
            to_hub=lambda w: w.reshape(width, -1).T,
        ),
        Rule(
            (*path, "bias"),
            hub_name + ".bias",
            to_flax=lambda b: b.reshape(heads, -1),
            to_hub=lambda b: b.reshape(-1),
        ),
    ]


def heads_out(path: tuple[str, ...], hub_name: str, width: int, heads: int) -> list[Rule]:
    """A Linear that reads heads, [H,K,D] in flax and [D, H K] on the hub, and its bias [D]."""
    kernel = Rule(
        (*path, "kernel"),
        hub_name + ".weight",
        to_flax=lambda w: w.T.reshape(heads, -1, width),
        to_hub=lambda w: w.reshape(-1, width).T,
    )
    return [kernel, Rule((*path, "bias"), hub_name + ".bias")]
