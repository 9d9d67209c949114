"""Whether a curve of learning coefficients over checkpoints is only the loss curve again.

Axes: K checkpoints. Losses and n beta are in units whose product is dimensionless.

An estimate of the local learning coefficient is n beta (chain loss - l(w*)). Chains that leave the
model have the same mean loss at every checkpoint, so their estimates are n beta (constant - l(w*)):
the loss curve upside down, whatever the landscape.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from dynamics.errors import InputError

SAME_CORRELATION = 0.99  # from here on the two curves rise and fall together
SAME_RESIDUAL = 0.1  # largest deviation that is still the same curve, as a share of the span


class LossShare(NamedTuple):
    """How closely a curve of estimates follows the loss curve."""

    correlation: float  # of the estimates with -n beta loss; nan where either curve is constant
    implied_chain_loss: float  # mean over checkpoints of the chain loss that each estimate implies
    residual: float  # largest |llc - n beta (implied chain loss - loss)|
    span: float  # largest estimate minus the smallest

    @property
    def explained(self) -> bool:
        """Whether the loss alone explains the curve: correlated by .99, off by a tenth at most."""
        return self.correlation >= SAME_CORRELATION and self.residual <= SAME_RESIDUAL * self.span


def explained_by_loss(
    llcs: Float[npt.ArrayLike, " K"],
    losses: Float[npt.ArrayLike, " K"],
    nbeta: Float[npt.ArrayLike, ""] | Float[npt.ArrayLike, " K"],
) -> LossShare:
    """Compares estimates with n beta (chain loss - loss) at one chain loss for all checkpoints.

    A correlation near 1 with a residual that is small beside the span says that the estimates
    hold nothing that the loss curve does not.

    Args:
        llcs: [K] estimates of the local learning coefficient.
        losses: [K] loss at each checkpoint, l(w*).
        nbeta: n beta of the estimates, one number or [K].

    Raises:
        InputError: fewer than three checkpoints, unequal lengths, values that are not finite.

    Example:
        >>> losses = np.array([4.0, 3.0, 2.5, 2.0])
        >>> share = explained_by_loss(10 * (4.5 - losses), losses, nbeta=10.0)
        >>> share.explained, round(share.implied_chain_loss, 3)
        (True, 4.5)
    """
    llcs, losses = np.asarray(llcs, np.float64), np.asarray(losses, np.float64)
    paired = llcs.shape == losses.shape and llcs.ndim == 1
    if not paired or len(llcs) < 3 or not np.isfinite([llcs, losses]).all():
        raise InputError(
            f"estimates of shape {llcs.shape} and losses of shape {losses.shape}",
            expected="two finite curves over the same checkpoints, at least three",
        )
    nbeta = np.broadcast_to(np.asarray(nbeta, np.float64), llcs.shape)
    chain_loss = float((llcs / nbeta + losses).mean())
    both_vary = np.ptp(llcs) > 0 and np.ptp(nbeta * losses) > 0
    correlation = float(np.corrcoef(llcs, -nbeta * losses)[0, 1]) if both_vary else math.nan
    residual = float(np.abs(llcs - nbeta * (chain_loss - losses)).max())
    return LossShare(correlation, chain_loss, residual, float(np.ptp(llcs)))
