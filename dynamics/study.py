"""A suite opened for measuring: its checkpoints, the text it is measured on, its results.

Axes: S seeds, N windows, T tokens. It needs no flags: scripts make one of theirs, other code of its
own arguments.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from dynamics import checkpoints, models, results
from dynamics.checkpoints import digests
from dynamics.data import contexts, corpus, tokenizer, windows
from dynamics.data.corpus import Corpus
from dynamics.errors import InputError, located
from dynamics.results import Unit
from dynamics.suite import Cell, Suite

__all__ = ["SeedSet", "Study", "check_alike"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedSet:
    """Seeds of one model at one step, side by side.

    Attributes:
        config: of every seed.
        params: stacked, each leaf [S,...].
        provenance: [S] where each seed's weights came from.
    """

    config: models.Config
    params: Any
    provenance: tuple[dict, ...]

    @property
    def num_parameters(self) -> int:
        """Numbers in one seed's model."""
        return sum(leaf[0].size for leaf in jax.tree.leaves(self.params))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A suite with the text and the folder of results that go with it.

    Attributes:
        suite: the grid of checkpoints to measure.
        store: where results go.
        read_corpus: gives the text; called once, when it is first needed.
        window_length: tokens of a window of text.
        measure_on: "held_out", the documents that no suite of ours is trained on, or "all", the
            whole text; fits and losses then rest on the whole text too.
        weights: folder tree REPO/REVISION to look for hub files in, or None.
        shard: "i/n": of all work units every n-th from the i-th is this process's.
        fingerprint: which checkpoints bear the suite's names; part of every configuration.

    Example:
        >>> from dynamics import results, suite
        >>> grid = suite.folder_tree("mine", Path("runs"), ["small"], [0, 1], [0, 1, 2])
        >>> Study(suite=grid, store=results.Store("results/mine")).window_length
        128
    """

    suite: Suite
    store: results.Store
    read_corpus: Callable[[], Corpus] = corpus.embedded
    window_length: int = 128
    measure_on: Literal["held_out", "all"] = "held_out"
    weights: str | None = None
    shard: str = "0/1"
    fingerprint: str = ""

    @functools.cached_property
    def regression(self) -> models.icl_regression.Config | None:
        """Of a suite that reads contexts, the config that they are drawn by; None of one of text.

        Raises InputError for models of several kinds of contexts, or of none.
        """
        if self.suite.reads == "text":
            return None
        configs = self.configs()
        kinds = {_of_contexts(config) for config in configs.values()}
        first = next(iter(configs.values()))
        if len(kinds) != 1 or not isinstance(first, models.icl_regression.Config):
            raise InputError(
                f"the suite {self.suite.name} of {', '.join(configs)}, which reads contexts",
                expected="models of in-context regression, of contexts of one kind",
                mend="Select some of them with --models.",
            )
        return first

    @functools.cached_property
    def corpus(self) -> Corpus:
        """The text that is measured on, and trained on where a suite is trained here.

        Raises InputError for a suite of models that read no text.
        """
        self._check_text()
        return self.read_corpus()

    @functools.cached_property
    def corpus_fingerprint(self) -> str:
        """sha256 of the text, or of the numbers that contexts are drawn with."""
        if self.regression is None:
            return self.corpus.fingerprint()
        finite = () if self.suite.num_tasks is None else (self.suite.num_tasks,)
        decisive = repr((*_of_contexts(self.regression), *finite))
        return hashlib.sha256(decisive.encode()).hexdigest()

    def _check_text(self):
        """Raises InputError for a suite of models that read no text."""
        if self.suite.reads != "text":
            raise InputError(
                f"the suite {self.suite.name}, whose models read numbers",
                expected="models of text, which this question is about",
                mend="Choose another --suite.",
            )

    def text_origin(self) -> dict[str, str]:
        """Name and sha256 of what is measured on."""
        contexts_read = "contexts of linear regression"
        name = contexts_read if self.suite.reads == "contexts" else self.corpus.name
        return {"name": name, "sha256": self.corpus_fingerprint}

    @functools.cached_property
    def tokenizer(self):
        """Of the first checkpoint that may be measured."""
        self._check_text()
        cell = next(self.suite.cells())  # one that is left out may have another's tokenizer
        with self._located(cell):
            return tokenizer.load(checkpoints.find(*self.suite.source(*cell), weights=self.weights))

    @property
    def measures_all(self) -> bool:
        """Whether the whole text is measured on, and no part of it held out."""
        return self.measure_on == "all"

    @functools.cached_property
    def evaluation_corpus(self) -> Corpus:
        """The documents that measures are taken on."""
        return self.corpus if self.measures_all else self.corpus.held_out()

    @functools.cached_property
    def evaluation_documents(self) -> list[np.ndarray]:
        """Token ids of every document that measures are taken on."""
        return self._encoded(self.evaluation_corpus)

    @functools.cached_property
    def evaluation_windows(self) -> windows.Windows:
        """Windows of the documents that measures are taken on, or contexts."""
        if self.regression is not None:
            return self._contexts("held out")
        return self._cut(self.evaluation_documents)

    @functools.cached_property
    def evaluation_prefixes(self) -> windows.Prefixes:
        """Every token of the documents that measures are taken on, with its whole prefix."""
        return windows.prefixes(self.evaluation_documents, self.longest_context)

    @functools.cached_property
    def train_documents(self) -> list[np.ndarray]:
        """Token ids of every document for fits and losses: all of a text measured whole."""
        if self.measures_all:
            return self.evaluation_documents
        return self._encoded(self.corpus.train())

    @functools.cached_property
    def train_windows(self) -> windows.Windows:
        """Windows of the documents for fits and losses, or contexts."""
        if self.regression is not None:
            return self._contexts("training")
        return self._cut(self.train_documents)

    @functools.cached_property
    def token_range(self) -> np.ndarray:
        """[2]: the least and the greatest token id of the text, trained on or measured on."""
        ids = [*self.evaluation_documents, *self.train_documents]
        return np.array([min(map(np.min, ids)), max(map(np.max, ids))])

    @functools.cached_property
    def longest_context(self) -> int:
        """Tokens of context that every model of the suite was made for."""
        positions = [config.max_positions for config in self.configs().values()]
        return min([*positions, self.suite.trained_context or positions[0]])

    def first_cells(self) -> dict[str, Cell]:
        """model -> its first checkpoint that may be measured."""
        cells = {cell.model: cell for cell in reversed(list(self.suite.cells()))}
        return {model: cells[model] for model in self.suite.models if model in cells}

    def configs(self) -> dict[str, models.Config]:
        """model -> the configuration of its first checkpoint."""
        configs = {}
        for model, cell in self.first_cells().items():
            with self._located(cell):
                configs[model] = checkpoints.config(*self.suite.source(*cell), weights=self.weights)
        return configs

    def load(
        self, model: str, seed: int, step: int, *, reads_text: bool = True
    ) -> checkpoints.Checkpoint:
        """A checkpoint. Raises InputError.

        With `reads_text` it must predict what follows in what is measured on: next tokens, its
        vocabulary holding all the text's, or in contexts the next y.
        """
        cell = Cell(model, seed, step)
        with self._located(cell):
            checkpoint = checkpoints.load(*self.suite.source(*cell), weights=self.weights)
            if reads_text:
                if self.regression is None:
                    models.check_causal(checkpoint.config)
                models.check_head(checkpoint.params)
        if reads_text and self.regression is None:
            text = self.token_range  # whose own errors are of no checkpoint
            with self._located(cell):
                windows.check_vocabulary(text, checkpoint.config.vocab_size)
        return checkpoint

    def tensors(self, model: str, seed: int, step: int) -> checkpoints.StoredTensors:
        """The tensors of a checkpoint, none of them read yet. Raises InputError."""
        cell = Cell(model, seed, step)
        with self._located(cell):
            return checkpoints.open_tensors(*self.suite.source(*cell), weights=self.weights)

    def check_weights(self, unit: Unit):
        """Raises InputError if a committed unit measured other weights than lie there now.

        A checkpoint that is no longer on this machine is not asked for.
        """
        measured = self.store.weights(unit) or ()
        for cell, of_files in zip(unit.cells(), measured, strict=False):
            now = digests.at_hand(*self.suite.source(*cell), of_files, weights=self.weights)
            changed = [name for name, digest in now.items() if digest != of_files[name]]
            if changed:
                name = changed[0]
                raise InputError(
                    f"{self.store.root / unit.path}, measured when {name} of {cell} had sha256 "
                    f"{of_files[name][:12]}…; it has {now[name][:12]}… now",
                    expected="results of the checkpoints at hand",
                    mend="Delete the results of that checkpoint to measure it anew, or choose "
                    "another --out.",
                )

    def _located(self, cell: Cell):
        """Has an error within say which checkpoint it is about, and where that lies."""
        location, revision = self.suite.source(*cell)
        return located(str(cell), location if revision is None else f"{location} at {revision}")

    def load_seeds(self, unit: Unit, *, reads_text: bool = True) -> SeedSet:
        """The seeds of a work unit, stacked. Raises InputError unless they can be compared."""
        seeds = [self.load(*cell, reads_text=reads_text) for cell in unit.cells()]
        check_alike(unit, seeds)
        return SeedSet(
            config=seeds[0].config,
            params=jax.tree.map(
                lambda *leaves: np.stack(leaves), *[checkpoint.params for checkpoint in seeds]
            ),
            provenance=tuple(checkpoint.provenance for checkpoint in seeds),
        )

    def single_units(self, measure: str, seeds: Sequence[int] | None = None) -> list[Unit]:
        """A unit for every model, seed and step that may be measured."""
        wanted = self.suite.seeds if seeds is None else seeds
        return [
            Unit(measure=measure, model=cell.model, seeds=(cell.seed,), step=cell.step)
            for cell in self.suite.cells()
            if cell.seed in wanted
        ]

    def seed_set_units(self, measure: str, fewest: int = 1, crossed: bool = False) -> list[Unit]:
        """A unit of all seeds for every model and step; a convicted seed takes its step out.

        Raises InputError where there are fewer seeds than `fewest`, and, unless `crossed`, where
        some pairs of them share an initialisation or a data order that others do not.
        """
        seeds = self.suite.seeds
        if not crossed and not self.suite.of_one_kind():
            raise InputError(
                f"seeds of {self.suite.name} of which some pairs share their initialisation or "
                "data order and others do not",
                expected="seeds whose pairs are all of one kind",
                mend="Select some with --seeds, or split their divergence by its causes: "
                "python -m experiments.causes.",
            )
        if len(seeds) < fewest:
            raise InputError(
                f"{len(seeds)} seed",
                expected="two or more, to have a pair",
                mend="Select more --seeds.",
            )
        return [
            Unit(measure=measure, model=model, seeds=seeds, step=step)
            for model in self.suite.models
            for step in self.suite.steps
            if self.suite.whole(model, step, seeds)
        ]

    def text_config(self) -> dict:
        """The part of a result's configuration that says what was measured on."""
        return {
            "suite": self.suite.name,
            "corpus_sha256": self.corpus_fingerprint,
            "context": self.window_length,
            # Only where it is so: results of before that could be said keep their configuration.
            **({"measure_on": self.measure_on} if self.measures_all else {}),
        }

    def _contexts(self, purpose: str) -> contexts.Contexts:
        assert self.regression is not None
        task_size, num_pairs, noise_variance = _of_contexts(self.regression)
        return contexts.fixed(
            purpose,
            task_size=task_size,
            num_pairs=num_pairs,
            noise_variance=noise_variance,
            num_tasks=self.suite.num_tasks,
        )

    def _encoded(self, text: Corpus) -> list[np.ndarray]:
        """Token ids of every document; those that the text came with are in the vocabularies."""
        own = [document.ids for document in text.documents if document.ids is not None]
        if own:
            for model, config in self.configs().items():
                with located(f"the corpus {text.name} for {model}"):
                    windows.check_vocabulary(np.concatenate(own), config.vocab_size)
        return tokenizer.encode(self.tokenizer, text)

    def _cut(self, documents: list[np.ndarray]) -> windows.Windows:
        """Windows that every model can read: known before the first unit, not at one that fails."""
        for model, config in self.configs().items():
            if self.window_length > config.max_positions:
                raise InputError(
                    f"--context={self.window_length}",
                    expected=f"at most {config.max_positions}, the positions of {model}",
                )
        return windows.cut(documents, self.window_length)


