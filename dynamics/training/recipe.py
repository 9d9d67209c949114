"""How a suite is trained: the numbers, and nothing else."""

import dataclasses
import hashlib
import json
from typing import Literal

from dynamics import models
from dynamics.suite.schedule import CosineSchedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """One size of a suite. AdamW with betas, clipping and cosine decay as in Pythia (its
    models/*/*.yml)."""

    name: str
    config: models.Config
    num_steps: int
    num_seeds: int = 3
    batch_size: int = 16
    context: int = 128
    peak_rate: float = 3e-3
    final_rate_share: float = 0.1
    warmup: int = 50
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.1
    clip_norm: float = 1.0

    @property
    def objective(self) -> Literal["causal", "masked"]:
        """What the model is trained to predict: the next token, or hidden ones where it sees both
        sides."""
        return "causal" if models.architecture(self.config).CAUSAL else "masked"

    def checkpoint_steps(self) -> tuple[int, ...]:
        """Step 0, then Pythia's powers of two, and the last step."""
        powers = [2**k for k in range(self.num_steps.bit_length()) if 2**k <= self.num_steps]
        return tuple(sorted({0, *powers, self.num_steps}))

    def learning_rate(self) -> CosineSchedule:
        """The rate of each step, as the optimiser takes it."""
        peak, share = self.peak_rate, self.final_rate_share
        return CosineSchedule(
            peak=peak, warmup=self.warmup, num_steps=self.num_steps, final_share=share
        )

    def fingerprint(self, corpus_fingerprint: str) -> str:
        """Names the recipe on this corpus: runs that share it share their checkpoints."""
        fields = json.dumps([dataclasses.asdict(self), corpus_fingerprint], sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()[:12]
