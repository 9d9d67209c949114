"""How are a model's weights spread, and how does that change? A histogram of every matrix at every
checkpoint.

    python -m experiments.weights --suite=nano

Seconds on a laptop; reads each checkpoint once. Expect Gaussians of Pythia's initial width at step
0.
"""

import numpy as np
import xarray as xr
from absl import flags

from dynamics.measures import weights
from experiments import common

FLAGS = flags.FLAGS
flags.DEFINE_integer("bins", 256, "bins of a weight histogram", lower_bound=8)


def experiments(context: common.Context) -> list[common.Experiment]:
    """A census of every matrix of every checkpoint."""
    config = {"suite": context.suite.name, "bins": FLAGS.bins}
    return [common.Experiment("weights", config, common.grid(context, "weights"), density)]


def density(context: common.Context, unit):
    """`weights.model_density` of one checkpoint, matrices stacked."""
    loaded = context.load(unit.model, unit.seeds[0], unit.step, reads_text=False)
    found = weights.model_density(loaded.config, num_bins=FLAGS.bins)(loaded.params)
    edges = weights.edges(weights.default_half_width(loaded.config), FLAGS.bins)
    stacked = {
        field: np.stack([np.asarray(getattr(one, field)) for one in found.values()])
        for field in weights.Density._fields
    }
    data = {name: (("matrix", "bin")[: value.ndim], value) for name, value in stacked.items()}
    coordinates = {"matrix": list(found), "center": ("bin", (edges[1:] + edges[:-1]) / 2)}
    attributes = {"units": "weight", "rests_on": "all weights of the model: a census"}
    return xr.Dataset(data, coordinates, attributes), [loaded.provenance]


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
