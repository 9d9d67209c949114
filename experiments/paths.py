"""Do single weights keep moving, and do they move together? Their paths over training.

    python -m experiments.paths --suite=nano
    python -m experiments.paths --suite=pythia --models=70m,160m --steps=all --loss_windows=0
    python -m experiments.paths --suite=nano --tensors='mlp.*weight$' --all_weights

Half a minute on 2 cores for the nano suite. A unit is a whole run. Of every checkpoint the tensors
that --tensors matches are read alone, from a hub by byte range, into one memory-mapped array each
under OUT/trajectories; only --loss_windows reads whole models, by default where they lie on this
machine. Expect faster than diffusive movement early on, slower at the end, and no fork.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from absl import flags

from dynamics import checkpoints, models
from dynamics.analysis import bifurcation, means
from dynamics.checkpoints import formats, hub, layouts, tensor_names, trajectories
from dynamics.data import windows
from dynamics.errors import InputError, located
from dynamics.measures import covariance_rank, displacement, surprisal
from dynamics.questions.paths import record
from dynamics.results import Unit
from dynamics.study import Study
from dynamics.suite import Cell
from experiments import common, number_flags, tensor_flag

FLAGS = flags.FLAGS
# The unembedding in every layout, the tied embedding where there is no other.
UNEMBEDDING = r"(embed_out|lm_head|word_embeddings)\.weight$"
# To add one vector to each row of these changes no softmax and nothing else.
_FREE = re.compile(r"(embed_out|lm_head)\.weight$")
number_flags.whole("sampled_weights", 10_000, "weights of each tensor that are followed", least=40)
flags.DEFINE_bool("all_weights", False, "follow every weight of each tensor, not a sample")
number_flags.whole("sample_seed", 0, "of the draw of weights and of Gaussian vectors")
number_flags.whole("shown_weights", 24, "single weights whose paths are drawn", least=1, most=200)
number_flags.whole("rank_draws", 16, "batches of Gaussian vectors per size", least=2, most=10_000)
number_flags.whole(
    "loss_windows",
    None,
    "windows of the loss; 0 for none; default 40 for causal models of which no file is on a hub",
)
_QUANTILES = (0.001, 0.02, 0.16, 0.5, 0.84, 0.98, 0.999)
_PLACES = 24  # of a spectrum that are stored
_MAY_BE_NAN = (
    "excess_kurtosis", "point_step", "displacement", "expected", "gap", "fork", "rank",
    "exact_rank", "effective_rank", "batch_effective_rank", "spectrum", "loss",
)  # fmt: skip


def experiments(study: Study) -> list[common.Experiment]:
    """A unit for every run."""
    config = {
        **study.text_config(),
        "tensors": tensor_flag.pattern(UNEMBEDDING),
        "sampled_weights": None if FLAGS.all_weights else FLAGS.sampled_weights,
        "sample_seed": FLAGS.sample_seed,
        "shown_weights": FLAGS.shown_weights,
        "rank_draws": FLAGS.rank_draws,
        "loss_windows": _loss_windows(study),
        "steps": list(study.suite.steps),
    }
    units = [
        Unit.of_run(record.MEASURE, model, (seed,))
        for model in study.suite.models
        for seed in study.suite.seeds
        if len(_cells(study, model, seed)) > 1
    ]
    if not units:
        raise InputError(
            "no run of two checkpoints", expected="two or more", mend="Select more --steps."
        )
    return [common.Experiment(record.MEASURE, config, units, paths, may_be_nan=_MAY_BE_NAN)]


def paths(study: Study, unit: Unit):
    """The paths of one run: everything of one tensor, then of the next."""
    cells = _cells(study, unit.model, unit.seeds[0])
    opened = functools.cache(functools.partial(_open, study))
    config = study.configs()[unit.model]
    text = _text(study)  # before hours of reading, since it may be refused
    with located(str(cells[0])):
        names = _names(opened(cells[0]), config)
    stacks = [_stack(study, cells, opened, name) for name in names]
    # A tensor that never changes repeats itself at every step: a checkpoint does where all do.
    digests = ["".join(each) for each in zip(*(s.digests for s, _ in stacks), strict=True)]
    repeats = trajectories.repeated([cell.step for cell in cells], digests)
    rows = np.array([k for k, cell in enumerate(cells) if cell.step not in repeats])
    if len(rows) < 2:
        raise InputError(
            f"{len(cells)} checkpoints of one and the same weights",
            expected="two that differ",
            mend="Select other --steps.",
        )
    used = [cells[row] for row in rows]
    steps = np.array([cell.step for cell in used])
    followed = [part for stack, ranks in stacks for part in _followed(stack, ranks)]
    loss, weights = _losses(study, used, opened, text)
    data = record.Record(
        steps=steps,
        repeats=repeats,
        tensors=tuple(part.title for part in followed),
        size=np.array([int(np.prod(part.shape)) for part in followed]),
        sampled=np.array([len(part.places) for part in followed]),
        num_parameters=_num_parameters(config),
        spread=_spread(followed, rows),
        movement=_movement([displacement.moments(steps, part.weights, rows) for part in followed]),
        fork=_fork(steps, followed, rows),
        rank=_rank(followed, rows),
        loss=loss,
    )
    return record.to_dataset(data), weights


class _Followed(NamedTuple):
    """What is followed: a tensor's weights, or these less their columns' means."""

    title: str
    shape: tuple[int, ...]
    places: np.ndarray  # [N] in the flattened tensor
    weights: np.ndarray  # [K,N] memory-mapped
    ranks: Sequence[covariance_rank.CovarianceRank | None]  # [K]


def _followed(stack: trajectories.Trajectories, ranks: dict[bool, list]) -> Iterator[_Followed]:
    """Of one tensor: as it is, and centred where that was asked for."""
    yield _Followed(stack.tensor, stack.shape, stack.places, stack.weights, ranks[False])
    if stack.centred is not None:
        title = f"{stack.tensor}, centred"
        yield _Followed(title, stack.shape, stack.places, stack.centred, ranks[True])


def _cells(study: Study, model: str, seed: int) -> list[Cell]:
    """The checkpoints of a run, steps ascending."""
    return sorted(cell for cell in study.suite.cells() if cell[:2] == (model, seed))


def _open(study: Study, cell: Cell) -> formats.TensorFolder | hub.RemoteFolder:
    """A checkpoint's tensors: of a folder on this machine, else by byte range."""
    location, revision = study.suite.source(*cell)
    if revision is None:
        return formats.TensorFolder(checkpoints.find(location))
    folder = hub.find_local(location, revision, study.weights)
    return formats.TensorFolder(folder) if folder else hub.RemoteFolder(location, revision)


