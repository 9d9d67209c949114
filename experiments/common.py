"""What every experiment shares: flags, the study that they open, the loop over work units."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import xarray as xr
from absl import app, flags, logging

from dynamics import checkpoints, inputs, results, suite
from dynamics.checkpoints import hub
from dynamics.data import corpus, hub_text
from dynamics.errors import InputError, located
from dynamics.results import Unit
from dynamics.study import Study
from dynamics.training import icl_suites, nano
from experiments import endings, number_flags, progress, screening

FLAGS = flags.FLAGS
_FLAGFILE_BYTES = 1 << 20
MOST_SEED = (1 << 53) - 1  # what an array of float64 holds exactly
flags.DEFINE_string(
    "suite",
    "nano",
    "nano, smoke, nano-masked, smoke-masked, truth, smoke-truth, nano-causes, smoke-causes, "
    "nano-warmup, icl-small (trained here on first use), icl-paper, pythia, polypythia, "
    "polypythia-data, polypythia-weights, polypythia-causes, multibert, or a toml file that "
    "describes one (dynamics/suite/file.py)",
)
flags.DEFINE_list("models", None, "models of the suite; default all that it has")
number_flags.wholes("seeds", None, "seeds; default all", most=MOST_SEED)
flags.DEFINE_list(
    "steps",
    None,
    "training steps: numbers, log, linear:N, all; default log where a suite is published",
)
flags.DEFINE_string(
    "weights", None, "folder tree REPO/REVISION with weights brought to this machine"
)
flags.DEFINE_bool(
    "keep_suspect", False, "measure checkpoints that the audit of a hub suite convicts, too"
)
number_flags.real(
    "cache_gb",
    100.0,
    "room for downloaded weights; those used longest ago go first",
    least=0.1,
    most=1e6,
)
flags.DEFINE_string(
    "corpus",
    None,
    "what to measure on: a file of text, jsonl (.gz, .zst) or token ids (.npy, .bin), a folder, "
    "or hub:OWNER/NAME[/CONFIG][:SPLIT], a data set of the hub; default the suite's own",
)
number_flags.whole(
    "corpus_documents", 1000, "documents to take of a --corpus on the hub, the first", least=1
)
flags.DEFINE_string(
    "train_on",
    None,
    "text to train a suite of our own on in place of its own, in the forms of --corpus; documents "
    "that name a domain, such as a language, are told apart",
)
flags.DEFINE_enum(
    "measure_on",
    None,
    ["held_out", "all"],
    "part of the text that is measured on: held_out, one document in ten; all; default held_out "
    "where the suite was trained on the text, and all of any other --corpus",
)
flags.DEFINE_string("out", None, "folder for results and report; default results/SUITE")
flags.DEFINE_string("shard", "0/1", "i/n: take every n-th work unit from the i-th")
number_flags.whole("context", 128, "tokens per window", least=2)
number_flags.whole("windows", 160, "windows to measure divergence and surprisal on", least=1)

SUITES: dict[str, Callable[[], suite.Suite]] = {
    "pythia": suite.pythia,
    "polypythia": suite.polypythia,
    "polypythia-causes": suite.polypythia_causes,
    "polypythia-data": suite.polypythia_data,
    "polypythia-weights": suite.polypythia_weights,
    "multibert": suite.multibert,
}

# (study, unit) -> the unit's data, and where its weights came from
Compute = Callable[[Study, Unit], tuple[xr.Dataset, Sequence[Mapping]]]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A question: its work units, what they depend on, and how one is computed.

    Attributes:
        measure: name of the results.
        config: what they depend on.
        units: all of them, of every shard.
        compute: measures one.
        may_be_nan: variables in which NaN says that nothing was measured, and no fault.
        whole_files: whether checkpoints on the hub are fetched before a unit is computed; without,
            `compute` reads of them what it needs.
    """

    measure: str
    config: Mapping
    units: Sequence[Unit]
    compute: Compute
    may_be_nan: Collection[str] = ()
    whole_files: bool = True


