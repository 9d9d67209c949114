"""Makes suites: models of several seeds trained on one corpus, saved in the hub's layout.

`nano` holds the suites of text that are trained here, `Recipe` the numbers of one of their models,
`objective` its loss, `pretrain` the loop. `icl_regression` trains the transformer of in-context
regression, with a recipe of its own; `icl_suites` has the suites of such models.
"""

from dynamics.training import icl_regression, icl_suites, nano, objective, pretrain
from dynamics.training.recipe import Recipe

__all__ = ["Recipe", "icl_regression", "icl_suites", "nano", "objective", "pretrain"]
