"""How curved is the loss at each checkpoint? Traces by layer, the ends of the spectrum, and on
request its density.

    python -m experiments.curvature --suite=nano
    python -m experiments.curvature --suite=nano --density_probes=8 --out=results/density
    python -m experiments.curvature --suite=nano --block=layers.1.mlp --out=results/mlp

A minute on 2 cores. Measured on training documents, where the loss is that of the optimiser: on one
batch at every checkpoint, and at the last one of a run on others too, since their Hessians differ.
Probes repeat across checkpoints, so that a curve over training shows the model's change and not
theirs.
"""

from collections.abc import Callable

import jax
import numpy as np
from absl import flags

from dynamics import restrict
from dynamics.errors import InputError
from dynamics.measures import curvature, surprisal
from dynamics.questions.curvature import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.whole("hessian_windows", 8, "windows of the batch whose Hessian is taken", least=1)
number_flags.whole(
    "hessian_probes",
    16,
    "Rademacher probes of the traces",
    least=2,
    most=number_flags.MOST_CHAINS,
)
number_flags.whole(
    "lanczos_steps",
    16,
    "Lanczos steps for the extreme eigenvalues",
    least=2,
    most=number_flags.MOST_PARTS,
)
flags.DEFINE_enum(
    "lanczos", "full", ["full", "recurrence"], "keep the Krylov basis, or three vectors of it"
)
number_flags.whole(
    "eigenvalues", 1, "eigenvalues of either end", least=1, most=number_flags.MOST_PARTS
)
number_flags.whole(
    "density_probes",
    0,
    "probes of the spectral density (0: none)",
    most=number_flags.MOST_CHAINS,
)
flags.DEFINE_enum(
    "hessian_parts", "layers", ["layers", "modules", "heads"], "parts that the trace is split by"
)
flags.DEFINE_list(
    "block",
    [],
    "parts whose block of the Hessian is taken, such as layers.1.mlp; default the whole",
)
number_flags.whole(
    "hessian_at_once", 8, "windows of the batch whose activations are held at once", least=1
)
number_flags.whole(
    "hessian_batches",
    4,
    "batches of the last checkpoint that tell how far the Hessian differs between them (0: none)",
    most=number_flags.MOST_CHAINS,
)
number_flags.whole(
    "curvature_seeds",
    None,
    "how many of the seeds to take (0: all); default all of a suite trained here, one of another",
)

_SETTINGS = (
    "hessian_windows",
    "hessian_probes",
    "lanczos_steps",
    "lanczos",
    "eigenvalues",
    "density_probes",
    "hessian_parts",
    "block",
    "hessian_batches",
)


def experiments(study: Study) -> list[common.Experiment]:
    """The Hessian at every checkpoint of the chosen seeds."""
    if FLAGS.eigenvalues > FLAGS.lanczos_steps:
        raise InputError(
            f"--eigenvalues={FLAGS.eigenvalues}",
            expected=f"at most {FLAGS.lanczos_steps}, the products of --lanczos_steps",
        )
    config = {**study.text_config(), **{name: FLAGS[name].value for name in _SETTINGS}}
    seeds = common.single_seeds(study, FLAGS.curvature_seeds)
    units = study.single_units(record.MEASURE, seeds)
    return [common.Experiment(record.MEASURE, config, units, hessian)]