def open_suite(audited: bool = True) -> Study:
    """The suite that the flags name, opened for measuring.

    It is trained first if it is one of ours and lacks files, and audited if it is the hub's.
    """
    whole = named_suite()
    steps = whole.default_steps
    if FLAGS.steps:
        steps = suite.choose(FLAGS.steps, whole.steps, whole.default_steps)
    grid = whole.select(FLAGS.models, FLAGS.seeds, steps)
    results.shard([], FLAGS.shard)  # a malformed shard ends here, before any work
    store = results.Store(out_folder(grid.name))
    results.check_writable(store.root)
    measure_on = _measure_on()
    if FLAGS.suite in nano.RECIPES:
        nano.ensure(FLAGS.suite, grid.models, _training_progress, _trained_on())
    if FLAGS.suite in icl_suites.RECIPES:
        icl_suites.ensure(FLAGS.suite, _training_progress)
    if audited and grid.on_hub:
        grid = screening.leave_out(grid, screening.examine(whole, grid, store, read="no"))
    if not any(True for _ in grid.cells()):
        _refuse_empty(grid)
    return Study(
        suite=grid,
        store=store,
        read_corpus=_corpus,
        window_length=FLAGS.context,
        measure_on=measure_on,
        weights=FLAGS.weights,
        shard=FLAGS.shard,
        fingerprint=_fingerprint(whole),
    )


def single_seeds(study: Study, count: int | None) -> tuple[int, ...]:
    """The first `count` seeds of the study, all where it is 0.

    None takes all of a suite that is trained here, whose models are small, and one of any other.
    Suites that read contexts are all trained here.
    """
    if count is None:
        trained_here = FLAGS.suite in nano.RECIPES or study.suite.reads == "contexts"
        count = 0 if trained_here else 1
    return study.suite.seeds[: count or None]


def _training_progress(recipe):
    return progress.counter(recipe.num_steps, f"training {recipe.name}")


def _refuse_empty(grid: suite.Suite):
    """Raises InputError for a suite without a checkpoint that may be measured."""
    # Where not even the first revision exists, its near ones say more than that all are missing.
    first = grid.source(grid.models[0], grid.seeds[0], grid.steps[0])
    checkpoints.config(*first, weights=FLAGS.weights)
    raise InputError(
        f"{grid.name} of which the audit convicts every chosen checkpoint",
        expected="one or more that can be trusted",
        mend="Choose other --models, --seeds or --steps, or measure all the same with "
        "--keep_suspect.",
    )


def _corpus() -> corpus.Corpus:
    return _read(FLAGS.corpus) if FLAGS.corpus else nano.text(FLAGS.suite, _trained_on())


def _trained_on() -> corpus.Corpus | None:
    """--train_on. Raises InputError for a suite that is not trained here."""
    if not FLAGS.train_on:
        return None
    if FLAGS.suite not in nano.RECIPES:
        raise InputError(
            f"--train_on={FLAGS.train_on} with --suite={FLAGS.suite}",
            expected=f"a suite that is trained here: {', '.join(nano.RECIPES)}",
        )
    return _read(FLAGS.train_on)


@functools.lru_cache(maxsize=2)
def _read(path: str) -> corpus.Corpus:
    if path.startswith(hub_text.PREFIX):
        return hub_text.read(path, FLAGS.corpus_documents)
    return corpus.read(path)


def _measure_on() -> Literal["held_out", "all"]:
    """--measure_on, or by default all of a text that the suite was not trained on."""
    if FLAGS.measure_on:
        return FLAGS.measure_on
    if not FLAGS.corpus:
        return "held_out"
    if FLAGS.suite not in nano.RECIPES:
        return "all"
    trained_on = nano.text(FLAGS.suite, _trained_on())
    if _corpus().fingerprint() == trained_on.fingerprint():
        return "held_out"
    texts = {document.text for document in trained_on.train().documents}
    shared = sum(bool(d.text) and d.text in texts for d in _corpus().documents)
    if shared:
        logging.warning(
            "--corpus=%s: %d of its %d documents are among those that %s was trained on; all are "
            "measured",
            FLAGS.corpus,
            shared,
            len(_corpus().documents),
            FLAGS.suite,
        )
    return "all"


def _fingerprint(whole: suite.Suite) -> str:
    """Which checkpoints bear the suite's names.

    That of a suite trained here has its recipes and its text in its folder's name; of any other it
    is a digest of where the checkpoints lie.
    """
    location = whole.source(whole.models[0], whole.seeds[0], whole.steps[0]).location
    if FLAGS.suite in nano.RECIPES:
        return Path(location).parents[2].name
    return hashlib.sha256(location.encode()).hexdigest()[:12]


def named_suite() -> suite.Suite:
    """The whole suite that --suite names: one of ours, a published one, or a toml file's."""
    own = _trained_on()
    if FLAGS.suite.endswith(".toml"):
        return suite.read(Path(FLAGS.suite))
    if FLAGS.suite in nano.RECIPES:
        return nano.suite(FLAGS.suite, own)
    if FLAGS.suite in icl_suites.RECIPES:
        return icl_suites.suite(FLAGS.suite)
    if FLAGS.suite not in SUITES:
        named = [*nano.RECIPES, *icl_suites.RECIPES, *SUITES, "FILE.toml"]
        raise InputError.unknown("suite", FLAGS.suite, named)
    return SUITES[FLAGS.suite]()


