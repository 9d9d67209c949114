"""What seeds make of minimal pairs, on made-up records. Axes: S seeds, N pairs, Q tasks."""

import numpy as np
import pytest

from dynamics.figures import style
from dynamics.measures.minimal_pairs import pair_kl
from dynamics.questions import Committed, minimal_pairs
from dynamics.questions.minimal_pairs import record
from dynamics.results import Unit

TASK = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 3])
TERMS = ("agreement", "agreement", "binding", "")


def records(seeds: int = 4, steps=(0, 8, 64)) -> dict[int, record.Record]:
    """step -> a record of preferences drawn anew at every step."""
    rng = np.random.default_rng(0)
    made = {}
    for step in steps:
        preference = rng.normal(0.5, 1, (seeds, len(TASK)))
        made[step] = record.Record(
            seeds=tuple(range(seeds)),
            kl=np.asarray(pair_kl(preference)),
            preference=preference,
            task=TASK,
            task_names=tuple(f"task {q}" for q in range(4)),
            terms=TERMS,
            source="toy.jsonl",
            start="the document separator",
        )
    return made


def find(made: dict[int, record.Record]) -> list[minimal_pairs.Judgements]:
    seeds = next(iter(made.values())).seeds
    units = [
        (
            Unit(measure=record.MEASURE, model="toy-8", seeds=seeds, step=step),
            record.to_dataset(one_step),
        )
        for step, one_step in made.items()
    ]
    judged = minimal_pairs.find(Committed({record.MEASURE: units}))
    assert judged is not None
    return judged


@pytest.fixture(scope="module")
def judged() -> minimal_pairs.Judgements:
    (judgements,) = find(records())
    return judgements


def test_a_record_is_read_as_it_was_written():
    written = records()[8]
    read = record.from_dataset(record.to_dataset(written))
    np.testing.assert_allclose(read.kl, written.kl, rtol=1e-6)
    np.testing.assert_allclose(read.preference, written.preference, rtol=1e-6)
    for name in ("seeds", "task_names", "terms", "source", "start"):
        assert getattr(read, name) == getattr(written, name)


def test_every_pair_counts_once(judged):
    """The mean over tasks by their sizes is the plain mean over pairs and ordered seed pairs."""
    for k, written in enumerate(records().values()):
        plain = written.kl[~np.eye(4, dtype=bool)].mean()
        right = (written.preference > 0).mean()
        assert judged.seed_kl.value[k] == pytest.approx(plain, rel=1e-6)
        assert judged.accuracy.value[k] == pytest.approx(right, rel=1e-12)


def test_phenomena_pool_tasks_and_keep_the_whole(judged):
    pooled = judged.phenomena
    sizes = dict(zip(pooled.names, pooled.sizes, strict=True))
    assert sizes == {"agreement": 6, "binding": 3, "task 3": 1}
    whole = pooled.kl @ pooled.sizes / pooled.sizes.sum()
    np.testing.assert_allclose(whole, judged.seed_kl.value, rtol=1e-12)
    assert (np.diff(pooled.kl[-1]) <= 0).all()  # the most divergent first


def test_a_tie_is_half_right():
    made = records(steps=(0,))
    made[0].preference[:] = 0
    (judgements,) = find(made)
    assert judgements.accuracy.value[0] == 0.5


def test_equal_seeds_do_not_differ():
    made = records(steps=(0,))
    made[0].kl[:] = 0
    (judgements,) = find(made)
    assert judgements.seed_kl.value[0] == 0


def test_two_seeds_have_no_interval():
    (judgements,) = find(records(seeds=2))
    assert not judgements.seed_kl.has_errors


def test_no_results_are_no_findings():
    assert minimal_pairs.find(Committed({})) is None


def test_the_page_says_what_it_shows(judged):
    section = minimal_pairs.QUESTION.section([judged], style.Look(["toy-8"]))
    assert "10 pairs of 4 tasks (toy.jsonl)" in section.panels[0].caption
    assert sorted(section.panels[2].table.columns["pairs"]) == [1, 1, 1, 3, 3, 3, 6, 6, 6]
    for panel in section.panels:
        assert panel.draw().axes
        assert panel.table.rows


@pytest.mark.parametrize(("bias", "grade"), [(0.0, "unsure"), (1.5, "sure"), (30.0, "open")])
def test_accuracy_is_called_better_than_a_guess_only_where_its_error_allows(bias, grade):
    """Where every task is judged right the error over tasks is 0, and says nothing."""
    rng = np.random.default_rng(1)
    made = records(steps=(0,))
    made[0].preference[:] = bias + rng.normal(0, 1, made[0].preference.shape)
    (finding,) = minimal_pairs.QUESTION.section(find(made), style.Look(["toy-8"])).findings
    assert finding.grade == grade
