"""How are a model's weights spread, and how does that change? A histogram of every matrix.

    python -m experiments.weights --suite=nano

Seconds on a laptop; reads each checkpoint once. Expect Gaussians of Pythia's initial width at step
0.
"""

import jax
import numpy as np
from absl import flags

from dynamics.measures import weights
from dynamics.questions.weights import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.whole("bins", 256, "bins of a weight histogram", least=8, most=100_000)


def experiments(study: Study) -> list[common.Experiment]:
    """A census of every matrix of every checkpoint."""
    config = {"suite": study.suite.name, "bins": FLAGS.bins}
    units = study.single_units(record.MEASURE)
    return [common.Experiment(record.MEASURE, config, units, density)]


def density(study: Study, unit: Unit):
    """`weights.model_density` of one checkpoint, matrices stacked."""
    (cell,) = unit.cells()
    checkpoint = study.load(*cell, reads_text=False)
    by_matrix = weights.model_density(checkpoint.config, num_bins=FLAGS.bins)(checkpoint.params)
    edges = weights.edges(weights.default_half_width(checkpoint.config), FLAGS.bins)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *by_matrix.values())
    census = record.Record(
        matrices=tuple(by_matrix),
        center=(edges[1:] + edges[:-1]) / 2,
        counts=stacked.counts,
        below=stacked.below,
        above=stacked.above,
        mean=stacked.mean,
        sd=stacked.sd,
        excess_kurtosis=stacked.excess_kurtosis,
    )
    return record.to_dataset(census), [checkpoint.provenance]


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
