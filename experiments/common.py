"""What every experiment shares: flags, the opened suite, the loop over work units, and how a script
ends."""

import contextlib
import dataclasses
import functools
import hashlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
import xarray as xr
from absl import app, flags, logging

from dynamics import checkpoints, models, results, suite
from dynamics.checkpoints import fetch, prefetch
from dynamics.data import corpus, tokenizer, windows
from dynamics.errors import InputError
from dynamics.results import Unit
from dynamics.training import nano
from experiments import audits, progress

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "suite",
    "nano",
    "nano, smoke, nano-masked, smoke-masked, truth, smoke-truth (trained here on first use), pythia, polypythia, "
    "polypythia-data, polypythia-weights, multibert, or a toml file that describes one (dynamics/suite/file.py)",
)
flags.DEFINE_list("models", None, "models of the suite; default all that it has")
flags.DEFINE_list("seeds", None, "seeds; default all")
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
flags.DEFINE_float(
    "cache_gb",
    100.0,
    "room for downloaded weights; those used longest ago go first",
    lower_bound=0.1,
)
flags.DEFINE_string(
    "corpus", None, "text or jsonl file, or folder, to measure on; default the suite's own"
)
flags.DEFINE_string("out", None, "folder for results and report; default results/SUITE")
flags.DEFINE_string("shard", "0/1", "i/n: take every n-th work unit from the i-th")
flags.DEFINE_integer("context", 128, "tokens per window", lower_bound=2)
flags.DEFINE_integer(
    "windows", 160, "windows to measure divergence and surprisal on", lower_bound=1
)

SUITES: dict[str, Callable[[], suite.Suite]] = {
    "nano": functools.partial(nano.suite, "nano"),
    "smoke": functools.partial(nano.suite, "smoke"),
    "nano-masked": functools.partial(nano.suite, "nano-masked"),
    "smoke-masked": functools.partial(nano.suite, "smoke-masked"),
    "truth": functools.partial(nano.suite, "truth"),
    "smoke-truth": functools.partial(nano.suite, "smoke-truth"),
    "pythia": suite.pythia,
    "polypythia": suite.polypythia,
    "polypythia-data": suite.polypythia_data,
    "polypythia-weights": suite.polypythia_weights,
    "multibert": suite.multibert,
}


_DISK = (
    "expected a readable, writable disk with room. Free some space, or move $DYNAMICS_CACHE or --out, and run the same "
    "command: what was committed stays."
)
_MEMORY = "expected work that fits the memory. Take fewer windows, seeds or chains at once; what was committed stays."

# signal -> exit code, and what is said
_ENDS = {
    signal.SIGINT: (130, b"\nstopped; run the same command to go on where it was\n"),
    signal.SIGTERM: (143, b"\nterminated; committed results stay, the same command goes on\n"),
}


