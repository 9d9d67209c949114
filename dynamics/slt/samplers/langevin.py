"""Langevin dynamics: with minibatches (SGLD), and with a Metropolis test (MALA)."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from dynamics.errors import InputError
from dynamics.slt import batches
from dynamics.slt.samplers import base, kernel
from dynamics.slt.samplers.kernel import Kernel, StepStats, Target


class SGLDState(NamedTuple):
    """State of a chain between two SGLD steps."""

    offset: Any  # u, as params


class MALAState(NamedTuple):
    """State of a chain between two MALA steps; loss and gradient serve the next proposal."""

    offset: Any  # u, as params
    loss: Any  # of the whole data at u
    grad: Any  # its gradient, as params


def propose(key: Key[Array, ""], offset: PyTree, slope: PyTree, target: Target) -> PyTree:
    """u - epsilon/2 slope + sqrt(epsilon) eta, with `slope` the gradient of the potential."""
    eta = kernel.free_noise(key, offset, target)
    half, deviation = target.step_size / 2, jnp.sqrt(target.step_size)
    return jax.tree.map(lambda u, f, n: u - half * f + deviation * n, offset, slope, eta)


def langevin_stats(
    loss: Float[Array, ""],
    grad: PyTree,
    offset: PyTree,
    target: Target,
    acceptance: Float[Array, ""] | None,
) -> StepStats:
    """Lengths of a Langevin step's parts.

    The length of the noise is its root mean square: with many weights no draw is far from it.
    """
    half, grad_norm = target.step_size / 2, kernel.norm(grad)
    return StepStats(
        loss=loss,
        grad_norm=grad_norm,
        drift=half * target.nbeta * grad_norm,
        pull=half * target.localization * kernel.norm(offset),
        noise=jnp.sqrt(target.step_size * kernel.num_free(offset, target)),
        acceptance=acceptance,
    )


def log_acceptance(
    current: tuple[PyTree, Float[Array, ""], PyTree],
    proposed: tuple[PyTree, Float[Array, ""], PyTree],
    target: Target,
) -> Float[Array, ""]:
    """log of the Metropolis-Hastings ratio of a Langevin move from u to v.

    U(u) - U(v) + (v - u).(f + g)/2 - epsilon (|g|^2 - |f|^2)/8, where U is the potential and f and
    g are its gradients at u and v. This is the ratio of Roberts & Tweedie (1996) multiplied out, so
    that float32 never subtracts two large squares.

    Args:
        current: (u, loss, gradient of the loss).
        proposed: (v, loss, gradient of the loss), on the same batch.
        target: what the chain samples.
    """
    (u, loss, grad), (v, new_loss, new_grad) = current, proposed
    f = kernel.potential_gradient(grad, u, target)
    g = kernel.potential_gradient(new_grad, v, target)
    move, total = jax.tree.map(jnp.subtract, v, u), jax.tree.map(jnp.add, f, g)
    rise = target.nbeta * (new_loss - loss) + target.localization / 2 * kernel.dot(
        move, jax.tree.map(jnp.add, u, v)
    )
    growth = kernel.dot(jax.tree.map(jnp.subtract, g, f), total)
    return -rise + kernel.dot(move, total) / 2 - target.step_size / 8 * growth


def _probability(log_ratio):
    return jnp.exp(jnp.minimum(0.0, log_ratio))


def _sgld_init(key, offset, value_and_grad, target: Target):
    return SGLDState(offset)


def _sgld_step(measures_acceptance: bool):
    def step(key, state: SGLDState, value_and_grad, target: Target):
        loss, grad = value_and_grad(state.offset)
        slope = kernel.potential_gradient(grad, state.offset, target)
        moved = propose(key, state.offset, slope, target)
        acceptance = None
        if measures_acceptance:
            current, proposed = (state.offset, loss, grad), (moved, *value_and_grad(moved))
            acceptance = _probability(log_acceptance(current, proposed, target))
        stats = langevin_stats(loss, grad, state.offset, target, acceptance)
        return SGLDState(kernel.reflect(moved, target)), stats

    return step


def _mala_init(key, offset, value_and_grad, target: Target):
    return MALAState(offset, *value_and_grad(offset))


def _mala_step(key, state: MALAState, value_and_grad, target: Target):
    slope = kernel.potential_gradient(state.grad, state.offset, target)
    moved = propose(key, state.offset, slope, target)
    proposed = MALAState(moved, *value_and_grad(moved))
    log_ratio = log_acceptance(state, proposed, target)
    log_ratio = jnp.where(kernel.inside(moved, target), log_ratio, -jnp.inf)
    # A proposal so far out that its loss is not finite is refused: the chain must not follow it.
    finite = jnp.isfinite(proposed.loss) & ~jnp.isnan(log_ratio)
    log_ratio = jnp.where(finite, log_ratio, -jnp.inf)
    accepted = jnp.log(jax.random.uniform(batches.fold_name(key, "accept"))) < log_ratio
    acceptance = _probability(log_ratio)
    stats = langevin_stats(state.loss, state.grad, state.offset, target, acceptance)
    return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposed, state), stats


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGLD(base.Sampler):
    """Stochastic gradient Langevin dynamics (Welling & Teh 2011) with a pull to w*.

        w_{t+1} = w_t - (epsilon/2) [n beta grad l_m(w_t) + gamma (w_t - w*)] + sqrt(epsilon) eta,

    with eta ~ N(0, I). The target is exp(-n beta l_n(w) - gamma/2 |w - w*|^2) up to a bias that is
    linear in epsilon. Along curvature h the chain is stable if and only if
    epsilon (n beta h + gamma) < 4.

    Equation 8 of Hoogland et al. (2024), "Loss Landscape Degeneracy and Stagewise Development in
    Transformers", differs in print twice: its gradient term climbs the loss, and it has gamma/2
    where gamma belongs. Appendix A.4.3 of the paper has both right.

    Attributes, beside those of `Sampler`:
        acceptance: whether each draw also records the probability with which MALA would accept the
            step, on the step's own batch; it costs one more gradient per step. A value far below 1
            means that the step is too large for the posterior.

    Example:
        A quadratic in three weights, whose coefficient is 3/2:

        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     return 0.5 * jnp.sum(w**2)
        >>> sampler = slt.SGLD(
        ...     step_size=1e-3, nbeta=100.0, localization=1.0,
        ...     num_chains=20, num_draws=500, burn_in=100
        ... )
        >>> data = np.zeros((2, 1), np.float32)  # this loss ignores it
        >>> estimate = slt.estimate_llc(loss, jnp.zeros(3), data, jax.random.key(0), sampler)
        >>> abs(estimate.llc - 1.5) < 0.2
        True
    """

    acceptance: bool = False

    def kernel(self) -> Kernel:
        return Kernel(_sgld_init, _sgld_step(self.acceptance))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MALA(base.Sampler):
    """Metropolis-adjusted Langevin (Roberts & Tweedie 1996): SGLD's step, accepted or refused.

    The test removes the bias: the target is the posterior at any epsilon, and too large a step is
    only refused more often (an acceptance of 0.57 is best in many dimensions). It needs the whole
    data at every step.

    Its attributes are those of `Sampler`; batch_size stays None.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     return 0.5 * jnp.sum(w**2)
        >>> sampler = slt.MALA(
        ...     step_size=1e-2, nbeta=100.0, localization=1.0,
        ...     num_chains=20, num_draws=200, burn_in=50
        ... )
        >>> data = np.zeros((2, 1), np.float32)  # this loss ignores it
        >>> estimate = slt.estimate_llc(loss, jnp.zeros(3), data, jax.random.key(0), sampler)
        >>> abs(estimate.llc - 1.5) < 0.2, 0.5 < estimate.acceptance < 1
        (True, True)
    """

    def kernel(self) -> Kernel:
        return Kernel(_mala_init, _mala_step)

    def bias_factor(self, product: float) -> float:
        """1: the test leaves no bias at any step."""
        return 1.0

    def step_bias(self, langevin: float) -> float:
        """0: the test leaves no bias."""
        return 0.0

    def items(self, num_items: int) -> int:
        """N.

        Raises:
            InputError: a batch smaller than the data, since a test on a minibatch has no posterior
                as its target.
        """
        if not self.whole(num_items):
            raise InputError(
                f"MALA with batch_size={self.batch_size} of {num_items} items",
                expected="batch_size=None: its test needs the whole data",
                mend="Use SGLD(acceptance=True) for the acceptance of minibatch steps.",
            )
        return super().items(num_items)