def out_folder(suite_name: str) -> Path:
    """Where results go: --out, or results/SUITE."""
    return Path(FLAGS.out or Path("results") / suite_name)


def run(study: Study, experiment: Experiment):
    """Computes what is not yet committed of this shard's units, in order.

    Raises InputError, which names the unit or the checkpoint; what was committed stays.
    """
    mine = results.shard(experiment.units, study.shard)
    config = {**experiment.config, "checkpoints": study.fingerprint}
    missing = [unit for unit in mine if not study.store.has(unit, config)]
    for unit in sorted(set(mine) - set(missing)):
        study.check_weights(unit)
    logging.info("%s: %d of %d units to compute", experiment.measure, len(missing), len(mine))
    ready = _brought(study, missing) if experiment.whole_files else missing
    for unit in progress.follow(ready, len(missing), experiment.measure):
        with located(str(unit)):
            data, weights = experiment.compute(study, unit)
        data = _with_gaps_said(unit, data, weights, experiment.may_be_nan)
        if unit.model and study.suite.tokens_per_step:
            data = data.assign_attrs(tokens_per_step=study.suite.tokens_per_step)
        origin = {"weights": weights, "corpus": study.text_origin()}
        study.store.write(unit, data, config, origin)


def _with_gaps_said(
    unit: Unit, data: xr.Dataset, weights: Sequence[Mapping], may_be_nan: Collection[str]
) -> xr.Dataset:
    """The data with an attribute that says which of its numbers are not finite; so does stderr."""
    counts = {
        name: (int((~np.isfinite(variable.values)).sum()), variable.size)
        for name, variable in data.variables.items()
        if variable.dtype.kind == "f" and name not in may_be_nan
    }
    gaps = ", ".join(
        f"{count} of {size} of {name}" for name, (count, size) in counts.items() if count
    )
    if not gaps:
        return data
    folders = ", ".join(str(origin.get("folder", "?")) for origin in weights) or "no checkpoint"
    logging.warning(
        "%s: numbers that are not finite: %s; from %s; the page shows gaps", unit, gaps, folders
    )
    return data.assign_attrs(not_finite=gaps)


def _brought(study: Study, units: Sequence[Unit]) -> Iterator[Unit]:
    """The units, each once its checkpoints are here; those of the next are fetched meanwhile."""
    if not study.suite.on_hub:
        yield from units
        return
    budget = hub.Budget(FLAGS.cache_gb)

    def sources(unit: Unit) -> list[suite.Source]:
        return [study.suite.source(*cell) for cell in unit.cells()]

    def bring(unit: Unit):
        for source in sources(unit):
            if source.on_hub:
                budget.fetch(*source, weights=study.weights)

    def release(unit: Unit):
        for source in sources(unit):
            budget.release(*source)

    for unit, _ in hub.prefetched(units, bring, release=release):
        yield unit


def run_all(make: Callable[[Study], Sequence[Experiment]]):
    """A whole script: opens the suite that the flags name and runs what `make` asks of it."""
    study = open_suite()
    for experiment in make(study):
        run(study, experiment)


def main(body: Callable[[], None]):
    """Runs `body` under absl, with the ends that `endings` gives a script."""

    def checked(argv):
        if len(argv) > 1:
            endings.refuse(f"got the argument {argv[1]}; expected flags alone, as --NAME=VALUE")
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # orbax reports every file it opens
        endings.catch_signals()
        endings.run(body)

    app.run(checked, flags_parser=_parse_flags)


def _parse_flags(argv: list[str]) -> list[str]:
    """What is left of the arguments once the flags are set; ends the script at a bad one."""
    try:
        for argument in argv[1:]:
            name, _, path = argument.lstrip("-").partition("=")
            if name == "flagfile" and path:  # absl would read a device without end
                inputs.read_text(path, _FLAGFILE_BYTES, "a file of flags")
        return FLAGS(argv)
    except InputError as error:
        endings.refuse(str(error))
    except flags.Error as error:
        # absl names flag and value again around an error of ours that says both.
        cause = error.__context__
        endings.refuse(str(cause if isinstance(cause, InputError) else error))


@functools.cache
def jitted(fn: Callable) -> Callable:
    """`jax.jit(fn)`, the same one for the same function, so that a sweep compiles once."""
    return jax.jit(fn)
