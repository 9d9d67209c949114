"""The least that an SGLD step can take: its matrix products and its passes over memory, at the
device's own rates.

Axes: N predicted tokens, T of a window, D width, F MLP width, L layers, V vocabulary, P parameters,
C chains.
"""

from typing import NamedTuple

from dynamics.models import gpt_neox


class Work(NamedTuple):
    """Of one step of all chains."""

    flops: float  # of its matrix products
    bytes: float  # that must move through device memory

    def seconds(self, flops_per_s: float, bytes_per_s: float) -> float:
        """The floor: products and passes can overlap, so that the longer of the two counts."""
        return max(self.flops / flops_per_s, self.bytes / bytes_per_s)


def sgld_step(
    config: gpt_neox.Config, parameters: int, windows: int, length: int, chains: int
) -> Work:
    """The work of one step on `windows` windows of `length` tokens each.

    A product of N rows with a matrix of W weights is 2 N W forward and twice that backward:
    6 N (L (4 D^2 + 2 D F) + D V). Attention is two products of T x D a token and layer, forward and
    twice backward: 12 N T L D; no half is taken off for its mask.

    Of memory, each number that must be moved is counted once: a chain reads and writes its offset
    and its gradient, float32, and all chains together read w*.
    """
    tokens = windows * (length - 1)
    width, mlp = config.hidden_size, config.intermediate_size
    weights = config.num_layers * (4 * width**2 + 2 * width * mlp) + width * config.vocab_size
    attention = 12 * (length - 1) * config.num_layers * width
    return Work(
        flops=float(chains * tokens * (6 * weights + attention)),
        bytes=4.0 * parameters * (4 * chains + 1),
    )
