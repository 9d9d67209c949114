"""How weights are spread over training: densities with all seeds pooled, and numbers over seeds.

Axes: K steps (ascending), S seeds, R bins of a density. Units are those of the weights.

Layers of one kind of tensor are pooled into one distribution, exactly: their moments are those of
all their weights together.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from dynamics.analysis import histograms
from dynamics.analysis.curve import Curve
from dynamics.analysis.histograms import Histogram
from dynamics.analysis.pairs import single_seed_curve
from dynamics.questions.committed import Committed, Pairs, by_model, by_step
from dynamics.questions.schema import expect
from dynamics.questions.weights import record, record_pictures

MOST_BINS = 128  # of a density that is drawn
MOST_BINS_OF_LAYERS = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Distribution:
    """How the weights of a tensor, or of all layers' tensors of one kind, are spread.

    Attributes:
        name: of the tensor or the kind.
        role: of record.ROLES.
        layer: whose tensor it is; None for one without a layer, and for all layers together.
        edges: [R+1] of the density's bins.
        density: [K,R] per unit of weight, seeds pooled; NaN where no weight is finite.
        outside: the largest share of weights beyond the bins that were counted.
        not_finite: how many weights are NaN or infinite, over all steps and seeds.
        sd, excess_kurtosis, norm, near_zero: curves of the record's numbers.
        width: sd over that of the same seed at its first step.
        moved: the distance of the density from the same seed's at its first step.
        depth: of the valley between two modes, 0 where there are not two; None for several tensors.
        half_distance, asymmetry: of two modes, NaN where there are not two.
    """

    name: str
    role: str
    layer: int | None
    edges: np.ndarray
    density: np.ndarray
    outside: float
    not_finite: int
    sd: Curve
    excess_kurtosis: Curve
    norm: Curve
    near_zero: Curve
    width: Curve
    moved: Curve
    depth: Curve | None
    half_distance: Curve | None
    asymmetry: Curve | None

    @property
    def center(self) -> np.ndarray:
        """[R] of each bin."""
        return (self.edges[1:] + self.edges[:-1]) / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Gauge:
    """How the vector that all tokens' unembeddings share moves the raw matrix.

    Attributes:
        share: its share of the mean square of the raw unembedding's weights.
        raw_moved, centred_moved: [S] how far each density moved to the last step, by seed.
    """

    share: Curve
    raw_moved: np.ndarray
    centred_moved: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """The spread of one model's weights.

    Attributes:
        model: its name.
        seeds: every seed that was measured.
        steps: [K].
        kinds: name -> the distribution of all its layers' weights, in the order of the tensors.
        layers: name of a kind -> the distribution of each layer's tensor, in their order.
        gauge: None without an unembedding.
        near_zero_sd: what counts as near zero, in standard deviations.
        bandwidth: standard deviations that densities are smoothed by where modes are sought.
        tied: whether the unembedding is the embedding too.
        pictures: step -> pictures of one seed, the first step and the last.
        pictured_seed: whose; None without pictures.
    """

    model: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    kinds: dict[str, Distribution]
    layers: dict[str, list[Distribution]]
    gauge: Gauge | None
    near_zero_sd: float
    bandwidth: float
    tied: bool
    pictures: dict[int, record_pictures.Record]
    pictured_seed: int | None

    def of_role(self, role: str) -> Distribution | None:
        """The distribution of the tensor with this role, if it was measured."""
        return next((d for d in self.kinds.values() if d.role == role), None)


def find(committed: Committed) -> list[Spread] | None:
    """One per model, models by size. Raises InputError for checkpoints of different shapes."""
    groups = by_model(committed.of(record.MEASURE))
    pictures = by_model(committed.of(record_pictures.MEASURE))
    spreads = [_spread(model, pairs, pictures.get(model, ())) for model, pairs in groups.items()]
    return spreads or None


class _Grid:
    """Records by step and seed, with what every curve over them needs."""

    def __init__(self, model: str, pairs: Pairs):
        self.model = model
        self.records: dict[int, dict[int, record.Record]] = {}
        for step, units in by_step(pairs).items():
            for unit, data in units:
                read = record.from_dataset(data)
                self._check(data, read)
                self.records.setdefault(step, {})[unit.seeds[0]] = read
        self.steps = list(self.records)
        self.first = next(iter(next(iter(self.records.values())).values()))
        self.starts: dict[int, record.Record] = {}
        for seeds in self.records.values():
            for seed, of_seed in seeds.items():
                self.starts.setdefault(seed, of_seed)

    def _check(self, data: xr.Dataset, read: record.Record):
        """Raises InputError, which names the file, unless the tensors are those of the first."""
        first = next(iter(self.records.values()), {})
        for expected in list(first.values())[:1]:
            own, others = (dict(zip(r.tensors, r.shape, strict=True)) for r in (read, expected))
            for name, shape in own.items():
                fault = f"{name} of shape {shape}"
                wanted = f"{others.get(name, 'no such tensor')}, as at the first checkpoint"
                expect(data, shape == others.get(name), fault, wanted)
            absent = [name for name in others if name not in own]
            fault, wanted = f"no tensor {', '.join(absent[:3])}", "those of the first checkpoint"
            expect(data, not absent and read.tensors == expected.tensors, fault, wanted)

    def curve(
        self,
        value: Callable[[record.Record, record.Record], float],
        error: Callable[[record.Record], float] = lambda _: np.nan,
    ) -> Curve:
        """Of value(record, the same seed's first record); `error` is that of one seed alone."""
        values = [
            [float(value(r, self.starts[seed])) for seed, r in seeds.items()]
            for seeds in self.records.values()
        ]
        errors = [float(error(next(iter(seeds.values())))) for seeds in self.records.values()]
        return single_seed_curve(self.model, self.steps, values, np.array(errors))


def _spread(model: str, pairs: Pairs, pictures: Pairs) -> Spread:
    grid = _Grid(model, pairs)
    by_kind: dict[str, list[int]] = {}
    for place, name in enumerate(grid.first.tensors):
        by_kind.setdefault(kind_and_layer(name)[0], []).append(place)
    layered = {kind: places for kind, places in by_kind.items() if len(places) > 1}
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return Spread(
            model=model,
            seeds=tuple(sorted({seed for unit, _ in pairs for seed in unit.seeds})),
            steps=np.array(grid.steps),
            kinds={
                kind: _distribution(grid, kind, places, MOST_BINS)
                for kind, places in by_kind.items()
            },
            layers={
                kind: [
                    _distribution(grid, grid.first.tensors[place], [place], MOST_BINS_OF_LAYERS)
                    for place in places
                ]
                for kind, places in layered.items()
            },
            gauge=_gauge(grid),
            near_zero_sd=grid.first.near_zero_sd,
            bandwidth=grid.first.bandwidth,
            tied=grid.first.tied,
            pictures={
                unit.step: record_pictures.from_dataset(data)
                for unit, data in ([pictures[0], pictures[-1]] if pictures else [])
                if unit.step is not None
            },
            pictured_seed=pictures[0][0].seeds[0] if pictures else None,
        )


def kind_and_layer(name: str) -> tuple[str, int | None]:
    """What layers' tensors have in common, and the layer; a name without a number is a kind.

    Example:
        >>> kind_and_layer("layers.3.attention.dense"), kind_and_layer("embed_out")
        (('attention.dense', 3), ('embed_out', None))
    """
    match = re.fullmatch(r"(?:.*\.)?(\d{1,6})\.(.+)", name)
    return (match[2], int(match[1])) if match else (name, None)


def _distribution(grid: _Grid, name: str, places: list[int], most_bins: int) -> Distribution:
    pooled = {
        step: [histogram for r in seeds.values() for histogram in _histograms(r, places)]
        for step, seeds in grid.records.items()
    }
    edges = histograms.shared_edges([h for step in pooled.values() for h in step], most_bins)
    finite = np.array(
        [sum(_sizes(r)[places].sum() for r in seeds.values()) for seeds in grid.records.values()],
        np.float64,
    )
    counts = np.stack(
        [np.sum([histograms.rebinned(h, edges) for h in step], axis=0) for step in pooled.values()]
    )
    counted = np.array([sum(h.counts.sum() for h in step) for step in pooled.values()])
    widths = np.diff(edges)
    alone = places[0] if len(places) == 1 else None

    def of(numbers: Callable[[record.Record], np.ndarray]) -> Callable:
        return lambda r, _: numbers(r)[alone]

    return Distribution(
        name=name,
        role=grid.first.role[alone] if alone is not None else "other",
        layer=kind_and_layer(grid.first.tensors[places[0]])[1] if alone is not None else None,
        edges=edges,
        density=counts / np.where(finite > 0, finite, np.nan)[:, None] / widths,
        outside=float(np.nanmax(np.append(0.0, 1 - counted / np.where(finite > 0, finite, 1)))),
        not_finite=int(
            sum(r.not_finite[places].sum() for s in grid.records.values() for r in s.values())
        ),
        sd=grid.curve(lambda r, _: _moments(r, places)[0]),
        excess_kurtosis=grid.curve(lambda r, _: _moments(r, places)[1]),
        norm=grid.curve(lambda r, _: np.sqrt((r.norm[places] ** 2).sum())),
        near_zero=grid.curve(lambda r, _: _mean(r.near_zero[places], _sizes(r)[places])),
        width=grid.curve(lambda r, start: _moments(r, places)[0] / _moments(start, places)[0]),
        moved=grid.curve(lambda r, start: _moved(r, start, places)),
        depth=None
        if alone is None
        else grid.curve(of(lambda r: r.depth), lambda r: r.depth_sem[alone]),
        half_distance=None
        if alone is None
        else grid.curve(of(lambda r: (r.mode_high - r.mode_low) / 2)),
        asymmetry=None
        if alone is None
        else grid.curve(of(lambda r: r.asymmetry), lambda r: r.asymmetry_sem[alone]),
    )


def _histograms(r: record.Record, places: Sequence[int]) -> list[Histogram]:
    bins = np.arange(r.counts.shape[1] + 1)
    return [
        Histogram(np.ldexp((r.first[m] + bins).astype(np.float64), r.exponent[m]), r.counts[m])
        for m in places
    ]


def _sizes(r: record.Record) -> np.ndarray:
    """[M] how many weights are finite."""
    return r.counts.sum(-1) + r.below + r.above


def _mean(values: np.ndarray, sizes: np.ndarray) -> np.float64:
    return (values * sizes).sum() / np.float64(sizes.sum())


def _moments(r: record.Record, places: Sequence[int]) -> tuple[np.float64, np.float64]:
    """Standard deviation and excess kurtosis of the tensors' weights together.

    From moments about each tensor's own mean (Chan, Golub & LeVeque 1983).
    """
    if len(places) == 1:
        return r.sd[places[0]], r.excess_kurtosis[places[0]]
    size, variance = _sizes(r)[places], r.sd[places] ** 2
    shift = r.mean[places] - _mean(r.mean[places], size)
    # A tensor of equal weights has no kurtosis, and no moments to add.
    third = np.where(variance > 0, r.skewness[places], 0) * variance**1.5
    fourth = np.where(variance > 0, r.excess_kurtosis[places] + 3, 0) * variance**2
    second = _mean(variance + shift**2, size)
    fourth = _mean(fourth + 4 * shift * third + 6 * shift**2 * variance + shift**4, size)
    return np.sqrt(second), fourth / second**2 - 3


def _moved(r: record.Record, start: record.Record, places: Sequence[int]) -> float:
    """How far the density lies from the start's, tensor by tensor, by their sizes."""
    pairs = zip(_histograms(start, places), _histograms(r, places), strict=True)
    return _mean(np.array([histograms.distance(*pair) for pair in pairs]), _sizes(r)[places])


def _gauge(grid: _Grid) -> Gauge | None:
    places = {role: m for m, role in enumerate(grid.first.role)}
    if not {"unembedding", "centred unembedding"} <= places.keys():
        return None
    raw, centred = places["unembedding"], places["centred unembedding"]
    last = list(grid.records.values())[-1]
    moved = np.array(
        [
            [_moved(r, grid.starts[seed], [place]) for place in (raw, centred)]
            for seed, r in last.items()
        ]
    )
    return Gauge(
        share=grid.curve(lambda r, _: 1 - _mean_square(r, centred) / _mean_square(r, raw)),
        raw_moved=moved[:, 0],
        centred_moved=moved[:, 1],
    )


def _mean_square(r: record.Record, place: int) -> float:
    """Exact: the mean squares of the common vector and of what is left of each row add up."""
    return r.mean[place] ** 2 + r.sd[place] ** 2


def quantity(kinds: Mapping[str, Distribution], name: str) -> dict[str, Curve]:
    """kind -> its curve of one quantity, of those that have it."""
    curves = {kind: getattr(distribution, name) for kind, distribution in kinds.items()}
    return {kind: curve for kind, curve in curves.items() if curve is not None}
