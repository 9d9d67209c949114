"""What is shown of curvature: of which parts, of which block, beside the LLC, and of checkpoints
where something is not finite."""

import dataclasses

import numpy as np
import pytest
from made_llc import one_record

from dynamics.figures import style
from dynamics.questions import Committed, curvature
from dynamics.questions.curvature import figures, record
from dynamics.results import Unit

STEPS = (1, 2, 4, 8, 16)
LOOK = style.Look(["toy"])
BETWEEN = record.BetweenBatches(trace=7.3, largest=0.3, count=4, size=8)


def moments(trace: float, rank: float = 3.0) -> record.Moments:
    return record.Moments(
        trace=trace,
        trace_sem=0.1,
        frobenius=trace / 2,
        frobenius_sem=0.1,
        effective_rank=rank,
        effective_rank_sem=0.1,
    )


def hessian(step: int, parts=(6.0, -1.0), rank: float = 3.0, block: str = "") -> record.Record:
    """Everything grows with the step; the trace is the sum of the default parts."""
    ends = record.Ends(
        largest=np.array([5.0 * step, 4.0]),
        largest_error=np.array([0.1, 0.1]),
        smallest=np.array([-2.0 * step, -1.0]),
        smallest_error=np.array([0.1, 0.1]),
    )
    by_part = record.Parts(
        names=("layers.0", "layers.1"),
        trace=step * np.array(parts),
        trace_sem=np.array([0.2, 0.1]),
    )
    return record.Record(
        hessian=moments(5.0 * step, rank),
        gauss_newton=moments(6.0 * step),
        ends=ends,
        parts=by_part,
        loss=3.0,
        learning_rate=1e-2,
        density=None,
        block=block,
        num_probes=16,
    )


def committed(hessians, llcs=(1.0, 2.0, 3.0, 4.0, 5.0), **llc_changes) -> Committed:
    """Of one seed: a Hessian and an LLC at each step."""
    from dynamics.questions.llc import record as llc_record

    units = {record.MEASURE: [], llc_record.MEASURE: []}
    for step, of_step, value in zip(STEPS, hessians, llcs, strict=True):
        unit = Unit(measure=record.MEASURE, model="toy", seeds=(0,), step=step)
        units[record.MEASURE].append((unit, record.to_dataset(of_step)))
        estimate = dataclasses.replace(one_record(value, **llc_changes), sem=0.01)
        unit = dataclasses.replace(unit, measure=llc_record.MEASURE)
        units[llc_record.MEASURE].append((unit, llc_record.to_dataset(estimate)))
    return Committed(units)


def find(**changed) -> curvature.Curvature:
    return model_of(committed([hessian(step, **changed) for step in STEPS]))


def model_of(results: Committed) -> curvature.Curvature:
    curvatures = curvature.find(results)
    assert curvatures is not None
    return curvatures[0]


def page(model: curvature.Curvature):
    """The page's section, each of whose panels can be drawn."""
    section = curvature.QUESTION.section([model], LOOK)
    for words in (section.introduction, *(panel.caption for panel in section.panels[:2])):
        assert ("error bars say nothing of other seeds" in words) == (len(model.runs) == 1)
    for panel in section.panels:
        assert panel.draw().axes
        assert panel.table.rows
    return section


def agreement(model: curvature.Curvature) -> dict:
    """Statistic -> (rank correlation, checkpoints)."""
    table = page(model).tables["Rank correlation with the LLC over checkpoints"]
    return {row[2]: (row[3], row[6]) for row in table.rows}


@pytest.mark.parametrize("density", [True, False])
def test_a_record_is_read_as_it_was_written(density):
    written = hessian(4, block="" if density else "layers.0.mlp")
    if density:
        nodes = record.Density(nodes=np.ones((2, 3)), weights=np.full((2, 3), 0.5))
        written = dataclasses.replace(
            written, density=nodes, parts=None, learning_rate=None, between=BETWEEN
        )
    data = record.to_dataset(written)
    read = record.from_dataset(data)
    for name in (
        "hessian",
        "gauss_newton",
        "loss",
        "learning_rate",
        "block",
        "num_probes",
        "between",
    ):
        assert getattr(read, name) == getattr(written, name)
    for name in ("largest", "largest_error", "smallest", "smallest_error"):
        np.testing.assert_array_equal(getattr(read.ends, name), getattr(written.ends, name))
        assert float(data[name]) == getattr(written.ends, name)[0]
    assert (read.density is None) == (written.density is None)
    assert (read.parts is None) == (written.parts is None)