def _names(tensors, config: models.Config) -> list[str]:
    """Names that --tensors matches among a checkpoint's weights, without its buffers."""
    skipped = layouts.of_config(config).SKIPPED
    names = [name for name in tensors.names() if not skipped.fullmatch(name)]
    return tensor_names.matching(
        {name: name for name in sorted(names)}, tensor_flag.pattern(UNEMBEDDING)
    )


def _stack(study: Study, cells: Sequence[Cell], opened: Callable, name: str):
    """The tensor's paths, under the folder of results; and ranks of every checkpoint, by whether
    they are of the centred matrix. A checkpoint's tensor is read once."""
    cell, key = cells[0], jax.random.key(FLAGS.sample_seed)
    centred = bool(_FREE.search(name))
    ranks: dict[bool, list] = {False: [], True: []}

    def each(values: np.ndarray):
        ranks[False].append(_ranks_of(values, key))
        if centred:
            common = values.mean(0, dtype=np.float64).astype(np.float32)
            ranks[True].append(_ranks_of(values - common, key))

    stack = trajectories.stack(
        _folder(study, cell) / tensor_names.folder_name(name),
        name,
        [(cell.step, functools.partial(opened, cell)) for cell in cells],
        num_weights=None if FLAGS.all_weights else FLAGS.sampled_weights,
        seed=FLAGS.sample_seed,
        centred=centred,
        each=each,
        run=f"{cell.model} seed {cell.seed}",
    )
    return stack, ranks


def _folder(study: Study, cell: Cell) -> Path:
    """Where the stacks of a run lie."""
    return study.store.root / "trajectories" / cell.model / f"seed{cell.seed}"


