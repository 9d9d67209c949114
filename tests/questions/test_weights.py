"""How weights are spread, on made-up records. Axes: S seeds, M matrices, N bins."""

import dataclasses

import numpy as np
import pytest

from dynamics.figures import style
from dynamics.questions import Committed, weights
from dynamics.questions.weights import figures, record
from dynamics.results import Unit

MATRICES, STEPS = ("embed", "unembed", "unembed_centred"), (0, 8, 64)
CENTER = np.linspace(-0.95, 0.95, 20)
TOTAL = 5000


def census(seed: int, step: int) -> record.Record:
    """Normal weights whose width grows with the step; what the bins miss is counted beside."""
    rng = np.random.default_rng([seed, step])
    values = (0.1 + 0.005 * step) * rng.normal(size=(len(MATRICES), TOTAL))
    edges = np.linspace(-1, 1, len(CENTER) + 1)
    return record.Record(
        matrices=MATRICES,
        center=CENTER,
        counts=np.stack([np.histogram(row, edges)[0] for row in values]),
        below=(values < -1).sum(1),
        above=(values > 1).sum(1),
        mean=values.mean(1),
        sd=values.std(1),
        excess_kurtosis=((values / values.std(1, keepdims=True)) ** 4).mean(1) - 3,
    )


def find(seeds: int = 3) -> weights.Spread:
    units = [
        (
            Unit(measure=record.MEASURE, model="toy-8", seeds=(seed,), step=step),
            record.to_dataset(census(seed, step)),
        )
        for seed in range(seeds)
        for step in STEPS
    ]
    spreads = weights.find(Committed({record.MEASURE: units}))
    assert spreads is not None
    return spreads[0]


def test_a_record_is_read_as_it_was_written():
    written = census(0, 8)
    read = record.from_dataset(record.to_dataset(written))
    assert read.matrices == written.matrices
    for name in ("center", "counts", "below", "above", "mean", "sd", "excess_kurtosis"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


def test_a_density_integrates_to_what_lies_inside_the_bins():
    spread = find()
    width = CENTER[1] - CENTER[0]
    for density in spread.density.values():
        inside = density.sum(1) * width
        assert (inside <= 1 + 1e-12).all()
        assert inside.min() == pytest.approx(1 - spread.outside, abs=spread.outside + 1e-12)


def test_a_density_is_drawn_as_one_image():
    """As vectors its cells would outweigh the page."""
    (mesh,) = figures.density(find(), "embed").axes[0].collections
    assert mesh.get_rasterized()


def test_widths_are_relative_to_the_same_seeds_first_step():
    spread = find()
    for name, curve in spread.width.items():
        assert curve.value[0] == 1
        assert curve.low[0] == curve.high[0] == 1  # what seeds share of the start cancels
        ratios = [
            census(seed, 64).sd[MATRICES.index(name)] / census(seed, 0).sd[MATRICES.index(name)]
            for seed in range(3)
        ]
        assert curve.value[-1] == pytest.approx(np.mean(ratios), rel=1e-12)
        assert curve.sem[-1] == pytest.approx(np.std(ratios, ddof=1) / 3**0.5, rel=1e-9)


def test_one_seed_has_no_error_bar():
    spread = find(seeds=1)
    assert not any(curve.has_errors for curve in spread.sd.values())


def test_the_page_shows_the_raw_unembedding_first_and_the_centred_one_beside_it():
    section = weights.QUESTION.section([find()], style.Look(["toy-8"]))
    assert [panel.name for panel in section.panels[:2]] == [
        "density-unembed",
        "density-unembed_centred",
    ]
    for panel in section.panels:
        assert panel.draw().axes
        assert panel.table.rows


def test_the_matrix_that_changes_most_is_sure_only_where_it_is_ahead_of_the_next():
    def grades(spread) -> list[str]:
        findings = weights.QUESTION.section([spread], style.Look(["toy-8"])).findings
        return [finding.grade for finding in findings]  # of widths and of tails

    spread = find()  # all matrices grow alike
    assert grades(spread) == ["unsure", "unsure"]
    assert grades(find(seeds=1)) == ["open", "open"]
    shift = {name: 2.0 * (name == "unembed") for name in MATRICES}
    apart = {
        name: {
            matrix: dataclasses.replace(
                curve,
                value=curve.value + shift[matrix],
                low=curve.low + shift[matrix],
                high=curve.high + shift[matrix],
            )
            for matrix, curve in getattr(spread, name).items()
        }
        for name in ("width", "excess_kurtosis")
    }
    assert grades(dataclasses.replace(spread, **apart)) == ["sure", "sure"]


def test_the_numbers_of_a_density_are_those_of_every_step():
    spread = find()
    section = weights.QUESTION.section([spread], style.Look(["toy-8"]))
    columns = section.panels[0].table.columns
    assert sorted(set(columns["step"])) == list(STEPS)
    density = np.array(columns["density (per unit of weight)"])
    np.testing.assert_array_equal(density, spread.density["unembed"][spread.density["unembed"] > 0])
