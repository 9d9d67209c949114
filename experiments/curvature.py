"""How curved is the loss at each checkpoint? Traces by layer, the ends of the spectrum, and on request its density.

    python -m experiments.curvature --suite=nano
    python -m experiments.curvature --suite=nano --density_probes=8 --out=results/density

Two to three minutes on 2 cores. Measured on training documents, where the loss is that of the optimiser. Probes repeat
across checkpoints, so that a curve over training shows the model's change and not theirs.
"""

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics import restrict
from dynamics.measures import curvature, surprisal
from experiments import common

FLAGS = flags.FLAGS
flags.DEFINE_integer("hessian_windows", 8, "windows of the batch whose Hessian is taken", lower_bound=1)
flags.DEFINE_integer("hessian_probes", 16, "Rademacher probes of the traces", lower_bound=2)
flags.DEFINE_integer("lanczos_steps", 16, "Lanczos steps for the extreme eigenvalues", lower_bound=2)
flags.DEFINE_enum("lanczos", "full", ["full", "recurrence"], "keep the Krylov basis, or three vectors of it")
flags.DEFINE_integer("eigenvalues", 1, "eigenvalues of either end", lower_bound=1)
flags.DEFINE_integer("density_probes", 0, "probes of the spectral density (0: none)", lower_bound=0)
flags.DEFINE_enum("hessian_parts", "layers", ["layers", "modules", "heads"], "parts that the trace is told of")
flags.DEFINE_integer("curvature_seeds", 1, "how many of the seeds to take (0: all)", lower_bound=0)

_SETTINGS = ("hessian_windows", "hessian_probes", "lanczos_steps", "eigenvalues", "density_probes", "hessian_parts")


def experiments(context: common.Context) -> list[common.Experiment]:
    """The Hessian at every checkpoint of the chosen seeds."""
    config = {**context.text_config(), **{name: FLAGS[name].value for name in _SETTINGS}}
    units = common.grid(context, "curvature", context.suite.seeds[: FLAGS.curvature_seeds or None])
    return [common.Experiment("curvature", config, units, hessian)]


def hessian(context: common.Context, unit):
    """Curvature on one fixed batch, the same at every checkpoint."""
    loaded = context.load(unit.model, unit.seeds[0], unit.step)
    loss, newton = surprisal.loss_fn(loaded.config), surprisal.gauss_newton(loaded.config)
    batch, params = context.train_windows.take(FLAGS.hessian_windows).tokens, jax.device_put(loaded.params)
    parts = restrict.groups(loaded.config, FLAGS.hessian_parts)
    keys = list(map(jax.random.key, range(3)))
    known = {"num_samples": FLAGS.hessian_probes}
    forms = curvature.probe(curvature.hessian(loss), params, batch, keys[0], parts=parts, **known)
    ends = curvature.extreme_eigenvalues(
        loss, params, batch, keys[1], FLAGS.eigenvalues, FLAGS.lanczos_steps, method=FLAGS.lanczos
    )
    data = {
        **_moments("", forms.moments()),
        **_moments("gauss_newton_", curvature.probe(newton, params, batch, keys[0], **known).moments()),
        **_ends(ends),
        "part_trace": ("part", [mean for mean, _ in forms.by_part().values()]),
        "part_trace_sem": ("part", [sem for _, sem in forms.by_part().values()]),
        "loss": float(np.asarray(common.jitted(loss)(params, batch))),
    }
    if context.suite.learning_rate is not None:
        data["learning_rate"] = context.suite.learning_rate(unit.model, unit.step)
    if FLAGS.density_probes:
        chosen = {"num_probes": FLAGS.density_probes, "num_matvecs": FLAGS.lanczos_steps, "method": FLAGS.lanczos}
        density = curvature.spectral_density(loss, params, batch, keys[2], **chosen)
        data |= {name: (("probe", "node"), getattr(density, name)) for name in ("nodes", "weights")}
    attributes = {"units": "nats per squared weight", "rests_on": f"{FLAGS.hessian_probes} probes on one batch"}
    return xr.Dataset(data, {"part": list(parts)}, attributes), [loaded.provenance]


def _moments(prefix: str, found: curvature.Moments) -> dict:
    return {f"{prefix}{name}": value for name, value in found._asdict().items()}


def _ends(found: curvature.ExtremeEigenvalues) -> dict:
    """The outermost as scalars, all of them beside."""
    names = ("largest", "smallest", "largest_error", "smallest_error")
    first = {name: getattr(found, name)[0] for name in names}
    return first | {f"{name}_all": ("rank", getattr(found, name)) for name in names}


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
