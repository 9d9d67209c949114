"""The page on convergence draws and says what the results hold, and says what they lack.

Axes: K steps, S seeds, G documents.
"""

import itertools

import numpy as np
import pytest
from made_seeds import made_record, units
from planted_phases import STEPS, planted

from dynamics.analysis import jackknife, uncertainty
from dynamics.figures import style
from dynamics.questions import Committed, convergence
from dynamics.questions.convergence import figures, record, record_ngram
from dynamics.questions.convergence.findings import TARGETS
from dynamics.questions.convergence.phases import find_phases
from dynamics.questions.in_context import record as in_context_record
from dynamics.report.section import Panel, Section
from dynamics.results import Unit

MODELS = ("toy-8m", "toy-16m")
LOOK = style.Look(MODELS)


def divergence_units(
    bends: int = 3, seeds: int = 5, steps: slice = slice(None), *, complete: bool = True
) -> list:
    """Two models with planted phases."""
    pairs = []
    for number, model in enumerate(MODELS):
        curve = planted(number, bends, seeds)
        stored = {
            int(STEPS[k]): record.to_dataset(
                made_record(curve.kl[k], curve.weights, curve.truth[k], complete=complete)
            )
            for k in range(len(STEPS))[steps]
        }
        pairs += units(record.MEASURE, model, stored)
    return pairs


def context_units(steps=(0, 8, 64), gain_of=lambda model, step: 0.01 * step) -> list:
    """Two models that gain .01 nats a step, or what `gain_of` says, from a longer context."""
    pairs, rng = [], np.random.default_rng(0)
    for model in MODELS:
        stored = {}
        for step in map(int, steps):
            given_long = 3.0 - gain_of(model, step) * rng.uniform(0.98, 1.02, (5, 7))
            gain = np.stack([np.full((5, 7), 3.0), given_long], axis=-1)
            written = in_context_record.Record(
                seeds=tuple(range(5)),
                surprisal=gain,
                lengths=(8, 64),
                document=np.arange(7),
                positions="token 80 given 64 and 8 before it",
                scaled=True,
            )
            stored[step] = in_context_record.to_dataset(written)
        pairs += units(in_context_record.FORMER, model, stored)
    return pairs


def ngram_units(losses=(5.0, 2.9, 1.0)) -> list:
    orders = tuple(range(1, len(losses) + 1))
    sem = np.full(len(losses), 0.1)
    written = record_ngram.Record(orders=orders, cross_entropy=np.array(losses), sem=sem)
    return [(Unit.of_suite(record_ngram.MEASURE), record_ngram.to_dataset(written))]


def find(**measures) -> convergence.Findings:
    findings = convergence.find(Committed(measures))
    assert findings is not None
    return findings


def section_of(findings: convergence.Findings) -> Section:
    return convergence.QUESTION.section(findings, LOOK)


def panels_of(findings: convergence.Findings) -> dict[str, Panel]:
    return {panel.name: panel for panel in section_of(findings).panels}


@pytest.fixture(scope="module")
def findings() -> convergence.Findings:
    return find(convergence=divergence_units(), icl=context_units(), ngram=ngram_units())


@pytest.fixture(scope="module")
def older() -> convergence.Findings:
    """What results show that lack all that was added later."""
    return find(convergence=divergence_units(complete=False))


@pytest.fixture(scope="module")
def few() -> convergence.Findings:
    """Two seeds at four steps."""
    return find(convergence=divergence_units(seeds=2, steps=slice(0, 4)))


def test_every_panel_is_drawn_and_has_its_numbers(findings):
    panels = panels_of(findings)
    names = {"overview", "intervals", "interval-widths", "late-slope", "contexts", "seed-js"}
    names |= {"cross-entropy", "kl-uniform", "kl-unigram", "entropy", "token-spread"}
    assert set(panels) == names | {"seed-kl"} | {f"phases-{model}" for model in MODELS}
    assert next(iter(panels)) == "seed-kl"  # the answer first
    for panel in panels.values():
        assert panel.draw().axes
        assert panel.table.rows


