"""When an in-context regression model learns what: curves over training, seeds side by side.

Axes: K steps (ascending), G gains, L layers, H heads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.questions.committed import Committed, Pairs, by_model
from dynamics.questions.development import record
from dynamics.questions.development.record import Record
from dynamics.questions.single_seeds import (
    Steps,
    over_seeds,
    over_seeds_or_clusters,
    records_by_step,
    seeds_of,
)

_BEHAVIOUR = ("loss", "mean_square", "from_prior", "icl_early", "icl_late")
FAR = 10.0  # gain at which a model is shown out of distribution, if it was measured there


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """A part of a head that surely looks at one place, at the last step of the first seed.

    Attributes:
        name: "layer.head", from 0.
        target: "x" or "y", the tokens that look.
        kind: where they look.
    """

    name: str
    target: str
    kind: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Development:
    """Of one model over training.

    Attributes:
        model: name of the model.
        seeds: that were measured.
        loss, mean_square, icl_early, icl_late: behaviour (D.1).
        ridge_loss, trivial_loss: of the best and of the trivial predictor.
        weight_norm: of all weights.
        least_embed_share: of the weakest component of the embedding (D.2.1).
        embed_rank: effective rank of the embedding: e to the entropy of its shares.
        position_in_embed: share of the positions within the embedding's span (D.2.2).
        small_scales: share of all norms' scales that are nearly 0 (D.2.5).
        final_scales: the same of the last norm alone (D.2.4).
        least_entropy: of any head's x- or y-part: how hard the hardest is (D.2.3).
        far_inputs, far_tasks: error over g at the gain `far` (D.1.3).
        far: that gain.
        heads: what heads have become.
        num_contexts: that errors within a seed rest on.
        from_prior: distance from the mean task; of fresh tasks that of `mean_square`.
    """

    model: str
    seeds: tuple[int, ...]
    loss: Curve
    mean_square: Curve
    icl_early: Curve
    icl_late: Curve
    ridge_loss: float
    trivial_loss: float
    weight_norm: Curve
    least_embed_share: Curve
    embed_rank: Curve
    position_in_embed: Curve
    small_scales: Curve
    final_scales: Curve
    least_entropy: Curve
    far_inputs: Curve
    far_tasks: Curve
    far: float
    heads: tuple[Head, ...]
    num_contexts: int
    from_prior: Curve

    @property
    def finite(self) -> bool:
        """Whether tasks come from a finite set, whose mean is not 0."""
        return not np.array_equal(self.mean_square.value, self.from_prior.value)

    @property
    def lowest_mean_square(self) -> tuple[float, int]:
        """Over training, and the step, of the mean over seeds."""
        return _lowest(self.mean_square)

    @property
    def lowest_from_prior(self) -> tuple[float, int]:
        """Over training, and the step, of the mean over seeds."""
        return _lowest(self.from_prior)


def find(committed: Committed) -> list[Development] | None:
    """One per model, models by size."""
    groups = by_model(committed.of(record.MEASURE))
    return [_development(model, pairs) for model, pairs in groups.items()] or None


def _development(model: str, pairs: Pairs) -> Development:
    steps = records_by_step(pairs, record.from_dataset)
    seeds = seeds_of(steps)
    last = list(steps.values())[-1]
    first_seed = last[min(last)]
    far = float(first_seed.gains[np.argmin(np.abs(first_seed.gains - FAR))])
    at = int(np.argmin(np.abs(first_seed.gains - far)))
    curves = _curves(model, steps, at)
    return Development(
        model=model,
        seeds=tuple(seeds),
        ridge_loss=first_seed.ridge_loss,
        trivial_loss=first_seed.trivial_loss,
        far=far,
        heads=_heads(first_seed),
        num_contexts=first_seed.num_contexts,
        **curves,
    )


def _lowest(curve: Curve) -> tuple[float, int]:
    """Value and step of its minimum."""
    lowest = int(np.argmin(curve.value))
    return float(curve.value[lowest]), int(curve.steps[lowest])


def _curves(model: str, steps: Steps[Record], at: int) -> Mapping[str, Curve]:
    clusters = f"{next(iter(list(steps.values())[-1].values())).num_contexts} contexts"

    def measured(name: str) -> Curve:
        def estimate(r: Record) -> tuple[float, float]:
            return getattr(r, name), getattr(r, f"{name}_sem")

        return over_seeds_or_clusters(model, steps, estimate, clusters)

    def exact(value: Callable[[Record], float]) -> Curve:
        return over_seeds(model, steps, lambda r: float(value(r)), lambda _: np.nan)

    entropy = record.ATTENTION.index("entropy")
    return {
        **{name: measured(name) for name in _BEHAVIOUR},
        "weight_norm": exact(lambda r: r.weight_norm),
        "least_embed_share": exact(lambda r: r.embed_shares[-1]),
        "embed_rank": exact(lambda r: _effective_rank(r.embed_shares)),
        "position_in_embed": exact(lambda r: r.position_in_embed),
        "small_scales": exact(lambda r: r.small_scales.mean()),
        "final_scales": exact(lambda r: r.small_scales[-1]),
        "least_entropy": exact(lambda r: r.attention[entropy].min()),
        "far_inputs": exact(lambda r: r.input_error[at]),
        "far_tasks": exact(lambda r: r.task_error[at]),
    }


def _effective_rank(shares: np.ndarray) -> float:
    """Of shares of squared singular values: their number where they are alike (Roy & Vetterli)."""
    positive = shares[shares > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def _heads(r: Record) -> tuple[Head, ...]:
    return tuple(
        Head(name=f"{layer}.{head}", target="xy"[target], kind=str(r.kinds[target, layer, head]))
        for target, layer, head in np.ndindex(r.kinds.shape)
        if r.kinds[target, layer, head] != "none"
    )
