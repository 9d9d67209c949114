"""The numbers of a training run of the in-context regression transformer.

Source: Hoogland et al. 2024, appendix F.2.3. Where paper and published code disagree, or say two
things, there is an option:

- `Config.residual_scale`: 1 as in the text, 2 as the released models were computed.
- `last_checkpoint`: the text has 100 linearly spaced checkpoints, the last of them the final
  weights; the released 190 end at step 499,999 (10^log10(500,000), rounded down) and leave those
  out. False, the default, is the release.
- `shared_start`: appendix F.2.3 trains all models from one initialisation, appendix B.4 says that
  seeds differ in it. False, the default, is B.4.
- `num_tasks`: a finite set of tasks (appendix D.1.1). None draws a task for every context. (Its
  models also had a peak rate of .01 and lacked attention's output matrix; the latter is not here.)
"""

import dataclasses
import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from dynamics import models
from dynamics.errors import InputError
from dynamics.inputs import Real, Whole
from dynamics.models import icl_regression

_COUNT = Whole(1, 1 << 40)
_RATE = Real(0, 1e6, open=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, and how; the defaults are the paper's.

    Attributes:
        checkpoints: steps to save; None takes `log_checkpoints` from 1 and `linear_checkpoints`
            from 0, both to `num_steps`, rounded down.

    Raises:
        InputError: a number out of its range; a checkpoint beyond the run.

    Example:
        >>> recipe = Recipe(name="short", num_steps=10, checkpoints=(0, 3, 10))
        >>> recipe.checkpoint_steps(), len(Recipe(name="paper").checkpoint_steps())
        ((0, 3, 10), 190)
    """

    name: str
    config: icl_regression.Config = dataclasses.field(default_factory=icl_regression.Config)
    num_steps: int = 500_000
    num_seeds: int = 5
    batch_size: int = 256
    peak_rate: float = 3e-3
    num_tasks: int | None = None
    shared_start: bool = False
    log_checkpoints: int = 100
    linear_checkpoints: int = 100
    last_checkpoint: bool = False
    checkpoints: tuple[int, ...] | None = None

    def __post_init__(self):
        for field in ("num_steps", "num_seeds", "batch_size"):
            _COUNT.check(getattr(self, field), f"{field} ")
        _RATE.check(self.peak_rate, "peak_rate ")
        outside = [step for step in self.checkpoints or () if not 0 <= step <= self.num_steps]
        if outside:
            raise InputError(
                f"a checkpoint at step {outside[0]} of {self.name}",
                expected=f"steps from 0 to {self.num_steps}, the last of the run",
                mend="Train for longer, or leave it out.",
            )

    def checkpoint_steps(self) -> tuple[int, ...]:
        """The steps whose weights are saved, ascending."""
        if self.checkpoints is not None:
            return tuple(sorted(set(self.checkpoints)))
        last = self.num_steps
        log = np.logspace(0, np.log10(last), self.log_checkpoints).astype(int)
        linear = np.linspace(0, last, self.linear_checkpoints).astype(int)
        steps = {*log.tolist(), *linear.tolist()} - {last}
        return tuple(sorted(steps | ({last} if self.last_checkpoint else set())))

    def learning_rate(self, step: Int[ArrayLike, ""]) -> Float[Array, ""]:
        """The rate of a step: up in a line to the peak at half way, and down again.

        The first and the last are peak / (num_steps / 2), not 0.
        """
        half = self.num_steps / 2
        done = jnp.asarray(step)
        return self.peak_rate * jnp.minimum(done + 1.0, self.num_steps - done) / half

    def num_flops(self) -> float:
        """Of the matrix products of the whole run, three passes a step, all seeds."""
        c = self.config
        shapes = jax.eval_shape(lambda: models.init(jax.random.key(0), c))
        matrices = models.icl_regression.matrices(shapes)
        weights = sum(int(np.prod(leaf.shape)) for leaf in matrices.values())
        attention = 2 * c.num_layers * c.max_positions * c.hidden_size
        tokens = self.batch_size * c.max_positions
        return 3 * 2.0 * (weights + attention) * tokens * self.num_steps * self.num_seeds

    def fingerprint(self) -> str:
        """Runs of one fingerprint share their checkpoints."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Every field, as text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)
