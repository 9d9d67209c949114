"""Langevin dynamics with a diagonal preconditioner G learned from the loss gradient.

    u' = u - (epsilon/2) G [n beta grad l_m + gamma u] + sqrt(epsilon G) eta

While G is fixed, this samples the same posterior as SGLD. While G moves it does not: Li et al.
(2016) drop the term that would correct it. So by default G is learned during the burn-in and frozen
before the first draw that counts.
"""

import dataclasses
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.errors import InputError
from dynamics.slt.samplers import base, kernel
from dynamics.slt.samplers.kernel import Kernel, StepStats, Target


class State(NamedTuple):
    """State of a chain and of the moments that its preconditioner is made of."""

    offset: Any  # u, as params
    mean: Any  # moving average of the loss gradient, as params; None where it is not needed
    square: Any  # moving average of its square, as params
    count: Any  # steps taken


def _preconditioned_step(key, state: State, loss, grad, direction, preconditioner, target: Target):
    """One step with preconditioner G along `direction`, which stands for the loss gradient."""
    half, eta = target.step_size / 2, kernel.free_noise(key, state.offset, target)
    drift = jax.tree.map(lambda g, d: half * g * target.nbeta * d, preconditioner, direction)
    pull = jax.tree.map(
        lambda g, u: half * g * target.localization * u, preconditioner, state.offset
    )
    noise = jax.tree.map(lambda g, n: jnp.sqrt(target.step_size * g) * n, preconditioner, eta)
    moved = jax.tree.map(lambda u, d, p, n: u - d - p + n, state.offset, drift, pull, noise)
    stats = StepStats(
        loss=loss,
        grad_norm=kernel.norm(grad),
        drift=kernel.norm(drift),
        pull=kernel.norm(pull),
        noise=kernel.norm(noise),
        acceptance=None,
    )
    return kernel.reflect(moved, target), stats


