"""How weights are spread, on made-up records. Axes: V tokens, D width."""

import dataclasses
import re

import numpy as np
import pytest
from scipy.special import log_softmax

from dynamics.errors import InputError
from dynamics.figures import style
from dynamics.measures.weights import BANDWIDTH, NEAR_ZERO, census, common_vector
from dynamics.questions import Committed, weights
from dynamics.questions.weights import figures, record, record_pictures, sentences
from dynamics.results import Unit

STEPS = (0, 8, 64)
V, D = 500, 12
TENSORS = ("embed_out", "embed_out (centred)", "layers.0.mlp", "layers.1.mlp")
ROLES = ("unembedding", "centred unembedding", "other", "other")


def matrix(seed: int, step: int, drift: float = 0.0) -> np.ndarray:
    """[V,D] normal weights that grow wider, plus `drift` times one vector of the seed's own."""
    rng = np.random.default_rng(seed)  # the same at every step, so that paths are smooth
    shared, own = rng.normal(size=D), rng.normal(size=(V, D))
    return (0.1 + 0.001 * step) * own + drift * step / 64 * shared


def recorded(tensors: list[tuple[np.ndarray, np.ndarray | None]], bins: int = 16) -> record.Record:
    """A record of tensors, each less a vector or None; names and roles are those of the file."""
    made = [census(tensor, bins, less=less) for tensor, less in tensors]

    def number(c, name: str):
        of_modes = name.startswith(("mode_", "depth", "asymmetry"))
        return getattr(c.modes, name.removeprefix("mode_")) if of_modes else getattr(c, name)

    names = (*record.NUMBERS, "below", "above", "not_finite")
    return record.Record(
        tensors=TENSORS[: len(made)],
        role=ROLES[: len(made)],
        shape=tuple(" x ".join(map(str, tensor.shape)) for tensor, _ in tensors),
        exponent=np.array([c.bins.exponent for c in made]),
        first=np.array([c.bins.first for c in made]),
        counts=np.stack([c.counts for c in made]),
        near_zero_sd=NEAR_ZERO,
        bandwidth=BANDWIDTH,
        tied=False,
        **{name: np.array([number(c, name) for c in made]) for name in names},
    )


def spread_record(seed: int, step: int, drift: float = 0.0, **options) -> record.Record:
    """The unembedding, the same centred, and a tensor of two layers."""
    unembedding = matrix(seed, step, drift)
    twice = [(matrix(seed + 10 * layer, step), None) for layer in (1, 2)]
    pair = [(unembedding, None), (unembedding, common_vector(unembedding))]
    return recorded([*pair, *twice], **options)


def pictured(step: int) -> record_pictures.Record:
    rng = np.random.default_rng(step)
    weights_of = rng.normal(size=(2, 3, 4))
    attention = np.tril(rng.uniform(size=(4, 4)))
    return record_pictures.Record(
        unembedding=weights_of[0],
        attention_matrix=weights_of[1],
        attention=attention / attention.sum(1, keepdims=True),
        mean_logit=rng.normal(size=7),
        sentence="it was a dark night",
    )


# What the test of every room reads.
def census_of(seed: int, step: int):
    return record.to_dataset(spread_record(seed, step))


def committed(make, seeds: int = 3, steps=STEPS, pictures: bool = False) -> Committed:
    """Results of make(seed, step), a record each."""
    units = [
        (
            Unit(measure=record.MEASURE, model="toy-8", seeds=(seed,), step=step),
            record.to_dataset(make(seed, step)).assign_attrs(unit=f'{{"step": {step}}}'),
        )
        for seed in range(seeds)
        for step in steps
    ]
    ends = [
        (
            Unit(measure=record_pictures.MEASURE, model="toy-8", seeds=(0,), step=step),
            record_pictures.to_dataset(pictured(step)),
        )
        for step in (steps[0], steps[-1])
    ]
    return Committed({record.MEASURE: units, record_pictures.MEASURE: ends if pictures else []})


def find(make=spread_record, **options) -> weights.Spread:
    spreads = weights.find(committed(make, **options))
    assert spreads is not None
    return spreads[0]


def page(spread: weights.Spread):
    return weights.QUESTION.section([spread], style.Look(["toy-8"]))


@pytest.fixture(scope="module")
def spread() -> weights.Spread:
    return find(pictures=True)