def hessian(study: Study, unit: Unit):
    """Curvature on one fixed batch, the same at every checkpoint."""
    cell = unit.cells()[0]
    checkpoint = study.load(*cell)
    loss = surprisal.loss_fn(checkpoint.config)
    batch, params = _batch(study), jax.device_put(checkpoint.params)
    of_loss = _in_parts(curvature.hessian(loss))
    newton = _in_parts(surprisal.gauss_newton(checkpoint.config))
    mask = restrict.select(checkpoint.config, *FLAGS.block) if FLAGS.block else None
    parts = {} if FLAGS.block else restrict.groups(checkpoint.config, FLAGS.hessian_parts)
    keys = list(map(jax.random.key, range(3)))
    probes = {"num_samples": FLAGS.hessian_probes, "mask": mask}
    forms = curvature.probe(of_loss, params, batch, keys[0], parts=parts, **probes)
    newton_forms = curvature.probe(newton, params, batch, keys[0], **probes)
    lanczos = {"num_matvecs": FLAGS.lanczos_steps, "method": FLAGS.lanczos, "mask": mask}
    ends = curvature.ends(of_loss, params, batch, keys[1], FLAGS.eigenvalues, **lanczos)
    density = None
    if FLAGS.density_probes:
        quadrature = curvature.quadrature(
            of_loss, params, batch, keys[2], num_probes=FLAGS.density_probes, **lanczos
        )
        density = record.Density(nodes=quadrature.nodes, weights=quadrature.weights)
    rate = study.suite.learning_rate
    measured = record.Record(
        hessian=_moments(forms.moments()),
        gauss_newton=_moments(newton_forms.moments()),
        ends=record.Ends(
            largest=ends.largest,
            largest_error=ends.largest_error,
            smallest=ends.smallest,
            smallest_error=ends.smallest_error,
        ),
        parts=_by_part(forms),
        loss=float(np.asarray(common.jitted(loss)(params, batch))),
        learning_rate=None if rate is None else rate(cell.model, cell.step),
        density=density,
        block=", ".join(FLAGS.block),
        num_probes=FLAGS.hessian_probes,
        between=_between(
            study,
            unit,
            lambda other, key: curvature.probe(of_loss, params, other, key, parts=parts, **probes),
            lambda other, key: curvature.ends(of_loss, params, other, key, 1, **lanczos),
        ),
    )
    return record.to_dataset(measured), [checkpoint.provenance]


def _batch(study: Study):
    """[B,T] windows of training text, the same at every checkpoint."""
    windows = study.train_windows
    if FLAGS.hessian_windows > len(windows):
        raise InputError(
            f"--hessian_windows={FLAGS.hessian_windows}",
            expected=f"at most {len(windows)}, the windows of {FLAGS.context} tokens that the "
            "training text has",
        )
    return windows.take(FLAGS.hessian_windows).tokens


def _between(
    study: Study,
    unit: Unit,
    forms: Callable[..., curvature.Forms],
    ends: Callable[..., curvature.ExtremeEigenvalues],
) -> record.BetweenBatches | None:
    """At the last checkpoint of a run, over as many batches as the training text has."""
    size = FLAGS.hessian_windows
    count = min(FLAGS.hessian_batches, len(study.train_windows) // size)
    if unit.step != study.suite.steps[-1] or count < 2:
        return None
    windows = study.train_windows.take(count * size).tokens

    def trace(batch, key) -> tuple[float, float]:
        moments = forms(batch, key).moments()
        return moments.trace, moments.trace_sem

    def largest(batch, key) -> tuple[float, float]:
        outermost = ends(batch, key)
        return float(outermost.largest[0]), float(outermost.largest_error[0])

    traces, eigenvalues = (
        curvature.over_batches(
            measure, windows, jax.random.key(3), num_batches=count, batch_size=size
        )
        for measure in (trace, largest)
    )
    return record.BetweenBatches(
        trace=traces.between, largest=eigenvalues.between, count=count, size=size
    )


def _in_parts(product: curvature.Product) -> curvature.Product:
    """`product` with no more than --hessian_at_once windows' activations held, in equal parts of
    the batch."""
    whole = FLAGS.hessian_windows
    parts = next(
        n for n in range(1, whole + 1) if whole % n == 0 and whole // n <= FLAGS.hessian_at_once
    )
    return curvature.accumulated(product, parts) if parts > 1 else product


def _moments(moments: curvature.Moments) -> record.Moments:
    return record.Moments(
        trace=moments.trace,
        trace_sem=moments.trace_sem,
        frobenius=moments.frobenius,
        frobenius_sem=moments.frobenius_sem,
        effective_rank=moments.effective_rank,
        effective_rank_sem=moments.effective_rank_sem,
    )


def _by_part(forms: curvature.Forms) -> record.Parts | None:
    by_part = forms.by_part()
    if not by_part:
        return None
    means, sems = zip(*by_part.values(), strict=True)
    return record.Parts(names=tuple(by_part), trace=np.array(means), trace_sem=np.array(sems))


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
