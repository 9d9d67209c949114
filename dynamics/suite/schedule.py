"""The learning-rate schedule of a published suite."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, kw_only=True)
class CosineSchedule:
    """Linear warm-up from 0, then half a cosine down to a share of the peak: step -> rate.

    Example:
        >>> schedule = CosineSchedule(peak=1e-3, warmup=100, num_steps=1000)
        >>> schedule(0), schedule(100), round(schedule(1000), 6)
        (0.0, 0.001, 0.0001)
    """

    peak: float
    warmup: int
    num_steps: int
    final_share: float = 0.1

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return self.peak * step / self.warmup
        done = min(1.0, (step - self.warmup) / (self.num_steps - self.warmup))
        return self.peak * (
            self.final_share + (1 - self.final_share) * (1 + math.cos(math.pi * done)) / 2
        )