def test_records_are_read_as_they_were_written():
    written = spread_record(0, 8)
    read = record.from_dataset(record.to_dataset(written))
    for field in dataclasses.fields(record.Record):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(written, field.name))
    written, limit = pictured(0), 4.0
    read = record_pictures.from_dataset(record_pictures.to_dataset(written))
    for name in ("unembedding", "attention_matrix"):
        np.testing.assert_allclose(
            getattr(read, name), getattr(written, name), atol=limit / record_pictures.LEVELS / 2
        )
    np.testing.assert_allclose(read.attention, written.attention, atol=1 / 510)
    np.testing.assert_allclose(read.mean_logit, written.mean_logit, rtol=1e-6)


def test_a_density_integrates_to_one(spread):
    every = [*spread.kinds.values(), *spread.layers["mlp"]]
    assert len(every) == 5
    for distribution in every:
        inside = (distribution.density * np.diff(distribution.edges)).sum(1)
        np.testing.assert_allclose(inside, 1 - distribution.outside, atol=1e-12)


def test_layers_together_have_the_moments_of_all_their_weights(spread):
    for k, step in enumerate(STEPS):
        pooled = [
            np.concatenate([matrix(seed + 10 * layer, step).ravel() for layer in (1, 2)])
            for seed in range(3)
        ]
        sd = np.mean([values.std() for values in pooled])
        fourth = np.mean([((x - x.mean()) ** 4).mean() / x.var() ** 2 - 3 for x in pooled])
        assert spread.kinds["mlp"].sd.value[k] == pytest.approx(sd, rel=1e-12)
        assert spread.kinds["mlp"].excess_kurtosis.value[k] == pytest.approx(fourth, abs=1e-9)


def test_widths_and_distances_are_from_the_same_seeds_first_step(spread):
    for distribution in spread.kinds.values():
        curve = distribution.width
        assert curve.value[0] == 1
        assert curve.low[0] == curve.high[0] == 1  # what seeds share of the start cancels
        assert distribution.moved.value[0] == 0
    # All weights scale by one factor, so that each moves by its own size times the growth.
    grown = 0.064 * np.mean([np.abs(matrix(seed, 0)).mean() / 0.1 for seed in range(3)])
    fine = find(lambda seed, step: spread_record(seed, step, bins=128)).kinds["embed_out"]
    assert fine.width.value[-1] == pytest.approx(1.64, rel=1e-12)
    assert fine.moved.value[-1] == pytest.approx(grown, rel=0.01)


def test_one_seed_has_no_error_bar():
    alone = find(seeds=1)
    assert not any(d.sd.has_errors for d in alone.kinds.values())


def test_a_common_vector_that_grows_is_called_a_gauge():
    """The raw density moves, the centred one does not, nor does the softmax."""

    def drifting(seed: int, step: int) -> record.Record:
        start = matrix(seed, 0)
        moved = start + matrix(seed, step, 0.3) - matrix(seed, step)
        return recorded([(moved, None), (moved, common_vector(moved))])

    drifted = find(drifting)
    raw, centred = drifted.kinds["embed_out"], drifted.kinds["embed_out (centred)"]
    assert raw.moved.value[-1] > 0.1
    assert raw.width.value[-1] > 2
    np.testing.assert_allclose(centred.width.value, 1, rtol=1e-9)
    assert centred.moved.value.max() < 1e-3 * raw.moved.value[-1]
    h = np.random.default_rng(1).normal(size=(5, D))
    before, after = (matrix(0, 0) + drift * np.ones((V, 1)) * h[0] for drift in (0.0, 3.0))
    np.testing.assert_allclose(
        log_softmax(h @ before.T, axis=-1), log_softmax(h @ after.T, axis=-1), atol=1e-9
    )
    said = [f for f in page(drifted).findings if "gauge" in f.sentence]
    assert len(said) == 1
    assert said[0].grade == "sure"
    assert drifted.gauge is not None
    assert drifted.gauge.share.value[-1] > 0.7
    tied = page(dataclasses.replace(drifted, tied=True))
    assert [f for f in tied.findings if "the embedding is the same matrix" in f.sentence]
    assert "embedding is" not in said[0].sentence
    alone = [f for f in page(find(drifting, seeds=1)).findings if "gauge" in f.sentence]
    assert [f.grade for f in alone] == ["open"]


