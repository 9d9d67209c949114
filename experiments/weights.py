"""How are a model's weights spread, and how does that change? A census of every tensor asked for.

    python -m experiments.weights --suite=nano
    python -m experiments.weights --suite=pythia --models=70m --steps=all --tensors=embed_out

Seconds on a laptop, at about the speed of reading. With --tensors nothing but those tensors is
read, of checkpoints on the hub by byte range; memory is that of one tensor whatever the number of
checkpoints. Expect Gaussians of Pythia's initial width at step 0. Besides, matrices, attention and
mean logits are drawn at the first and the last step, which loads those two checkpoints whole.
"""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
from absl import flags

from dynamics.checkpoints import StoredTensors
from dynamics.data import tokenizer, windows
from dynamics.errors import InputError
from dynamics.measures import weights
from dynamics.questions.weights import record, record_pictures
from dynamics.results import Unit
from dynamics.study import Study
from dynamics.suite import Cell
from experiments import common, number_flags, tensor_flag

FLAGS = flags.FLAGS
number_flags.whole("bins", 256, "bins of a weight histogram", least=8, most=100_000)
flags.DEFINE_bool(
    "pictures", True, "also draw matrices, attention and logits at the first and the last step"
)
SHOWN = (256, 512)  # rows and columns of a matrix that are drawn; the paper shows 512 tokens


def experiments(study: Study) -> list[common.Experiment]:
    """A census of every checkpoint; pictures of the first and the last of each model."""
    config = {"suite": study.suite.name, "bins": FLAGS.bins, "tensors": _pattern()}
    census = common.Experiment(
        record.MEASURE,
        config,
        study.single_units(record.MEASURE),
        spread,
        may_be_nan=record.MAY_BE_NAN,
        whole_files=not _pattern(),
    )
    if not FLAGS.pictures:
        return [census]
    ends = common.Experiment(record_pictures.MEASURE, study.text_config(), _ends(study), pictures)
    return [census, ends]


def spread(study: Study, unit: Unit):
    """`weights.census` of the tensors of one checkpoint, the unembedding's centred twin added."""
    (cell,) = unit.cells()
    stored = study.tensors(*cell)
    names = stored.matching(_pattern())
    _check_shapes(study, Cell(*cell), stored, names)
    rows: dict[str, tuple[str, str, weights.Census]] = {}
    sha256 = {}
    for name in names:
        tensor = stored.read(name)  # a view of the file, where it is on this machine
        shape = " x ".join(map(str, tensor.shape))
        role = "unembedding" if name == stored.unembedding else "other"
        rows[name] = role, shape, weights.census(tensor, FLAGS.bins)
        if role == "unembedding":
            centred = weights.census(tensor, FLAGS.bins, less=weights.common_vector(tensor))
            rows[f"{name} (centred)"] = "centred unembedding", shape, centred
        if _pattern():
            stored_bytes = np.ascontiguousarray(tensor).view(np.uint8).data
            sha256[name] = hashlib.sha256(stored_bytes).hexdigest()
    provenance = stored.provenance(sha256 if _pattern() else None)
    return record.to_dataset(_record(rows, stored.tied)), [provenance]


def _pattern() -> str:
    """Of the names of tensors; empty for every matrix."""
    return tensor_flag.pattern("")


def pictures(study: Study, unit: Unit):
    """`weights.picture_fn` of one checkpoint on one long sentence of the held-out text."""
    (cell,) = unit.cells()
    checkpoint = study.load(*cell, reads_text=False)
    tokens = _sentence(study)[: checkpoint.config.max_positions]
    windows.check_vocabulary(tokens, checkpoint.config.vocab_size)
    made = weights.picture_fn(checkpoint.config)(checkpoint.params, tokens)
    rows, columns = SHOWN
    drawn = record_pictures.Record(
        unembedding=None
        if made.unembedding is None
        else np.asarray(made.unembedding[:rows, :columns]),
        attention_matrix=np.asarray(made.attention_matrix[:rows, :columns]),
        attention=np.asarray(made.attention),
        mean_logit=None if made.mean_logit is None else np.asarray(made.mean_logit),
        sentence=tokenizer.spelled(study.tokenizer, tokens.tolist(), special=False)[:200],
    )
    return record_pictures.to_dataset(drawn), [checkpoint.provenance]


@functools.cache
def _sentence(study: Study) -> np.ndarray:
    """[T] the beginning of the first document measured on that has --context tokens."""
    try:
        documents = study.evaluation_documents
    except InputError as error:
        raise InputError(
            error.got,
            expected=error.expected,
            mend=f"{error.mend} Or leave the pictures out: --nopictures.".strip(),
        ) from error
    return max(documents, key=lambda document: min(len(document), FLAGS.context))[: FLAGS.context]


def _ends(study: Study) -> list[Unit]:
    """The first and the last checkpoint of each model's first seed that may be measured."""
    ends = []
    for model in study.suite.models:
        of_model = [cell for cell in study.suite.cells() if cell.model == model]
        run = [cell for cell in of_model if cell.seed == of_model[0].seed]
        for cell in dict.fromkeys([*run[:1], *run[-1:]]):
            measure = record_pictures.MEASURE
            ends.append(Unit(measure=measure, model=model, seeds=(cell.seed,), step=cell.step))
    return ends


def _check_shapes(study: Study, cell: Cell, stored: StoredTensors, names: Sequence[str]):
    """Raises InputError unless the tensors are those of the model's first checkpoint."""
    first = study.first_cells()[cell.model]
    expected = _shapes(study, first, _pattern())
    for name in names:
        if expected.get(name) != stored.shape(name):
            raise InputError(
                f"{name} of shape {stored.shape(name)}",
                expected=f"{expected.get(name, 'no such tensor')}, as at {first}",
                mend="One run has tensors of one shape; leave the checkpoint out with --steps.",
            )
    if absent := [name for name in expected if name not in names]:
        raise InputError(
            f"no tensor {absent[0]}", expected=f"the {len(expected)} tensors of {first}"
        )


@functools.cache
def _shapes(study: Study, cell: Cell, pattern: str) -> dict[str, tuple[int, ...]]:
    stored = study.tensors(*cell)
    return {name: stored.shape(name) for name in stored.matching(pattern)}


def _record(rows: dict[str, tuple[str, str, weights.Census]], tied: bool) -> record.Record:
    roles, shapes, censuses = zip(*rows.values(), strict=True)
    numbers = {
        name: np.array([_number(census, name) for census in censuses])
        for name in (*record.NUMBERS, "below", "above", "not_finite")
    }
    return record.Record(
        tensors=tuple(rows),
        role=roles,
        shape=shapes,
        exponent=np.array([census.bins.exponent for census in censuses]),
        first=np.array([census.bins.first for census in censuses]),
        counts=np.stack([census.counts for census in censuses]),
        near_zero_sd=weights.NEAR_ZERO,
        bandwidth=weights.BANDWIDTH,
        tied=tied,
        **numbers,
    )


def _number(census: weights.Census, name: str) -> float:
    """A field of the census or of its modes, by the record's name for it."""
    modes = census.modes._asdict()
    return modes[name.removeprefix("mode_")] if name in _OF_MODES else getattr(census, name)


_OF_MODES = ("mode_low", "mode_high", "depth", "depth_sem", "asymmetry", "asymmetry_sem")


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
