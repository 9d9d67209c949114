"""Makes suites: models of several seeds trained on one corpus, saved in the hub's layout.

`nano` holds the suites that are trained here, `Recipe` the numbers of one of their models,
`objective` its loss, `pretrain` the loop.
"""

from dynamics.training import nano, objective, pretrain
from dynamics.training.recipe import Recipe

__all__ = ["Recipe", "nano", "objective", "pretrain"]