def _num_parameters(config: models.Config) -> int:
    shapes = jax.eval_shape(functools.partial(models.init, config=config), jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def _spread(followed: Sequence[_Followed], rows: np.ndarray) -> record.Spread:
    """Row by row: memory is one checkpoint's."""
    fans, shown, kurtosis = [], [], []
    for part in followed:  # the same weights of a tensor as it is and centred
        rng = np.random.default_rng(FLAGS.sample_seed)
        columns = rng.choice(part.weights.shape[1], FLAGS.shown_weights)
        for row in rows:
            values = np.asarray(part.weights[row], np.float64)
            fans.append(np.quantile(values, _QUANTILES))
            shown.append(values[columns])
            kurtosis.append(_excess_kurtosis(values))
    axes = len(followed), len(rows)
    return record.Spread(
        quantile=np.array(_QUANTILES),
        fan=np.reshape(fans, (*axes, -1)),
        shown=np.reshape(shown, (*axes, -1)),
        excess_kurtosis=np.reshape(kurtosis, axes),
    )


def _excess_kurtosis(values: np.ndarray) -> float:
    """Of one checkpoint; NaN where all weights are equal."""
    if not np.ptp(values) > 0:  # not by the variance: the mean of equal weights is rounded
        return np.nan
    off = values - values.mean()
    return float((off**4).mean() / (off**2).mean() ** 2 - 3)


def _movement(moments: Sequence[displacement.Moments]) -> record.Movement:
    """The four statistics of every tensor, and of processes beside them, padded to K points."""
    count = len(moments[0].steps)

    def of_kinds(measured: displacement.Moments) -> list[displacement.Displacement]:
        return [displacement.mean_square_displacement(measured, kind) for kind in record.KINDS]

    def padded(values: np.ndarray) -> np.ndarray:
        return np.r_[values, np.full(count - len(values), np.nan)]

    measured = [of_kinds(of_tensor) for of_tensor in moments]
    expected = [
        [of_kinds(displacement.matched(of_tensor, process)) for process in record.PROCESSES]
        for of_tensor in moments
    ]

    def field(name: str) -> np.ndarray:
        return np.array([[padded(getattr(kind, name)) for kind in kinds] for kinds in measured])

    gaps = [displacement.gaps(of_tensor) for of_tensor in moments]
    return record.Movement(
        steps=np.array([padded(kind.steps) for kind in measured[0]]),
        value=field("value"),
        sem=field("sem"),
        exponent=field("exponent"),
        exponent_low=field("exponent_low"),
        exponent_high=field("exponent_high"),
        expected=np.array(
            [[[padded(kind.value) for kind in kinds] for kinds in each] for each in expected]
        ),
        gap=np.array([np.r_[np.nan, squared] for squared, _ in gaps]),
        gap_sem=np.array([np.r_[np.nan, sem] for _, sem in gaps]),
    )


def _fork(steps: np.ndarray, followed: Sequence[_Followed], rows: np.ndarray) -> record.Fork:
    """Weights of one column of a matrix may move together, as those of tokens alike do."""
    forks = [
        bifurcation.find_bifurcation(
            steps,
            part.weights,
            rows=rows,
            clusters=part.places % part.shape[-1] if len(part.shape) == 2 else None,
        )
        for part in followed
    ]
    return record.Fork(
        depth=np.array([fork.depth for fork in forks]),
        modes=np.array([fork.modes for fork in forks]),
        step=np.array([np.nan if fork.step is None else fork.step for fork in forks]),
        low=np.array([fork.low for fork in forks]),
        high=np.array([fork.high for fork in forks]),
        loyal=np.array([fork.loyal for fork in forks]),
        threshold=forks[0].threshold,
    )


def _rank(followed: Sequence[_Followed], rows: np.ndarray) -> record.Rank:
    """Ranks of every tensor at every distinct checkpoint; NaN for those that are no matrix."""
    ranks = [[part.ranks[row] for row in rows] for part in followed]
    widest = max((part.shape[-1] for part in followed if len(part.shape) == 2), default=1)
    places = np.unique(np.geomspace(1, widest, _PLACES).round().astype(int))

    def table(value: Callable, shape: tuple[int, ...]) -> np.ndarray:
        """[P, *shape, K] of a number of each checkpoint."""
        nothing = np.full(shape, np.nan)
        each = [[nothing if rank is None else value(rank) for rank in row] for row in ranks]
        return np.moveaxis(np.array(each), 1, -1)

    def drawn(field: str, part: str = "drawn") -> Callable:
        return lambda rank: np.array([getattr(batch, field) for batch in getattr(rank, part)])

    sizes = len(covariance_rank.BATCHES), len(covariance_rank.TOLERANCES)
    return record.Rank(
        batch=np.array(covariance_rank.BATCHES),
        tolerance=np.array(covariance_rank.TOLERANCES),
        absolute=table(drawn("absolute"), sizes),
        absolute_sem=table(drawn("absolute", "sem"), sizes),
        relative=table(drawn("relative"), sizes),
        exact_absolute=table(lambda rank: rank.exact.absolute, sizes[1:]),
        exact_relative=table(lambda rank: rank.exact.relative, sizes[1:]),
        stable=table(lambda rank: rank.exact.stable, ()),
        entropy=table(lambda rank: rank.exact.entropy, ()),
        batch_stable=table(drawn("stable"), sizes[:1]),
        batch_entropy=table(drawn("entropy"), sizes[:1]),
        place=places,
        spectrum=table(lambda rank: _at(rank.spectrum, places), (len(places),)),
    )


def _ranks_of(values: np.ndarray, key: jax.Array) -> covariance_rank.CovarianceRank | None:
    if values.ndim != 2:
        return None
    return covariance_rank.covariance_rank(values, key, draws=FLAGS.rank_draws)


def _at(spectrum: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Eigenvalues at places from 1; NaN beyond the last."""
    padded = np.r_[spectrum, np.full(max(int(places[-1]) - len(spectrum), 0), np.nan)]
    return padded[places - 1]


def _loss_windows(study: Study) -> int:
    """Raises InputError where the loss of a masked model is asked for."""
    causal = all(models.architecture(config).CAUSAL for config in study.configs().values())
    if FLAGS.loss_windows and not causal:
        raise InputError(
            f"--loss_windows={FLAGS.loss_windows} of masked models",
            expected="0, since they have no next-token loss",
        )
    if FLAGS.loss_windows is not None:
        return FLAGS.loss_windows
    return 40 if causal and not study.suite.on_hub else 0


def _text(study: Study) -> windows.Windows | None:
    """What the loss is measured on; None where it is not."""
    count = _loss_windows(study)
    return study.evaluation_windows.take(count) if count else None


def _losses(study: Study, cells: Sequence[Cell], opened: Callable, text: windows.Windows | None):
    """Loss at every checkpoint and its excess over the last, and where all weights came from."""
    if text is None:
        nothing = np.full(len(cells), np.nan)
        origins = [_origin(study, cell, opened(cell)) for cell in cells]
        return record.Loss(value=nothing, sem=nothing, excess=nothing, excess_sem=nothing), origins
    by_window, origins = [], []
    for origin, losses in _window_losses(study, cells, text.tokens):
        origins.append(origin)
        by_window.append(losses)
    table = np.array(by_window)
    value, sem, _ = means.clustered_mean(table, text.document)
    excess, excess_sem, _ = means.clustered_mean(table - table[-1], text.document)
    return record.Loss(value=value, sem=sem, excess=excess, excess_sem=excess_sem), origins


def _window_losses(study: Study, cells: Sequence[Cell], tokens) -> Iterator:
    """Of each checkpoint its origin and the mean surprisal of every window."""
    for cell in cells:
        checkpoint = study.load(*cell)
        of_tokens = common.jitted(surprisal.surprisal_fn(checkpoint.config))
        yield checkpoint.provenance, np.asarray(of_tokens(checkpoint.params, tokens)).mean(1)


def _origin(study: Study, cell: Cell, tensors) -> dict:
    """Where a checkpoint's tensors came from; a digest where its files were read whole."""
    location, revision = study.suite.source(*cell)
    local = isinstance(tensors, formats.TensorFolder)
    return {
        "source": location,
        "revision": revision or "",
        "folder": str(tensors.folder) if local else "read by byte range",
        "sha256": tensors.sha256() if local else {},
    }


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))