def test_details_lie_in_the_groups_of_the_page(findings):
    groups = [panel.group for panel in section_of(findings).panels[1:]]
    assert [group for group, _ in itertools.groupby(groups)] == [
        "Phases",
        "How sure, and of what?",
        "Distances to simple predictors",
        "Spread over tokens and contexts",
    ]


def test_the_answer_shows_step_zero_and_the_interval_of_every_step(findings):
    (ax,) = panels_of(findings)["seed-kl"].draw().axes
    assert 0 in ax.get_xticks()
    assert ax.get_xlim()[0] < 0
    assert "nats" in ax.get_ylabel()
    assert "step" in ax.get_xlabel()
    for model in findings.models:
        seeds = model.divergence
        (line,) = [line for line in ax.lines if line.get_label() == model.model]
        off = ~np.eye(5, dtype=bool)
        expected = seeds.kl[:, off].mean(1) @ seeds.tokens / seeds.tokens.sum()
        np.testing.assert_allclose(line.get_ydata(), expected)
        for k, kl in enumerate(seeds.kl):
            interval = uncertainty.seed_interval(kl, seeds.tokens)
            assert seeds.seed_kl.low[k] == interval.low
            assert seeds.seed_kl.high[k] == interval.high


def test_overview_has_a_row_per_measure_and_a_line_per_boundary(findings):
    figure = figures.overview(findings, LOOK)
    labels = [ax.get_ylabel() for ax in figure.axes]
    for label, word in zip(labels, ("seeds", "unigram", "ICL", "entropy", "rate"), strict=True):
        assert word in label
    assert figure.axes[-1].get_xlabel() == "training step"
    bounds = [phase.begin.value for phase in findings.models[-1].phases.boundaries]
    assert bounds
    dotted = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(dotted, bounds)
    scores = figure.axes[2].lines[0].get_ydata()
    np.testing.assert_allclose(scores, [0, -0.08, -0.64], rtol=0.02)  # as far as gains scatter
    caption = panels_of(findings)["overview"].caption
    assert "token 80 given 64 and 8 before it, scaled down" in caption
    assert "Not here" not in caption


def test_a_phase_is_shaded_from_bound_to_bound(findings):
    model = findings.models[0]
    panel = panels_of(findings)[f"phases-{model.model}"]
    (ax,) = panel.draw().axes
    shades = {patch.get_label() for patch in ax.patches}
    assert shades == {phase.name for phase in model.phases.phases}
    assert "5 seeds and 20 documents" in panel.caption
    table = section_of(findings).tables["Phases"].columns
    of_model = [place for place, name in enumerate(table["model"]) if name == model.model]
    assert [table["phase"][k] for k in of_model] == [phase.name for phase in model.phases.phases]
    begins = [table["begins at step"][k] for k in of_model]
    assert np.isnan(begins[0])  # where the first began is not known
    np.testing.assert_allclose(begins[1:], [p.begin.value for p in model.phases.boundaries])


def test_the_numbers_of_a_fit_name_the_phase_that_begins_at_a_bend(findings):
    model = findings.models[0]
    columns = panels_of(findings)[f"phases-{model.model}"].table.columns
    steps = np.array(columns["step"])
    begun = {
        step: name for step, name in zip(steps, columns["phase that begins"], strict=True) if name
    }
    assert list(begun.values()) == [phase.name for phase in model.phases.boundaries]
    np.testing.assert_allclose(list(begun), [p.begin.value for p in model.phases.boundaries])
    measured = np.isfinite(columns["KL between seeds (nats per token)"])
    np.testing.assert_array_equal(steps[measured], model.divergence.steps)


def test_a_sentence_names_every_phase_with_its_bound(findings):
    for model in findings.models:
        (line,) = [
            finding
            for finding in section_of(findings).findings
            if finding.sentence.startswith(f"The seeds of {model.model}")
        ]
        for phase in model.phases.phases:
            assert phase.name in line.sentence
            if phase.end:
                limits = map(style.short_step, phase.end[1:])
                assert f"({' to '.join(limits)})" in line.sentence
        assert "5 seeds and 20 documents" in line.rests_on