def with_spectrum(step: int) -> record.Record:
    """Two probes that see most eigenvalues at 0 and a few at 5; batches differ at the last step."""
    nodes, weights = np.array([[0.0, 5.0]] * 2), np.array([[0.98, 0.02], [0.96, 0.04]])
    density = record.Density(nodes=nodes, weights=weights)
    between = BETWEEN if step == STEPS[-1] else None
    return dataclasses.replace(hessian(step), density=density, between=between)


def test_the_drawn_density_integrates_to_one_and_peaks_at_the_nodes():
    (model,) = curvature.find(committed([with_spectrum(step) for step in STEPS])) or []
    spectrum = model.first.spectrum
    assert spectrum is not None
    assert spectrum.step == STEPS[-1]
    spacing = spectrum.points[1] - spectrum.points[0]
    assert spectrum.density.sum() * spacing == pytest.approx(1.0, abs=0.01)
    peaks = spectrum.density > 0.2 * spectrum.density.max() * 0.03
    near = np.minimum(np.abs(spectrum.points), np.abs(spectrum.points - 5.0)) < 4 * spectrum.width
    assert near[peaks].all()
    high = spectrum.points > 2.5
    share, error = (np.sum(x[high]) * spacing for x in (spectrum.density, spectrum.sem))
    assert (share, error) == (pytest.approx(0.03, abs=2e-3), pytest.approx(0.01, abs=1e-3))


def test_older_files_have_the_trace_and_the_ends_alone():
    later = ["frobenius", "frobenius_sem", "effective_rank", "effective_rank_sem", "part"]
    data = record.to_dataset(hessian(4))
    later += [name for name in data if "gauss" in name or "part" in name or "_all" in name]
    read = record.from_dataset(data.drop_vars([*later, "learning_rate"]))
    assert read.hessian.trace == 20.0
    assert read.ends.largest.tolist() == [20.0]
    assert read.parts is None
    assert read.gauss_newton is None
    model = model_of(committed([read] * len(STEPS)))
    assert list(model.first.statistics) == ["Hessian trace", "largest eigenvalue"]
    assert not any(panel.name == "sharpness" for panel in page(model).panels)


def test_panels_draw_what_they_are_given():
    model = find()
    (line,) = [a for a in figures.trace([model], LOOK).axes[0].lines if a.get_label() == "toy"]
    np.testing.assert_array_equal(line.get_ydata(), 5.0 * np.array(STEPS))
    assert figures.ends([model], LOOK).axes[0].get_ylim()[0] < -32
    section = page(model)
    assert section.numbers["trace"][0] is model.trace
    assert [track.label for track in section.tracks] == ["Hessian trace"]


def test_parts_are_said_to_sum_to_the_whole_only_where_they_do():
    def caption(model) -> str:
        panels = {panel.name: panel.caption for panel in page(model).panels}
        return panels["hessian-parts-toy"]

    assert "sum to the whole" in caption(find())
    heads = caption(find(parts=(0.3, 0.2)))
    assert "sum to the whole" not in heads
    assert "not all weights" in heads


def test_a_block_is_named_in_every_caption_of_its_numbers():
    block = {p.name: p.caption for p in page(find(block="layers.0.mlp")).panels}
    for name in ("hessian-trace", "hessian-ends", "hessian-llc-toy"):
        assert block[name].startswith("Of the block of layers.0.mlp alone.")
    assert not any("Of the block" in panel.caption for panel in page(find()).panels)


def test_sharpness_is_learning_rate_times_eigenvalue_over_two():
    model = find()
    np.testing.assert_allclose(model.first.sharpness, 1e-2 * 5.0 * np.array(STEPS) / 2)
    sentences = [finding.sentence for finding in page(model).findings]
    assert any("at most 0.400 (step 16), below" in sentence for sentence in sentences)


def test_curves_that_rise_together_rank_alike():
    assert agreement(find())["Hessian trace"] == (pytest.approx(1.0), 5)


