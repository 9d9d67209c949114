"""What every sampler shares: how far it steps, how many chains and draws, which batches, and what
losses are compared.

Axes: C chains, N data items, m items of a batch. A draw is a recorded step; between two draws lie
`thinning` steps.
"""

import dataclasses
import math
from typing import Literal, NamedTuple, Self

from dynamics.errors import InputError

BASELINES = ("same_batch", "fresh_batch", "fixed", "recycled")
SCALINGS = ("none", "leaf", "weight")
BIASED = 10 / 9  # how much too wide the stiffest direction may be: at epsilon a = 0.4


class Scales(NamedTuple):
    """The numbers of a sampler that are traced, so that a grid over them compiles once."""

    step_size: float  # epsilon
    nbeta: float  # inverse temperature times sample size
    localization: float  # gamma
    box: float | None = None  # half-width
    adapt: float = math.inf  # steps in which a preconditioner moves


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How to sample, whatever the kernel.

    Attributes:
        step_size: epsilon, the variance of a step's noise.
        nbeta: n beta, or None for m / log m with m the batch size in items (paper A.4.1).
        localization: gamma, the strength of the pull back to w*.
        num_chains: C.
        num_draws: draws per chain, the burn-in among them; the first draw is w* itself.
        burn_in: draws at the start of each chain that no estimate uses.
        batch_size: m, drawn uniformly with replacement; None or N means the whole data, not drawn.
        thinning: steps per draw.
        baseline: what the chain's loss is compared with. "same_batch": the step's batch at w*, one
            more forward pass per draw; "fresh_batch": chain and w* both on a batch of their own,
            two more (paper Fig. A.2, below); "fixed": the step's batch against the whole data at
            w*; "recycled": the step's batch against the mean of the C batch losses at w* that the
            first draws are (the paper's), free and noisy. With whole-data batches the first three
            are one.
        accumulate: equal microbatches that a batch is taken in, one after another; less memory, the
            same numbers but for rounding.
        box: half-width of the box around w* that chains are reflected in (in units of `scale_by`),
            or None.
        scale_by: units of each weight's noise, pull and box. "none": one for all; "leaf": the root
            mean square of the leaf at w*; "weight": that and the weight's own size, in equal parts.
            epsilon and gamma are then
            relative: w = w* + s u, noise sqrt(epsilon) s, pull gamma/2 |u|^2. The target's prior
                changes with it, so estimates compare only at one setting.
        chain_batch: how many chains a device holds at once; None for all of its share.
        segment: draws per compiled scan, between which a caller can save; None for all in one. One
            that divides num_draws compiles once.
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
        positive = self.nbeta is None or 0 < self.nbeta < math.inf
        require("nbeta", self.nbeta, positive, "a positive number, or None for m/log m")
        require(
            "localization",
            self.localization,
            0 <= self.localization < math.inf,
            "zero or a positive number",
        )
        require(
            "box",
            self.box,
            self.box is None or 0 < self.box < math.inf,
            "a positive number, or None",
        )
        for name in ("num_chains", "num_draws", "thinning", "accumulate"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("batch_size", "chain_batch", "segment"):
            require(
                name,
                getattr(self, name),
                getattr(self, name) is None or getattr(self, name) >= 1,
                "at least 1",
            )
        within = 0 <= self.burn_in < self.num_draws
        require("burn_in", self.burn_in, within, f"0 to {self.num_draws - 1}: num_draws has it in")

    def whole(self, num_items: int) -> bool:
        """Whether a batch is all N items, in their order."""
        return self.batch_size is None or self.batch_size == num_items

    def items(self, num_items: int) -> int:
        """m for data of N items. Raises InputError if the batch exceeds the data or does not split
        as wanted."""
        fits = (self.batch_size or 1) <= num_items
        require("batch_size", self.batch_size, fits, f"at most the {num_items} data items")
        m = num_items if self.batch_size is None else self.batch_size
        require(
            "accumulate",
            self.accumulate,
            m % self.accumulate == 0,
            f"a divisor of the batch of {m} items",
        )
        return m

    def adapt_steps(self) -> float:
        """Steps in which the kernel may adapt."""
        return math.inf

    def scales(self, num_items: int) -> Scales:
        """The traced numbers for data of N items. Raises InputError where m / log m does not
        exist."""
        m, known = self.items(num_items), "a number, where a batch is one item: m/log m is 1/0"
        require("nbeta", self.nbeta, self.nbeta is not None or m > 1, known)
        nbeta = m / math.log(m) if self.nbeta is None else self.nbeta
        box = None if self.box is None else float(self.box)
        return Scales(
            float(self.step_size), float(nbeta), float(self.localization), box, self.adapt_steps()
        )

    def program(self) -> Self:
        """The sampler with everything blanked that needs no other compiled program."""
        blank = {
            "step_size": 1.0,
            "nbeta": 1.0,
            "localization": 0.0,
            "num_chains": 1,
            "num_draws": 1,
            "burn_in": 0,
        }
        return dataclasses.replace(
            self, **blank, box=None if self.box is None else 1.0, segment=None
        )

    def bias(self, product: float) -> float:
        """Factor by which the variance along the stiffest direction is too large at epsilon (n beta
        h + gamma) =
        `product`: inf where chains diverge, nan where the kernel feels another curvature than h.
        Langevin's here.
        """
        return langevin_bias(product)

    def kernel(self):
        """The (init, step) of this sampler: a `samplers.kernel.Kernel`."""
        raise NotImplementedError


def langevin_bias(product: float) -> float:
    """1 / (1 - epsilon a / 4) at epsilon a = `product`, inf from 4 on."""
    return 1 / (1 - product / 4) if product < 4 else math.inf


def require(name: str, value, holds: bool, expected: str):
    """Raises InputError of `name` unless it holds."""
    if not holds:
        raise InputError(f"{name}={value}", expected=expected)