def test_the_end_of_the_sharp_convergence_is_set_beside_the_unigrams_minimum(findings):
    model = findings.models[-1]
    both = model.events[0].together
    assert both is not None
    assert 0 <= both.probability <= 1
    assert model.divergence.steps[0] <= both.step <= model.divergence.steps[-1] + 1e-6
    (line,) = [
        f
        for f in section_of(findings).findings
        if f"convergence ends in {model.model}" in f.sentence
    ]
    assert f"with a probability of {both.probability:.2f}" in line.sentence
    numbers = section_of(findings).numbers["sharp_convergence_and_unigram"]
    assert numbers[model.model]["step of the other event"] == both.step


@pytest.mark.parametrize(("after", "together"), [(1.0, True), (30.0, False)])
def test_the_reconvergence_is_set_beside_the_onset_of_in_context_learning(after, together):
    """A score that falls from the planted bend on, and one that falls 3.4 e-folds before it."""
    bends = {
        model: np.expm1(planted(number, 3, 5).bends[-1]) / after
        for number, model in enumerate(MODELS)
    }

    def gain_of(model: str, step: int) -> float:
        return float(np.maximum(np.log1p(step) - np.log1p(bends[model]), 0))

    both = find(convergence=divergence_units(), icl=context_units(STEPS, gain_of))
    for model in both.models:
        _, events = model.events
        assert events.together is not None
        assert events.together.step == pytest.approx(bends[model.model], rel=0.3)
        assert (events.together.probability > 0.9) == together
        assert (events.together.probability < 0.1) != together
    table = section_of(both).tables["Events that may be one"].columns
    assert table["why there is none"] == [""] * 4


def test_seeds_of_other_data_are_named_and_not_pooled_in_silence():
    pairs = divergence_units()
    for unit, data in pairs:
        if unit.model == MODELS[0]:
            data.attrs["caution"] = "Seed 0 may be trained on other data than the others."
    introduction = section_of(find(convergence=pairs)).introduction
    assert introduction.count("toy-8m: Seed 0 may be trained on other data") == 1
    assert "toy-16m" not in introduction


def test_an_event_that_is_not_seen_is_said_not_to_be(findings, few):
    reasons = section_of(findings).tables["Events that may be one"].columns["why there is none"]
    assert "the in-context score has no pieces: got 3 steps" in reasons[1]
    reasons = section_of(few).tables["Events that may be one"].columns["why there is none"]
    assert reasons == ["no such end is seen", "no reconvergence is seen"] * 2


def test_intervals_are_those_of_their_targets(findings):
    functions = {
        "other seeds, these documents": uncertainty.seed_interval,
        "these seeds, other documents": uncertainty.document_interval,
        "other seeds, other documents": uncertainty.population_interval,
    }
    assert functions == TARGETS
    model = findings.models[0]
    kl, tokens = model.divergence.kl, model.divergence.tokens
    for target, interval in functions.items():
        assert model.intervals.last[target] == interval(kl[-1], tokens)
        limits, curve = interval(kl[4], tokens), model.intervals.curves[target]
        assert (curve.value[4], curve.low[4], curve.high[4]) == (
            limits.mean,
            limits.low,
            limits.high,
        )
        share = 50 * (limits.high - limits.low) / limits.mean
        assert model.intervals.shares[target][4] == pytest.approx(share)
    panel = panels_of(findings)["intervals"]
    assert set(panel.table.columns["holds for"]) == set(TARGETS)
    assert not any(panel.table.columns["why there is none"])
    assert len(panel.draw().axes[0].collections) == 3 * len(MODELS)


def test_contexts_show_mean_and_standard_deviation(findings):
    spread = findings.models[0].spread
    np.testing.assert_allclose(spread.sd, spread.mean * np.sqrt(0.125))
    (line, *_) = figures.contexts(findings.models[:1], LOOK).axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), spread.mean)