def test_a_checkpoint_that_is_not_finite_does_not_end_the_page():
    hessians = [hessian(step) for step in STEPS]
    gap = model_of(committed(hessians, llcs=(1.0, 2.0, np.nan, 4.0, 5.0)))
    assert agreement(gap)["Hessian trace"] == (pytest.approx(1.0), 4)
    (finding,) = [f for f in page(gap).findings if "rank correlation" in f.sentence]
    assert "over the 4 at which both are finite" in finding.sentence
    flat = agreement(find(rank=np.nan))
    assert "effective rank" not in flat
    assert flat["Hessian trace"] == (pytest.approx(1.0), 5)


def test_agreement_with_llcs_that_are_not_local_is_doubted():
    hessians = [hessian(step) for step in STEPS]

    def finding(**llc_changes):
        findings = page(model_of(committed(hessians, **llc_changes))).findings
        (agreeing,) = [f for f in findings if "rank correlation" in f.sentence]
        return agreeing

    # An LLC that rises by 1 from each of five checkpoints to the next has no changes to compare.
    assert finding().grade == "open"
    uneven = finding(llcs=(1.0, 2.5, 3.0, 4.7, 5.0))
    assert uneven.grade == "unsure"  # five checkpoints may change alike by chance
    assert "that of their changes −0.40 (by chance" in uneven.sentence
    doubted = finding(verdict="left the basin", localization_share=0.99)
    assert doubted.grade == "unsure"
    assert "0 of 5 LLCs are local" in doubted.sentence
    assert "rest on the setting γ" in doubted.sentence


def test_without_llcs_nothing_is_beside():
    results = committed([hessian(step) for step in STEPS])
    alone = model_of(Committed({record.MEASURE: results.of(record.MEASURE)}))
    assert alone.first.beside_llc is None
    assert page(alone).tables == {}


def test_errors_are_over_seeds_where_there_are_some():
    units = [
        (
            Unit(measure=record.MEASURE, model="toy", seeds=(seed,), step=4),
            record.to_dataset(hessian(seed + 1)),
        )
        for seed in range(3)
    ]
    model = model_of(Committed({record.MEASURE: units}))
    assert model.trace.value[0] == pytest.approx(10.0)
    assert model.trace.sem[0] == pytest.approx(5 / np.sqrt(3))
    assert [run.trace.value[0] for run in model.runs] == [5.0, 10.0, 15.0]
    assert model.first.steps.tolist() == [4]


def test_the_sharpness_of_one_seed_is_open_and_of_several_is_judged_by_their_scatter():
    def finding(seeds: int):
        units = [
            (
                Unit(measure=record.MEASURE, model="toy", seeds=(seed,), step=step),
                record.to_dataset(hessian(step * (1 + 0.01 * seed))),
            )
            for seed in range(seeds)
            for step in STEPS
        ]
        model = model_of(Committed({record.MEASURE: units}))
        (sharp,) = [f for f in page(model).findings if "Learning rate times" in f.sentence]
        return model.first, sharp

    (_, alone), (first, beside) = finding(1), finding(3)
    assert alone.grade == "open"
    expected = 1e-2 / 2 * 5.0 * np.array(STEPS) * 0.01
    np.testing.assert_allclose(first.sharpness_scatter, expected)
    assert beside.grade == "sure"  # 0.4 is 150 times that below 1
    assert "scatter over seeds" in beside.rests_on


def test_two_parts_are_ranked_by_their_errors():
    def grade(parts) -> str:
        (finding,) = [f for f in page(find(parts=parts)).findings if "sits most" in f.sentence]
        return finding.grade

    assert grade((6.0, -1.0)) == "sure"
    assert grade((0.51, 0.5)) == "unsure"


def test_what_batches_differ_by_stands_beside_the_trace():
    (model,) = curvature.find(committed([with_spectrum(step) for step in STEPS])) or []
    section = page(model)
    trace = next(f for f in section.findings if f.sentence.startswith("The Hessian trace of"))
    assert "at step 16 batches differ by an SD of 7.30 in the trace and 0.300" in trace.rests_on
    assert "(4 batches of 8 windows)" in trace.rests_on
    assert section.numbers["between_batches"] == {"toy": dataclasses.asdict(BETWEEN)}
    assert section.tables["The Hessian from batch to batch"].rows[0][-2:] == (7.3, 0.3)


def test_without_other_batches_nothing_is_said_of_them():
    section = page(find())
    assert not any("differ by an SD" in finding.rests_on for finding in section.findings)
    assert "The Hessian from batch to batch" not in section.tables