@dataclasses.dataclass(frozen=True)
class Context:
    """A suite opened for measuring: where its results go and what text it is measured on."""

    suite: suite.Suite
    store: results.Store
    shard: str
    weights: str | None

    @functools.cached_property
    def corpus(self) -> corpus.Corpus:
        return corpus.read(FLAGS.corpus) if FLAGS.corpus else nano.text(FLAGS.suite)

    @functools.cached_property
    def corpus_fingerprint(self) -> str:
        return self.corpus.fingerprint()

    @functools.cached_property
    def tokenizer(self):
        cell = next(self.suite.cells())  # one that was left out may have another's tokenizer
        return tokenizer.load(checkpoints.find(*self.suite.source(*cell), weights=self.weights))

    @functools.cached_property
    def train_documents(self) -> list[np.ndarray]:
        return tokenizer.encode(self.tokenizer, self.corpus.train())

    @functools.cached_property
    def held_out(self) -> windows.Windows:
        return self._cut(tokenizer.encode(self.tokenizer, self.corpus.held_out()))

    @functools.cached_property
    def train_windows(self) -> windows.Windows:
        return self._cut(self.train_documents)

    def _cut(self, documents: list[np.ndarray]) -> windows.Windows:
        """Windows that every model of the suite can read: known before the first unit, not at the
        first that fails."""
        for model in self.suite.models:
            cell = next((cell for cell in self.suite.cells() if cell.model == model), None)
            if cell is None:
                continue
            most = checkpoints.config(*self.suite.source(*cell), weights=self.weights).max_positions
            if FLAGS.context > most:
                raise InputError(
                    f"--context={FLAGS.context}",
                    expected=f"at most {most}, the positions of {model}",
                )
        return windows.cut(documents, FLAGS.context)

    @functools.cached_property
    def token_range(self) -> np.ndarray:
        """[2]: the least and the greatest token id of the text, trained on or held out."""
        ids = [self.held_out.tokens, *self.train_documents]
        return np.array([min(map(np.min, ids)), max(map(np.max, ids))])

    def load(
        self, model: str, seed: int, step: int, *, reads_text: bool = True
    ) -> checkpoints.Checkpoint:
        """A checkpoint; if it is to read the text, one that predicts next tokens and knows all of
        the text's.

        Raises InputError.
        """
        loaded = checkpoints.load(*self.suite.source(model, seed, step), weights=self.weights)
        if reads_text:
            models.check_causal(loaded.config)
            windows.check_vocabulary(self.token_range, loaded.config.vocab_size)
        return loaded

    @property
    def place(self) -> str:
        """Which checkpoints bear the suite's names: a trained suite's fingerprint, or a digest of
        where they lie."""
        first = (
            self.suite.source(self.suite.models[0], 0, 0) if FLAGS.suite in nano.RECIPES else None
        )
        if first:
            return Path(first.location).parents[2].name
        whole = named_suite()
        spot = whole.source(whole.models[0], whole.seeds[0], whole.steps[0]).location
        return hashlib.sha256(spot.encode()).hexdigest()[:12]

    def text_config(self) -> dict:
        """The part of a configuration that says what was measured on."""
        return {
            "suite": self.suite.name,
            "corpus_sha256": self.corpus_fingerprint,
            "context": FLAGS.context,
        }


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A question: its work units, what they depend on, and how one is computed."""

    measure: str
    config: Mapping
    units: Sequence[Unit]
    compute: Callable[
        [Context, Unit], tuple[xr.Dataset, Sequence[Mapping]]
    ]  # data, and the weights' provenance


def open_suite(audited: bool = True) -> Context:
    """The suite that the flags name: trained first if it is one of ours and lacks files, audited if
    it is the hub's."""
    chosen = named_suite()
    steps = (
        suite.choose(FLAGS.steps, chosen.steps, chosen.default_steps)
        if FLAGS.steps
        else chosen.default_steps
    )
    chosen = chosen.select(FLAGS.models, _integers("seeds"), steps)
    results.shard([], FLAGS.shard)  # a malformed shard ends here, before any work
    store = results.Store(out_folder(chosen.name))
    results.check_writable(store.root)
    if FLAGS.suite in nano.RECIPES:
        nano.ensure(
            FLAGS.suite,
            chosen.models,
            lambda r: progress.counter(r.num_steps, f"training {r.name}"),
        )
    if audited and chosen.on_hub:
        chosen = audits.leave_out(chosen, audits.examine(named_suite(), chosen, store, read="no"))
    if not any(True for _ in chosen.cells()):
        # Where not even the first revision exists, its near ones say more than that all are
        # missing.
        checkpoints.config(
            *chosen.source(chosen.models[0], chosen.seeds[0], chosen.steps[0]),
            weights=FLAGS.weights,
        )
        raise InputError(
            f"{chosen.name} of which the audit convicts every chosen checkpoint",
            expected="one or more that can be trusted",
            mend="Choose other --models, --seeds or --steps, or measure all the same with --keep_suspect.",
        )
    return Context(chosen, store, FLAGS.shard, FLAGS.weights)