def _average(decay: float, average, values, adapting):
    """decay average + (1 - decay) values while adapting; afterwards the average stays."""
    return jax.tree.map(
        lambda a, v: jnp.where(adapting, decay * a + (1 - decay) * v, a), average, values
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Preconditioned(base.Sampler):
    """The settings that both preconditioned samplers share.

    Attributes:
        decay: of the moving average of squared gradients.
        damping: lambda in G = 1 / (lambda + sqrt(V)), which bounds G by 1 / lambda.
        adapt: "burn_in" freezes G after the burn-in. "always" lets it move, as other
            implementations do, and biases the estimate.
    """

    decay: float = 0.99
    damping: float = 0.1
    adapt: Literal["burn_in", "always"] = "burn_in"

    def __post_init__(self):
        super().__post_init__()
        if self.adapt not in ("burn_in", "always"):
            raise InputError.unknown("adapt", self.adapt, ("burn_in", "always"))
        base.require("decay", self.decay, 0 <= self.decay < 1, "0 or more, under 1")
        base.require("damping", self.damping, self.damping > 0, "a positive number")

    def adapt_steps(self) -> float:
        return math.inf if self.adapt == "always" else float(self.burn_in * self.thinning)

    def bias_factor(self, product: float) -> float:
        """An upper bound, Langevin's at `product` / damping; nan where that bound is not small.

        G is at most 1 / damping, so epsilon G a is at most `product` / damping. Where even that is
        harmless the step is safe; elsewhere h does not tell how stiff the chain's directions are.
        """
        bound = product / self.damping
        return base.langevin_bias(bound) if bound < base.BIASED_ABOVE else math.nan

    def constants(self, num_items: int) -> base.Constants:
        """As in `Sampler`.

        Raises:
            InputError: adapt="burn_in" without a burn-in; see also `Sampler.constants`.
        """
        if self.adapt == "burn_in" and not self.burn_in:
            raise InputError(
                f"{type(self).__name__} with burn_in=0 and adapt='burn_in'",
                expected="a burn-in in which the preconditioner is learned",
                mend="Set burn_in, or set adapt='always' and accept that the estimate is biased.",
            )
        return super().constants(num_items)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RMSpropSGLD(_Preconditioned):
    """SGLD preconditioned by RMSprop (Li et al. 2016), V = decay V + (1 - decay) g^2.

    g is the gradient of the loss alone, without the pull. V starts at the first gradient's square,
    not at 0: from 0 the first steps would be up to 1/sqrt(1 - decay) times too long. n beta, gamma
    and epsilon mean what they mean in SGLD.

    Attributes, beside those of `Sampler`:
        decay: of the moving average of squared gradients.
        damping: lambda in G = 1 / (lambda + sqrt(V)), which bounds G by 1 / lambda.
        adapt: "burn_in" freezes G after the burn-in; "always" lets it move and biases the estimate.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     return 0.5 * jnp.sum(w**2)
        >>> sampler = slt.RMSpropSGLD(
        ...     step_size=2e-4, nbeta=100.0, localization=1.0,
        ...     num_chains=20, num_draws=500, burn_in=200
        ... )
        >>> data = np.zeros((2, 1), np.float32)  # this loss ignores it
        >>> estimate = slt.estimate_llc(loss, jnp.zeros(3), data, jax.random.key(0), sampler)
        >>> abs(estimate.llc - 1.5) < 0.3
        True
    """

    def kernel(self) -> Kernel:
        def init(key, offset, value_and_grad, target: Target):
            _, grad = value_and_grad(offset)
            return State(offset, None, jax.tree.map(jnp.square, grad), jnp.int32(0))

        def step(key, state: State, value_and_grad, target: Target):
            loss, grad = value_and_grad(state.offset)
            adapting = state.count < target.adapt
            squares = jax.tree.map(jnp.square, grad)
            square = _average(self.decay, state.square, squares, adapting)
            preconditioner = jax.tree.map(lambda v: 1 / (self.damping + jnp.sqrt(v)), square)
            moved, stats = _preconditioned_step(
                key, state, loss, grad, grad, preconditioner, target
            )
            return State(moved, None, square, state.count + 1), stats

        return Kernel(init, step)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamSGLD(_Preconditioned):
    """SGLD preconditioned by Adam's bias-corrected second moment.

    While the chain adapts, Adam's first moment takes the place of the gradient. Steering by a
    moving average of gradients (Kim et al. 2020) samples another distribution, so it ends with the
    burn-in, as does the learning of G. From there on the step is Langevin's with G fixed.

    Attributes, beside those of `Sampler`:
        momentum: decay of the moving average of gradients.
        decay: of the moving average of squared gradients.
        damping: lambda in G = 1 / (lambda + sqrt(V)), which bounds G by 1 / lambda.
        adapt: "burn_in" freezes G after the burn-in; "always" lets it move and biases the estimate.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from dynamics import slt
        >>> def loss(w, batch):
        ...     return 0.5 * jnp.sum(w**2)
        >>> sampler = slt.AdamSGLD(
        ...     step_size=2e-4, nbeta=100.0, localization=1.0,
        ...     num_chains=20, num_draws=500, burn_in=200
        ... )
        >>> data = np.zeros((2, 1), np.float32)  # this loss ignores it
        >>> estimate = slt.estimate_llc(loss, jnp.zeros(3), data, jax.random.key(0), sampler)
        >>> abs(estimate.llc - 1.5) < 0.3
        True
    """

    momentum: float = 0.9

    def __post_init__(self):
        super().__post_init__()
        base.require("momentum", self.momentum, 0 <= self.momentum < 1, "0 or more, under 1")

    def kernel(self) -> Kernel:
        def init(key, offset, value_and_grad, target: Target):
            return State(offset, offset, offset, jnp.int32(0))  # offset is 0, as moments start

        def step(key, state: State, value_and_grad, target: Target):
            loss, grad = value_and_grad(state.offset)
            adapting = state.count < target.adapt
            mean = _average(self.momentum, state.mean, grad, adapting)
            squares = jax.tree.map(jnp.square, grad)
            square = _average(self.decay, state.square, squares, adapting)
            # Both corrections stop where the averages stop: after the last step of adaptation.
            averaged = jnp.minimum(state.count + 1, target.adapt).astype(jnp.float32)
            preconditioner = jax.tree.map(
                lambda v: 1 / (self.damping + jnp.sqrt(v / (1 - self.decay**averaged))), square
            )
            correction = 1 / (1 - self.momentum**averaged)
            direction = jax.tree.map(
                lambda m, g: jnp.where(adapting, m * correction, g), mean, grad
            )
            moved, stats = _preconditioned_step(
                key, state, loss, grad, direction, preconditioner, target
            )
            return State(moved, mean, square, state.count + 1), stats

        return Kernel(init, step)
