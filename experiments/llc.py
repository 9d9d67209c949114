"""How degenerate is the loss around each checkpoint? The local learning coefficient by SGLD, with a locality verdict.

    python -m experiments.llc --suite=nano

About two minutes on 2 cores. The largest Hessian eigenvalue is measured first: it decides whether a chain is stable.
Estimates are comparable only at one (n beta, gamma, epsilon); those are part of the results' configuration.
"""

import math

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics import slt
from dynamics.measures import curvature, surprisal
from experiments import common

FLAGS = flags.FLAGS
flags.DEFINE_float("step_size", 2.5e-5, "SGLD step size epsilon, the variance of its noise")
flags.DEFINE_float("nbeta", 1000.0, "inverse temperature times sample size")
flags.DEFINE_float("localization", 3000.0, "strength gamma of the pull towards the checkpoint")
flags.DEFINE_integer("chains", 4, "independent chains", lower_bound=2)
flags.DEFINE_integer("draws", 100, "steps of a chain, burn-in among them", lower_bound=2)
flags.DEFINE_integer("burn_in", 50, "first steps of a chain that are left out", lower_bound=0)
flags.DEFINE_integer("llc_batch", 2, "windows of a minibatch", lower_bound=1)
flags.DEFINE_integer("llc_windows", 512, "windows of the data set that minibatches are drawn from", lower_bound=2)
flags.DEFINE_integer("llc_seeds", 1, "how many of the seeds to take (0: all)", lower_bound=0)
flags.DEFINE_enum("on_unstable", "report", ["refuse", "report"], "where the step size is beyond the stability bound")


def experiments(context: common.Context) -> list[common.Experiment]:
    """The LLC at every checkpoint of the chosen seeds."""
    names = ("step_size", "nbeta", "localization", "chains", "draws", "burn_in", "llc_batch", "llc_windows")
    config = {**context.text_config(), **{name: FLAGS[name].value for name in names}}
    seeds = context.suite.seeds[: FLAGS.llc_seeds or None]
    return [common.Experiment("llc", config, common.grid(context, "llc", seeds), learning_coefficient)]


def sampler() -> slt.SGLD:
    """The sampler that the flags name."""
    return slt.SGLD(
        step_size=FLAGS.step_size,
        nbeta=FLAGS.nbeta,
        localization=FLAGS.localization,
        num_chains=FLAGS.chains,
        num_draws=FLAGS.draws,
        burn_in=FLAGS.burn_in,
        batch_size=FLAGS.llc_batch,
    )


def learning_coefficient(context: common.Context, unit):
    """`slt.estimate_llc` at one checkpoint; noise and batches repeat at every checkpoint."""
    loaded = context.load(unit.model, unit.seeds[0], unit.step)
    loss, params = surprisal.loss_fn(loaded.config), jax.device_put(loaded.params)
    data = context.train_windows.take(FLAGS.llc_windows).tokens
    # A Ritz value lies inside the spectrum: with its residual bound it is the cautious side of the stability bound.
    ends = curvature.extreme_eigenvalues(loss, params, data[:8], jax.random.key(1), num_matvecs=8)
    top = float(ends.largest[0] + ends.largest_error[0])
    estimate = slt.estimate_llc(
        loss,
        params,
        data,
        jax.random.key(0),
        sampler(),
        trivial_loss=math.log(loaded.config.vocab_size),
        top_eigenvalue=top,
        on_unstable=FLAGS.on_unstable,
    )
    return _dataset(estimate, top), [loaded.provenance]


def _dataset(estimate: slt.LLCEstimate, top_eigenvalue: float) -> xr.Dataset:
    kept = slice(estimate.burn_in, None)
    chain_losses = estimate.loss_trace[:, kept].mean(1, dtype=np.float64)
    found = estimate.verdict
    data = {
        "llc": estimate.llc,
        "sem": estimate.sem,
        "init_loss": estimate.init_loss,
        "init_loss_sem": estimate.init_loss_sem,
        "trivial_loss": found.trivial_loss,
        "chain_loss": found.chain_loss,
        "chain_loss_sem": chain_losses.std(ddof=1) / len(chain_losses) ** 0.5,
        "rhat": estimate.rhat,
        "ess": estimate.ess,
        "nbeta": estimate.nbeta,
        "localization": estimate.localization,
        "step_size": estimate.step_size,
        "burn_in": estimate.burn_in,
        "top_eigenvalue": top_eigenvalue,
        "eps_a": estimate.stability.step_curvature,
        "relative_distance": found.relative_distance,
        "localization_share": found.localization_share,
        "per_chain": ("chain", estimate.per_chain),
        "loss_trace": (("chain", "draw"), estimate.loss_trace),
        "baseline_trace": (("chain", "draw"), estimate.baseline_trace),
        "distance": (("chain", "draw"), estimate.distance),
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