def test_quantiles_of_tokens_are_those_of_the_record(findings):
    model = findings.models[0]
    for k, numbers in enumerate(model.divergence.records):
        np.testing.assert_allclose(model.spread.quantiles[k, 2], np.median(numbers.token_kl))


def test_sizes_come_from_the_results_or_the_name(findings, older):
    assert [model.size for model in findings.models] == [8000, 8000]
    assert [model.size for model in older.models] == [8e6, 16e6]
    assert older.size_effect is not None
    assert "Two sizes only" in older.size_caution
    assert findings.size_effect is None
    assert "no regression on size" in findings.size_caution
    assert findings.size_caution in panels_of(findings)["late-slope"].caption
    assert "Two sizes only" in section_of(older).findings[-1].sentence


def test_a_row_per_seed_leaves_it_out(findings):
    table = section_of(findings).tables["Single seeds"]
    pairs = zip(table.columns["model"], table.columns["seed"], strict=True)
    assert list(pairs) == [(model, seed) for model in MODELS for seed in range(5)]
    seeds = findings.models[0].divergence
    without = jackknife.without_each_seed(seeds.kl[-1], seeds.tokens)
    np.testing.assert_allclose(table.columns["KL without it (nats)"][:5], without)
    assert all(
        text.endswith(f"of {len(STEPS)}") for text in table.columns["steps at which it does"]
    )


def test_the_table_of_models_reads_off_the_curves(findings):
    table = section_of(findings).tables["Models"]
    for row, model in enumerate(findings.models):
        kl = model.divergence.seed_kl
        assert table.columns["model"][row] == model.model
        assert table.columns["KL minimum (nats)"][row] == kl.value.min()
        assert table.columns["at step"][row] == kl.steps[kl.value.argmin()]
        assert table.columns["final KL (nats)"][row] == kl.value[-1]
        assert table.columns["final loss (nats per token)"][row] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ((40.0, 30.0, 1.0), "below Kneser–Ney with n = 1 and 2 on the same text"),
        ((1.0, 0.9), "above every n-gram's on the same text"),
    ],
)
def test_the_loss_is_compared_with_every_ngram(losses, words):
    findings = find(convergence=divergence_units(bends=0), ngram=ngram_units(losses))
    said = [finding for finding in section_of(findings).findings if words in finding.sentence]
    assert len(said) == len(MODELS)
    assert {finding.grade for finding in said} == {"sure"}
    figure = panels_of(findings)["cross-entropy"].draw()
    names = {text.get_text() for text in figure.axes[0].texts}
    assert {f"Kneser–Ney n = {order + 1}" for order in range(len(losses))} <= names


def test_a_loss_close_to_an_ngrams_is_not_called_better():
    findings = find(convergence=divergence_units(bends=0), ngram=ngram_units((4.1,)))
    said = [finding for finding in section_of(findings).findings if "Kneser" in finding.sentence]
    assert {finding.grade for finding in said} == {"unsure"}


def test_an_older_yardstick_has_no_error():
    ((_, data),) = ngram_units()
    read = record_ngram.from_dataset(data.drop_vars("cross_entropy_sem"))
    assert np.isnan(read.sem).all()
    old = Unit(measure="ngram", model="kneser-ney", seeds=(0,), step=0)
    findings = find(convergence=divergence_units(bends=0), ngram=[(old, data)])
    np.testing.assert_allclose(findings.ngrams.cross_entropy, [5.0, 2.9, 1.0])


def test_older_results_are_drawn_without_what_they_lack(older):
    panels = panels_of(older)
    assert "seed-js" not in panels
    assert "in-context scores" in panels["overview"].caption
    assert "learning rates (not known" in panels["overview"].caption
    assert "No n-grams" in panels["cross-entropy"].caption
    assert len(panels["overview"].draw().axes) == 3
    for panel in panels.values():
        panel.draw()


