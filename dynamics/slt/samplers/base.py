"""What every sampler shares: its step, its chains and draws, its batches and its baseline.

Axes: C chains, N data items, m items of a batch. A draw is a recorded step; two draws are
`thinning` steps apart.

Appendices and figures are those of Hoogland et al. (2024), "Loss Landscape Degeneracy and Stagewise
Development in Transformers".
"""

import dataclasses
import math
from typing import Literal, NamedTuple, Self

import numpy as np
from jaxtyping import Float

from dynamics.errors import InputError
from dynamics.slt.samplers.kernel import Kernel

BASELINES = ("same_batch", "fresh_batch", "fixed", "recycled")
SCALINGS = ("none", "leaf", "weight")
# Limits of epsilon a, where a = n beta h + gamma and h is the largest curvature of the loss.
BIASED_ABOVE = 0.4  # the stiffest direction is 1 / (1 - 0.1) = 1.11 times too wide
UNSTABLE_FROM = 4.0  # Langevin steps diverge


class Constants(NamedTuple):
    """Constants of the dynamics that are traced, so that a grid over them compiles once."""

    step_size: float  # epsilon
    nbeta: float  # inverse temperature times sample size
    localization: float  # gamma
    box: float | None = None  # half-width
    adapt: float = math.inf  # steps in which a preconditioner moves


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampler:
    """Settings that every sampler has; a subclass adds the kernel that moves a chain.

    Attributes:
        step_size: epsilon, the variance of a step's noise.
        nbeta: n beta, or None for m / log m with m the batch size in items (appendix A.4.1).
        localization: gamma, the strength of the pull back to w*.
        num_chains: C.
        num_draws: draws per chain, burn-in included; the first draw is w* itself.
        burn_in: draws at the start of each chain that no estimate uses.
        batch_size: m, drawn uniformly with replacement; None or N means the whole data, not drawn.
        thinning: steps per draw.
        baseline: what the chain's loss is compared with. "same_batch": the loss of the step's batch
            at w*, one more forward pass per draw. "fresh_batch": chain and w* both on a batch that
            is drawn for the comparison, two more forward passes (Fig. A.2, bottom). "fixed": the
            loss of the whole data at w*. "recycled": the mean of the C batch losses at w* that the
            first draws give, as in the paper; it is free and noisy. With whole-data batches the
            first three are the same.
        accumulate: equal microbatches that a batch is split into and that run in turn. They need
            less memory and give the same numbers up to rounding.
        box: half-width of the box around w* that reflects chains (in units of `scale_by`), or None.
        scale_by: units of each weight's noise, pull and box. "none": the same unit for all weights.
            "leaf": the root mean square of the leaf at w*. "weight": the root mean square of that
            and of the weight itself. epsilon and gamma are then relative: w = w* + s u, noise
            sqrt(epsilon) s, pull gamma/2 |u|^2. The prior changes with the units, so only estimates
            with the same `scale_by` compare.
        chain_batch: how many chains a device holds at once; None for its whole share.
        segment: draws per compiled scan, between which a caller can save; None for one scan. A
            divisor of num_draws compiles once.

    Raises:
        InputError: a setting outside its range.
    """

    step_size: float
    nbeta: float | None = None
    localization: float
    num_chains: int
    num_draws: int
    burn_in: int = 0
    batch_size: int | None = None
    thinning: int = 1
    baseline: Literal["same_batch", "fresh_batch", "fixed", "recycled"] = "same_batch"
    accumulate: int = 1
    box: float | None = None
    scale_by: Literal["none", "leaf", "weight"] = "none"
    chain_batch: int | None = None
    segment: int | None = None

    def __post_init__(self):
        if self.baseline not in BASELINES:
            raise InputError.unknown("baseline", self.baseline, BASELINES)
        if self.scale_by not in SCALINGS:
            raise InputError.unknown("scale_by", self.scale_by, SCALINGS)
        require("step_size", self.step_size, 0 < self.step_size < math.inf, "a positive number")
        valid_nbeta = self.nbeta is None or 0 < self.nbeta < math.inf
        require("nbeta", self.nbeta, valid_nbeta, "a positive number, or None for m/log m")
        valid_pull = 0 <= self.localization < math.inf
        require("localization", self.localization, valid_pull, "zero or a positive number")
        valid_box = self.box is None or 0 < self.box < math.inf
        require("box", self.box, valid_box, "a positive number, or None")
        for name in ("num_chains", "num_draws", "thinning", "accumulate"):
            count = getattr(self, name)
            require(name, count, count >= 1, "at least 1")
        for name in ("batch_size", "chain_batch", "segment"):
            count = getattr(self, name)
            require(name, count, count is None or count >= 1, "at least 1, or None")
        leaves_draws = 0 <= self.burn_in < self.num_draws
        expected = f"0 to {self.num_draws - 1}, since num_draws includes the burn-in"
        require("burn_in", self.burn_in, leaves_draws, expected)

    def whole(self, num_items: int) -> bool:
        """Whether a batch is all N items, in their order."""
        return self.batch_size is None or self.batch_size == num_items

    def items(self, num_items: int) -> int:
        """The batch size m for data of N items.

        Raises:
            InputError: a batch larger than the data, or one that microbatches do not divide.
        """
        fits = (self.batch_size or 1) <= num_items
        require("batch_size", self.batch_size, fits, f"at most the {num_items} data items")
        m = num_items if self.batch_size is None else self.batch_size
        divides = m % self.accumulate == 0
        require("accumulate", self.accumulate, divides, f"a divisor of the batch of {m} items")
        return m

    def adapt_steps(self) -> float:
        """Steps in which the kernel may adapt."""
        return math.inf

    def constants(self, num_items: int) -> Constants:
        """The traced constants for data of N items.

        Raises:
            InputError: nbeta=None with batches of one item; see also `items`.
        """
        m = self.items(num_items)
        expected = "a number, since m/log m does not exist for a batch of one item"
        require("nbeta", self.nbeta, self.nbeta is not None or m > 1, expected)
        nbeta = m / math.log(m) if self.nbeta is None else self.nbeta
        box = None if self.box is None else float(self.box)
        step_size, localization = float(self.step_size), float(self.localization)
        return Constants(step_size, float(nbeta), localization, box, self.adapt_steps())

    def program(self) -> Self:
        """This sampler with every setting blanked that does not change the compiled program."""
        return dataclasses.replace(
            self,
            step_size=1.0,
            nbeta=1.0,
            localization=0.0,
            num_chains=1,
            num_draws=1,
            burn_in=0,
            box=None if self.box is None else 1.0,
            segment=None,
        )

    def bias_factor(self, product: float) -> float:
        """Factor by which the variance along the stiffest direction is too large.

        Args:
            product: epsilon a in that direction, a = n beta h + gamma.

        Returns:
            1 for no bias; inf where chains diverge; nan where the kernel feels another curvature
            than h. This default is that of a plain Langevin step.
        """
        return langevin_bias(product)

    @property
    def has_quadratic_form(self) -> bool:
        """Whether a quadratic landscape has a closed form: no walls, and no preconditioner."""
        return self.box is None and not math.isnan(self.bias_factor(0.1))

    def contraction(self, product: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
        """Factor by which one step shrinks the mean offset along a direction of a quadratic.

        `product` is epsilon a there. This default is that of a plain Langevin step.
        """
        return 1 - product / 2

    @property
    def drift_factor(self) -> float:
        """The step's loss part over epsilon n beta G grad l, G the preconditioner or 1."""
        return 0.5

    def langevin_steps(self, steps: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
        """Steps of a Langevin chain that go as far along a constant slope as `steps` of this."""
        return steps

    def step_bias(self, langevin: float) -> float:
        """By how much the step raises an estimate, of what it does to a plain Langevin chain's."""
        return langevin

    def noise_bias(self, langevin: float, stiffness: float, llc: float, num_free: int) -> float:
        """By how much minibatch noise raises an estimate.

        Args:
            langevin: what it adds to a plain Langevin chain's along directions that the loss
                confines, epsilon/8 n beta^2 E|noise|^2.
            stiffness: how much of the noise lies along such directions.
            llc: the estimate.
            num_free: weights that move.
        """
        return langevin * stiffness

    def kernel(self) -> Kernel:
        """The (init, step) that moves a chain."""
        raise NotImplementedError


def langevin_bias(product: float) -> float:
    """1 / (1 - epsilon a / 4) at epsilon a = `product`; inf where the step is unstable."""
    return 1 / (1 - product / 4) if product < UNSTABLE_FROM else math.inf


def require(name: str, value: object, holds: bool, expected: str) -> None:
    """Raises InputError for the setting `name` unless `holds`."""
    if not holds:
        raise InputError(f"{name}={value}", expected=expected)
