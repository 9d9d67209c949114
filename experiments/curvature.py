"""How curved is the loss at each checkpoint? Hessian trace and the two ends of its spectrum.

    python -m experiments.curvature --suite=nano

About a minute on 2 cores. Measured on the training documents, where the loss is that of the optimiser.
"""

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics.measures import curvature, surprisal
from experiments import common

FLAGS = flags.FLAGS
flags.DEFINE_integer("hessian_windows", 8, "windows of the batch whose Hessian is taken", lower_bound=1)
flags.DEFINE_integer("hessian_probes", 16, "Rademacher probes of the trace", lower_bound=2)
flags.DEFINE_integer("lanczos_steps", 16, "Lanczos steps for the extreme eigenvalues", lower_bound=2)
flags.DEFINE_integer("curvature_seeds", 1, "how many of the seeds to take (0: all)", lower_bound=0)


def experiments(context: common.Context) -> list[common.Experiment]:
    """The Hessian at every checkpoint of the chosen seeds."""
    config = {
        **context.text_config(),
        "hessian_windows": FLAGS.hessian_windows,
        "hessian_probes": FLAGS.hessian_probes,
        "lanczos_steps": FLAGS.lanczos_steps,
    }
    seeds = context.suite.seeds[: FLAGS.curvature_seeds or None]
    return [common.Experiment("curvature", config, common.grid(context, "curvature", seeds), hessian)]


def hessian(context: common.Context, unit):
    """Trace and extreme eigenvalues on one fixed batch, the same at every checkpoint."""
    loaded = context.load(unit.model, unit.seeds[0], unit.step)
    loss = surprisal.loss_fn(loaded.config)
    batch, params = context.train_windows.take(FLAGS.hessian_windows).tokens, jax.device_put(loaded.params)
    # Probes repeat across checkpoints, so that a curve over training shows the model's change and not theirs.
    trace, sem = curvature.hessian_trace(loss, params, batch, jax.random.key(0), num_samples=FLAGS.hessian_probes)
    ends = curvature.extreme_eigenvalues(loss, params, batch, jax.random.key(1), num_matvecs=FLAGS.lanczos_steps)
    data = {
        "trace": trace,
        "trace_sem": sem,
        "largest": ends.largest[0],
        "largest_error": ends.largest_error[0],
        "smallest": ends.smallest[0],
        "smallest_error": ends.smallest_error[0],
        "loss": float(np.asarray(common.jitted(loss)(params, batch))),
    }
    attributes = {"units": "nats per squared weight", "rests_on": f"{FLAGS.hessian_probes} probes on one batch"}
    return xr.Dataset(data, attrs=attributes), [loaded.provenance]


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