def named_suite() -> suite.Suite:
    """The whole suite that --suite names: one of ours, a published one, or a toml file's."""
    if FLAGS.suite.endswith(".toml"):
        return suite.read(Path(FLAGS.suite))
    if FLAGS.suite not in SUITES:
        raise InputError.unknown("suite", FLAGS.suite, [*SUITES, "FILE.toml"])
    return SUITES[FLAGS.suite]()


def out_folder(suite_name: str) -> Path:
    """Where results go: --out, or results/SUITE."""
    return Path(FLAGS.out or Path("results") / suite_name)


def run(context: Context, experiment: Experiment):
    """Computes what is not yet committed of this shard's units, in order."""
    mine = results.shard(experiment.units, context.shard)
    config = {**experiment.config, "checkpoints": context.place}
    missing = [unit for unit in mine if not context.store.has(unit, config)]
    logging.info("%s: %d of %d units to compute", experiment.measure, len(missing), len(mine))
    for unit in progress.follow(_brought(context, missing), len(missing), experiment.measure):
        data, weights = experiment.compute(context, unit)
        provenance = {
            "weights": weights,
            "corpus": {"name": context.corpus.name, "sha256": context.corpus_fingerprint},
        }
        context.store.write(unit, data, config, provenance)


def _brought(context: Context, units: Sequence[Unit]) -> Iterator[Unit]:
    """The units, each once its checkpoints are on this machine; those of the next are fetched
    meanwhile."""
    if not context.suite.on_hub:
        yield from units
        return
    budget = fetch.Budget(FLAGS.cache_gb)

    def sources(unit: Unit) -> list[suite.Source]:
        # A yardstick has no checkpoint of its own.
        known = unit.model in context.suite.models
        return (
            [context.suite.source(unit.model, seed, unit.step) for seed in unit.seeds]
            if known
            else []
        )

    def bring(unit: Unit):
        for source in sources(unit):
            if source.on_hub:
                budget.fetch(*source, weights=context.weights)

    def release(unit: Unit):
        for source in sources(unit):
            budget.release(*source)

    for unit, _ in prefetch.ahead(units, bring, release=release):
        yield unit


def run_all(make: Callable[[Context], Sequence[Experiment]]):
    """A whole script: opens the suite that the flags name and runs what `make` asks of it."""
    context = open_suite()
    for experiment in make(context):
        run(context, experiment)


def grid(context: Context, measure: str, seeds: Sequence[int] | None = None) -> list[Unit]:
    """A unit for every model, seed and step that may be measured."""
    chosen = context.suite.seeds if seeds is None else seeds
    return [
        Unit(measure=measure, model=cell.model, seeds=(cell.seed,), step=cell.step)
        for cell in context.suite.cells()
        if cell.seed in chosen
    ]


def main(body: Callable[[], None]):
    """Runs `body` under absl: one line for bad input, clean ends for Ctrl-C and SIGTERM, exit codes
    not 0."""

    def guarded(argv):
        if len(argv) > 1:
            raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # orbax tells of every file it opens
        # Not by exceptions: one raised inside a callback of the compiler is swallowed. A kill at
        # any point is safe.
        for number, (code, words) in _ENDS.items():
            signal.signal(number, functools.partial(_end, code, words))
        try:
            body()
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            print(f"error: got {str(error).splitlines()[0][:200]}; {_MEMORY}", file=sys.stderr)
            sys.exit(1)
        except OSError as error:
            where = f" at {error.filename}" if error.filename else ""
            print(f"error: got {error.strerror or error}{where}; {_DISK}", file=sys.stderr)
            sys.exit(1)

    app.run(guarded)


@functools.cache
def jitted(fn: Callable) -> Callable:
    """`jax.jit(fn)`, the same one for the same function, so that a sweep compiles once."""
    return jax.jit(fn)


def _end(code: int, words: bytes, signum, frame):
    os.write(2, words)
    os._exit(code)


def _integers(flag: str) -> list[int] | None:
    values: list[str] = FLAGS[flag].value or []
    with contextlib.suppress(ValueError):
        return [int(value) for value in values] or None
    raise InputError(f"--{flag}={','.join(values)}", expected="whole numbers separated by commas")
