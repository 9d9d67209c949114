"""Langevin dynamics: with minibatches (SGLD), and corrected by a Metropolis test on the whole data
(MALA)."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.errors import InputError
from dynamics.slt import batches, plan
from dynamics.slt.samplers import kernel
from dynamics.slt.samplers.kernel import Info, Kernel, Target


class SGLDState(NamedTuple):
    offset: Any  # u, as params


class MALAState(NamedTuple):
    offset: Any  # u, as params
    loss: Any  # of the whole data at u
    grad: Any  # its gradient, as params


def propose(key, offset, slope, target: Target):
    """u - epsilon/2 slope + sqrt(epsilon) eta, slope the gradient of the potential; a pytree like
    u."""
    eta = kernel.kick(key, offset, target)
    return jax.tree.map(
        lambda u, f, n: u - target.step_size / 2 * f + jnp.sqrt(target.step_size) * n,
        offset,
        slope,
        eta,
    )


def step_info(loss, grad, offset, target: Target, acceptance) -> Info:
    """Lengths of a Langevin step's parts; the noise's is its root mean square, which many weights
    hardly leave."""
    half, size = target.step_size / 2, kernel.norm(grad)
    drift, pull = half * target.nbeta * size, half * target.localization * kernel.norm(offset)
    return Info(
        loss,
        size,
        drift,
        pull,
        jnp.sqrt(target.step_size * kernel.num_free(offset, target)),
        acceptance,
    )


def log_acceptance(here, there, target: Target):
    """log of the Metropolis-Hastings ratio of a Langevin move, each side (u, loss, grad) on the
    same batch.

    U(u) - U(v) + (v - u).(f + g)/2 - epsilon (|g|^2 - |f|^2)/8, U the potential, f and g its
    gradients: the ratio of Roberts & Tweedie (1996) multiplied out, so that float32 subtracts no
    two large squares.
    """
    (u, loss, grad), (v, new_loss, new_grad) = here, there
    f, g = (
        kernel.potential_gradient(grad, u, target),
        kernel.potential_gradient(new_grad, v, target),
    )
    move, total = jax.tree.map(jnp.subtract, v, u), jax.tree.map(jnp.add, f, g)
    rise = target.nbeta * (new_loss - loss) + target.localization / 2 * kernel.dot(
        move, jax.tree.map(jnp.add, u, v)
    )
    growth = kernel.dot(jax.tree.map(jnp.subtract, g, f), total)
    return -rise + kernel.dot(move, total) / 2 - target.step_size / 8 * growth


def _sgld_init(key, offset, value_and_grad, target: Target):
    return SGLDState(offset)


def _sgld_step(tested: bool):
    def step(key, state: SGLDState, value_and_grad, target: Target):
        loss, grad = value_and_grad(state.offset)
        slope = kernel.potential_gradient(grad, state.offset, target)
        moved = propose(key, state.offset, slope, target)
        acceptance = jnp.float32(jnp.nan)
        if tested:
            there = (moved, *value_and_grad(moved))
            acceptance = jnp.exp(
                jnp.minimum(0.0, log_acceptance((state.offset, loss, grad), there, target))
            )
        info = step_info(loss, grad, state.offset, target, acceptance)
        return SGLDState(kernel.reflect(moved, target)), info

    return step


def _mala_init(key, offset, value_and_grad, target: Target):
    return MALAState(offset, *value_and_grad(offset))


def _mala_step(key, state: MALAState, value_and_grad, target: Target):
    slope = kernel.potential_gradient(state.grad, state.offset, target)
    moved = propose(key, state.offset, slope, target)
    there = MALAState(moved, *value_and_grad(moved))
    log_ratio = jnp.where(
        kernel.inside(moved, target), log_acceptance(state, there, target), -jnp.inf
    )
    # A proposal beyond all bounds has no finite loss: it is refused, not followed.
    log_ratio = jnp.where(jnp.isfinite(there.loss) & ~jnp.isnan(log_ratio), log_ratio, -jnp.inf)
    accepted = jnp.log(jax.random.uniform(batches.fold_name(key, "accept"))) < log_ratio
    info = step_info(
        state.loss, state.grad, state.offset, target, jnp.exp(jnp.minimum(0.0, log_ratio))
    )
    return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), there, state), info


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGLD(plan.Plan):
    """Stochastic gradient Langevin dynamics (Welling & Teh 2011) with a pull to w*; its fields are
    those of `Plan`.

        w_{t+1} = w_t - (epsilon/2) [ n beta grad l_m(w_t) + gamma (w_t - w*) ] + sqrt(epsilon) eta,   eta ~ N(0, I)

    whose target is exp(-n beta l_n(w) - gamma/2 |w - w*|^2) up to a bias linear in epsilon. Along
    curvature h the chain is stable iff epsilon (n beta h + gamma) < 4. Eq. 8 of Hoogland et al.
    (2024) differs in print twice: its gradient term climbs the loss, and it has gamma/2 where gamma
    belongs (its A.4.3 has both right).

    Attributes:
        acceptance: whether each recorded step also tells the probability with which MALA would have
            taken it, on the step's own batch: one more gradient per draw. Far below 1 the step is
            too large for the posterior.
    """

    acceptance: bool = False

    def kernel(self) -> Kernel:
        return Kernel(_sgld_init, _sgld_step(self.acceptance))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MALA(plan.Plan):
    """Metropolis-adjusted Langevin (Roberts & Tweedie 1996): SGLD's step, taken or refused so that
    no bias is left.

    Its target is the posterior at any epsilon; too large a one only refuses more (0.57 taken is
    best in many dimensions). It needs the whole data at every step.
    """

    def kernel(self) -> Kernel:
        return Kernel(_mala_init, _mala_step)

    def bias(self, product: float) -> float:
        """None at any step."""
        return 1.0

    def items(self, num_items: int) -> int:
        """N. Raises InputError where batches are smaller: a test on a minibatch would keep no
        posterior."""
        if not self.whole(num_items):
            raise InputError(
                f"MALA with batch_size={self.batch_size} of {num_items} items",
                expected="batch_size=None: its test needs the whole data",
                mend="Use SGLD(acceptance=True) for the acceptance of minibatch steps.",
            )
        return super().items(num_items)
