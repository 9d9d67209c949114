"""Langevin dynamics with a diagonal preconditioner G learned from the loss gradient: RMSprop's and
Adam's.

    u' = u - (epsilon/2) G [ n beta grad l_m + gamma u ] + sqrt(epsilon G) eta

With a G that does not move this samples the same posterior as SGLD. While it moves it does not (Li
et al. 2016 drop the term that would mend it), so by default G is learned in the burn-in and frozen
before the first draw that counts.
"""

import dataclasses
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics.errors import InputError
from dynamics.slt import plan
from dynamics.slt.samplers import kernel
from dynamics.slt.samplers.kernel import Info, Kernel, Target


class State(NamedTuple):
    offset: Any  # u, as params
    mean: Any  # moving average of the loss gradient, as params; None where there is none
    square: Any  # moving average of its square, as params
    count: Any  # steps taken


def _preconditioned_step(key, state: State, loss, grad, direction, scale, target: Target):
    """One step along `direction` (in place of the loss gradient) with preconditioner `scale` (G),
    and its Info."""
    half, eta = target.step_size / 2, kernel.kick(key, state.offset, target)
    drift = jax.tree.map(lambda g, d: half * g * target.nbeta * d, scale, direction)
    pull = jax.tree.map(lambda g, u: half * g * target.localization * u, scale, state.offset)
    random = jax.tree.map(lambda g, n: jnp.sqrt(target.step_size * g) * n, scale, eta)
    moved = jax.tree.map(lambda u, d, p, n: u - d - p + n, state.offset, drift, pull, random)
    size, drifted, pulled, shaken = map(kernel.norm, (grad, drift, pull, random))
    return kernel.reflect(moved, target), Info(
        loss, size, drifted, pulled, shaken, jnp.float32(jnp.nan)
    )


def _average(decay: float, old, new, adapting):
    """decay old + (1 - decay) new while adapting, then the old one for good."""
    return jax.tree.map(lambda o, n: jnp.where(adapting, decay * o + (1 - decay) * n, o), old, new)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Preconditioned(plan.Plan):
    """What both have in common.

    Attributes:
        decay: of the moving average of squared gradients.
        damping: lambda in G = 1 / (lambda + sqrt(V)), which bounds G.
        adapt: "burn_in" freezes G after the burn-in; "always" lets it move, as peers do, and biases
            the estimate.
    """

    decay: float = 0.99
    damping: float = 0.1
    adapt: Literal["burn_in", "always"] = "burn_in"

    def __post_init__(self):
        super().__post_init__()
        if self.adapt not in ("burn_in", "always"):
            raise InputError.unknown("adapt", self.adapt, ("burn_in", "always"))
        plan.require("decay", self.decay, 0 <= self.decay < 1, "0 or more, under 1")
        plan.require("damping", self.damping, self.damping > 0, "a positive number")

    def adapt_steps(self) -> float:
        return math.inf if self.adapt == "always" else float(self.burn_in * self.thinning)

    def bias(self, product: float) -> float:
        """At most Langevin's at `product` / damping, since G is at most 1 / damping; nan where that
        is not small."""
        most = plan.langevin_bias(product / self.damping)
        return most if most < plan.BIASED else math.nan

    def scales(self, num_items: int) -> plan.Scales:
        """As in `Plan`. Raises InputError also where there is no burn-in to learn the
        preconditioner in."""
        if self.adapt == "burn_in" and not self.burn_in:
            raise InputError(
                f"{type(self).__name__} with burn_in=0 and adapt='burn_in'",
                expected="a burn-in in which the preconditioner is learned",
                mend="Give burn_in, or adapt='always' for a preconditioner that moves and so biases the estimate.",
            )
        return super().scales(num_items)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RMSpropSGLD(_Preconditioned):
    """SGLD preconditioned by RMSprop (Li et al. 2016), V = decay V + (1 - decay) g^2 of the loss
    gradient alone.

    V starts at the first gradient's square, not at 0: from 0 the first steps would be up to
    1/sqrt(1 - decay) times too long. n beta, gamma and epsilon mean what they mean in SGLD.
    """

    def kernel(self) -> Kernel:
        def init(key, offset, value_and_grad, target: Target):
            _, grad = value_and_grad(offset)
            return State(offset, None, jax.tree.map(jnp.square, grad), jnp.int32(0))

        def step(key, state: State, value_and_grad, target: Target):
            loss, grad = value_and_grad(state.offset)
            square = _average(
                self.decay, state.square, jax.tree.map(jnp.square, grad), state.count < target.adapt
            )
            scale = jax.tree.map(lambda v: 1 / (self.damping + jnp.sqrt(v)), square)
            moved, info = _preconditioned_step(key, state, loss, grad, grad, scale, target)
            return State(moved, None, square, state.count + 1), info

        return Kernel(init, step)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamSGLD(_Preconditioned):
    """SGLD preconditioned by Adam's bias-corrected second moment; its first moment steers while the
    chain adapts.

    Steering by a moving average of gradients (Kim et al. 2020) samples another distribution, so it
    ends with the burn-in, like the preconditioner's learning; from there on the step is Langevin's
    with G fixed.

    Attributes:
        momentum: decay of the moving average of gradients.
    """

    momentum: float = 0.9

    def __post_init__(self):
        super().__post_init__()
        plan.require("momentum", self.momentum, 0 <= self.momentum < 1, "0 or more, under 1")

    def kernel(self) -> Kernel:
        def init(key, offset, value_and_grad, target: Target):
            return State(offset, offset, offset, jnp.int32(0))

        def step(key, state: State, value_and_grad, target: Target):
            loss, grad = value_and_grad(state.offset)
            adapting = state.count < target.adapt
            mean = _average(self.momentum, state.mean, grad, adapting)
            square = _average(self.decay, state.square, jax.tree.map(jnp.square, grad), adapting)
            taken = jnp.minimum(state.count + 1, target.adapt).astype(jnp.float32)
            scale = jax.tree.map(
                lambda v: 1 / (self.damping + jnp.sqrt(v / (1 - self.decay**taken))), square
            )
            steer = 1 / (1 - self.momentum**taken)
            direction = jax.tree.map(lambda m, g: jnp.where(adapting, m * steer, g), mean, grad)
            moved, info = _preconditioned_step(key, state, loss, grad, direction, scale, target)
            return State(moved, mean, square, state.count + 1), info

        return Kernel(init, step)