def test_few_steps_and_two_seeds_are_said(few):
    section, panels = section_of(few), panels_of(few)
    assert not any(name.startswith("phases-") for name in panels)
    assert "late-slope" not in panels
    assert "No band: an interval over seeds needs three, and there are 2." in (
        panels["seed-kl"].caption
    )
    assert any("toy-8m has no phases: got 4 steps" in line.sentence for line in section.findings)
    assert any("too few to say how sure" in line.sentence for line in section.findings)
    table = panels["intervals"].table
    reasons = dict(zip(table.columns["holds for"], table.columns["why there is none"], strict=True))
    assert "2 seeds" in reasons["other seeds, these documents"]
    assert not reasons["these seeds, other documents"]
    apart = section.tables["Single seeds"].columns["lies apart (no coverage promised)"]
    assert set(apart) == {"needs 4 seeds"}
    for panel in panels.values():
        panel.draw()


def test_the_numbers_of_the_page_hold_intervals_and_phases(findings):
    numbers = section_of(findings).numbers
    for target in TARGETS:
        assert [curve.model for curve in numbers[f"seed_kl, {target}"]] == list(MODELS)
    first = numbers["phases"][MODELS[0]]
    assert first[0]["begin"] is None
    assert len(first[0]["end"]) == 3
    assert {"seed_kl", "surprisal", "entropy", "kl_uniform", "kl_unigram"} <= set(numbers)


def test_changes_on_the_time_axis_are_the_phases_boundaries(findings):
    divergence_track, _, unigram_track = section_of(findings).tracks
    steps = {(change.model, change.name): change.step for change in divergence_track.changes}
    for model in findings.models:
        for phase in model.phases.boundaries:
            assert steps[model.model, phase.name] == phase.begin.value
    assert {change.step for change in unigram_track.changes} == {0.0}  # a flat curve's first


def test_phases_are_those_of_the_pairs(findings):
    seeds = findings.models[0].divergence
    phases = find_phases(seeds.steps, seeds.kl, seeds.tokens)
    assert phases.phases == findings.models[0].phases.phases


def test_jensen_shannon_is_that_of_the_results(findings):
    model = findings.models[0]
    np.testing.assert_allclose(model.js.value, model.divergence.seed_kl.value / 8)


def test_bands_do_not_press_the_curves_to_the_floor():
    curve = planted(0, 3, 3)
    noise = np.exp(2.0 * np.random.default_rng(0).standard_normal((len(STEPS), 3, 3, 1)))
    stored = {
        int(step): record.to_dataset(made_record(kl, curve.weights, 1.0))
        for step, kl in zip(STEPS, curve.kl * noise, strict=True)
    }
    findings = find(convergence=units(record.MEASURE, MODELS[0], stored))
    panel = panels_of(findings)["seed-kl"]
    (ax,) = panel.draw().axes
    kl = findings.models[0].divergence.seed_kl
    assert ax.get_ylim()[1] <= 1.4 * kl.value.max() + 1e-9
    cut = int((kl.high > 1.4 * kl.value.max()).sum())
    assert cut
    assert "above the panel." in panel.caption
    assert "3 seeds cannot say whether one of them is unlike the others" in panel.caption


def test_a_seed_that_lies_apart_is_said_where_its_band_is():
    curve = planted(0, 3, 5)
    far = np.where(np.arange(5) == 3, 4.0, 1.0)
    kl = curve.kl * (far[:, None] * far)[..., None]
    stored = {
        int(step): record.to_dataset(made_record(of_step, curve.weights, 1.0))
        for step, of_step in zip(STEPS, kl, strict=True)
    }
    findings = find(convergence=units(record.MEASURE, MODELS[0], stored))
    steps = len(STEPS)
    assert f"lies seed 3 of {MODELS[0]} at {steps} of {steps} steps" in (
        panels_of(findings)["seed-kl"].caption
    )


def test_no_results_are_no_findings():
    assert convergence.find(Committed({"ngram": ngram_units()})) is None
