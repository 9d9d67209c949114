"""Samplers of published studies, to repeat them with `on_unstable="report"`.

Not all of their checkpoints are stable under these settings.

Hoogland et al. (2024), "Loss Landscape Degeneracy and Stagewise Development in Transformers",
appendix A.3. Their step is w' = w - b grad + g (w* - w) + N(0, epsilon), so n beta = 2 b / epsilon
and gamma = 2 g / epsilon.
"""

import math

from dynamics.slt.samplers import SGLD


def language_model(layers: int) -> SGLD:
    """For the attention-only language models with one or two layers (appendix A.3.1).

    Batches of 100 and n beta = 100 / log 100. The last rows of their table give b and g in other
    units than the text; these are the text's.
    """
    step_size, localization = {1: (0.003, 300.0), 2: (0.001, 100.0)}[layers]
    return SGLD(
        step_size=step_size,
        nbeta=100 / math.log(100),
        localization=localization,
        num_chains=20,
        num_draws=200,
        batch_size=100,
        baseline="recycled",
    )


def icl_regression(released: bool = False) -> SGLD:
    """For the in-context linear regression transformers (table 2): b = g = 0.01, batches of 1024.

    Args:
        released: as in the published code, not the text: g = 0.001 and no burn-in in effect.
    """
    step_size, pull = 3e-4, 0.001 if released else 0.01
    return SGLD(
        step_size=step_size,
        nbeta=2 * 0.01 / step_size,
        localization=2 * pull / step_size,
        num_chains=10,
        num_draws=5000,
        burn_in=0 if released else 1000,
        batch_size=1024,
        baseline="recycled",
    )


PRESETS = {
    "language-1-layer": lambda: language_model(1),
    "language-2-layer": lambda: language_model(2),
    "icl-regression": icl_regression,
}