def test_growth_that_the_softmax_sees_is_no_gauge(spread):
    assert not [f for f in page(spread).findings if "gauge" in f.sentence]


def test_two_modes_are_said_with_their_place_and_one_mode_is_said_too(spread):
    def split(seed: int, step: int) -> record.Record:
        side = np.where(np.random.default_rng(seed + 50).random((V, D)) < 0.5, -1, 1)
        weights_of = matrix(seed, 0) + side * 0.25 * step / 64  # at the end 5 sd apart
        return recorded([(weights_of, None), (weights_of, common_vector(weights_of))], bins=128)

    (said,) = [f for f in page(find(split)).findings if "mode" in f.sentence]
    assert re.search(r"has two modes at step 64, at ±0\.2(4[5-9]|5[0-5]) about", said.sentence)
    assert said.grade == "sure"
    (said,) = [f for f in page(spread).findings if "mode" in f.sentence]
    assert "has one mode at step 64" in said.sentence


def test_a_density_is_drawn_as_one_image(spread):
    """As vectors its cells would outweigh the page."""
    figure = figures.density(spread.kinds["mlp"], spread.steps)
    (mesh,) = figure.axes[0].collections
    assert mesh.get_rasterized()


def test_the_page_shows_the_raw_unembedding_first_and_the_centred_one_beside_it(spread):
    section = page(spread)
    assert section.panels[0].name == "density-unembedding"
    titles = [ax.get_title() for ax in section.panels[0].draw().axes[:2]]
    assert titles == ["toy-8: embed_out", "toy-8: embed_out (centred)"]
    names = [panel.name for panel in section.panels]
    assert {"density-mlp", "layers-mlp", "picture-unembedding", "picture-logits"} <= set(names)
    for panel in section.panels:
        assert panel.draw().axes
        assert panel.table.rows


def test_the_tensor_that_changes_most_is_sure_only_where_it_is_ahead_of_the_next(spread):
    def grades(spread) -> list[str]:
        every = sentences.findings([spread])
        return [f.grade for f in every if "first width" in f.sentence or "tails" in f.sentence]

    assert grades(find(seeds=1)) == ["open", "open"]
    kinds = {
        kind: dataclasses.replace(
            d,
            **{
                name: dataclasses.replace(
                    curve, value=curve.value + shift, low=curve.low + shift, high=curve.high + shift
                )
                for name in ("width", "excess_kurtosis")
                for curve in [getattr(d, name)]
                for shift in [2.0 * (kind == "mlp")]
            },
        )
        for kind, d in spread.kinds.items()
    }
    assert grades(dataclasses.replace(spread, kinds=kinds))[1] == "sure"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 0.25], ids=str)
@pytest.mark.parametrize("when", ["always", "at the end"])
def test_tensors_without_a_spread_leave_a_page(value, when):
    """All NaN, all infinite, all zero, all equal."""

    def flat(seed: int, step: int) -> record.Record:
        steps = STEPS if when == "always" else STEPS[-1:]
        tensor = np.full((V, D), value) if step in steps else matrix(seed, step)
        less = np.zeros(D)  # an infinite vector cannot be taken off without a warning
        return recorded([(tensor, None), (tensor, less), (tensor, None), (tensor, None)])

    section = page(find(flat))
    for panel in section.panels:
        assert panel.draw().axes
    text = " ".join(finding.sentence for finding in section.findings)
    assert "nan" not in text
    table = section.tables["Weights that no density shows"]
    lost = V * D * 3 * (3 if when == "always" else 1) * (not np.isfinite(value))
    assert table.columns["weights that are not finite"][0] == lost


def test_seeds_of_other_tensors_are_refused():
    def fewer(seed: int, step: int) -> record.Record:
        return recorded([(matrix(seed, step), None)] * (2 - seed))

    with pytest.raises(InputError, match=r"no tensor embed_out \(centred\); expected those of"):
        find(fewer, seeds=2)


def test_checkpoints_of_different_shapes_are_refused_by_name():
    def reshaped(seed: int, step: int) -> record.Record:
        tensor = matrix(seed, step)[: V - step]
        return recorded([(tensor, None)])

    with pytest.raises(InputError, match=r"\"step\": 8.*embed_out of shape 492 x 12; expected"):
        find(reshaped)
