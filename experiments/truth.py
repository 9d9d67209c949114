"""Do seeds that converge to one another converge to the truth? Divergence from a distribution that
is known exactly.

    python -m experiments.truth --suite=truth

The suite is trained, in half a minute on 2 cores, on text of a hidden Markov chain
(dynamics/data/synthetic.py), whose exact next-token distribution the forward algorithm gives.
Expect the frequencies of tokens first, where seeds are closest to one another and still far from
the truth.
"""

import jax
import numpy as np
import xarray as xr
from absl import flags

from dynamics.data import synthetic
from dynamics.errors import InputError
from dynamics.measures import truth
from dynamics.results import Unit
from dynamics.training import nano
from experiments import alike, common

FLAGS = flags.FLAGS
_WINDOWS_SEED = 2  # of the windows that models are measured on; the corpus has another
_PER_SEED = ("truth_model", "model_truth", "unigram_model", "model_unigram", "surprisal", "entropy")
_SHARED = ("common", "variance", "truth_unigram", "true_surprisal", "true_entropy")


def experiments(context: common.Context) -> list[common.Experiment]:
    """The divergence of every model's seeds from the truth, and from one another, at every step."""
    if FLAGS.suite not in nano.KNOWN_TRUTH:
        raise InputError(
            f"--suite={FLAGS.suite}",
            expected=f"one trained on text of a known distribution: {' or '.join(nano.KNOWN_TRUTH)}",
        )
    if FLAGS.corpus:
        raise InputError(
            f"--corpus={FLAGS.corpus}",
            expected="none: of another text the true distribution is not known",
        )
    seeds = context.suite.seeds
    if len(seeds) < 2:
        raise InputError(
            f"{len(seeds)} seed",
            expected="two or more, to have a pair",
            mend="Select more --seeds.",
        )
    length = min(
        FLAGS.context, nano.RECIPES[FLAGS.suite][0].context
    )  # no further than they were trained to read
    config = {
        **context.text_config(),
        "context": length,
        "windows": FLAGS.windows,
        "windows_seed": _WINDOWS_SEED,
    }
    units = [
        Unit(measure="truth", model=model, seeds=seeds, step=step)
        for model in context.suite.models
        for step in context.suite.steps
    ]
    return [
        common.Experiment(
            "truth", config, units, lambda context, unit: known_truth(context, unit, length)
        )
    ]


def known_truth(context: common.Context, unit: Unit, length: int):
    """`truth.divergence_from_truth` of the unit's seeds on windows of the process, each a document
    of its own."""
    loaded = [context.load(*cell) for cell in unit.cells()]
    alike.check(unit, loaded)
    chain = synthetic.chain()
    tokens = synthetic.windows(chain, FLAGS.windows, length, _WINDOWS_SEED)
    params = alike.stack([checkpoint.params for checkpoint in loaded])
    log_truth = synthetic.log_predictive(chain, tokens)
    found = truth.divergence_from_truth(
        loaded[0].config, params, tokens, log_truth, np.log(chain.unigram)
    )
    mean = {name: value.mean(-1, dtype=np.float64) for name, value in found.items()}
    data = {
        "kl": (("seed", "other", "document"), mean["kl"]),
        **{name: (("seed", "document"), mean[name]) for name in _PER_SEED},
        **{name: ("document", mean[name]) for name in _SHARED},
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(loaded[0].params)),
    }
    coordinates = {
        "seed": list(unit.seeds),
        "document": np.arange(len(tokens)),
        "tokens": ("document", np.full(len(tokens), length - 1)),
    }
    attributes = {"units": "nats per token", "rests_on": "seeds and independent windows"}
    return xr.Dataset(data, coordinates, attributes), [
        checkpoint.provenance for checkpoint in loaded
    ]


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
