"""How degenerate is the loss around each checkpoint? The local learning coefficient, with a
locality verdict.

    python -m experiments.llc --suite=nano
    python -m experiments.llc --suite=nano --calibrate        # which step size, n beta and localization to take
    python -m experiments.llc --suite=nano --parts=layers.1.attention.heads.0 --out=results/head

About two minutes on 2 cores. The ends of the Hessian's spectrum are measured first: they decide
whether a chain is stable. Estimates are comparable only at one (n beta, gamma, epsilon); those are
part of the results' configuration.
"""

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics import slt
from dynamics.measures import surprisal
from dynamics.slt import language_model
from experiments import calibration, common, sampling

FLAGS = flags.FLAGS
flags.DEFINE_bool(
    "calibrate", False, "try a grid of settings at a few checkpoints and recommend one"
)
flags.DEFINE_bool(
    "sensitivity", False, "also with half the step and twice the pull: four times the work"
)
flags.DEFINE_bool("common_noise", True, "the same noise and batches at every checkpoint")


def experiments(context: common.Context) -> list[common.Experiment]:
    """The LLC at every checkpoint of the chosen seeds, or the calibration of its sampler."""
    if FLAGS.calibrate:
        return [calibration.experiment(context)]
    own = {"sensitivity": FLAGS.sensitivity, "common_noise": FLAGS.common_noise}
    units = common.grid(context, "llc", sampling.seeds(context))
    return [
        common.Experiment("llc", {**sampling.config(context), **own}, units, learning_coefficient)
    ]


def learning_coefficient(context: common.Context, unit):
    """The estimate at one checkpoint; noise and batches repeat at every checkpoint, unless asked
    otherwise."""
    loaded = context.load(unit.model, unit.seeds[0], unit.step)
    params, key = jax.device_put(loaded.params), jax.random.key(0)
    key = key if FLAGS.common_noise else jax.random.fold_in(key, unit.step)
    given = (params, sampling.data(context), key, sampling.sampler())
    options = {
        **language_model.known_options(loaded.config, FLAGS.parts),
        "on_unstable": FLAGS.on_unstable,
    }
    loss = surprisal.loss_fn(loaded.config)
    if not FLAGS.sensitivity:
        return dataset(slt.estimate_llc(loss, *given, **options)), [loaded.provenance]
    found = slt.sensitivity(loss, *given, **options)
    effects = {name: getattr(found, name) for name in found._fields if "effect" in name}
    return dataset(found.estimate).assign(effects), [loaded.provenance]


def dataset(estimate: slt.LLCEstimate) -> xr.Dataset:
    """All that a reader needs to believe or doubt an estimate."""
    kept = slice(estimate.burn_in, None)
    chain_losses = estimate.loss_trace[:, kept].mean(1, dtype=np.float64)
    found = estimate.verdict
    data = {
        "llc": estimate.llc,
        "sem": estimate.sem,
        "shared_sem": estimate.shared_sem,
        "init_loss": estimate.init_loss,
        "init_loss_sem": estimate.init_loss_sem,
        "trivial_loss": found.trivial_loss,
        "chain_loss": found.chain_loss,
        "chain_loss_sem": chain_losses.std(ddof=1) / len(chain_losses) ** 0.5,
        "rhat": estimate.rhat,
        "ess": estimate.ess,
        "acceptance": estimate.acceptance,
        "nbeta": estimate.nbeta,
        "localization": estimate.localization,
        "step_size": estimate.step_size,
        "burn_in": estimate.burn_in,
        "num_free": estimate.num_free,
        "eps_a": estimate.stability.step_curvature,
        "relative_distance": found.relative_distance,
        "localization_share": found.localization_share,
        "per_chain": ("chain", estimate.per_chain),
        "loss_trace": (("chain", "draw"), estimate.loss_trace),
        "baseline_trace": (("chain", "draw"), estimate.baseline_trace),
        "distance": (("chain", "draw"), estimate.distance),
        "grad_norm": (("chain", "draw"), estimate.grad_norm),
        "drift_norm": (("chain", "draw"), estimate.drift_norm),
        "pull_norm": (("chain", "draw"), estimate.pull_norm),
        "noise_norm": (("chain", "draw"), estimate.noise_norm),
    }
    attributes = {
        "units": "losses in nats; llc dimensionless",
        "rests_on": f"{len(estimate.per_chain)} chains",
        "verdict": found.state,
        "warnings": ", ".join(found.warnings),
        "stability": estimate.stability.state,
        "sentence": f"{found.sentence} {estimate.stability.sentence}",
    }
    return xr.Dataset(data, attrs=attributes)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