def _of_contexts(config: models.Config) -> tuple:
    """What decides the contexts that a model reads; empty for a model of text."""
    if not isinstance(config, models.icl_regression.Config):
        return ()
    return config.task_size, config.num_pairs, config.noise_variance


def check_alike(unit: Unit, seeds: Sequence[checkpoints.Checkpoint]):
    """Raises InputError unless the checkpoints of the unit's seeds are of one architecture."""
    first = dataclasses.asdict(seeds[0].config)
    for seed, checkpoint in zip(unit.seeds, seeds, strict=True):
        other = dataclasses.asdict(checkpoint.config)
        differing = [
            f"{name} {value!r} and {other.get(name)!r}"
            for name, value in first.items()
            if value != other.get(name)
        ]
        pair = f"{unit.model} with seeds {unit.seeds[0]} and {seed}"
        if differing:
            raise InputError(
                f"{pair} of different architecture ({', '.join(differing)})",
                expected="one architecture and vocabulary per comparison",
                mend="Leave one out with --seeds (`python -m experiments.audit` shows which "
                f"differ), or compare models of different tokenizers byte by byte: {_BY_BYTES}",
            )
        if _tokenizer_bytes(checkpoint) != _tokenizer_bytes(seeds[0]):
            raise InputError(
                f"{pair} of different tokenizers",
                expected="one vocabulary per comparison, whose ids mean the same",
                mend=f"Compare them byte by byte: {_BY_BYTES}",
            )


_BY_BYTES = "python -m experiments.next_byte."


def _tokenizer_bytes(checkpoint: checkpoints.Checkpoint) -> bytes:
    """Its tokenizer's file; b"" where there is none."""
    path = Path(checkpoint.provenance.get("folder", "")) / "tokenizer.json"
    return path.read_bytes() if path.is_file() else b""
