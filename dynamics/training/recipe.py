"""The numbers that a model of a suite is trained with, and nothing else."""

import dataclasses
import hashlib
import json
from typing import Literal

from dynamics import models
from dynamics.errors import InputError
from dynamics.suite.grid import Causes
from dynamics.suite.schedule import CosineSchedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """One model of a suite: AdamW with betas, clipping and cosine decay as in Pythia.

    Source: github.com/EleutherAI/pythia, models/*/*.yml.

    Example:
        >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=1, num_heads=2,
        ...                                 intermediate_size=32, vocab_size=11)
        >>> recipe = Recipe(name="tiny", config=config, num_steps=10, warmup=2)
        >>> recipe.objective, recipe.checkpoint_steps()
        ('causal', (0, 1, 2, 4, 8, 10))
    """

    name: str
    config: models.Config
    num_steps: int
    num_seeds: int = 3
    # Data orders that every initialisation is crossed with, the seeds of one initialisation side by
    # side; 0 where each seed has an initialisation and an order of its own.
    num_orders: int = 0
    batch_size: int = 16
    context: int = 128  # tokens of a training window
    peak_rate: float = 3e-3
    final_rate_share: float = 0.1  # of the peak, at the last step
    warmup: int = 50  # steps in which the rate rises from 0 to its peak
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.1
    clip_norm: float = 1.0

    def __post_init__(self):
        if self.num_orders and self.num_seeds % self.num_orders:
            raise InputError(
                f"{self.num_seeds} seeds of {self.name} with {self.num_orders} data orders",
                expected="every initialisation with every order",
            )

    def causes(self, seed):
        """The initialisation and the data order of a seed, or of an array of them.

        Seeds that share a number share that cause, bit by bit. With one order for all, seeds differ
        in their initialisation alone; with as many as seeds, in their order alone.

        Example:
            >>> config = models.gpt_neox.Config(hidden_size=16, num_layers=1, num_heads=2,
            ...                                 intermediate_size=32, vocab_size=11)
            >>> grid = Recipe(name="grid", config=config, num_steps=8, num_seeds=6, num_orders=3)
            >>> grid.causes(4)
            Causes(init=1, order=1)
        """
        if not self.num_orders:
            return Causes(seed, seed)
        return Causes(seed // self.num_orders, seed % self.num_orders)

    @property
    def objective(self) -> Literal["causal", "masked"]:
        """What the model predicts: the next token, or hidden ones if it sees both sides."""
        return "causal" if models.architecture(self.config).CAUSAL else "masked"

    def checkpoint_steps(self) -> tuple[int, ...]:
        """Step 0, then Pythia's powers of two, and the last step."""
        powers = [2**k for k in range(self.num_steps.bit_length()) if 2**k <= self.num_steps]
        return tuple(sorted({0, *powers, self.num_steps}))

    def learning_rate(self) -> CosineSchedule:
        """The learning rate of each step, as the optimiser uses it."""
        peak, share = self.peak_rate, self.final_rate_share
        return CosineSchedule(
            peak=peak, warmup=self.warmup, num_steps=self.num_steps, final_share=share
        )

    def fingerprint(self, corpus_fingerprint: str) -> str:
        """Identifies the recipe on a corpus: runs of one fingerprint share their checkpoints."""
        numbers = dataclasses.asdict(self)
        if not self.num_orders:
            del numbers["num_orders"]  # suites that cross nothing bear the names that they had
        fields = json.dumps([numbers, corpus_fingerprint], sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()[:12]
