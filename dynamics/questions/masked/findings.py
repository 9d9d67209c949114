"""What seeds of masked models make of hidden tokens over training."""

from dynamics.questions.committed import Committed, by_largest_seed_set
from dynamics.questions.masked import record
from dynamics.questions.seed_divergence import Divergence, divergence


def find(committed: Committed) -> list[Divergence] | None:
    """One per model, models by size, of the largest set of seeds that it was measured with."""
    units = by_largest_seed_set(committed.of(record.MEASURE))
    return [
        divergence(model, pairs, [record.from_dataset(data).numbers for _, data in pairs])
        for model, pairs in units.items()
    ] or None
