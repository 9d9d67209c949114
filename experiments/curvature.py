"""How curved is the loss at each checkpoint? Traces by layer, the ends of the spectrum, and on
request its density.

    python -m experiments.curvature --suite=nano python -m experiments.curvature --suite=nano
    --density_probes=8 --out=results/density python -m experiments.curvature --suite=nano
    --block=layers.1.attention.heads.0 --out=results/head

A minute on 2 cores. Measured on training documents, where the loss is that of the optimiser. Probes
repeat across checkpoints, so that a curve over training shows the model's change and not theirs.
"""

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics import restrict
from dynamics.errors import InputError
from dynamics.measures import curvature, surprisal
from experiments import common

FLAGS = flags.FLAGS
flags.DEFINE_integer(
    "hessian_windows", 8, "windows of the batch whose Hessian is taken", lower_bound=1
)
flags.DEFINE_integer("hessian_probes", 16, "Rademacher probes of the traces", lower_bound=2)
flags.DEFINE_integer(
    "lanczos_steps", 16, "Lanczos steps for the extreme eigenvalues", lower_bound=2
)
flags.DEFINE_enum(
    "lanczos", "full", ["full", "recurrence"], "keep the Krylov basis, or three vectors of it"
)
flags.DEFINE_integer("eigenvalues", 1, "eigenvalues of either end", lower_bound=1)
flags.DEFINE_integer("density_probes", 0, "probes of the spectral density (0: none)", lower_bound=0)
flags.DEFINE_enum(
    "hessian_parts", "layers", ["layers", "modules", "heads"], "parts that the trace is told of"
)
flags.DEFINE_list(
    "block",
    [],
    "parts whose block of the Hessian is taken, such as layers.1.mlp; default the whole",
)
flags.DEFINE_integer(
    "hessian_at_once", 8, "windows of the batch whose activations are held at once", lower_bound=1
)
flags.DEFINE_integer("curvature_seeds", 1, "how many of the seeds to take (0: all)", lower_bound=0)

_SETTINGS = (
    "hessian_windows",
    "hessian_probes",
    "lanczos_steps",
    "eigenvalues",
    "density_probes",
    "hessian_parts",
)
_SETTINGS += ("block",)


def experiments(context: common.Context) -> list[common.Experiment]:
    """The Hessian at every checkpoint of the chosen seeds."""
    config = {**context.text_config(), **{name: FLAGS[name].value for name in _SETTINGS}}
    units = common.grid(context, "curvature", context.suite.seeds[: FLAGS.curvature_seeds or None])
    return [common.Experiment("curvature", config, units, hessian)]


def hessian(context: common.Context, unit):
    """Curvature on one fixed batch, the same at every checkpoint."""
    loaded = context.load(unit.model, unit.seeds[0], unit.step)
    loss = surprisal.loss_fn(loaded.config)
    batch, params = _batch(context), jax.device_put(loaded.params)
    of_loss, newton = map(
        _in_parts, (curvature.hessian(loss), surprisal.gauss_newton(loaded.config))
    )
    mask = restrict.select(loaded.config, *FLAGS.block) if FLAGS.block else None
    parts = {} if FLAGS.block else restrict.groups(loaded.config, FLAGS.hessian_parts)
    keys = list(map(jax.random.key, range(3)))
    known = {"num_samples": FLAGS.hessian_probes, "mask": mask}
    forms = curvature.probe(of_loss, params, batch, keys[0], parts=parts, **known)
    lanczos = {"num_matvecs": FLAGS.lanczos_steps, "method": FLAGS.lanczos, "mask": mask}
    data = {
        **_moments("", forms.moments()),
        **_moments(
            "gauss_newton_", curvature.probe(newton, params, batch, keys[0], **known).moments()
        ),
        **_ends(curvature.ends(of_loss, params, batch, keys[1], FLAGS.eigenvalues, **lanczos)),
        **_by_part(forms),
        "loss": float(np.asarray(common.jitted(loss)(params, batch))),
    }
    if context.suite.learning_rate is not None:
        data["learning_rate"] = context.suite.learning_rate(unit.model, unit.step)
    if FLAGS.density_probes:
        density = curvature.quadrature(
            of_loss, params, batch, keys[2], num_probes=FLAGS.density_probes, **lanczos
        )
        data |= {name: (("probe", "node"), getattr(density, name)) for name in ("nodes", "weights")}
    attributes = {
        "units": "nats per squared weight",
        "rests_on": f"{FLAGS.hessian_probes} probes on one batch",
    }
    attributes |= {"block": ", ".join(FLAGS.block)} if FLAGS.block else {}
    return xr.Dataset(data, {"part": list(parts)} if parts else {}, attributes), [loaded.provenance]


def _batch(context: common.Context):
    """[B,T] windows of training text, the same at every checkpoint."""
    held = context.train_windows
    if FLAGS.hessian_windows > len(held):
        raise InputError(
            f"--hessian_windows={FLAGS.hessian_windows}",
            expected=f"at most {len(held)}, the windows of {FLAGS.context} tokens that the training text has",
        )
    return held.take(FLAGS.hessian_windows).tokens


def _in_parts(product: curvature.Product) -> curvature.Product:
    """`product` with no more than --hessian_at_once windows' activations held, in equal parts of
    the batch."""
    whole = FLAGS.hessian_windows
    parts = next(
        n for n in range(1, whole + 1) if whole % n == 0 and whole // n <= FLAGS.hessian_at_once
    )
    return curvature.accumulated(product, parts) if parts > 1 else product


def _by_part(forms: curvature.Forms) -> dict:
    told = forms.by_part().values()
    rows = {"part_trace": [mean for mean, _ in told], "part_trace_sem": [sem for _, sem in told]}
    return {name: ("part", values) for name, values in rows.items()} if told else {}


def _moments(prefix: str, found: curvature.Moments) -> dict:
    return {f"{prefix}{name}": value for name, value in found._asdict().items()}


def _ends(found: curvature.ExtremeEigenvalues) -> dict:
    """The outermost as scalars, all of them beside."""
    names = ("largest", "smallest", "largest_error", "smallest_error")
    first = {name: getattr(found, name)[0] for name in names}
    return first | {f"{name}_all": ("rank", getattr(found, name)) for name in names}


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
