"""The sampler that the flags name: what every script that runs chains shares."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import numpy as np
from absl import flags, logging

from dynamics import slt
from dynamics.errors import InputError
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
_REPEATS = 1 << 30  # keys of repeats, far from those that steps are folded into
_MOST = 1e12  # of a constant of the dynamics; its square is still a float32
SAMPLERS = {
    "sgld": slt.SGLD,
    "rmsprop": slt.RMSpropSGLD,
    "adam": slt.AdamSGLD,
    "sgnht": slt.SGNHT,
    "mala": slt.MALA,
}
flags.DEFINE_enum("sampler", "sgld", list(SAMPLERS), "kernel of the chains")
flags.DEFINE_enum(
    "preset", None, list(slt.PRESETS), "a published study's sampler; flags given beside it win"
)
number_flags.real(
    "step_size",
    6e-5,
    "step size epsilon, the variance of a step's noise",
    least=1e-30,  # a float32 holds it
    most=_MOST,
)
number_flags.real(
    "nbeta",
    1000.0,
    "inverse temperature times sample size; m/log m is that of a batch of m windows",
    least=1e-30,
    most=_MOST,
    none="m/log m",
)
number_flags.real(
    "localization",
    400.0,
    "strength gamma of the pull towards the checkpoint",
    least=0,
    most=_MOST,
)
number_flags.whole("chains", 4, "independent chains", least=2, most=number_flags.MOST_CHAINS)
number_flags.whole("draws", 200, "draws of a chain, burn-in among them", least=2)
number_flags.whole("burn_in", 100, "first draws of a chain that are left out")
number_flags.whole("thinning", 1, "steps per draw", least=1)
number_flags.whole(
    "llc_batch", 2, "windows of a minibatch (mala takes all of --llc_windows)", least=1
)
flags.DEFINE_enum("baseline", "same_batch", slt.BASELINES, "what a chain's loss is compared with")
flags.DEFINE_enum("scale_by", "none", slt.SCALINGS, "units of each weight's noise and pull")
number_flags.whole(
    "chain_batch", None, "chains that a device holds at once; default all of its share", least=1
)
number_flags.whole(
    "llc_windows", 512, "windows of the data set that minibatches are drawn from", least=2
)
number_flags.whole(
    "llc_key", 0, "key of the noise and the batches: another one gives the same estimate anew"
)
number_flags.whole(
    "llc_seeds",
    None,
    "how many of the seeds to take (0: all); default all of a suite trained here, one of another",
)
flags.DEFINE_list(
    "parts",
    [],
    "parts of the model to sample over, such as layers.1.attention.heads.0; default all",
)
flags.DEFINE_enum(
    "on_unstable",
    "report",
    ["refuse", "report"],
    "where the step size is beyond the stability bound",
)

# Of suites that read contexts, where a flag is not given. A context is short and its error noisy:
# a batch holds more of them. The Hessian's largest eigenvalue reaches 300, and with this pull
# chains come to rest within the burn-in, near the model.
OF_CONTEXTS = {
    "step_size": 3e-5,
    "nbeta": 100.0,
    "localization": 2000.0,
    "draws": 80,
    "burn_in": 40,
    "llc_batch": 16,
    "llc_windows": 2048,
}

_FIELDS = {
    "step_size": "step_size",
    "nbeta": "nbeta",
    "localization": "localization",
    "chains": "num_chains",
    "draws": "num_draws",
    "burn_in": "burn_in",
    "thinning": "thinning",
    "llc_batch": "batch_size",
    "baseline": "baseline",
    "scale_by": "scale_by",
    "chain_batch": "chain_batch",
}


def settle(study: Study):
    """Gives flags that were not given the defaults for what the suite reads."""
    if study.regression is not None:
        for name, value in OF_CONTEXTS.items():
            FLAGS.set_default(name, value)


def sampler() -> slt.Sampler:
    """The sampler of the flags, or that of the preset with the flags that were given.

    Raises:
        InputError: a preset beside another kernel than its own; values that no sampler takes.
    """
    if FLAGS.preset is None:
        kernel = SAMPLERS[FLAGS.sampler]
        wanted = {field: FLAGS[flag].value for flag, field in _FIELDS.items()}
        return kernel(**wanted | ({"batch_size": None} if kernel is slt.MALA else {}))
    if FLAGS.sampler != "sgld":
        raise InputError(
            f"--sampler={FLAGS.sampler} --preset={FLAGS.preset}",
            expected="sgld, as the study had it",
        )
    present = {field: FLAGS[flag].value for flag, field in _FIELDS.items() if FLAGS[flag].present}
    return dataclasses.replace(slt.PRESETS[FLAGS.preset](), **present)


def config(study: Study) -> dict:
    """What an estimate depends on."""
    plan_fields = dataclasses.asdict(sampler())
    decisive = {
        name: value for name, value in plan_fields.items() if name not in ("chain_batch", "segment")
    }
    named = {"sampler": FLAGS.sampler, "llc_windows": FLAGS.llc_windows, "parts": list(FLAGS.parts)}
    if FLAGS.llc_key:  # results of before the flag are those of key 0
        named["llc_key"] = FLAGS.llc_key
    return {**study.text_config(), **decisive, **named}


def key(seed: int | None = None, repeat: int = 0) -> jax.Array:
    """The key of the chains around a seed's checkpoints; another for each repeat."""
    base = jax.random.key(FLAGS.llc_key)
    base = base if seed is None else jax.random.fold_in(base, seed)
    return jax.random.fold_in(base, _REPEATS + repeat) if repeat else base


def seeds(study: Study) -> tuple[int, ...]:
    """The seeds that are sampled around."""
    return common.single_seeds(study, FLAGS.llc_seeds)


def data(study: Study):
    """int32 [N,T]: the windows that batches are drawn from.

    Where the text has fewer than --llc_windows, all of them: a line says so, once. Raises
    InputError where the flag asked for more.
    """
    windows = study.train_windows
    if FLAGS.llc_windows > len(windows):
        _too_few_windows(len(windows))
    return windows.take(FLAGS.llc_windows).tokens


@functools.cache
def _too_few_windows(count: int):
    has = f"the {count} windows of {FLAGS.context} tokens that the training text has"
    if FLAGS["llc_windows"].present:
        raise InputError(f"--llc_windows={FLAGS.llc_windows}", expected=f"at most {has}")
    logging.warning("--llc_windows=%d: all of %s are taken", FLAGS.llc_windows, has)


def spaced(steps: Sequence[int], count: int) -> list[int]:
    """The last of the steps and `count` - 1 before it, evenly apart in the order of checkpoints."""
    places = np.linspace(0, len(steps) - 1, count + 1)[1:].round().astype(int) if steps else []
    return sorted({steps[place] for place in places})
